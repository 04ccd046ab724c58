# SPDX-License-Identifier: BSD-2-Clause
"""Stock gRPC and HTTP/2 clients against a running `perhop serve -d kernel:grpc -w boutique`.

    grpc_clients.py SERVED.json PROTO   what serve --json printed, and the protocol's definition

Messages and stubs are made from PROTO by Debian's python3-grpc-tools, calls by python3-grpcio; bytes that no
client would send go through a socket. Prints result lines for tests/run.
"""
import json
import os
import socket
import struct
import sys
import tempfile

import grpc
from grpc_tools import protoc

TIMEOUT_S = 5


def result(name, good, why=""):
    print(f"ok - {name}" if good else f"not ok - {name} # {why}")


def compile_protocol(path):
    """The Python modules of a .proto file: messages, stubs."""
    out = tempfile.mkdtemp()
    if protoc.main(["protoc", "-I", os.path.dirname(path), f"--python_out={out}", f"--grpc_python_out={out}", path]):
        sys.exit("protoc failed")
    sys.path.insert(0, out)
    import boutique_pb2
    import boutique_pb2_grpc
    return boutique_pb2, boutique_pb2_grpc


class Shop:
    """The services of a deployment, each on its own channel."""

    def __init__(self, served, pb, stubs):
        self.pb, self.doors = pb, {}
        for call in served["calls"]:
            self.doors[call["function"]] = (call["address"], call["port"])
            for service in call["services"].split():
                name = service.split(".")[1]
                channel = grpc.insecure_channel(f"{call['address']}:{call['port']}")
                setattr(self, name, getattr(stubs, f"{name}Stub")(channel))

    def channel(self, function):
        address, port = self.doors[function]
        return grpc.insecure_channel(f"{address}:{port}")


def every_method_answers(shop):
    pb = shop.pb
    address = pb.Address(street_address="1600 Amphitheatre Parkway", city="Mountain View", state="CA",
                         country="United States", zip_code=94043)
    card = pb.CreditCardInfo(credit_card_number="4432-8015-6152-0454", credit_card_cvv=672,
                             credit_card_expiration_year=2039, credit_card_expiration_month=1)
    item = pb.CartItem(product_id="OLJCESPC7Z", quantity=2)
    order = pb.OrderResult(order_id="o", shipping_tracking_id="t", shipping_cost=pb.Money(currency_code="USD", units=8),
                           shipping_address=address, items=[pb.OrderItem(item=item, cost=pb.Money(units=1))])
    cases = [
        (shop.CartService.AddItem, pb.AddItemRequest(user_id="u1", item=item), lambda a: a == pb.Empty()),
        (shop.CartService.GetCart, pb.GetCartRequest(user_id="u1"), lambda a: list(a.items) == [item] and a.user_id == "u1"),
        (shop.ProductCatalogService.ListProducts, pb.Empty(), lambda a: len(a.products) == 9),
        (shop.ProductCatalogService.GetProduct, pb.GetProductRequest(id="OLJCESPC7Z"), lambda a: a.name == "Sunglasses"),
        (shop.ProductCatalogService.SearchProducts, pb.SearchProductsRequest(query="mug"), lambda a: len(a.results) == 1),
        (shop.RecommendationService.ListRecommendations,
         pb.ListRecommendationsRequest(user_id="u1", product_ids=["OLJCESPC7Z"]),
         lambda a: len(a.product_ids) == 5 and "OLJCESPC7Z" not in a.product_ids),
        (shop.ShippingService.GetQuote, pb.GetQuoteRequest(address=address, items=[item]),
         lambda a: (a.cost_usd.units, a.cost_usd.nanos) == (8, 990000000)),
        (shop.ShippingService.ShipOrder, pb.ShipOrderRequest(address=address, items=[item]),
         lambda a: a.tracking_id.count("-") == 2),
        (shop.CurrencyService.GetSupportedCurrencies, pb.Empty(), lambda a: len(a.currency_codes) == 33),
        (shop.CurrencyService.Convert,
         pb.CurrencyConversionRequest(**{"from": pb.Money(currency_code="USD", units=100), "to_code": "EUR"}),
         lambda a: a.currency_code == "EUR" and 50 < a.units < 100),
        (shop.PaymentService.Charge, pb.ChargeRequest(amount=pb.Money(currency_code="USD", units=1), credit_card=card),
         lambda a: len(a.transaction_id) == 36),
        (shop.EmailService.SendOrderConfirmation, pb.SendOrderConfirmationRequest(email="a@b.c", order=order),
         lambda a: a == pb.Empty()),
        (shop.AdService.GetAds, pb.AdRequest(context_keys=["clothing"]), lambda a: a.ads and a.ads[0].text),
        (shop.CheckoutService.PlaceOrder,
         pb.PlaceOrderRequest(user_id="u1", user_currency="EUR", address=address, email="a@b.c", credit_card=card),
         lambda a: a.order.items[0].item == item and a.order.items[0].cost.currency_code == "EUR"),
        (shop.CartService.EmptyCart, pb.EmptyCartRequest(user_id="u1"), lambda a: a == pb.Empty()),
    ]
    for method, request, right in cases:
        name = method._method.decode()
        try:
            answer = method(request, timeout=TIMEOUT_S)
            result(f"a stock client calls {name}", right(answer), str(answer)[:100].replace("\n", " "))
        except grpc.RpcError as e:
            result(f"a stock client calls {name}", False, f"{e.code()}: {e.details()}")


def refused(shop, name, code, function, path, message, **kwargs):
    """A call with the bytes `message` gets this status."""
    with shop.channel(function) as channel:
        call = channel.unary_unary(path)
        try:
            call(message, timeout=kwargs.pop("timeout", TIMEOUT_S), **kwargs)
            result(name, False, "it was answered OK")
        except grpc.RpcError as e:
            result(name, e.code() == code, f"{e.code()}: {e.details()}")


def errors_have_their_status(shop):
    pb, s = shop.pb, grpc.StatusCode
    get = "/hipstershop.ProductCatalogService/GetProduct"
    refused(shop, "what is not there is NOT_FOUND", s.NOT_FOUND, "catalog", get,
            pb.GetProductRequest(id="none").SerializeToString())
    refused(shop, "an invalid argument is INVALID_ARGUMENT", s.INVALID_ARGUMENT, "currency",
            "/hipstershop.CurrencyService/Convert", pb.CurrencyConversionRequest(to_code="XXX").SerializeToString())
    refused(shop, "a card that is refused is FAILED_PRECONDITION", s.FAILED_PRECONDITION, "payment",
            "/hipstershop.PaymentService/Charge",
            pb.ChargeRequest(amount=pb.Money(currency_code="USD", units=1)).SerializeToString())
    refused(shop, "an unknown method is UNIMPLEMENTED", s.UNIMPLEMENTED, "catalog", "/a.B/C", b"")
    refused(shop, "another function's method is UNIMPLEMENTED", s.UNIMPLEMENTED, "cart", get, b"")
    refused(shop, "bytes that are no protobuf are INTERNAL", s.INTERNAL, "catalog", get, b"\xff\xff\xff")
    refused(shop, "text that is longer than its array is INTERNAL", s.INTERNAL, "catalog", get,
            pb.GetProductRequest(id="x" * 999).SerializeToString())
    refused(shop, "a message larger than a buffer is RESOURCE_EXHAUSTED", s.RESOURCE_EXHAUSTED, "catalog", get,
            bytes(200000))
    refused(shop, "a message of megabytes is RESOURCE_EXHAUSTED", s.RESOURCE_EXHAUSTED, "catalog", get, bytes(3 << 20))
    refused(shop, "gzip is UNIMPLEMENTED", s.UNIMPLEMENTED, "catalog", get, bytes(1000),
            compression=grpc.Compression.Gzip)
    refused(shop, "a generic path without a type is INVALID_ARGUMENT", s.INVALID_ARGUMENT, "cart", "/perhop.Call/cart",
            b"")
    refused(shop, "header fields of 20 KB are RESOURCE_EXHAUSTED", s.RESOURCE_EXHAUSTED, "catalog", get, b"",
            metadata=[("x-long", "x" * 20000)])
    with shop.channel("cart") as channel:
        stream = channel.stream_unary("/hipstershop.CartService/GetCart")
        for name, n in (("no message at all is UNIMPLEMENTED", 0), ("a second message is UNIMPLEMENTED", 2)):
            try:
                stream(iter([b""] * n), timeout=TIMEOUT_S)
                result(name, False, "it was answered OK")
            except grpc.RpcError as e:
                result(name, e.code() == s.UNIMPLEMENTED, f"{e.code()}: {e.details()}")
        # By the generic path: the type's number goes along (16 + 10, TYPE_GET_CART), and another comes back.
        answer, call = channel.unary_unary("/perhop.Call/cart").with_call(
            pb.GetCartRequest(user_id="nobody").SerializeToString(), timeout=TIMEOUT_S,
            metadata=[("perhop-type", "26")])
        kinds = dict(call.initial_metadata())
        result("a generic path takes a payload by its type", pb.Cart.FromString(answer).user_id == "nobody" and
               kinds.get("perhop-type") == "28", str(kinds))


# ---- Bytes that no client would send ------------------------------------------------------------

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 7, 8, 9
END_STREAM, END_HEADERS, PADDED = 1, 4, 8


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def text_of(text):
    assert len(text) < 127
    return bytes([len(text)]) + text


def head(**changes):
    """A call's header block; `changes`: field (with - as _) to value, None: left out."""
    fields = {":method": "POST", ":scheme": "http", ":path": "/hipstershop.CartService/GetCart", ":authority": "cart",
              "te": "trailers", "content-type": "application/grpc"}
    for name, value in changes.items():
        name = name.replace("__", ":").replace("_", "-")
        fields.pop(name, None)
        if value is not None:
            fields[name] = value
    pseudo = sorted(fields, key=lambda n: not n.startswith(":"))
    return b"".join(b"\0" + text_of(n.encode()) + text_of(fields[n].encode()) for n in pseudo)


def message(payload=b"", flag=0):
    return bytes([flag]) + struct.pack(">I", len(payload)) + payload


class Raw:
    """A connection that says what it is told."""

    def __init__(self, door, preface=PREFACE + frame(SETTINGS, 0, 0)):
        self.socket = socket.create_connection(door, TIMEOUT_S)
        self.socket.settimeout(TIMEOUT_S)
        self.got = b""
        self.say(preface)

    def say(self, text):
        try:
            self.socket.sendall(text)
        except OSError:
            pass                # refused in the midst of it, as is its right

    def frames(self, until):
        """(kind, flags, stream, payload) up to the first for which `until` holds, or the connection's end."""
        while True:
            while len(self.got) < 9 or len(self.got) < 9 + int.from_bytes(self.got[:3], "big"):
                try:
                    more = self.socket.recv(65536)
                except OSError:
                    more = b""
                if not more:
                    return
                self.got += more
            n = int.from_bytes(self.got[:3], "big")
            f = (self.got[3], self.got[4], int.from_bytes(self.got[5:9], "big"), self.got[9:9 + n])
            self.got = self.got[9 + n:]
            yield f
            if until(f):
                return

    def ended(self, stream):
        """Everything on `stream` until its end."""
        return [f for f in self.frames(lambda f: f[2] == stream and (f[0] == RST_STREAM or f[1] & END_STREAM and
                                                                    f[0] in (DATA, HEADERS)) or f[0] == GOAWAY)
                if f[2] == stream]

    def goaway(self):
        """The error of the GOAWAY that comes, or None: the connection just ended."""
        for f in self.frames(lambda f: f[0] == GOAWAY):
            if f[0] == GOAWAY:
                return int.from_bytes(f[3][4:8], "big")
        return None


def statuses(frames):
    """grpc-status and :status values, decoded."""
    decoder, found = Hpack(), []
    for f in frames:
        if f[0] == HEADERS:
            found += [v for n, v in decoder.decode(f[3]) if n in (":status", "grpc-status")]
    return found


class Hpack:
    """As much of RFC 7541 as our own server's answers need: indexed and literal fields, Huffman digits."""
    STATIC = {8: (":status", "200"), 9: (":status", "204"), 10: (":status", "206"), 11: (":status", "304"),
              12: (":status", "400"), 13: (":status", "404"), 14: (":status", "500"), 22: ("allow", ""),
              28: ("content-length", ""), 31: ("content-type", "")}
    # Codes of digits and lower-case letters that names and values here are made of (appendix B): (bits, length).
    CODES = {"0": (0x0, 5), "1": (0x1, 5), "2": (0x2, 5), "a": (0x3, 5), "c": (0x4, 5), "e": (0x5, 5), "i": (0x6, 5),
             "o": (0x7, 5), "s": (0x8, 5), "t": (0x9, 5), " ": (0x14, 6), "-": (0x16, 6), ".": (0x17, 6),
             "/": (0x18, 6), "3": (0x19, 6), "4": (0x1a, 6), "5": (0x1b, 6), "6": (0x1c, 6), "7": (0x1d, 6),
             "8": (0x1e, 6), "9": (0x1f, 6), "b": (0x23, 6), "d": (0x24, 6), "f": (0x25, 6), "g": (0x26, 6),
             "h": (0x27, 6), "l": (0x28, 6), "m": (0x29, 6), "n": (0x2a, 6), "p": (0x2b, 6), "r": (0x2c, 6),
             "u": (0x2d, 6), ":": (0x5c, 7), "j": (0x74, 7), "k": (0x75, 7), "q": (0x76, 7), "v": (0x77, 7),
             "w": (0x78, 7), "x": (0x79, 7), "y": (0x7a, 7), "z": (0x7b, 7)}

    def __init__(self):
        self.table = []
        self.letters = {code: letter for letter, code in self.CODES.items()}

    def decode(self, data):
        self.data, self.at, fields = data, 0, []
        while self.at < len(self.data):
            first = self.data[self.at]
            if first & 0x80:
                fields.append(self.entry(self.number(7)))
                continue
            if first & 0xe0 == 0x20:
                self.number(5)
                continue
            index = self.number(6 if first & 0x40 else 4)
            name = self.entry(index)[0] if index else self.text()
            field = (name, self.text())
            if first & 0x40:
                self.table.insert(0, field)
            fields.append(field)
        return fields

    def entry(self, index):
        return self.STATIC.get(index, ("?", "?")) if index < 62 else self.table[index - 62]

    def number(self, bits):
        n, shift = self.data[self.at] & ((1 << bits) - 1), 0
        self.at += 1
        if n < (1 << bits) - 1:
            return n
        while True:
            byte = self.data[self.at]
            self.at += 1
            n += (byte & 127) << shift
            shift += 7
            if not byte & 128:
                return n

    def text(self):
        coded, n = self.data[self.at] & 0x80, self.number(7)
        raw, self.at = self.data[self.at:self.at + n], self.at + n
        if not coded:
            return raw.decode("latin-1")
        out, code, length = "", 0, 0
        for bit in "".join(f"{b:08b}" for b in raw):
            code, length = code << 1 | int(bit), length + 1
            if (code, length) in self.letters:
                out += self.letters[code, length]
                code = length = 0
        return out


def raw_calls(door):
    """One call each, as bytes; what comes back is HTTP's or gRPC's refusal."""
    def ask(name, wanted, header_block, payload=b"", flags=END_STREAM):
        raw = Raw(door)
        raw.say(frame(HEADERS, END_HEADERS, 1, header_block) + frame(DATA, flags, 1, payload))
        frames = raw.ended(1)
        result(name, wanted in statuses(frames), f"{statuses(frames)} in {[(f[0], f[1]) for f in frames]}")

    ask("raw bytes make a call, too", "0", head(), message())
    ask("the wrong content type is HTTP 415", "415", head(content_type="application/json"), message())
    ask("no content type is HTTP 415", "415", head(content_type=None), message())
    ask("another codec is HTTP 415", "415", head(content_type="application/grpc+json"), message())
    ask("application/grpc+proto is the same as application/grpc", "0", head(content_type="application/grpc+proto"),
        message())
    ask("GET is HTTP 405", "405", head(__method="GET"), message())
    ask("HEAD is HTTP 405", "405", head(__method="HEAD"), message())
    ask("a missing te is INTERNAL", "13", head(te=None), message())
    ask("a compressed message without an encoding is INTERNAL", "13", head(), message(b"xx", 1))
    ask("a flag that is no flag is INTERNAL", "13", head(), message(b"", 7))
    ask("half a prefix is INTERNAL", "13", head(), b"\0\0\0")
    ask("half a message is INTERNAL", "13", head(), message(b"abcd")[:-2])
    ask("a length of 4 GB is RESOURCE_EXHAUSTED", "8", head(), b"\0\xff\xff\xff\xffxxxx")
    ask("a second message is UNIMPLEMENTED", "12", head(), message() + message())
    ask("a malformed grpc-timeout is INTERNAL", "13", head(grpc_timeout="soon"), message())
    ask("a topic out of range is refused", "13", head(perhop_topic="4711"), message())
    ask("a deadline of nothing is DEADLINE_EXCEEDED", "4", head(grpc_timeout="1m"), message()[:3], 0)
    ask("a padded message is read without its padding", "0", head(), b"\x03" + message() + bytes(3),
        END_STREAM | PADDED)

    # A head in two frames, a message byte by byte, and an answer for which there is room for one byte at first.
    raw = Raw(door, PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1)))
    block, text = head(), message()
    raw.say(frame(HEADERS, 0, 1, block[:20]) + frame(CONTINUATION, END_HEADERS, 1, block[20:]) +
            b"".join(frame(DATA, 0, 1, text[i:i + 1]) for i in range(len(text))) + frame(DATA, END_STREAM, 1))
    sent = [f[3] for f in raw.frames(lambda f: f[0] == DATA and f[2] == 1) if f[0] == DATA]
    raw.say(frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 1)))
    sent += [f[3] for f in raw.frames(lambda f: f[0] == DATA and f[2] == 1) if f[0] == DATA]
    raw.say(frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 1000)))
    frames = raw.ended(1)
    sent += [f[3] for f in frames if f[0] == DATA]
    result("an answer goes out as the client's window lets it", [len(d) for d in sent[:2]] == [1, 1] and
           b"".join(sent) == message() and "0" in statuses(frames), f"{sent} {statuses(frames)}")


def attacks(door):
    """Who breaks the protocol or floods is disconnected, by the error that HTTP/2 has for it."""
    enhance_your_calm, protocol_error, compression_error, flow_control_error, size_error = 11, 1, 9, 3, 6
    stream_closed = 5
    raw = Raw(door, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    result("HTTP/1.1 on a gRPC port is disconnected", raw.goaway() in (None, protocol_error))

    raw = Raw(door)
    raw.say(b"".join(frame(HEADERS, END_HEADERS, 2 * i + 1, head()) + frame(RST_STREAM, 0, 2 * i + 1, b"\0\0\0\x08")
                     for i in range(5000)))
    error = raw.goaway()
    result("a flood of resets ends the connection with ENHANCE_YOUR_CALM", error == enhance_your_calm, str(error))

    # It is the server that resets these: no window is that large. At most 128 at once, or they are refused.
    raw = Raw(door)
    for first in range(1, 4001, 200):
        last = first + 198
        raw.say(b"".join(frame(HEADERS, END_HEADERS, i, head()) + frame(WINDOW_UPDATE, 0, i, b"\x7f\xff\xff\xff")
                         for i in range(first, last + 1, 2)))
        frames = list(raw.frames(lambda f, last=last: f[0] == GOAWAY or f[0] == RST_STREAM and f[2] == last))
        if not frames or frames[-1][0] == GOAWAY:
            break
    error = int.from_bytes(frames[-1][3][4:8], "big") if frames else None
    result("so does a flood of streams that are in error", error == enhance_your_calm, str(error))

    raw = Raw(door)
    raw.say(b"".join(frame(SETTINGS, 0, 0) for _ in range(20000)))
    error = raw.goaway()
    result("a flood of SETTINGS ends the connection", error in (None, enhance_your_calm), str(error))

    raw = Raw(door)
    raw.say(frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff"))
    error = raw.goaway()
    result("a header block that is no HPACK is a COMPRESSION_ERROR", error == compression_error, str(error))

    raw = Raw(door)
    raw.say(frame(DATA, 0, 1, message()))
    error = raw.goaway()
    result("DATA on an idle stream is a PROTOCOL_ERROR", error in (protocol_error, stream_closed), str(error))

    raw = Raw(door)
    raw.say(frame(HEADERS, END_HEADERS, 1, head()) + frame(DATA, END_STREAM, 1, message()))
    raw.ended(1)
    raw.say(frame(HEADERS, END_HEADERS | END_STREAM, 1, head()))
    error = raw.goaway()
    result("a stream that has ended cannot begin again: STREAM_CLOSED", error == stream_closed, str(error))

    raw = Raw(door)
    raw.say(frame(HEADERS, END_HEADERS, 1, head(te="trailers", __path=None)))
    frames = raw.ended(1)
    result("a request without a path is reset", frames and frames[-1][0] == RST_STREAM, str(frames)[:80])

    raw = Raw(door)
    raw.say(frame(HEADERS, END_HEADERS, 1, head()) + b"\xff\xff\xff" + bytes([DATA, 0]) + b"\0\0\0\1")
    error = raw.goaway()
    result("a frame over the size agreed is a FRAME_SIZE_ERROR", error == size_error, str(error))

    raw = Raw(door)
    raw.say(frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"))
    error = raw.goaway()
    result("a window over 2^31 is a FLOW_CONTROL_ERROR", error == flow_control_error, str(error))

    idle = [Raw(door) for _ in range(300)]
    good = Raw(door)
    good.say(frame(HEADERS, END_HEADERS, 1, head()) + frame(DATA, END_STREAM, 1, message()))
    result("300 idle connections shut nobody out", "0" in statuses(good.ended(1)))
    for raw in idle:
        raw.socket.close()

    # A window of nothing: each of these calls is answered, and no answer can go out.
    cancel, refused_stream, calls, codes = 8, 7, 100, []
    shut = [Raw(door, PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0))) for _ in range(11)]
    for raw in shut:            # 1,100: more than the server has room for
        raw.say(b"".join(frame(HEADERS, END_HEADERS, i, head()) + frame(DATA, END_STREAM, i, message())
                         for i in range(1, 2 * calls, 2)))
    for raw in shut:
        ends = []
        for f in raw.frames(lambda _, ends=ends: len(ends) == calls):
            ends += [int.from_bytes(f[3], "big")] if f[0] == RST_STREAM else []
        codes += ends
    result("calls whose answers nobody takes are reset with CANCEL when their time is up, or refused for want of room",
           len(codes) == 11 * calls and codes.count(cancel) >= 1000 and set(codes) <= {cancel, refused_stream},
           f"{len(codes)} resets, {set(codes)}, {codes.count(cancel)} for the time")
    good.say(frame(HEADERS, END_HEADERS, 3, head()) + frame(DATA, END_STREAM, 3, message()))
    result("then there is room for others", any(f[0] == DATA for f in good.ended(3)))

    half = [Raw(door) for _ in range(3)]
    for raw in half:
        raw.say(b"".join(frame(HEADERS, END_HEADERS, 2 * i + 1, head()) for i in range(100)))
        raw.socket.close()
    good.say(frame(HEADERS, END_HEADERS, 5, head()) + frame(DATA, END_STREAM, 5, message()))
    frames = good.ended(5)
    result("calls begun and left by others hurt nobody", any(f[0] == DATA for f in frames), str(frames)[:80])


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        served = json.loads(f.readline())
    shop = Shop(served, *compile_protocol(os.path.abspath(sys.argv[2])))
    every_method_answers(shop)
    errors_have_their_status(shop)
    raw_calls(shop.doors["cart"])
    attacks(shop.doors["cart"])
    # A new channel: that of before may have been given up for one of the 300.
    with shop.channel("cart") as channel:
        answer = channel.unary_unary("/hipstershop.CartService/GetCart")(
            shop.pb.GetCartRequest(user_id="after").SerializeToString(), timeout=TIMEOUT_S)
    result("after all that the cart still answers a stock client", shop.pb.Cart.FromString(answer).user_id == "after")


main()

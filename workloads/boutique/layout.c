/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One table per payload struct says which member is which field of which protobuf message. Three
 * walks over these tables do all there is to do with payloads that come from somebody else:
 *
 *     payload_check   is the struct sound (counts within arrays, text with its NUL, money valid)?
 *     encode          struct → tree of protobuf-c messages → bytes
 *     decode          bytes → tree → struct, everything bounded by the struct's own arrays
 *
 * The trees live in an arena on the stack: no malloc on the copying dataplanes either. Text is not
 * copied into the tree on the way out: it points into the struct.
 */
#include <errno.h>

#include <protobuf-c/protobuf-c.h>

#include "workloads/arena.h"
#include "workloads/boutique/boutique.h"
#include "workloads/boutique/boutique.pb-c.h"
#include "workloads/boutique/sequences.pb-c.h"

enum member_kind { MEMBER_TEXT, MEMBER_INT32, MEMBER_INT64, MEMBER_STRUCT };

struct member {
	uint8_t kind;
	uint8_t number;             /* protobuf field */
	uint16_t max;               /* repeated: elements of the array; 0: singular */
	uint16_t count;             /* repeated: offset of the uint32_t that counts them */
	uint16_t offset, size;      /* of the member, or of the array's first element */
	const struct layout *of;
};

struct layout {
	const ProtobufCMessageDescriptor *message;
	const struct member *members;       /* by field number: the order of message->fields */
	uint16_t n, bytes;
	bool (*valid)(const void *);
};

#define ONE(k, nr, s, m, l)                                                                        \
	{ .kind = (k), .number = (nr), .offset = offsetof(struct s, m),                            \
	  .size = sizeof(((struct s *)0)->m), .of = (l) }
#define MANY(k, nr, s, m, c, l)                                                                    \
	{                                                                                          \
		.kind = (k), .number = (nr), .offset = offsetof(struct s, m),                      \
		.count = offsetof(struct s, c), .size = sizeof(((struct s *)0)->m[0]),             \
		.max = sizeof(((struct s *)0)->m) / sizeof(((struct s *)0)->m[0]), .of = (l)       \
	}
#define TEXT(nr, s, m) ONE(MEMBER_TEXT, nr, s, m, NULL)
#define INT32(nr, s, m) ONE(MEMBER_INT32, nr, s, m, NULL)
#define INT64(nr, s, m) ONE(MEMBER_INT64, nr, s, m, NULL)
#define STRUCT(nr, s, m, l) ONE(MEMBER_STRUCT, nr, s, m, &l)
#define TEXTS(nr, s, m, c) MANY(MEMBER_TEXT, nr, s, m, c, NULL)
#define INT32S(nr, s, m, c) MANY(MEMBER_INT32, nr, s, m, c, NULL)
#define STRUCTS(nr, s, m, c, l) MANY(MEMBER_STRUCT, nr, s, m, c, &l)

/* `name`_layout: struct s is hipstershop.message, with these members. */
#define LAYOUT_OF(name, s, pb, check, ...)                                                         \
	static const struct member name##_members[] = { __VA_ARGS__ };                             \
	static const struct layout name##_layout = {                                               \
		.message = &pb, .members = name##_members,                                         \
		.n = sizeof(name##_members) / sizeof(name##_members[0]),                           \
		.bytes = sizeof(struct s), .valid = (check),                                       \
	}
#define LAYOUT(s, pb, ...) LAYOUT_OF(s, s, hipstershop__##pb##__descriptor, NULL, __VA_ARGS__)

/* A currency is three capital letters, or nothing at all. */
static bool valid_money(const void *p)
{
	const struct money *m = p;

	if (m->currency[0])
		for (unsigned i = 0; i < 3; i++)
			if (m->currency[i] < 'A' || m->currency[i] > 'Z')
				return false;
	return money_valid(m);
}

static const struct layout empty_layout = { .message = &hipstershop__empty__descriptor };
LAYOUT_OF(money, money, hipstershop__money__descriptor, valid_money, TEXT(1, money, currency),
	  INT64(2, money, units), INT32(3, money, nanos));
LAYOUT(currencies, get_supported_currencies_response, TEXTS(1, currencies, code, count));
LAYOUT(conversion, currency_conversion_request, STRUCT(1, conversion, from, money_layout),
       TEXT(2, conversion, to));
LAYOUT(product_request, get_product_request, TEXT(1, product_request, id));
LAYOUT(product, product, TEXT(1, product, id), TEXT(2, product, name),
       TEXT(3, product, description), TEXT(4, product, picture),
       STRUCT(5, product, price, money_layout), TEXTS(6, product, category, categories));
LAYOUT(product_list, list_products_response,
       STRUCTS(1, product_list, product, count, product_layout));
LAYOUT(search, search_products_request, TEXT(1, search, query));
LAYOUT_OF(results, product_list, hipstershop__search_products_response__descriptor, NULL,
	  STRUCTS(1, product_list, product, count, product_layout));
LAYOUT(cart_item, cart_item, TEXT(1, cart_item, product), INT32(2, cart_item, quantity));
LAYOUT(add_item, add_item_request, TEXT(1, add_item, user),
       STRUCT(2, add_item, item, cart_item_layout));
LAYOUT(cart_request, get_cart_request, TEXT(1, cart_request, user));
LAYOUT_OF(empty_cart, cart_request, hipstershop__empty_cart_request__descriptor, NULL,
	  TEXT(1, cart_request, user));
LAYOUT(cart, cart, TEXT(1, cart, user), STRUCTS(2, cart, item, count, cart_item_layout));
LAYOUT(suggest, list_recommendations_request, TEXT(1, suggest, user),
       TEXTS(2, suggest, product, count));
LAYOUT(suggestions, list_recommendations_response, TEXTS(1, suggestions, product, count));
LAYOUT(ad_request, ad_request, TEXTS(1, ad_request, key, count));
LAYOUT(ad, ad, TEXT(1, ad, url), TEXT(2, ad, text));
LAYOUT(ads, ad_response, STRUCTS(1, ads, ad, count, ad_layout));
LAYOUT(address, address, TEXT(1, address, street), TEXT(2, address, city), TEXT(3, address, state),
       TEXT(4, address, country), INT32(5, address, zip));
LAYOUT_OF(quote_request, shipment, hipstershop__get_quote_request__descriptor, NULL,
	  STRUCT(1, shipment, address, address_layout),
	  STRUCTS(2, shipment, item, count, cart_item_layout));
LAYOUT(quote, get_quote_response, STRUCT(1, quote, cost, money_layout));
LAYOUT_OF(ship_request, shipment, hipstershop__ship_order_request__descriptor, NULL,
	  STRUCT(1, shipment, address, address_layout),
	  STRUCTS(2, shipment, item, count, cart_item_layout));
LAYOUT(tracking, ship_order_response, TEXT(1, tracking, id));
LAYOUT(card, credit_card_info, TEXT(1, card, number), INT32(2, card, cvv), INT32(3, card, year),
       INT32(4, card, month));
LAYOUT(charge, charge_request, STRUCT(1, charge, amount, money_layout),
       STRUCT(2, charge, card, card_layout));
LAYOUT(transaction, charge_response, TEXT(1, transaction, id));
LAYOUT(order_item, order_item, STRUCT(1, order_item, item, cart_item_layout),
       STRUCT(2, order_item, cost, money_layout));
LAYOUT(order, order_result, TEXT(1, order, id), TEXT(2, order, tracking),
       STRUCT(3, order, shipping, money_layout), STRUCT(4, order, address, address_layout),
       STRUCTS(5, order, item, count, order_item_layout));
LAYOUT(confirmation, send_order_confirmation_request, TEXT(1, confirmation, email),
       STRUCT(2, confirmation, order, order_layout));
LAYOUT(place_order, place_order_request, TEXT(1, place_order, user),
       TEXT(2, place_order, currency), STRUCT(3, place_order, address, address_layout),
       TEXT(5, place_order, email), STRUCT(6, place_order, card, card_layout));
LAYOUT(order_placed, place_order_response, STRUCT(1, order_placed, order, order_layout));
LAYOUT_OF(visits, visits, perhop__visits__descriptor, NULL, INT32(1, visits, chain),
	  INT64(2, visits, digest), INT32S(3, visits, visited, count));

static const struct layout *const layouts[TYPE_BOUTIQUE_END - TYPE_WORKLOAD] = {
	[TYPE_EMPTY - TYPE_WORKLOAD] = &empty_layout,
	[TYPE_MONEY - TYPE_WORKLOAD] = &money_layout,
	[TYPE_CURRENCIES - TYPE_WORKLOAD] = &currencies_layout,
	[TYPE_CONVERSION - TYPE_WORKLOAD] = &conversion_layout,
	[TYPE_PRODUCT_REQUEST - TYPE_WORKLOAD] = &product_request_layout,
	[TYPE_PRODUCT - TYPE_WORKLOAD] = &product_layout,
	[TYPE_PRODUCT_LIST - TYPE_WORKLOAD] = &product_list_layout,
	[TYPE_SEARCH - TYPE_WORKLOAD] = &search_layout,
	[TYPE_SEARCH_RESULTS - TYPE_WORKLOAD] = &results_layout,
	[TYPE_ADD_ITEM - TYPE_WORKLOAD] = &add_item_layout,
	[TYPE_GET_CART - TYPE_WORKLOAD] = &cart_request_layout,
	[TYPE_EMPTY_CART - TYPE_WORKLOAD] = &empty_cart_layout,
	[TYPE_CART - TYPE_WORKLOAD] = &cart_layout,
	[TYPE_SUGGEST - TYPE_WORKLOAD] = &suggest_layout,
	[TYPE_SUGGESTIONS - TYPE_WORKLOAD] = &suggestions_layout,
	[TYPE_AD_REQUEST - TYPE_WORKLOAD] = &ad_request_layout,
	[TYPE_ADS - TYPE_WORKLOAD] = &ads_layout,
	[TYPE_QUOTE_REQUEST - TYPE_WORKLOAD] = &quote_request_layout,
	[TYPE_QUOTE - TYPE_WORKLOAD] = &quote_layout,
	[TYPE_SHIP_REQUEST - TYPE_WORKLOAD] = &ship_request_layout,
	[TYPE_TRACKING - TYPE_WORKLOAD] = &tracking_layout,
	[TYPE_CHARGE - TYPE_WORKLOAD] = &charge_layout,
	[TYPE_TRANSACTION - TYPE_WORKLOAD] = &transaction_layout,
	[TYPE_CONFIRMATION - TYPE_WORKLOAD] = &confirmation_layout,
	[TYPE_PLACE_ORDER - TYPE_WORKLOAD] = &place_order_layout,
	[TYPE_ORDER_PLACED - TYPE_WORKLOAD] = &order_placed_layout,
	[TYPE_VISITS - TYPE_WORKLOAD] = &visits_layout,
};

static const struct layout *layout_of(uint16_t type)
{
	if (type < TYPE_WORKLOAD || type >= TYPE_BOUTIQUE_END)
		return NULL;
	return layouts[type - TYPE_WORKLOAD];
}

static uint32_t count_of(const struct member *m, const char *in)
{
	uint32_t count;

	memcpy(&count, in + m->count, sizeof(count));
	return count;
}

/* ---- The walks ------------------------------------------------------------------------------ */

static size_t used_bytes(const struct layout *l, const char *in)
{
	const struct member *last = l->n ? &l->members[l->n - 1] : NULL;

	if (last && last->max)
		return last->offset + (size_t)count_of(last, in) * last->size;
	if (last && last->kind == MEMBER_STRUCT)
		return last->offset + used_bytes(last->of, in + last->offset);
	return l->bytes;
}

uint32_t payload_bytes(uint16_t type, const void *payload)
{
	const struct layout *l = layout_of(type);

	return l ? (uint32_t)used_bytes(l, payload) : 0;
}

static int check(const struct layout *l, const char *in, size_t length);

/* `n` elements of member `m` at `at`, of which `length` bytes may be looked at. */
static int check_elements(const struct member *m, const char *at, size_t n, size_t length)
{
	for (size_t i = 0; i < n; i++, at += m->size, length -= m->size) {
		if (m->kind == MEMBER_STRUCT) {
			if (check(m->of, at, m->max && length > m->size ? m->size : length))
				return -EBADMSG;
		} else if (m->kind == MEMBER_TEXT && !memchr(at, '\0', m->size)) {
			return -EBADMSG;
		}
	}
	return 0;
}

static int check(const struct layout *l, const char *in, size_t length)
{
	for (unsigned i = 0; i < l->n; i++) {
		const struct member *m = &l->members[i];
		size_t n = 1;

		if (m->max) {
			if (length < m->count + sizeof(uint32_t) || count_of(m, in) > m->max)
				return -EBADMSG;
			n = count_of(m, in);
		}
		/* A struct that is not repeated may end early: it checks for itself. */
		if (m->max || m->kind != MEMBER_STRUCT) {
			if (n && m->offset + n * m->size > length)
				return -EBADMSG;
		} else if (m->offset > length) {
			return -EBADMSG;
		}
		if (check_elements(m, in + m->offset, n, length - m->offset))
			return -EBADMSG;
	}
	return l->valid && !l->valid(in) ? -EBADMSG : 0;
}

int payload_check(uint16_t type, const void *payload, size_t length)
{
	const struct layout *l = layout_of(type);

	return l ? check(l, payload, length) : -EBADMSG;
}

/* A tree needs no more than this: a full list of products takes a fifth of it. */
enum { TREE_BYTES = 48 << 10 };

static ProtobufCMessage *to_message(const struct layout *l, const char *in, struct arena *a);

/* Elements of a repeated member as protobuf-c wants them: an array of pointers, or of numbers. */
static void *to_array(const struct member *m, const char *at, size_t n, struct arena *a)
{
	void **pointers;

	if (m->kind == MEMBER_INT32)
		return (void *)at;
	pointers = arena_alloc(a, n * sizeof(*pointers));
	for (size_t i = 0; pointers && i < n; i++, at += m->size) {
		pointers[i] = m->kind == MEMBER_TEXT ? (void *)at : to_message(m->of, at, a);
		if (!pointers[i])
			return NULL;
	}
	return pointers;
}

static ProtobufCMessage *to_message(const struct layout *l, const char *in, struct arena *a)
{
	char *out = arena_alloc(a, l->message->sizeof_message);

	if (!out)
		return NULL;
	l->message->message_init((ProtobufCMessage *)out);
	for (unsigned i = 0; i < l->n; i++) {
		const struct member *m = &l->members[i];
		const ProtobufCFieldDescriptor *f = &l->message->fields[i];
		const char *at = in + m->offset;
		void *p = (void *)at;

		if (m->max) {
			size_t n = count_of(m, in);

			if (!n)
				continue;
			p = to_array(m, at, n, a);
			memcpy(out + f->quantifier_offset, &n, sizeof(n));
		} else if (m->kind == MEMBER_STRUCT) {
			p = to_message(m->of, at, a);
		} else if (m->kind != MEMBER_TEXT) {
			memcpy(out + f->offset, at, m->size);
			continue;
		}
		if (!p)
			return NULL;
		memcpy(out + f->offset, &p, sizeof(p));
	}
	return (ProtobufCMessage *)out;
}

static ssize_t encode(uint16_t type, const void *in, size_t length, void *out, size_t room)
{
	const struct layout *l = layout_of(type);
	_Alignas(16) unsigned char tree[TREE_BYTES];
	struct arena arena = { .bytes = tree, .size = sizeof(tree) };
	ProtobufCMessage *message;
	size_t n;

	if (!l || check(l, in, length))
		return -EINVAL;
	message = to_message(l, in, &arena);
	if (!message)
		return -EMSGSIZE;
	n = protobuf_c_message_get_packed_size(message);
	if (n > room)
		return -EMSGSIZE;
	return (ssize_t)protobuf_c_message_pack(message, out);
}

static int from_message(const struct layout *l, const ProtobufCMessage *message, char *out);

static int from_value(const struct member *m, const void *value, char *at)
{
	if (m->kind == MEMBER_STRUCT)
		return from_message(m->of, value, at);
	return text_set(at, m->size, value) ? 0 : -EBADMSG;
}

static int from_repeated(const struct member *m, const ProtobufCFieldDescriptor *f, const char *in,
			 char *out)
{
	void *array;
	uint32_t count;
	size_t n;

	memcpy(&n, in + f->quantifier_offset, sizeof(n));
	memcpy(&array, in + f->offset, sizeof(array));
	if (n > m->max)
		return -EBADMSG;
	count = (uint32_t)n;
	memcpy(out + m->count, &count, sizeof(count));
	if (m->kind == MEMBER_INT32) {
		if (n)
			memcpy(out + m->offset, array, n * m->size);
		return 0;
	}
	for (size_t i = 0; i < n; i++)
		if (from_value(m, ((void **)array)[i], out + m->offset + i * m->size))
			return -EBADMSG;
	return 0;
}

/* An absent message gives zeroes: the protocol's defaults. */
static int from_message(const struct layout *l, const ProtobufCMessage *message, char *out)
{
	const char *in = (const char *)message;

	if (!message) {
		memset(out, 0, l->bytes);
		return 0;
	}
	for (unsigned i = 0; i < l->n; i++) {
		const struct member *m = &l->members[i];
		const ProtobufCFieldDescriptor *f = &l->message->fields[i];
		void *p;
		int error = 0;

		if (m->max) {
			error = from_repeated(m, f, in, out);
		} else if (m->kind == MEMBER_INT32 || m->kind == MEMBER_INT64) {
			memcpy(out + m->offset, in + f->offset, m->size);
		} else {
			memcpy(&p, in + f->offset, sizeof(p));
			error = from_value(m, p, out + m->offset);
		}
		if (error)
			return error;
	}
	return l->valid && !l->valid(out) ? -EBADMSG : 0;
}

static ssize_t decode(uint16_t type, const void *in, size_t length, void *out, size_t room)
{
	const struct layout *l = layout_of(type);
	_Alignas(16) unsigned char tree[TREE_BYTES];
	struct arena arena = { .bytes = tree, .size = sizeof(tree) };
	ProtobufCAllocator allocator = arena_allocator(&arena);
	ProtobufCMessage *message;

	if (!l)
		return -EINVAL;
	if (room < l->bytes)
		return -EMSGSIZE;
	message = protobuf_c_message_unpack(l->message, &allocator, length, in);
	if (!message || from_message(l, message, out))
		return -EBADMSG;
	return (ssize_t)used_bytes(l, out);
}

const struct codec boutique_codec = { .encode = encode, .decode = decode };

/* ---- What services say with payloads -------------------------------------------------------- */

const void *payload_of(const struct invocation *inv, uint16_t type)
{
	if (inv->type != type || payload_check(type, inv->payload, inv->length))
		return NULL;
	return inv->payload;
}

enum outcome payload_refuse(struct invocation *inv, uint16_t status, const char *reason)
{
	size_t n = strlen(reason);

	if (n > inv->room)
		n = inv->room;
	memcpy(inv->payload, reason, n);
	return invocation_return(inv, status, TYPE_REASON, (uint32_t)n);
}

enum outcome payload_pass_on(struct invocation *inv)
{
	if (inv->status < STATUS_BAD_REQUEST || inv->type != TYPE_REASON)
		return payload_refuse(inv, STATUS_INTERNAL, "a service gave an unsound answer");
	return RETURN;
}

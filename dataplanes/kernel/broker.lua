-- SPDX-License-Identifier: BSD-2-Clause
-- The broker of kernel:knative: takes a client's request, finds its chain by the path, and invokes the
-- functions of the chain one after another, each through its pod's sidecar.
--
--     client's request ──> /_perhop/head/F1 ──> outcome forward ──> /_perhop/next/F2 ──> … ──> outcome reply ──> client
--
-- Each hop is a subrequest to an internal location that proxies to the function's upstream with
-- kept-alive connections: nginx's own C code does the HTTP, Lua only decides.

local routes = require "routes"         -- longest path first; made by dataplanes/kernel/nginx.c

local capture = ngx.location.capture
local find, sub = string.find, string.sub

local TYPE_HTTP_REQUEST = 2             -- chain/codec.h

local METHOD = {
	GET = ngx.HTTP_GET, HEAD = ngx.HTTP_HEAD, POST = ngx.HTTP_POST, PUT = ngx.HTTP_PUT,
	DELETE = ngx.HTTP_DELETE, OPTIONS = ngx.HTTP_OPTIONS, PATCH = ngx.HTTP_PATCH,
}

-- Fields of a function's response that are not for the client: the connection's and the dataplane's.
local DROP = {
	["connection"] = true, ["content-length"] = true, ["date"] = true, ["keep-alive"] = true,
	["server"] = true, ["transfer-encoding"] = true, ["x-perhop-outcome"] = true,
	["x-perhop-position"] = true, ["x-perhop-status"] = true, ["x-perhop-type"] = true,
}

-- With `handlers=…auth…` the deployment has a key, and each request a token (dataplanes/kernel/token.h): its
-- id and the first 16 bytes of HMAC-SHA256 over id and topic. nginx has no such function for Lua; the
-- OpenSSL that it is linked with does.
local function signer(key)
	local bit = require "bit"
	local ffi = require "ffi"

	ffi.cdef [[
	typedef struct __attribute__((packed)) { uint64_t id; uint16_t topic; } perhop_signed;
	const void *EVP_sha256(void);
	unsigned char *HMAC(const void *md, const void *key, int key_bytes, const void *text, size_t bytes,
			    unsigned char *out, unsigned int *out_bytes);
	]]
	local text, digest = ffi.new("perhop_signed"), ffi.new("unsigned char[32]")
	local sha256 = ffi.C.EVP_sha256()
	-- Workers and restarts of the broker do not share ids.
	local id = bit.lshift(ffi.cast("uint64_t", ngx.worker.pid()), 40) + ffi.cast("uint64_t", ngx.now())

	return function(topic)
		id = id + 1
		text.id, text.topic = id, topic
		ffi.C.HMAC(sha256, key, #key, text, ffi.sizeof(text), digest, nil)
		local hex = { bit.tohex(id, 16) }

		for i = 0, 15 do
			hex[i + 2] = bit.tohex(digest[i], 2)
		end
		return table.concat(hex)
	end
end

local sign

local function token(topic)
	if not routes.key then
		return ""
	end
	sign = sign or signer(routes.key)       -- in the worker, for its pid
	return sign(tonumber(topic))
end

local function refuse(status, reason)
	ngx.status = status
	ngx.header["Content-Type"] = "text/plain; charset=utf-8"
	ngx.header["Content-Length"] = #reason
	ngx.print(reason)
end

-- The chain whose path is the longest prefix, by whole segments: as perhop's gateway chooses.
local function route_of(target)
	local query = find(target, "?", 1, true)
	local path = query and sub(target, 1, query - 1) or target

	for i = 1, #routes do
		local prefix = routes[i].path
		local n = #prefix

		if sub(path, 1, n) == prefix and
		   (n == 0 or n == #path or sub(prefix, n) == "/" or sub(path, n + 1, n + 1) == "/") then
			return routes[i]
		end
	end
end

local function reply(res)
	local header = ngx.header

	ngx.status = res.status
	for name, value in pairs(res.header) do
		if not DROP[name:lower()] then
			header[name] = value
		end
	end
	header["Content-Length"] = #res.body
	ngx.print(res.body)
end

-- A HEAD goes to the first function as the body of a POST: what answers it may have to travel on, or
-- its length be known, and an HTTP answer to a HEAD could carry neither.
local function wrap(route, token)
	return capture(route.next[0], {
		method = ngx.HTTP_POST,
		body = ngx.req.raw_header(),
		vars = { perhop_type = TYPE_HTTP_REQUEST, perhop_topic = route.topic,
			 perhop_position = 0, perhop_token = token },
	})
end

local function run()
	local route = route_of(ngx.var.request_uri)
	local method = METHOD[ngx.req.get_method()]
	local position, res = 0, nil

	if not route then
		return refuse(404, "no chain has this path\n")
	end
	if not method then
		return refuse(501, "the method or transfer coding is not implemented\n")
	end
	local vouched = token(route.topic)

	if method == ngx.HTTP_HEAD then
		res = wrap(route, vouched)
	else
		ngx.req.read_body()
		res = capture(route.head, {
			method = method,
			always_forward_body = true,
			vars = { perhop_topic = route.topic, perhop_token = vouched },
		})
	end
	while res.header["X-Perhop-Outcome"] == "forward" do
		local to = tonumber(res.header["X-Perhop-Position"])
		local hop = to and route.next[to]

		-- Positions only grow, so a chain ends, whatever a function says.
		if not hop or to <= position or res.truncated then
			return refuse(502, "a function forwards to where its chain does not lead\n")
		end
		position = to
		res = capture(hop, {
			method = ngx.HTTP_POST,
			body = res.body,
			vars = {
				perhop_type = res.header["X-Perhop-Type"],
				perhop_topic = route.topic,
				perhop_position = to,
				perhop_token = vouched,
			},
		})
	end
	if res.truncated then
		return refuse(502, "a function's response ended early\n")
	end
	return reply(res)
end

return { run = run, route_of = route_of }

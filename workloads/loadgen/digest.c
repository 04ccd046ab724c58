/* SPDX-License-Identifier: BSD-2-Clause */
#include "workloads/loadgen/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "chain/http.h"

struct digest {
	EVP_MD_CTX *context;
	bool broken;
};

int digest_open(struct digest **out)
{
	struct digest *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->context = EVP_MD_CTX_new();
	if (!d->context || !EVP_DigestInit_ex(d->context, EVP_sha256(), NULL)) {
		digest_close(d);
		return -ENOMEM;
	}
	*out = d;
	return 0;
}

void digest_close(struct digest *d)
{
	if (!d)
		return;
	EVP_MD_CTX_free(d->context);
	free(d);
}

static void add(struct digest *d, const void *bytes, size_t length)
{
	d->broken |= !EVP_DigestUpdate(d->context, bytes, length);
}

static void add_field(struct digest *d, const char *name, struct slice value)
{
	add(d, name, strlen(name));
	add(d, ": ", 2);
	add(d, value.at, value.length);
	add(d, "\n", 1);
}

/* A Location's path: functions say `/cart`, some proxies make `http://host:port/cart` of it. */
static struct slice path_of(struct slice location)
{
	const char *end = location.at + location.length;
	const char *p = location.at;

	if (location.length >= 7 && !strncasecmp(p, "http://", 7))
		p += 7;
	else if (location.length >= 8 && !strncasecmp(p, "https://", 8))
		p += 8;
	else
		return location;
	p = memchr(p, '/', (size_t)(end - p));
	return p ? (struct slice){ p, (size_t)(end - p) } : (struct slice){ "/", 1 };
}

static bool is(struct slice name, const char *what)
{
	return name.length == strlen(what) && !strncasecmp(name.at, what, name.length);
}

int digest_answer(struct digest *d, const char *head, size_t head_length, const char *body,
		  size_t body_length)
{
	struct slice fields, name, value;
	struct http_head h;
	char line[32];

	if (http_parse_response(&h, head, head_length) <= 0)
		return digest_failure(d);
	add(d, line, (size_t)snprintf(line, sizeof(line), "%u\n", h.status));
	if (h.content_type.at)
		add_field(d, "content-type", h.content_type);
	if (h.location.at)
		add_field(d, "location", path_of(h.location));
	fields = http_fields(head, head_length);
	while (http_field_next(&fields, &name, &value))
		if (is(name, "set-cookie"))
			add_field(d, "set-cookie", value);
	add(d, line, (size_t)snprintf(line, sizeof(line), "body: %zu\n", body_length));
	add(d, body, body_length);
	add(d, "\n", 1);
	return d->broken ? -EIO : 0;
}

int digest_failure(struct digest *d)
{
	add(d, "failed\n", 7);
	return d->broken ? -EIO : 0;
}

int digest_sum(struct digest *d, unsigned char sha256[32])
{
	return !d->broken && EVP_DigestFinal_ex(d->context, sha256, NULL) ? 0 : -EIO;
}

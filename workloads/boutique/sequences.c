/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The published sequences: Table 4 of the SPRIGHT paper, over the nine functions of its Table 3
 * with their service times. A request is FORWARDed from function to function; each adds its number
 * to the list that travels, and the last one answers with the list, after checking it against the
 * table. So a dataplane that takes a wrong turn gives a wrong answer.
 *
 *     GET /chN ──> 4 ──> 1 ──> 9 ──> …  ──> "ch1: 4 1 9 …"
 */
#include <errno.h>
#include <stdlib.h>

#include "chain/http.h"
#include "workloads/boutique/boutique.h"

/* Functions here have the number of Table 3 less one as their id: the frontend takes no part. */
enum { VISITED = 9 };

struct sequence {
	const char *name, *path;
	uint8_t length;
	function_id at[12];
};

#define ID(number) ((number)-1)

static const struct sequence table4[BOUTIQUE_SEQUENCES] = {
	{ "ch1", "/ch1", 11, { ID(4), ID(1), ID(9), ID(4), ID(4), ID(4), ID(4), ID(4), ID(4), ID(4),
			       ID(5) } },
	{ "ch2", "/ch2", 12, { ID(4), ID(9), ID(2), ID(1), ID(1), ID(1), ID(1), ID(1), ID(8), ID(4),
			       ID(1), ID(4) } },
	{ "ch3", "/ch3", 2, { ID(1), ID(9) } },
	{ "ch4", "/ch4", 11, { ID(3), ID(1), ID(7), ID(8), ID(6), ID(2), ID(1), ID(1), ID(1), ID(1),
			       ID(4) } },
	{ "ch5", "/ch5", 10, { ID(1), ID(4), ID(9), ID(4), ID(2), ID(1), ID(1), ID(1), ID(1),
			       ID(5) } },
	{ "ch6", "/ch6", 1, { ID(4) } },
};

struct visit_config {
	unsigned id;                /* of the function */
	unsigned first;             /* topic 0 is this sequence */
};

/* What configure allocates. */
struct sequences {
	struct visit_config config[VISITED];
	struct function function[VISITED];
	const struct function *functions[VISITED];
	struct chain chain[BOUTIQUE_SEQUENCES];
};

static bool route_right(const struct visits *v, const struct sequence *s)
{
	for (unsigned i = 0; i < s->length; i++)
		if (v->visited[i] != s->at[i] + 1)
			return false;
	return true;
}

static enum outcome answer(struct invocation *inv, const struct visits *v, const struct sequence *s)
{
	static const char hex[] = "0123456789abcdef";
	struct http_writer w;
	char digits[20];
	ssize_t n;

	http_begin(&w, inv->payload, inv->room, STATUS_OK, "text/plain; charset=utf-8");
	http_text(&w, s->name);
	http_text(&w, ":");
	for (uint32_t i = 0; i < v->count; i++) {
		http_text(&w, " ");
		http_bytes(&w, digits, number_format(digits, (uint32_t)v->visited[i]));
	}
	http_text(&w, "\ndigest: ");
	for (int shift = 60; shift >= 0; shift -= 4)
		http_bytes(&w, &hex[(uint64_t)v->digest >> shift & 15], 1);
	http_text(&w, "\n");
	n = http_end(&w);
	if (n < 0)
		return invocation_fail(inv, STATUS_INTERNAL, "sequence: the answer is too long");
	inv->status = STATUS_OK;
	inv->type = TYPE_HTTP_RESPONSE;
	inv->length = (uint32_t)n;
	return REPLY;
}

static enum outcome visit(struct invocation *inv)
{
	const struct visit_config *c = inv->config;
	const struct sequence *s;
	struct visits v = { .count = 0 };

	if (inv->type == TYPE_HTTP_REQUEST)
		v.chain = (int32_t)(c->first + inv->topic + 1);
	else if (payload_of(inv, TYPE_VISITS))
		memcpy(&v, inv->payload, inv->length);
	if (v.chain < 1 || v.chain > BOUTIQUE_SEQUENCES)
		return invocation_fail(inv, STATUS_BAD_REQUEST, "sequence: unsound request");
	s = &table4[v.chain - 1];
	if (v.count >= s->length)
		return invocation_fail(inv, STATUS_INTERNAL, "sequence: it goes on after its end");
	v.visited[v.count++] = (int32_t)c->id + 1;
	v.digest = (int64_t)(((uint64_t)v.digest ^ (c->id + 1)) * UINT64_C(0x100000001b3));
	if (v.count < s->length) {
		inv->length = payload_bytes(TYPE_VISITS, &v);
		inv->type = TYPE_VISITS;
		memcpy(inv->payload, &v, inv->length);
		return FORWARD;
	}
	if (!route_right(&v, s))
		return invocation_fail(inv, STATUS_INTERNAL, "sequence: it took a wrong turn");
	return answer(inv, &v, s);
}

int sequences_configure(struct application *app, unsigned first, unsigned last)
{
	static const struct function *const services[VISITED] = {
		[ID(CATALOG)] = &boutique_catalog,
		[ID(RECOMMENDATION)] = &boutique_recommendation,
		[ID(CHECKOUT)] = &boutique_checkout,
		[ID(CURRENCY)] = &boutique_currency,
		[ID(AD)] = &boutique_ad,
		[ID(EMAIL)] = &boutique_email,
		[ID(PAYMENT)] = &boutique_payment,
		[ID(SHIPPING)] = &boutique_shipping,
		[ID(CART)] = &boutique_cart,
	};
	struct sequences *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	for (unsigned i = 0; i < VISITED; i++) {
		s->config[i] = (struct visit_config){ .id = i, .first = first - 1 };
		s->function[i] = (struct function){ .name = services[i]->name,
						    .service_ns = services[i]->service_ns,
						    .handle = visit, .config = &s->config[i] };
		s->functions[i] = &s->function[i];
	}
	for (unsigned i = first; i <= last; i++)
		s->chain[i - first] = (struct chain){
			.name = table4[i - 1].name,
			.path = first == last ? "/" : table4[i - 1].path,
			.sequence = table4[i - 1].at,
			.length = table4[i - 1].length,
		};
	app->functions = s->functions;
	app->n_functions = VISITED;
	app->chains = s->chain;
	app->n_chains = last - first + 1;
	app->users = first == last ? &boutique_one_sequence_users : &boutique_sequence_users;
	app->private = s;
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Product catalog: all, one of them, or those whose name or description contains a text. */
#include <ctype.h>

#include "workloads/boutique/boutique.h"

struct catalog_state {
	struct product_list all;    /* as it is answered: one copy into the payload */
	uint32_t all_bytes;
};

static int catalog_start(void *state, uint64_t seed)
{
	struct catalog_state *s = state;

	(void)seed;
	s->all.count = boutique_n_products;
	memcpy(s->all.product, boutique_products,
	       boutique_n_products * sizeof(boutique_products[0]));
	s->all_bytes = payload_bytes(TYPE_PRODUCT_LIST, &s->all);
	return 0;
}

static enum outcome get_product(struct invocation *inv, const struct catalog_state *s)
{
	const struct product_request *rq = payload_of(inv, TYPE_PRODUCT_REQUEST);

	if (!rq)
		return payload_refuse(inv, STATUS_BAD_REQUEST, "catalog: unsound request");
	for (uint32_t i = 0; i < s->all.count; i++) {
		if (!strcmp(s->all.product[i].id, rq->id)) {
			memcpy(inv->payload, &s->all.product[i], sizeof(struct product));
			return payload_return(inv, TYPE_PRODUCT);
		}
	}
	return payload_refuse(inv, STATUS_NOT_FOUND, "There is no such product.");
}

/* Does `text` contain `part`, already in lower case? ASCII only, as the data are. */
static bool contains(const char *text, const char *part)
{
	size_t n = strlen(part);

	for (; strlen(text) >= n; text++) {
		size_t i = 0;

		while (i < n && tolower((unsigned char)text[i]) == part[i])
			i++;
		if (i == n)
			return true;
	}
	return false;
}

static enum outcome search_products(struct invocation *inv, const struct catalog_state *s)
{
	const struct search *rq = payload_of(inv, TYPE_SEARCH);
	struct product_list *found = inv->payload;
	char query[QUERY_BYTES];

	if (!rq)
		return payload_refuse(inv, STATUS_BAD_REQUEST, "catalog: unsound request");
	for (size_t i = 0; i < sizeof(query); i++)
		query[i] = (char)tolower((unsigned char)rq->query[i]);
	found->count = 0;
	for (uint32_t i = 0; i < s->all.count; i++) {
		const struct product *p = &s->all.product[i];

		if (contains(p->name, query) || contains(p->description, query))
			found->product[found->count++] = *p;
	}
	return payload_return(inv, TYPE_SEARCH_RESULTS);
}

static enum outcome catalog_handle(struct invocation *inv)
{
	const struct catalog_state *s = inv->state;

	switch (inv->type) {
	case TYPE_EMPTY:
		memcpy(inv->payload, &s->all, s->all_bytes);
		return invocation_return(inv, STATUS_OK, TYPE_PRODUCT_LIST, s->all_bytes);
	case TYPE_PRODUCT_REQUEST:
		return get_product(inv, s);
	case TYPE_SEARCH:
		return search_products(inv, s);
	default:
		return payload_refuse(inv, STATUS_BAD_REQUEST, "catalog: no such operation");
	}
}

const struct function boutique_catalog = {
	.name = "catalog",
	.service_ns = 600000,       /* Table 3: 0.6 ms */
	.state_bytes = sizeof(struct catalog_state),
	.start = catalog_start,
	.handle = catalog_handle,
};

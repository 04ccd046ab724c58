/* SPDX-License-Identifier: BSD-2-Clause */
/* The car park's five functions. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chain/http.h"
#include "workloads/parking/parking.h"

/* ---- Plate detection -------------------------------------------------------------------------- */

int detection_start(void *state, uint64_t seed)
{
	struct detection_state *s = state;

	(void)seed;
	s->decoder = tjInitDecompress();
	s->grey = malloc((size_t)DECODE_SIDE_MAX * DECODE_SIDE_MAX);
	if (s->decoder && s->grey)
		return 0;
	detection_stop(state);
	return -ENOMEM;
}

void detection_stop(void *state)
{
	struct detection_state *s = state;

	if (s->decoder)
		tjDestroy(s->decoder);
	free(s->grey);
	*s = (struct detection_state){ 0 };
}

/* Spot and key of the query. 0 or -EINVAL. */
static int take_query(struct sighting *g, const struct http_request *rq, size_t length)
{
	const char *query = http_part(rq, length, rq->query);
	char key[KEY_BYTES], spot[8];
	ssize_t n;

	n = http_form_value(query, rq->query.length, "key", key, sizeof(key));
	if (n < 0 || text_take(g->key, sizeof(g->key), key, (size_t)n, true))
		return -EINVAL;
	n = http_form_value(query, rq->query.length, "spot", spot, sizeof(spot));
	if (n < 1 || n > 3 || strspn(spot, "0123456789") != (size_t)n)
		return -EINVAL;
	g->spot = (uint32_t)atoi(spot);
	return g->spot >= 1 && g->spot <= SPOTS ? 0 : -EINVAL;
}

enum outcome detection_handle(struct invocation *inv)
{
	const struct parking_app *app = inv->config;
	const struct http_request *rq = inv->payload;
	struct detection_state *s = inv->state;
	struct sighting g = { .spot = 0 };
	unsigned width, height;
	int score;

	if (inv->type != TYPE_HTTP_REQUEST || http_request_check(rq, inv->length))
		return invocation_fail(inv, STATUS_BAD_REQUEST, "detection: unsound request");
	if (rq->method != HTTP_POST || !rq->body.length)
		return invocation_fail(inv, 405, "detection: POST a JPEG\n");
	if (take_query(&g, rq, inv->length))
		return invocation_fail(inv, STATUS_BAD_REQUEST,
				       "detection: it takes ?spot=1..164&key=[A-Za-z0-9-]{1,39}\n");
	switch (snapshot_decode(s->decoder, (const void *)http_part(rq, inv->length, rq->body),
				rq->body.length, s->grey, &width, &height)) {
	case 0:
		break;
	case -EFBIG:
		return invocation_fail(inv, 413, "detection: the picture is larger than 512×512\n");
	default:
		return invocation_fail(inv, 415, "detection: not a whole and sound JPEG\n");
	}
	score = plate_read(s->grey, width, height, g.plate);
	if (score < 0 && app->images) {
		picture_name(s->grey, width, height, g.plate);
		score = 0;
	}
	if (score < 0)
		return invocation_fail(inv, 422, "detection: no legible plate\n");
	g.score = (uint32_t)score;
	memcpy(inv->payload, &g, sizeof(g));
	inv->type = TYPE_SIGHTING;
	inv->length = sizeof(g);
	return FORWARD;
}

/* ---- The database's ---------------------------------------------------------------------------- */

/* The instance's connection. 0, or -errno. */
static int store_of(struct invocation *inv, struct store **store)
{
	const struct parking_app *app = inv->config;
	struct accounts_state *s = inv->state;
	int err = s->store ? 0 : store_open(&s->store, app->store_fd);

	*store = s->store;
	return err;
}

void accounts_stop(void *state)
{
	struct accounts_state *s = state;

	store_close(s->store);
	s->store = NULL;
}

static enum outcome refuse(struct invocation *inv, int error)
{
	switch (error) {
	case -EBADMSG:
		return invocation_fail(inv, STATUS_BAD_REQUEST, "parking: unsound message");
	case -EEXIST:
		return invocation_fail(inv, 409, "charging: the key belongs to another charge\n");
	case -EBUSY:
		return invocation_fail(inv, STATUS_UNAVAILABLE, "parking: the database is busy\n");
	case -ENOSPC:
		return invocation_fail(inv, 507, "parking: the database is full\n");
	default:
		return invocation_fail(inv, STATUS_INTERNAL, "parking: the database fails\n");
	}
}

/* The sighting in the payload, and the connection. 0 or -errno. */
static int take(struct invocation *inv, struct sighting **g, struct store **store)
{
	*g = inv->payload;
	if (inv->type != TYPE_SIGHTING || sighting_check(*g, inv->length))
		return -EBADMSG;
	return store_of(inv, store);
}

enum outcome search_handle(struct invocation *inv)
{
	struct sighting *g;
	struct store *store;
	int err = take(inv, &g, &store);

	if (!err)
		err = store_search(store, g);
	if (err && err != -ENOENT)
		return refuse(inv, err);
	g->fresh = err == -ENOENT;
	if (!g->fresh)
		inv->skip = 2;      /* index and persist: Ch-2 */
	return FORWARD;
}

enum outcome index_handle(struct invocation *inv)
{
	struct sighting *g;
	struct store *store;
	int err = take(inv, &g, &store);

	if (!err)
		err = store_index(store, g);
	return err ? refuse(inv, err) : FORWARD;
}

enum outcome persist_handle(struct invocation *inv)
{
	struct sighting *g;
	struct store *store;
	int err = take(inv, &g, &store);

	if (!err)
		err = g->vehicle ? store_persist(store, g) : -EBADMSG;
	return err ? refuse(inv, err) : FORWARD;
}

/* End a response that was built in the payload. */
static enum outcome respond(struct invocation *inv, struct http_writer *w)
{
	ssize_t n = http_end(w);

	if (n < 0)
		return invocation_fail(inv, STATUS_INTERNAL, "parking: no room for the answer");
	inv->length = (uint32_t)n;
	inv->type = TYPE_HTTP_RESPONSE;
	inv->status = STATUS_OK;
	return REPLY;
}

static enum outcome show_ledger(struct invocation *inv)
{
	struct http_writer w;
	struct store *store;
	struct ledger l;
	int err = store_of(inv, &store);

	if (!err)
		err = store_ledger(store, &l);
	if (err)
		return refuse(inv, err);
	http_begin(&w, inv->payload, inv->room, STATUS_OK, "application/json");
	http_format(&w, "{\"charges\":%" PRIu64 ",\"cents\":%" PRIu64 ",\"vehicles\":%" PRIu64
		    ",\"digest\":\"%016" PRIx64 "\"}\n", l.charges, l.cents, l.vehicles, l.digest);
	return respond(inv, &w);
}

enum outcome charging_handle(struct invocation *inv)
{
	struct http_writer w;
	struct sighting g, *at;
	struct receipt r;
	struct store *store;
	int err;

	if (inv->type == TYPE_HTTP_REQUEST)
		return show_ledger(inv);
	err = take(inv, &at, &store);
	if (!err)
		err = at->vehicle && at->tariff ? store_charge(store, at, &r) : -EBADMSG;
	if (err)
		return refuse(inv, err);
	g = *at;                    /* the receipt is written over it */
	http_begin(&w, inv->payload, inv->room, STATUS_OK, "application/json");
	http_format(&w, "{\"plate\":\"%s\",\"spot\":%u,\"key\":\"%s\",\"receipt\":%" PRIu64
		    ",\"vehicle\":%" PRIu64 ",\"cents\":%u,\"chain\":\"%s\"}\n", g.plate, g.spot,
		    g.key, r.number, r.vehicle, r.cents, r.fresh ? "ch1" : "ch2");
	return respond(inv, &w);
}

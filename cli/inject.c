/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>

#include "chain/clock.h"
#include "chain/codec.h"
#include "chain/runtime.h"
#include "cli/inject.h"

/* ---- The application -------------------------------------------------------------------------- */

static enum outcome pass_on(struct invocation *inv)
{
	(void)inv;
	return FORWARD;
}

#define ROW(n) { .name = "f" #n, .handle = pass_on }
static const struct function rows[INJECT_LENGTH_MAX] = { ROW(1), ROW(2), ROW(3), ROW(4),
							 ROW(5), ROW(6), ROW(7), ROW(8) };
static const struct function *const functions[INJECT_LENGTH_MAX] = {
	&rows[0], &rows[1], &rows[2], &rows[3], &rows[4], &rows[5], &rows[6], &rows[7],
};
static const function_id in_a_row[INJECT_LENGTH_MAX] = { 0, 1, 2, 3, 4, 5, 6, 7 };

#define CHAIN(n) { .name = "row", .path = "/", .sequence = in_a_row, .length = (n) }
static const struct chain chains[INJECT_LENGTH_MAX + 1] = { CHAIN(0), CHAIN(1), CHAIN(2), CHAIN(3), CHAIN(4),
							    CHAIN(5), CHAIN(6), CHAIN(7), CHAIN(8) };

struct application inject_application(unsigned length)
{
	return (struct application){ .spec.name = "row", .functions = functions, .n_functions = length,
				     .chains = &chains[length], .n_chains = 1 };
}

/* ---- The injector ----------------------------------------------------------------------------- */

struct injector {
	struct runtime *runtime;
	struct pool *pool;
	struct injection *shared;
	unsigned idle;              /* requests that may be sent now */
	uint64_t due_ns;            /* paced: when the next one is to go */
	uint64_t completed, failed;
};

/* False: nobody takes it now; it is tried again on the next turn. */
static bool send_one(struct injector *i)
{
	struct message *m = pool_alloc(i->pool, GATEWAY);

	if (!m)
		return false;
	m->id = i->completed + i->failed;
	m->kind = MESSAGE_INVOKE;
	m->type = TYPE_BYTES;
	m->status = STATUS_OK;
	m->function = 0;
	m->length = i->shared->bytes;
	memset(message_payload(m), 'p', m->length);
	if (!runtime_dispatch(i->runtime, m))
		return true;
	pool_free(i->pool, m, GATEWAY);
	return false;
}

static void on_reply(void *arg, struct message *m)
{
	struct injector *i = arg;
	bool sound = m->status == STATUS_OK && m->type == TYPE_BYTES && m->length == i->shared->bytes;

	pool_free(i->pool, m, GATEWAY);
	i->idle++;
	if (sound)
		atomic_store_explicit(&i->shared->completed, ++i->completed, memory_order_relaxed);
	else
		atomic_store_explicit(&i->shared->failed, ++i->failed, memory_order_relaxed);
}

static void on_turn(void *arg)
{
	struct injector *i = arg;
	uint64_t now;

	if (!i->shared->gap_ns) {
		while (i->idle && send_one(i))
			i->idle--;
		return;
	}
	for (now = clock_now_ns(); i->due_ns <= now; i->due_ns += i->shared->gap_ns) {
		if (i->idle && send_one(i))
			i->idle--;
		else
			atomic_store_explicit(&i->shared->failed, ++i->failed, memory_order_relaxed);
	}
}

static int64_t on_due(void *arg)
{
	const struct injector *i = arg;
	uint64_t now;

	if (!i->shared->gap_ns)
		return i->idle ? 0 : -1;
	now = clock_now_ns();
	return i->due_ns > now ? (int64_t)(i->due_ns - now) : 0;
}

static void on_ready(void *arg, void *data, uint32_t events)
{
	(void)arg, (void)data, (void)events;
}

int inject_main(struct deployment *d, void *arg)
{
	struct injector i = { .shared = arg, .idle = ((struct injection *)arg)->in_flight };
	const struct runtime_guest guest = { .arg = &i, .reply = on_reply, .ready = on_ready, .turn = on_turn,
					     .due = on_due };
	int err = runtime_open(&i.runtime, d, GATEWAY, &guest);

	if (err)
		return err;
	i.pool = runtime_endpoint(i.runtime)->pool;
	i.due_ns = clock_now_ns();
	atomic_store_explicit(&d->board->line[GATEWAY].state, INSTANCE_READY, memory_order_release);
	err = runtime_loop(i.runtime);
	runtime_close(i.runtime);
	return err;
}

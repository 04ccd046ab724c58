/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One turn of the loop:
 *
 *        dataplane                     guest (gateway's clients)
 *            | recv: up to BATCH           | epoll events
 *            v                             v
 *     admit -> [service time] -> run -> outcome -> send (held back)
 *                  timers                    |
 *                                            +--> flush: one push per turn
 *
 * What cannot be delivered comes back as an answer with a 5xx status to whoever waits for it: the
 * caller's frame if there is one, else the gateway. Nothing is lost and nothing recurses.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "chain/clock.h"
#include "chain/codec.h"
#include "chain/runtime.h"

enum { BATCH = 64, EVENTS = 256 };

/* A function in this process. */
struct hosted {
	const struct function *fn;
	void *state;
	uint64_t service_ns;
	instance_id instance;
};

/* An invocation whose service time is running. */
struct timer {
	uint64_t due_ns;
	struct message *m;
};

struct runtime {
	struct endpoint ep;
	struct deployment *d;
	const struct dataplane_ops *ops;
	struct board *board;
	struct instance_line *line;
	struct runtime_guest guest;
	bool has_guest;
	int epfd;
	uint64_t now;
	struct hosted hosted[FUNCTION_MAX];
	struct timer *timers;       /* binary heap by due_ns; at most `concurrency` of them */
	unsigned n_timers, concurrency;
	struct message **waiting;   /* ring of admitted invocations above the concurrency limit */
	unsigned wait_head, wait_count, wait_size;
};

static volatile sig_atomic_t terminated;    /* set by SIGTERM; signals leave no other way */

static void on_term(int sig)
{
	(void)sig;
	terminated = 1;
}

/* ---- Service times ---------------------------------------------------------------------------- */

static void timer_add(struct runtime *r, struct message *m, uint64_t due_ns)
{
	unsigned i = r->n_timers++;

	while (i && r->timers[(i - 1) / 2].due_ns > due_ns) {
		r->timers[i] = r->timers[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	r->timers[i] = (struct timer){ due_ns, m };
}

static struct message *timer_pop(struct runtime *r)
{
	struct message *m = r->timers[0].m;
	struct timer last = r->timers[--r->n_timers];
	unsigned i = 0;

	for (;;) {
		unsigned child = 2 * i + 1;

		if (child >= r->n_timers)
			break;
		if (child + 1 < r->n_timers && r->timers[child + 1].due_ns < r->timers[child].due_ns)
			child++;
		if (last.due_ns <= r->timers[child].due_ns)
			break;
		r->timers[i] = r->timers[child];
		i = child;
	}
	r->timers[i] = last;
	return m;
}

/* ---- Sending ---------------------------------------------------------------------------------- */

void runtime_reason(struct message *m, uint16_t status, const char *reason)
{
	uint32_t n = (uint32_t)strlen(reason);

	if (n > message_room(m))
		n = message_room(m);
	memcpy(message_payload(m), reason, n);
	m->length = n;
	m->type = TYPE_REASON;
	m->status = status;
}

static uint16_t status_of(int err)
{
	return err == -EAGAIN ? STATUS_UNAVAILABLE : err == -EMSGSIZE ? STATUS_INTERNAL :
	       STATUS_BAD_GATEWAY;
}

static const char *reason_of(int err)
{
	return err == -EAGAIN ? "the function's queue is full" :
	       err == -EHOSTUNREACH ? "the other node cannot be reached" :
	       err == -EMSGSIZE ? "the message cannot be encoded" : "no instance of the function is alive";
}

/* The client's answer. It cannot fail: the gateway is there as long as the deployment is. */
static void send_reply(struct runtime *r, struct message *m)
{
	route_unwind(r->board, m);
	m->kind = MESSAGE_REPLY;
	m->depth = 0;
	m->locals = 0;
	if (r->ep.self == GATEWAY && r->has_guest) {
		r->guest.reply(r->guest.arg, m);
		return;
	}
	if (r->ops->send(&r->ep, GATEWAY, m))
		pool_free(r->ep.pool, m, r->ep.self);
}

int runtime_dispatch(struct runtime *r, struct message *m)
{
	instance_id to;
	int err;

	if (route_is_remote(r->board, m->function)) {
		if (r->ep.self == GATEWAY)
			return r->guest.abroad(r->guest.arg, m);
		return r->ops->send(&r->ep, GATEWAY, m);
	}
	if (r->d->flags & DP_PICKS)
		return r->ops->send(&r->ep, INSTANCE_NONE, m);
	to = route_pick(r->board, m->function, &err);
	if (to == INSTANCE_NONE)
		return err;
	err = r->ops->send(&r->ep, to, m);
	if (err)
		route_done(r->board, to);
	return err;
}

/*
 * Answer whoever called: the frame's own instance, or, should that have died, any other of its
 * function: the frame's state is in the message, not in the process.
 */
static void send_answer(struct runtime *r, struct message *m)
{
	const struct frame *f = &m->stack[m->depth - 1];
	int err = -EPIPE;

	m->kind = MESSAGE_ANSWER;
	m->function = f->function;
	if (f->instance == GATEWAY && r->ep.self == GATEWAY && r->guest.answer) {
		r->guest.answer(r->guest.arg, m);
		return;
	}
	if (f->instance < r->board->instances &&
	    atomic_load_explicit(&r->board->line[f->instance].state, memory_order_acquire) <=
		    INSTANCE_DRAINING)
		err = r->ops->send(&r->ep, f->instance, m);
	if (err && f->function != FUNCTION_NONE)
		err = runtime_dispatch(r, m);
	if (err) {
		runtime_reason(m, status_of(err), reason_of(err));
		send_reply(r, m);
	}
}

void runtime_answer(struct runtime *r, struct message *m, bool reply)
{
	if (m->depth && !reply)
		send_answer(r, m);
	else
		send_reply(r, m);
}

/* The gateway: a function on this node calls, or leads on to, one on the other. */
static void admit_abroad(struct runtime *r, struct message *m)
{
	int err = r->guest.abroad(r->guest.arg, m);

	if (!err)
		return;
	runtime_reason(m, status_of(err), reason_of(err));
	runtime_answer(r, m, m->kind != MESSAGE_CALL);
}

/* ---- Running functions ------------------------------------------------------------------------ */

static uint32_t locals_bytes(const struct function *fn)
{
	return (fn->locals + 63) & ~63u;
}

/* Send the arguments in `m` to `inv->callee`; 0, or -errno with the frame taken back. */
static int call(struct runtime *r, const struct hosted *h, struct message *m,
		const struct invocation *inv)
{
	int err;

	if (m->depth >= MESSAGE_DEPTH_MAX)
		return -EMSGSIZE;
	m->stack[m->depth++] = (struct frame){
		.function = (function_id)(h - r->hosted),
		.instance = h->instance,
		.step = inv->step,
		.locals = locals_bytes(h->fn),
	};
	m->function = inv->callee;
	m->kind = MESSAGE_CALL;
	m->status = STATUS_OK;
	err = runtime_dispatch(r, m);
	if (err)
		m->depth--;
	return err;
}

/*
 * The invocation is over: pass the message on as `outcome` says; FORWARD passes over `skip` functions.
 */
static void leave(struct runtime *r, const struct hosted *h, struct message *m, enum outcome outcome,
		  unsigned skip)
{
	function_id next;
	int err;

	m->locals -= locals_bytes(h->fn);
	route_done(r->board, h->instance);
	atomic_fetch_add_explicit(&r->board->line[h->instance].handled, 1, memory_order_relaxed);
	switch (outcome) {
	case FORWARD:
		next = route_next(r->board, m->topic, (function_id)(h - r->hosted), m->position, skip);
		if (next == FUNCTION_NONE) {
			send_reply(r, m);
			return;
		}
		m->function = next;
		m->position += 1 + skip;
		m->kind = MESSAGE_INVOKE;
		err = runtime_dispatch(r, m);
		if (!err)
			return;
		runtime_reason(m, status_of(err), reason_of(err));
		send_reply(r, m);
		return;
	case RETURN:
		if (m->depth)
			send_answer(r, m);
		else
			send_reply(r, m);
		return;
	case FAIL:
		atomic_fetch_add_explicit(&r->board->line[h->instance].failed, 1,
					  memory_order_relaxed);
		send_reply(r, m);
		return;
	default:
		send_reply(r, m);
	}
}

static void call_user(struct runtime *r, struct message *m, struct user_call *c)
{
	if (r->ops->call && !r->ep.direct)
		r->ops->call(&r->ep, m, c);
	else
		user_call_run(c);
}

/*
 * Run `h` on `m` from `step` until it calls or leaves. A CALL that cannot be sent resumes the caller
 * at once, with the error as its answer; hence the loop.
 */
static void run(struct runtime *r, const struct hosted *h, struct message *m, uint16_t step)
{
	struct user_call c = { .fn = h->fn, .what = USER_HANDLE };
	struct invocation *inv = &c.inv;
	int err;

	for (;;) {
		*inv = (struct invocation){
			.message = m,
			.payload = message_payload(m),
			.length = m->length,
			.room = message_room(m),
			.type = m->type,
			.status = m->status,
			.step = step,
			.topic = m->topic,
			.locals = message_locals(m),
			.state = h->state,
			.config = h->fn->config,
			.seed = r->d->config.seed,
		};
		call_user(r, m, &c);
		if (inv->length > message_room(m)) {    /* over its own locals: trust nothing */
			inv->length = 0;
			inv->type = TYPE_REASON;
			inv->status = STATUS_INTERNAL;
			c.result = FAIL;
		}
		m->length = inv->length;
		m->type = inv->type;
		m->status = inv->status;
		if (c.result != CALL) {
			leave(r, h, m, (enum outcome)c.result, inv->skip);
			return;
		}
		err = call(r, h, m, inv);
		if (!err)
			return;
		runtime_reason(m, status_of(err), reason_of(err));
		step = inv->step;
	}
}

/* Enter the function: its locals appear, all zero. */
static void start(struct runtime *r, struct message *m)
{
	const struct hosted *h = &r->hosted[m->function];
	uint32_t locals = locals_bytes(h->fn);

	if (locals > message_room(m) - m->length) {
		runtime_reason(m, STATUS_INTERNAL, "the message leaves no room for the function's locals");
		route_done(r->board, h->instance);
		send_reply(r, m);
		return;
	}
	m->locals += locals;
	memset(message_locals(m), 0, locals);
	run(r, h, m, 0);
}

/* ---- Admission -------------------------------------------------------------------------------- */

/* Begin the service time of `m`, or run it when it has none. */
static void serve(struct runtime *r, struct message *m)
{
	uint64_t ns = r->hosted[m->function].service_ns;

	if (ns && r->d->config.service == SERVICE_SLEEP) {
		timer_add(r, m, r->now + ns);
		return;
	}
	if (ns)
		clock_spin(ns);
	start(r, m);
}

static bool is_hosted(const struct runtime *r, function_id f)
{
	return f < FUNCTION_MAX && r->hosted[f].fn;
}

/* Pop the frame that `m` answers. Everything in it is checked: it came from another process. */
static void resume(struct runtime *r, struct message *m)
{
	const struct frame *f = &m->stack[m->depth - 1];

	if (f->locals != locals_bytes(r->hosted[f->function].fn)) {
		atomic_fetch_add_explicit(&r->line->refused, 1, memory_order_relaxed);
		runtime_reason(m, STATUS_INTERNAL, "a return address does not fit its function");
		send_reply(r, m);
		return;
	}
	m->depth--;
	run(r, &r->hosted[f->function], m, f->step);
}

/* A message from the dataplane. */
static void admit(struct runtime *r, struct message *m)
{
	switch (m->kind) {
	case MESSAGE_REPLY:
		send_reply(r, m);
		return;
	case MESSAGE_ANSWER:
		if (r->guest.answer && m->depth && m->stack[m->depth - 1].instance == GATEWAY) {
			r->guest.answer(r->guest.arg, m);
			return;
		}
		if (!m->depth || m->stack[m->depth - 1].function != m->function ||
		    !is_hosted(r, m->function))
			break;
		resume(r, m);
		return;
	case MESSAGE_INVOKE:
	case MESSAGE_CALL:
		if (r->guest.abroad && route_is_remote(r->board, m->function)) {
			admit_abroad(r, m);
			return;
		}
		if (!is_hosted(r, m->function) || m->topic >= r->board->topics)
			break;
		if (r->n_timers < r->concurrency) {
			serve(r, m);
			return;
		}
		if (r->wait_count < r->wait_size) {
			r->waiting[(r->wait_head + r->wait_count++) % r->wait_size] = m;
			return;
		}
		runtime_reason(m, status_of(-EAGAIN), reason_of(-EAGAIN));
		send_reply(r, m);
		return;
	default:
		break;
	}
	/* Unsound, or sent by us and bounced by a receiver that is gone. */
	atomic_fetch_add_explicit(&r->line->refused, 1, memory_order_relaxed);
	runtime_reason(m, STATUS_BAD_GATEWAY, "a message could not be delivered");
	send_reply(r, m);
}

static void run_timers(struct runtime *r)
{
	while (r->n_timers && r->timers[0].due_ns <= r->now) {
		start(r, timer_pop(r));
		if (r->wait_count) {
			struct message *m = r->waiting[r->wait_head];

			r->wait_head = (r->wait_head + 1) % r->wait_size;
			r->wait_count--;
			serve(r, m);
		}
	}
}

/* ---- The loop --------------------------------------------------------------------------------- */

static int64_t next_due(const struct runtime *r)
{
	int64_t due = -1, guest;

	if (r->n_timers) {
		due = (int64_t)(r->timers[0].due_ns - clock_now_ns());
		due = due < 0 ? 0 : due;
	}
	if (r->has_guest && r->guest.due) {
		guest = r->guest.due(r->guest.arg);
		if (guest >= 0 && (due < 0 || guest < due))
			due = guest;
	}
	return due;
}

/* Take what the dataplane has. Returns whether there may be more, or -errno. */
static int take(struct runtime *r)
{
	struct message *batch[BATCH];
	int n = r->ops->recv(&r->ep, batch, BATCH);

	for (int i = 0; i < n; i++)
		admit(r, batch[i]);
	return n < 0 ? n : n == BATCH;
}

static int sleep_for(struct runtime *r, struct epoll_event *events, int64_t ns)
{
	struct timespec t = { ns / (int64_t)NS_PER_SEC, ns % (int64_t)NS_PER_SEC };
	int n = epoll_pwait2(r->epfd, events, EVENTS, ns < 0 ? NULL : &t, NULL);

	if (n < 0 && errno == ENOSYS)           /* before 5.11: milliseconds will have to do */
		n = epoll_wait(r->epfd, events, EVENTS,
			       ns < 0 ? -1 : (int)((ns + 999999) / (int64_t)NS_PER_MS));
	return n < 0 && errno != EINTR ? -errno : n < 0 ? 0 : n;
}

/* A turn of a process that also watches descriptors of its own (the gateway, or a nested epoll). */
static int turn_watching(struct runtime *r, bool *more)
{
	struct epoll_event events[EVENTS];
	int64_t due = *more ? 0 : next_due(r);
	bool incoming = *more || r->ep.poll_fd < 0 || r->ep.poll_bell;
	int n, err;

	if (due && r->ops->arm && r->ops->arm(&r->ep)) {
		due = 0;
		incoming = true;
	}
	if (due && r->guest.pending && r->guest.pending(r->guest.arg))
		due = 0;
	n = sleep_for(r, events, due);
	if (r->ops->disarm)
		r->ops->disarm(&r->ep);
	if (n < 0)
		return n;
	r->now = clock_now_ns();
	for (int i = 0; i < n; i++) {
		if (events[i].data.ptr == &r->ep)
			incoming = true;
		else if (events[i].data.ptr == &r->d->wake_fd)
			(void)!read(r->d->wake_fd, &(uint64_t){ 0 }, sizeof(uint64_t));
		else
			r->guest.ready(r->guest.arg, events[i].data.ptr, events[i].events);
	}
	*more = false;
	if (incoming) {
		err = take(r);
		if (err < 0)
			return err;
		*more = err;
	}
	return 0;
}

/* A turn of a process that waits for the dataplane alone. */
static int turn_waiting(struct runtime *r)
{
	struct message *batch[BATCH];
	int n = r->ops->recv_wait(&r->ep, batch, BATCH, next_due(r));

	if (n < 0)
		return n == -EINTR ? 0 : n;
	if (r->d->config.service != SERVICE_NONE)
		r->now = clock_now_ns();
	for (int i = 0; i < n; i++)
		admit(r, batch[i]);
	return 0;
}

int runtime_loop(struct runtime *r)
{
	bool waiting = !r->has_guest && r->ops->recv_wait, more = true;
	int err = 0;

	r->now = clock_now_ns();
	while (!terminated && !atomic_load_explicit(&r->board->stop, memory_order_relaxed)) {
		err = waiting ? turn_waiting(r) : turn_watching(r, &more);
		if (err)
			break;
		run_timers(r);
		if (r->has_guest)
			r->guest.turn(r->guest.arg);
		if (r->ops->flush) {
			err = r->ops->flush(&r->ep);
			if (err)
				break;
		}
		atomic_fetch_add_explicit(&r->line->turns, 1, memory_order_relaxed);
	}
	return err;
}

/* ---- Coming and going ------------------------------------------------------------------------- */

/*
 * The run's seed for the first instance of a function; replicas and restarted instances get seeds of
 * their own, so that no two of them make up the same session or order number.
 */
static uint64_t seed_of(const struct runtime *r, function_id f, instance_id id)
{
	uint32_t starts = atomic_load(&r->line->incarnation), replica = 0;
	uint64_t stream;

	while (replica < r->board->of[f].count && r->board->of[f].at[replica] != id)
		replica++;
	stream = (uint64_t)replica << 32 | (starts > 1 ? starts - 1 : 0);
	return stream ? r->d->config.seed ^ random_next(&stream) : r->d->config.seed;
}

/* Start function `f` here, as instance `id`. */
static int host(struct runtime *r, function_id f, instance_id id)
{
	const struct function *fn = r->d->app->functions[f];
	struct hosted *h = &r->hosted[f];
	struct user_call start;

	h->service_ns = r->d->config.service == SERVICE_NONE ? 0 :
			(uint64_t)((double)fn->service_ns * r->d->config.service_scale);
	h->instance = id;
	if (fn->state_bytes) {
		h->state = calloc(1, fn->state_bytes);
		if (!h->state)
			return -ENOMEM;
	}
	h->fn = fn;
	start = (struct user_call){ .fn = fn, .what = USER_START, .inv.state = h->state,
				    .inv.seed = seed_of(r, f, id) };
	call_user(r, NULL, &start);
	return start.result;
}

static int host_all(struct runtime *r)
{
	struct board *b = r->board;
	int err = 0;

	if (!(r->d->flags & DP_ONE_PROCESS))
		return r->ep.self == GATEWAY ? 0 : host(r, r->line->function, r->ep.self);
	for (function_id f = 0; f < b->functions && !err; f++) {
		err = host(r, f, b->of[f].at[0]);
		if (!err)
			atomic_store_explicit(&b->line[b->of[f].at[0]].state, INSTANCE_READY,
					      memory_order_release);
	}
	return err;
}

static int watch(struct runtime *r, int fd, uint32_t events, void *data)
{
	struct epoll_event e = { .events = events, .data.ptr = data };

	return epoll_ctl(r->epfd, EPOLL_CTL_ADD, fd, &e) ? -errno : 0;
}

/* Memory for the runtime's own state, out of a function's reach if the dataplane cares. */
static void *reserve(struct deployment *d, instance_id self, size_t n, size_t bytes)
{
	if (d->ops->reserve && self != GATEWAY)
		return d->ops->reserve(d, n * bytes);
	return calloc(n, bytes);
}

int runtime_open(struct runtime **out, struct deployment *d, instance_id self,
		 const struct runtime_guest *guest)
{
	struct runtime *r = reserve(d, self, 1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	r->d = d;
	r->ops = d->ops;
	r->board = d->board;
	r->line = &d->board->line[self];
	r->ep = (struct endpoint){ .deployment = d, .self = self, .pool = d->pool, .poll_fd = -1 };
	r->epfd = -1;
	if (guest) {
		r->guest = *guest;
		r->has_guest = true;
	}
	r->concurrency = d->config.concurrency;
	r->wait_size = d->config.pool_buffers;
	r->timers = reserve(d, self, r->concurrency + 1, sizeof(*r->timers));
	r->waiting = reserve(d, self, r->wait_size, sizeof(struct message *));
	/* Not signal(): it restarts what blocks, and we would not end before we are killed. */
	sigaction(SIGTERM, &(struct sigaction){ .sa_handler = on_term }, NULL);
	prctl(PR_SET_TIMERSLACK, 1);            /* service times are sub-millisecond */
	err = -ENOMEM;
	if (!r->timers || !r->waiting)
		goto out;
	r->epfd = epoll_create1(EPOLL_CLOEXEC);
	err = -errno;
	if (r->epfd < 0)
		goto out;
	err = d->ops->attach(&r->ep);
	if (err)
		goto out;
	err = host_all(r);
	if (err)
		goto out;
	if (r->ep.poll_fd >= 0)
		err = watch(r, r->ep.poll_fd, EPOLLIN | (r->ep.poll_bell ? EPOLLET : 0), &r->ep);
	if (!err && self == GATEWAY)
		err = watch(r, d->wake_fd, EPOLLIN, &d->wake_fd);
	if (err)
		goto out;
	*out = r;
	return 0;
out:
	runtime_close(r);
	return err;
}

void runtime_close(struct runtime *r)
{
	if (!r)
		return;
	for (function_id f = 0; f < FUNCTION_MAX; f++) {
		struct user_call stop = { .fn = r->hosted[f].fn, .what = USER_STOP,
					  .inv.state = r->hosted[f].state };

		if (stop.fn)
			call_user(r, NULL, &stop);
		free(r->hosted[f].state);
	}
	if (r->ops->detach)
		r->ops->detach(&r->ep);
	if (r->epfd >= 0)
		close(r->epfd);
	if (r->ops->reserve && r->ep.self != GATEWAY)
		return;
	free(r->timers);
	free(r->waiting);
	free(r);
}

struct endpoint *runtime_endpoint(struct runtime *r)
{
	return &r->ep;
}

int runtime_watch(struct runtime *r, int fd, uint32_t events, void *data, bool add)
{
	struct epoll_event e = { .events = events, .data.ptr = data };

	return epoll_ctl(r->epfd, add ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &e) ? -errno : 0;
}

uint64_t runtime_now(const struct runtime *r)
{
	return r->now;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The promises of the whole gateway in a real deployment: null (one process), and skmsg where it
 * can run here, since only a function with a process of its own can die.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "chain/clock.h"
#include "chain/codec.h"
#include "chain/deploy.h"
#include "chain/http.h"

enum { PAGE, REASON, RUDE, OTHER_TYPE, PLAIN, SLOW, CRASH, FIRST, N_FUNCTIONS };
enum { BUFFERS = 32 };

/* What the request says, as a page. */
static enum outcome page(struct invocation *inv)
{
	const struct http_request *r = inv->payload;
	struct http_writer w;
	char text[256];
	ssize_t n;

	if (inv->type != TYPE_HTTP_REQUEST || http_request_check(r, inv->length))
		return invocation_fail(inv, 500, "unsound request");
	snprintf(text, sizeof(text), "%s %s?%s [%s] %u", http_method_name(r->method),
		 http_part(r, inv->length, r->path), http_part(r, inv->length, r->query),
		 http_part(r, inv->length, r->cookie), r->body.length);
	http_begin(&w, inv->payload, inv->room, 201, "text/plain");
	http_field(&w, "Set-Cookie", "a=%d", 1);
	http_text(&w, text);
	n = http_end(&w);
	inv->type = TYPE_HTTP_RESPONSE;
	inv->length = n < 0 ? 0 : (uint32_t)n;
	return REPLY;
}

static enum outcome reason(struct invocation *inv)
{
	return invocation_fail(inv, 422, "not like this");
}

/* Claims to be a response, with parts that lie outside of it. */
static enum outcome rude(struct invocation *inv)
{
	memset(inv->payload, 0x7f, 64);
	((struct http_response *)inv->payload)->status = 200;
	inv->type = TYPE_HTTP_RESPONSE;
	inv->length = 64;
	return REPLY;
}

static enum outcome other_type(struct invocation *inv)
{
	inv->type = TYPE_WORKLOAD + 3;
	return REPLY;
}

static enum outcome plain(struct invocation *inv)
{
	memcpy(inv->payload, "bytes", 5);
	inv->length = 5;
	inv->type = TYPE_BYTES;
	inv->status = 200;
	return REPLY;
}

static enum outcome crash(struct invocation *inv)
{
	(void)inv;
	raise(SIGKILL);
	return REPLY;
}

static enum outcome first(struct invocation *inv)
{
	(void)inv;
	return FORWARD;
}

static const struct function
	f_page = { .name = "page", .handle = page },
	f_reason = { .name = "reason", .handle = reason },
	f_rude = { .name = "rude", .handle = rude },
	f_other = { .name = "other", .handle = other_type },
	f_plain = { .name = "plain", .handle = plain },
	f_slow = { .name = "slow", .handle = page, .service_ns = 300 * NS_PER_MS },
	f_crash = { .name = "crash", .handle = crash },
	f_first = { .name = "first", .handle = first };

static const struct function *const functions[] = { &f_page, &f_reason, &f_rude, &f_other, &f_plain,
						    &f_slow, &f_crash, &f_first };
static const function_id ids[] = { PAGE, REASON, RUDE, OTHER_TYPE, PLAIN, SLOW, CRASH };
static const function_id two[] = { FIRST, PAGE };
static const struct chain chains[] = {
	{ "page", "/page", &ids[PAGE], 1, NULL },     { "reason", "/reason", &ids[REASON], 1, NULL },
	{ "rude", "/rude", &ids[RUDE], 1, NULL },     { "other", "/other", &ids[OTHER_TYPE], 1, NULL },
	{ "plain", "/page/plain", &ids[PLAIN], 1, NULL }, { "slow", "/slow", &ids[SLOW], 1, NULL },
	{ "crash", "/crash", &ids[CRASH], 1, NULL },  { "two", "/two", two, 2, NULL },
};
static const struct application app = {
	.functions = functions,
	.n_functions = N_FUNCTIONS,
	.chains = chains,
	.n_chains = N_FUNCTIONS,
};

/*
 * A dataplane without a shared pool: the gateway's buffers are its own, so a request is known by
 * its id alone. Messages are queued, last in, first out: answers come in another order than
 * requests.
 */
struct stack {
	struct pool *pool;
	unsigned count;
	struct message *at[BUFFERS];
};

static int stack_attach(struct endpoint *ep)
{
	struct stack *s = calloc(1, sizeof(*s));

	ep->priv = s;
	if (!s || pool_create(&s->pool, BUFFERS, 64 << 10, 0))
		return -ENOMEM;
	ep->pool = s->pool;
	return 0;
}

static int stack_send(struct endpoint *ep, instance_id to, struct message *m)
{
	struct stack *s = ep->priv;

	(void)to;
	s->at[s->count++] = m;
	return 0;
}

static int stack_recv(struct endpoint *ep, struct message **batch, int max)
{
	struct stack *s = ep->priv;
	int n = 0;

	while (n < max && s->count)
		batch[n++] = s->at[--s->count];
	return n;
}

static bool stack_arm(struct endpoint *ep)
{
	return ((struct stack *)ep->priv)->count;
}

static void stack_detach(struct endpoint *ep)
{
	struct stack *s = ep->priv;

	if (s)
		pool_destroy(s->pool);
	free(s);
}

static const struct dataplane_ops stack_ops = {
	.version = DATAPLANE_VERSION, .name = "stack", .modes = "", .flags = DP_ONE_PROCESS,
	.attach = stack_attach, .send = stack_send, .recv = stack_recv, .arm = stack_arm,
	.detach = stack_detach,
};

static void deploy(struct deployment *d, const char *text, struct deploy_config *c)
{
	const struct dataplane_ops *ops;
	struct spec spec;
	char why[256] = "";

	assert_int_equal(dataplane_open(&spec, &ops, text, why, sizeof(why)), 0);
	c->pool_buffers = BUFFERS;
	if (deploy_start(d, ops, &spec, &app, c))
		fail_msg("%s", d->why);
}

static int join(const struct deployment *d)
{
	const struct timeval patience = { .tv_sec = 10 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	assert_int_equal(connect(fd, (const struct sockaddr *)&d->address, sizeof(d->address)), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* One whole answer; the status, or 0 when the connection ended. */
static unsigned hear(int fd, char *text, size_t room)
{
	struct http_head h;
	size_t n = 0;
	int head = 0;

	while (head == 0 || n < (size_t)head + h.content_length) {
		ssize_t got = recv(fd, text + n, head ? (size_t)head + h.content_length - n : 1, 0);

		if (got <= 0)
			return 0;
		n += (size_t)got;
		assert_true(n < room);
		if (!head) {
			head = http_parse_response(&h, text, n);
			assert_true(head >= 0);
		}
	}
	text[n] = '\0';
	return h.status;
}

static unsigned get(const struct deployment *d, const char *target, char *text, size_t room)
{
	char request[256];
	unsigned status;
	int fd = join(d);

	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: a\r\nCookie: c=d\r\n\r\n",
		 target);
	say(fd, request);
	status = hear(fd, text, room);
	close(fd);
	return status;
}

static void sleep_ms(long ms)
{
	const struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/* Buffers return to zero, given a moment. */
static void assert_nothing_in_use(const struct deployment *d)
{
	for (int i = 0; i < 500 && pool_in_use(d->pool); i++)
		sleep_ms(10);
	assert_int_equal(pool_in_use(d->pool), 0);
}

static void every_request_gets_its_answer(void **state)
{
	static const struct {
		const char *target;
		unsigned status;
		const char *says;
	} cases[] = {
		{ "/page", 201, "GET /page? [c=d] 0" },
		{ "/page?x=1&y", 201, "GET /page?x=1&y [c=d] 0" },
		{ "/page/more", 201, "GET /page/more?" },
		{ "/page/plain", 200, "bytes" },
		{ "/page/plainer", 201, "GET /page/plainer?" },
		{ "/reason", 422, "not like this" },
		{ "/rude", 502, "unsound" },
		{ "/other", 502, "unsound" },
		{ "/pages", 404, "no chain" },
		{ "/", 404, "no chain" },
		{ "/metrics", 404, "no chain" },
		{ "/_perhop/health", 200, "ready" },
		{ "/_perhop/nothing", 404, "/_perhop/metrics" },
	};
	static char text[1 << 16];
	struct deploy_config c;
	struct deployment d;

	(void)state;
	deploy_defaults(&c);
	deploy(&d, "null", &c);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const unsigned status = get(&d, cases[i].target, text, sizeof(text));

		if (status != cases[i].status || !strstr(text, cases[i].says))
			fail_msg("%s: %u %s", cases[i].target, status, text);
	}
	assert_int_equal(get(&d, "/_perhop/metrics", text, sizeof(text)), 200);
	assert_non_null(strstr(text, "perhop_requests_total{chain=\"page\",class=\"2xx\"} 4\n"));
	assert_non_null(strstr(text, "perhop_requests_total{chain=\"reason\",class=\"4xx\"} 1\n"));
	assert_non_null(strstr(text, "perhop_refused_total{reason=\"no_chain\"} 3\n"));
	assert_non_null(strstr(text, "perhop_refused_total{reason=\"unsound_answer\"} 2\n"));
	assert_non_null(
		strstr(text, "perhop_request_seconds_bucket{chain=\"page\",le=\"+Inf\"} 4\n"));
	assert_non_null(strstr(text, "perhop_pool_buffers_in_use 0\n"));
	assert_nothing_in_use(&d);
	deploy_stop(&d);
}

static void timed_out_request_keeps_its_buffer_until_it_returns(void **state)
{
	static char text[1 << 16];
	struct deploy_config c;
	struct deployment d;

	(void)state;
	deploy_defaults(&c);
	c.service = SERVICE_SLEEP;
	c.service_scale = 1;
	c.request_timeout_ns = 50 * NS_PER_MS;
	deploy(&d, "null", &c);
	assert_int_equal(get(&d, "/slow", text, sizeof(text)), 504);
	assert_int_equal(pool_in_use(d.pool), 1);
	assert_int_equal(get(&d, "/page", text, sizeof(text)), 201);
	assert_nothing_in_use(&d);
	assert_int_equal(get(&d, "/_perhop/metrics", text, sizeof(text)), 200);
	assert_non_null(strstr(text, "perhop_late_answers_total 1\n"));
	assert_non_null(strstr(text, "perhop_in_flight 0\n"));
	deploy_stop(&d);
}

static void exhausted_pool_is_a_503_and_recovers(void **state)
{
	static char text[1 << 16];
	struct deploy_config c;
	struct deployment d;
	int fd[BUFFERS];

	(void)state;
	deploy_defaults(&c);
	c.service = SERVICE_SLEEP;
	c.service_scale = 1;
	deploy(&d, "null", &c);
	for (int i = 0; i < BUFFERS; i++) {
		fd[i] = join(&d);
		say(fd[i], "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
	}
	for (int i = 0; i < 200 && pool_in_use(d.pool) < BUFFERS; i++)
		sleep_ms(1);
	assert_int_equal(get(&d, "/page", text, sizeof(text)), 503);
	assert_non_null(strstr(text, "Retry-After: "));
	/* One client leaves; the others get their answers. */
	close(fd[0]);
	for (int i = 1; i < BUFFERS; i++) {
		assert_int_equal(hear(fd[i], text, sizeof(text)), 201);
		close(fd[i]);
	}
	assert_nothing_in_use(&d);
	deploy_stop(&d);
}

static void slow_uploads_cannot_take_the_whole_pool(void **state)
{
	static char text[1 << 16];
	struct deploy_config c;
	struct deployment d;
	int fd[BUFFERS];

	(void)state;
	deploy_defaults(&c);
	deploy(&d, "null", &c);
	for (int i = 0; i < BUFFERS; i++) {
		fd[i] = join(&d);
		say(fd[i], "POST /page HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nx");
	}
	assert_int_equal(get(&d, "/page", text, sizeof(text)), 201);
	assert_true(pool_in_use(d.pool) <= BUFFERS / 2 + 1);
	for (int i = 0; i < BUFFERS; i++)
		close(fd[i]);
	assert_nothing_in_use(&d);
	deploy_stop(&d);
}

static void without_a_shared_pool_answers_find_their_clients(void **state)
{
	static char text[1 << 16];
	const struct spec spec = { .text = "stack", .name = "stack" };
	struct deploy_config c;
	struct deployment d;
	char request[80], says[20];
	int fd[BUFFERS];

	(void)state;
	deploy_defaults(&c);
	c.service = SERVICE_SLEEP;
	c.service_scale = 1;
	c.pool_buffers = BUFFERS;
	c.request_timeout_ns = 5 * NS_PER_SEC;
	if (deploy_start(&d, &stack_ops, &spec, &app, &c))
		fail_msg("%s", d.why);
	for (int i = 0; i < BUFFERS - 1; i++) {
		snprintf(request, sizeof(request), "GET /%s?%d HTTP/1.1\r\nHost: a\r\n\r\n",
			 i % 3 ? "page" : "slow", i);
		fd[i] = join(&d);
		say(fd[i], request);
	}
	close(fd[0]);
	for (int i = 1; i < BUFFERS - 1; i++) {
		snprintf(says, sizeof(says), "?%d [", i);
		assert_int_equal(hear(fd[i], text, sizeof(text)), 201);
		assert_non_null(strstr(text, says));
		close(fd[i]);
	}
	for (int i = 0; i < 100; i++) {
		assert_int_equal(get(&d, "/_perhop/metrics", text, sizeof(text)), 200);
		if (strstr(text, "perhop_pool_buffers_in_use 0\n"))
			break;
		sleep_ms(10);
	}
	assert_non_null(strstr(text, "perhop_pool_buffers_in_use 0\n"));
	assert_non_null(strstr(text, "perhop_in_flight 0\n"));
	deploy_stop(&d);
}

static void dead_instance_is_a_502_and_nothing_is_lost(void **state)
{
	const struct dataplane_ops *ops = dataplane_find("skmsg");
	static char text[1 << 16];
	struct probe_report report = { 0 };
	struct deploy_config c;
	struct deployment d;
	struct spec spec;
	char why[256];

	(void)state;
	if (ops && !dataplane_open(&spec, &ops, "skmsg", why, sizeof(why)))
		ops->probe(&spec, &report);
	if (!report.ok) {
		print_message("skipped: skmsg cannot run here: %s\n", report.reason);
		skip();
	}
	deploy_defaults(&c);
	c.restart = true;
	deploy(&d, "skmsg", &c);
	assert_int_equal(get(&d, "/page", text, sizeof(text)), 201);
	for (int i = 0; i < 3; i++) {
		struct pollfd p = { .fd = join(&d), .events = POLLIN };

		say(p.fd, "GET /crash HTTP/1.1\r\nHost: a\r\n\r\n");
		do                              /* the supervisor's part */
			assert_int_equal(deploy_watch(&d), 0);
		while (poll(&p, 1, 20) == 0);
		assert_int_equal(hear(p.fd, text, sizeof(text)), 502);
		close(p.fd);
		assert_int_equal(get(&d, "/page", text, sizeof(text)), 201);
	}
	assert_nothing_in_use(&d);
	deploy_stop(&d);
}

/* ---- A sender that dies with a message on its way ---- */

static const struct dataplane_ops *real;    /* what the two below stand in for */
static bool has_sent;                       /* this process, in this turn */

static int noting_send(struct endpoint *ep, instance_id to, struct message *m)
{
	has_sent = ep->deployment->board->line[ep->self].function == FIRST;
	return real->send(ep, to, m);
}

/* The worst moment: handed over, and held back (`sure`, `futex`: pushed, and not rung for). */
static int dying_flush(struct endpoint *ep)
{
	if (has_sent)
		raise(SIGKILL);
	return real->flush(ep);
}

/* `pushed`: who looks without having been rung for finds the message, and all is well. */
static void a_sender_killed_before_its_flush_is_a_502(const char *text, bool pushed)
{
	struct probe_report report = { 0 };
	static char answer[1 << 16];
	struct dataplane_ops ops;
	struct deploy_config c;
	struct deployment d;
	struct spec spec;
	unsigned status;
	char why[256];

	if (!dataplane_open(&spec, &real, text, why, sizeof(why)))
		real->probe(&spec, &report);
	if (!report.ok) {
		print_message("left out: %s cannot run here: %s\n", text, report.reason);
		return;
	}
	ops = *real;
	ops.send = noting_send;
	ops.flush = dying_flush;
	deploy_defaults(&c);
	c.restart = true;
	c.pool_buffers = BUFFERS;
	if (deploy_start(&d, &ops, &spec, &app, &c))
		fail_msg("%s", d.why);
	for (int i = 0; i < 3; i++) {
		struct pollfd p = { .fd = join(&d), .events = POLLIN };

		say(p.fd, "GET /two HTTP/1.1\r\nHost: a\r\n\r\n");
		do
			assert_int_equal(deploy_watch(&d), 0);
		while (poll(&p, 1, 20) == 0);
		status = hear(p.fd, answer, sizeof(answer));
		if (!pushed || status != 201)
			assert_int_equal(status, 502);      /* not 504, later */
		close(p.fd);
		assert_nothing_in_use(&d);
		assert_int_equal(d.board->line[d.board->of[PAGE].at[0]].load, 0);
		assert_int_equal(get(&d, "/page", answer, sizeof(answer)), 201);
	}
	assert_nothing_in_use(&d);
	deploy_stop(&d);
}

static void what_a_killed_sender_had_under_way_is_a_502_at_once(void **state)
{
	(void)state;
	a_sender_killed_before_its_flush_is_a_502("skmsg", false);
	a_sender_killed_before_its_flush_is_a_502("uds", false);
	a_sender_killed_before_its_flush_is_a_502("futex", true);
	a_sender_killed_before_its_flush_is_a_502("sure", true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_request_gets_its_answer),
		cmocka_unit_test(timed_out_request_keeps_its_buffer_until_it_returns),
		cmocka_unit_test(exhausted_pool_is_a_503_and_recovers),
		cmocka_unit_test(slow_uploads_cannot_take_the_whole_pool),
		cmocka_unit_test(without_a_shared_pool_answers_find_their_clients),
		cmocka_unit_test(dead_instance_is_a_502_and_nothing_is_lost),
		cmocka_unit_test(what_a_killed_sender_had_under_way_is_a_502_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

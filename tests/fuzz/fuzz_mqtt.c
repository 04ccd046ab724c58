/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All that one MQTT client sends, or two in turn, into the gateway's ports with the adapter; the first byte
 * says how the chain answers, how the bytes are cut and whether there are two.
 */
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "chain/adapters/mqtt.h"
#include "chain/clock.h"
#include "chain/gateway_session.h"
#include "tests/fuzz/fuzz.h"

enum { PENDING_MAX = 64, CLIENTS = 2 };

static const struct adapter_ops ops = { .version = ADAPTER_VERSION, .name = "mqtt", .summary = "",
					.parse = mqtt_parse, .format = mqtt_format };
static const function_id sequence[] = { 0 };
static const struct chain chains[] = { { .name = "a", .path = "/a", .sequence = sequence, .length = 1,
					 .topics = "t/+|a/#" },
				       { .name = "b", .path = "/b", .sequence = sequence, .length = 1,
					 .topics = "+/x" } };
static const struct application app = { .chains = chains, .n_chains = 2 };

struct bench {
	struct ticket pending[PENDING_MAX];
	unsigned n;
	uint64_t data;              /* of the last descriptor that was to be watched */
	uint8_t how;
};

static int on_watch(void *arg, int fd, uint32_t events, uint64_t data)
{
	(void)fd;
	(void)events;
	((struct bench *)arg)->data = data;
	return 0;
}

static unsigned on_find(void *arg, struct slice path)
{
	(void)arg;
	(void)path;
	return TOPIC_MAX;
}

static int on_submit(void *arg, struct ticket t, unsigned chain, const struct http_head *h, struct slice body)
{
	struct bench *b = arg;

	PROMISE(chain < 2 && h->content_length == body.length);
	if (b->n == PENDING_MAX || b->how % 5 == 4)
		return b->how % 2 ? -EPIPE : -EAGAIN;
	b->pending[b->n++] = t;
	return 0;
}

static void answer_all(struct ports *p, struct bench *b)
{
	static const unsigned statuses[] = { 200, 400, 502, 200 };
	static const char fields[] = "Topic: a/answer\r\n";

	while (b->n) {
		const struct answer a = { .status = statuses[b->how % 4], .fields = { fields, sizeof(fields) - 1 },
					  .body = { "done", 4 } };

		ports_answer(p, b->pending[--b->n], &a);
	}
}

static void drain(int fd)
{
	uint8_t out[4096];

	while (recv(fd, out, sizeof(out), MSG_DONTWAIT) > 0)
		;
}

static int connect_to(int listen_fd, struct ports *p, struct bench *b)
{
	struct sockaddr_un at;
	socklen_t n = sizeof(at);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	PROMISE(!getsockname(listen_fd, (struct sockaddr *)&at, &n));
	PROMISE(!connect(fd, (struct sockaddr *)&at, n));
	ports_ready(p, b->data, 1);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bench b = { .how = size ? data[0] & 0x7f : 0 };
	const struct ports_host host = { .arg = &b, .app = &app, .leaves = 16, .retry_ns = NS_PER_SEC,
					 .watch = on_watch, .find = on_find, .submit = on_submit };
	const size_t step = 1 + b.how / 5;
	const unsigned clients = size && data[0] & 0x80 ? CLIENTS : 1;
	const struct sockaddr_un at = { .sun_family = AF_UNIX };       /* the kernel chooses a name */
	uint64_t now = NS_PER_SEC, conn[CLIENTS];
	unsigned turn = 0;
	struct ports *p;
	char why[256];
	int listen_fd, fd[CLIENTS];

	listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	PROMISE(!bind(listen_fd, (const struct sockaddr *)&at, sizeof(sa_family_t)) && !listen(listen_fd, 4));
	PROMISE(!ports_create(&p, &host));
	ports_set_now(p, now);
	PROMISE(!ports_add(p, &ops, NULL, listen_fd, why, sizeof(why)));
	for (unsigned i = 0; i < clients; i++) {
		const uint64_t listens = b.data;

		fd[i] = connect_to(listen_fd, p, &b);
		conn[i] = b.data;
		b.data = listens;           /* for the next one */
	}
	for (size_t i = 1; i < size; i += step, turn = (turn + 1) % clients) {
		(void)!send(fd[turn], data + i, size - i < step ? size - i : step, MSG_NOSIGNAL);
		ports_set_now(p, now += 100 * NS_PER_MS);
		ports_ready(p, conn[turn], 1);
		ports_turn(p);
		if (i % 3)
			answer_all(p, &b);
		ports_turn(p);
		for (unsigned k = 0; k < clients; k++)
			drain(fd[k]);
	}
	/* When the clients have left and their events are through, nothing is held for them. */
	b.how = 0;
	for (unsigned i = 0; i < clients; i++) {
		close(fd[i]);
		for (int k = 0; k < 100; k++) {
			ports_set_now(p, now += NS_PER_SEC);
			ports_ready(p, conn[i], 1);
			answer_all(p, &b);
			ports_turn(p);
		}
	}
	PROMISE(!p->open);
	ports_set_now(p, now += 2 * PORTS_SESSION_S * NS_PER_SEC);
	for (int i = 0; i < 4; i++) {
		ports_set_now(p, now += NS_PER_SEC);
		ports_turn(p);
		answer_all(p, &b);
	}
	PROMISE(!p->leaves_held && !p->events_held && !p->filters && p->subscribers == NONE && !p->n_stalled);
	ports_destroy(p);
	return 0;
}

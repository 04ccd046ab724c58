/* SPDX-License-Identifier: BSD-2-Clause */
/* queue-proxy's second port: GET /metrics (Prometheus text) and GET /health. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dataplanes/kernel/queue_proxy_conn.h"

enum { HEALTH_MS = 5 };

/* Does the function take connections? On its loopback that is known at once, or it is overloaded. */
static bool healthy(const struct proxy *p)
{
	struct pollfd poll_fd = { .fd = stream_connect(&p->c.function), .events = POLLOUT };
	bool ok;

	if (poll_fd.fd < 0)
		return false;
	ok = poll(&poll_fd, 1, HEALTH_MS) == 1 && !(poll_fd.revents & (POLLERR | POLLHUP));
	close(poll_fd.fd);
	return ok;
}

static void metrics_page(struct proxy *p)
{
	const struct stats *s = &p->stats;

	snprintf(p->page, sizeof(p->page),
		 "# TYPE queue_proxy_requests_total counter\n" "queue_proxy_requests_total %lu\n"
		 "# TYPE queue_proxy_responses_total counter\n"
		 "queue_proxy_responses_total{class=\"2xx\"} %lu\n"
		 "queue_proxy_responses_total{class=\"3xx\"} %lu\n"
		 "queue_proxy_responses_total{class=\"4xx\"} %lu\n"
		 "queue_proxy_responses_total{class=\"5xx\"} %lu\n"
		 "# TYPE queue_proxy_rejected_total counter\n" "queue_proxy_rejected_total %lu\n"
		 "# TYPE queue_proxy_aborted_total counter\n" "queue_proxy_aborted_total %lu\n"
		 "# TYPE queue_proxy_timeouts_total counter\n" "queue_proxy_timeouts_total %lu\n"
		 "# TYPE queue_proxy_in_flight gauge\n" "queue_proxy_in_flight %u\n"
		 "# TYPE queue_proxy_queued gauge\n" "queue_proxy_queued %u\n"
		 "# TYPE queue_proxy_connections gauge\n" "queue_proxy_connections %u\n"
		 "# TYPE queue_proxy_queue_seconds_total counter\n"
		 "queue_proxy_queue_seconds_total %.6f\n"
		 "# TYPE queue_proxy_request_seconds_total counter\n"
		 "queue_proxy_request_seconds_total %.6f\n",
		 s->requests, s->by_class[2], s->by_class[3], s->by_class[4], s->by_class[5],
		 s->rejected, s->aborted, s->timeouts, p->active, p->queued, p->open,
		 (double)s->queue_ns / NS_PER_SEC, (double)s->total_ns / NS_PER_SEC);
}

static const char *this_function(void *arg, unsigned i)
{
	(void)arg, (void)i;
	return "this";
}

static void handlers_page(struct proxy *p)
{
	const size_t at = strlen(p->page);
	FILE *f = p->handlers.config.n ? fmemopen(p->page + at, sizeof(p->page) - at, "w") : NULL;

	if (!f)
		return;
	sidecar_page(f, p->seen, 1, this_function, NULL);
	fclose(f);
	p->page[sizeof(p->page) - 1] = '\0';
}

void page_request(struct proxy *p, struct client *c)
{
	const struct http_head *h = &c->s.head;
	const bool health = h->path.length == 7 && !memcmp(h->path.at, "/health", 7);
	const bool metrics = h->path.length == 8 && !memcmp(h->path.at, "/metrics", 8);
	const bool get = h->method == HTTP_GET || h->method == HTTP_HEAD;

	stream_consume(&c->s);
	if (!get || (!health && !metrics)) {
		proxy_answer(p, c, get ? 404 : 405, "there are GET /metrics and GET /health\n",
			     c->keep_alive);
	} else if (metrics) {
		metrics_page(p);
		handlers_page(p);
		proxy_answer(p, c, 200, p->page, c->keep_alive);
	} else if (healthy(p)) {
		proxy_answer(p, c, 200, "the function takes connections\n", c->keep_alive);
	} else {
		proxy_answer(p, c, 503, "the function takes no connection\n", c->keep_alive);
	}
}

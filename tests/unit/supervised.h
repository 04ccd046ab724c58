/* SPDX-License-Identifier: BSD-2-Clause */
/* What a test asks of a deployment while it plays its supervisor: requests, health, buffers. */
#ifndef PERHOP_TESTS_SUPERVISED_H
#define PERHOP_TESTS_SUPERVISED_H

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "chain/deploy.h"

/* GET `target`; the status, and body (to the end of the connection) in `text`. Plays the supervisor. */
static inline unsigned get(struct deployment *d, const char *target, char *text, size_t room)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), n;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char request[128];
	size_t have = 0;
	ssize_t got;

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&d->address, sizeof(d->address)), 0);
	n = snprintf(request, sizeof(request),
		     "GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", target);
	assert_int_equal(send(fd, request, (size_t)n, MSG_NOSIGNAL), n);
	do {
		while (poll(&p, 1, 20) == 0)
			(void)deploy_watch(d);
		got = recv(fd, text + have, room - 1 - have, 0);
		have += got > 0 ? (size_t)got : 0;
	} while (got > 0);
	close(fd);
	text[have] = '\0';
	return have > 12 ? (unsigned)atoi(text + 9) : 0;
}

/* Who was ended has been started again. */
static inline void await_health(struct deployment *d)
{
	const struct timespec t = { 0, 10000000 };
	static char text[1 << 12];

	for (int i = 0; i < 500; i++) {
		if (!deploy_watch(d) && get(d, "/_perhop/health", text, sizeof(text)) == 200)
			return;
		nanosleep(&t, NULL);
	}
	fail_msg("not healthy again: %s", text);
}

static inline void assert_nothing_in_use(const struct deployment *d)
{
	const struct timespec t = { 0, 10000000 };

	for (int i = 0; i < 500 && pool_in_use(d->pool); i++)
		nanosleep(&t, NULL);
	assert_int_equal(pool_in_use(d->pool), 0);
}

#endif

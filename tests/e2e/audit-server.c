/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small HTTP server for the audit's tests: it answers every request, and does more than it must when it
 * is told to, so that the tests can see whether the audit sees it.
 *
 *     audit-server PORT [copies=N] [encodes=N] [close]
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chain/codec.h"
#include "chain/probe.h"

enum { CLIENTS = 32, BYTES = 4096 };

struct extra {
	int copies, encodes, close;
};

/* Answer one request. False: the connection is at its end. */
static int serve(int fd, const struct extra *extra)
{
	static const char body[] = "hello from the audit's server\n";
	char in[BYTES], out[BYTES], again[sizeof(body)];
	ssize_t n = recv(fd, in, sizeof(in) - 1, 0);
	int length;

	if (n <= 0)
		return 0;
	PERHOP_DECODE(TYPE_HTTP_REQUEST, n);
	memcpy(again, body, sizeof(body));
	for (int i = 0; i < extra->copies; i++) {
		__asm__ volatile("" : : "r"(again) : "memory");
		memcpy(again, body, sizeof(body));
		PERHOP_COPY(sizeof(body));
	}
	for (int i = 0; i <= extra->encodes; i++) {
		length = snprintf(out, sizeof(out), "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
				  "Content-Length: %zu\r\n%s\r\n%s", sizeof(body) - 1,
				  extra->close ? "Connection: close\r\n" : "", again);
		PERHOP_ENCODE(TYPE_HTTP_RESPONSE, length);
	}
	return send(fd, out, (size_t)length, MSG_NOSIGNAL) == length && !extra->close;
}

static int listen_on(const char *port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	return bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 16) ? -1 : fd;
}

int main(int argc, char **argv)
{
	struct pollfd fds[CLIENTS + 1];
	struct extra extra = { 0 };
	int n = 1;

	for (int i = 2; i < argc; i++) {
		sscanf(argv[i], "copies=%d", &extra.copies);
		sscanf(argv[i], "encodes=%d", &extra.encodes);
		extra.close |= !strcmp(argv[i], "close");
	}
	fds[0] = (struct pollfd){ .fd = argc > 1 ? listen_on(argv[1]) : -1, .events = POLLIN };
	if (fds[0].fd < 0) {
		fprintf(stderr, "audit-server: cannot listen\n");
		return 2;
	}
	while (poll(fds, (nfds_t)n, -1) > 0) {
		for (int i = n - 1; i > 0; i--)
			if (fds[i].revents && !serve(fds[i].fd, &extra)) {
				close(fds[i].fd);
				fds[i] = fds[--n];
			}
		if (fds[0].revents && n <= CLIENTS) {
			fds[n] = (struct pollfd){ .fd = accept(fds[0].fd, NULL, NULL), .events = POLLIN };
			n += fds[n].fd >= 0;
		}
	}
	return 1;
}

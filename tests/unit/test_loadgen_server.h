/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The server that the load generator's tests talk to: a process of its own that answers, and
 * misbehaves, as the request's path says. Included by one test program.
 */
#ifndef PERHOP_TEST_LOADGEN_SERVER_H
#define PERHOP_TEST_LOADGEN_SERVER_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Shared with the server's process. */
struct server_log {
	_Atomic uint64_t requests, connections, closes_asked;
	_Atomic uint32_t open, open_peak;
	_Atomic uint64_t stall_at;  /* stop for 200 ms before answering this request; 0: never */
	_Atomic uint64_t exit_at;   /* end without a word at this request; 0: never */
};

struct server {
	struct server_log *log;
	struct sockaddr_in address;
	pid_t pid;
};

enum { SERVER_FILES = 8192, SERVER_REQUEST_MAX = 4096 };

struct server_conn {
	unsigned used, served;
	char in[SERVER_REQUEST_MAX];
};

/* What to say to each path, and whether to close afterwards. */
struct server_answer {
	const char *path, *text;
	bool close;
};

static const struct server_answer server_answers[] = {
	{ "/ok", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false },
	{ "/chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		      "2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nTrailer: t\r\n\r\n", false },
	{ "/empty", "HTTP/1.1 204 No Content\r\n\r\n", false },
	{ "/moved", "HTTP/1.1 302 Found\r\nLocation: /cart\r\nContent-Length: 0\r\n\r\n", false },
	{ "/missing", "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", false },
	{ "/failed", "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", false },
	{ "/interim", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
		      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false },
	{ "/head", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false },
	{ "/close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n"
		    "hello", true },
	{ "/eof", "HTTP/1.0 200 OK\r\n\r\nhello", true },
	{ "/silent", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", true },
	{ "/surplus", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, world", false },
	{ "/truncated", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello", true },
	{ "/cut", "HTTP/1.1 200 OK\r\nConte", true },
	{ "/garbage", "\x01\x02\x03 not HTTP at all\r\n\r\n", false },
	{ "/mute", "", true },
	{ "/never", "", false },
	{ "/oversized", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\nhello", false },
	{ "/upgrade", "HTTP/1.1 101 Switching Protocols\r\n\r\n", false },
	{ "/smuggle", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
		      "0\r\n\r\n", false },
};

static void server_say(int fd, const char *text, size_t length)
{
	while (length) {
		ssize_t n = send(fd, text, length, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		text += n;
		length -= (size_t)n;
	}
}

static void server_pause(long ms)
{
	struct timespec t = { 0, ms * 1000000 };

	nanosleep(&t, NULL);
}

/* Answer one request. Returns false when the connection is to be closed. */
static bool server_serve(int fd, struct server_conn *c, const char *target, size_t length)
{
	static const char big[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
	static char chunk[10240 + 9];

	if (length == 6 && !memcmp(target, "/reset", 6)) {
		struct linger now = { 1, 0 };

		setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		return false;
	}
	if (length == 6 && !memcmp(target, "/stale", 6)) {      /* once per connection, not twice */
		if (c->served > 1)
			return false;
		target = "/ok";
		length = 3;
	}
	if (length == 8 && !memcmp(target, "/trickle", 8)) {
		const char *text = server_answers[1].text;

		for (const char *p = text; *p; p++) {
			server_say(fd, p, 1);
			if ((p - text) % 16 == 0)
				server_pause(1);
		}
		return true;
	}
	if (length == 4 && !memcmp(target, "/big", 4)) {        /* ~2 MiB, in chunks of 10 KiB */
		memcpy(chunk, "2800\r\n", 6);
		memset(chunk + 6, 'x', 10240);
		memcpy(chunk + 10246, "\r\n", 3);
		server_say(fd, big, sizeof(big) - 1);
		for (int i = 0; i < 200; i++)
			server_say(fd, chunk, 10248);
		server_say(fd, "0\r\n\r\n", 5);
		return true;
	}
	if (length == 6 && !memcmp(target, "/flood", 6)) {      /* 1xx without end */
		for (int i = 0; i < 1000; i++)
			server_say(fd, "HTTP/1.1 100 Continue\r\n\r\n", 25);
		return true;
	}
	for (size_t i = 0; i < sizeof(server_answers) / sizeof(*server_answers); i++) {
		const struct server_answer *a = &server_answers[i];

		if (strlen(a->path) != length || memcmp(a->path, target, length))
			continue;
		server_say(fd, a->text, strlen(a->text));
		return !a->close;
	}
	server_say(fd, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", 47);
	return true;
}

static void server_close(struct server_log *log, struct server_conn **conns, int fd)
{
	free(conns[fd]);
	conns[fd] = NULL;
	close(fd);
	log->open--;
}

static void server_read(struct server_log *log, struct server_conn **conns, int fd)
{
	struct server_conn *c = conns[fd];
	ssize_t n = recv(fd, c->in + c->used, sizeof(c->in) - 1 - c->used, 0);
	char *end, *target, *space;
	bool keep, asked;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		server_close(log, conns, fd);
		return;
	}
	c->used += (unsigned)n;
	c->in[c->used] = '\0';
	end = strstr(c->in, "\r\n\r\n");
	if (!end)
		return;
	c->used = 0;
	c->served++;
	log->requests++;
	asked = strstr(c->in, "Connection: close");
	log->closes_asked += asked;
	if (log->requests == log->exit_at)
		_exit(0);
	if (log->requests == log->stall_at)
		server_pause(200);
	target = strchr(c->in, ' ');
	space = target ? strchr(target + 1, ' ') : NULL;
	keep = space && server_serve(fd, c, target + 1, (size_t)(space - target - 1));
	if (!keep || asked)
		server_close(log, conns, fd);
}

static void server_loop(struct server_log *log, int listener)
{
	static struct server_conn *conns[SERVER_FILES];
	struct epoll_event e = { .events = EPOLLIN, .data.fd = listener }, events[64];
	int epoll = epoll_create1(EPOLL_CLOEXEC), one = 1;

	epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e);
	for (;;) {
		int n = epoll_wait(epoll, events, 64, -1);

		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;

			if (fd != listener) {
				server_read(log, conns, fd);
				continue;
			}
			fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
			if (fd < 0 || fd >= SERVER_FILES)
				continue;
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
			conns[fd] = calloc(1, sizeof(struct server_conn));
			log->connections++;
			if (++log->open > log->open_peak)
				log->open_peak = log->open;
			e.data.fd = fd;
			epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e);
		}
	}
}

/* Start a server on a free port. 0 or -errno. */
static int server_start(struct server *s)
{
	socklen_t length = sizeof(s->address);
	struct rlimit files;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memset(s, 0, sizeof(*s));
	s->address.sin_family = AF_INET;
	s->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s->log = mmap(NULL, sizeof(*s->log), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (fd < 0 || s->log == MAP_FAILED ||
	    bind(fd, (struct sockaddr *)&s->address, sizeof(s->address)) < 0 ||
	    listen(fd, 4096) < 0 || getsockname(fd, (struct sockaddr *)&s->address, &length) < 0)
		return -errno;
	s->pid = fork();
	if (s->pid < 0)
		return -errno;
	if (!s->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (!getrlimit(RLIMIT_NOFILE, &files)) {
			if (files.rlim_max < SERVER_FILES)
				files.rlim_cur = files.rlim_max;
			else
				files.rlim_cur = SERVER_FILES;
			setrlimit(RLIMIT_NOFILE, &files);
		}
		server_loop(s->log, fd);
		_exit(0);
	}
	close(fd);
	return 0;
}

static void server_stop(struct server *s)
{
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
	munmap(s->log, sizeof(*s->log));
}

#endif

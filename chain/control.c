/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "chain/control.h"
#include "chain/gateway_ports.h"

enum { FDS_MAX = 2, ASK_TIMEOUT_S = 10 };

static socklen_t address_of(struct sockaddr_un *a, pid_t pid)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			   (size_t)snprintf(a->sun_path + 1, sizeof(a->sun_path) - 1, "perhop/%d", (int)pid));
}

int control_open(pid_t pid)
{
	struct sockaddr_un at;
	const socklen_t length = address_of(&at, pid);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return -errno;
	if (!bind(fd, (struct sockaddr *)&at, length) && !listen(fd, 16))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

/* Is the other end the same user, or root? */
static bool may_ask(int fd)
{
	struct ucred who;
	socklen_t n = sizeof(who);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) && (!who.uid || who.uid == geteuid());
}

/* Receive text with a NUL and up to FDS_MAX descriptors; those not passed are -1. */
static ssize_t receive(int fd, char *text, size_t room, int fds[FDS_MAX])
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = { text, room - 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
			    .msg_controllen = sizeof(control.bytes) };
	ssize_t n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);

	fds[0] = fds[1] = -1;
	text[n > 0 ? n : 0] = '\0';
	for (struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
	return n;
}

static void obey(struct ports *p, const char *request, int fds[FDS_MAX], FILE *out)
{
	char why[256] = "";
	int err = -EINVAL;

	if (!strcmp(request, "load") && fds[0] >= 0) {
		err = ports_load(p, fds[0], fds[1], why, sizeof(why));
		fds[0] = fds[1] = -1;
	} else if (!strncmp(request, "unload ", 7)) {
		err = ports_unload(p, request + 7, why, sizeof(why));
	} else if (!strcmp(request, "list")) {
		err = 0;
	} else {
		snprintf(why, sizeof(why), "load, unload NAME or list was expected");
	}
	if (err) {
		fprintf(out, "error: %s\n", *why ? why : strerror(-err));
		return;
	}
	fprintf(out, "ok\n");
	ports_list(p, out);
}

/* One question: who has connected has sent it already, or has it in a moment. */
static void answer_one(int fd, struct ports *p)
{
	const struct timeval soon = { .tv_usec = 50000 };
	char request[CONTROL_MESSAGE_MAX], *text = NULL;
	int fds[FDS_MAX];
	size_t n = 0;
	FILE *out;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
	if (receive(fd, request, sizeof(request), fds) <= 0)
		return;
	out = open_memstream(&text, &n);
	if (out) {
		obey(p, request, fds, out);
		fclose(out);
		(void)!send(fd, text, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	free(text);
	for (unsigned i = 0; i < FDS_MAX; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

void control_serve(int listen_fd, struct ports *p)
{
	const int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	if (may_ask(fd))
		answer_one(fd, p);
	close(fd);
}

static int send_request(int fd, const char *request, const int *fds, unsigned n_fds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control = { .bytes = { 0 } };
	struct iovec iov = { (char *)(uintptr_t)request, strlen(request) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;

	if (n_fds) {
		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	return sendmsg(fd, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int control_ask(pid_t pid, const char *request, const int *fds, unsigned n_fds, char *answer, size_t room)
{
	const struct timeval timeout = { .tv_sec = ASK_TIMEOUT_S };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), err, none[FDS_MAX];
	struct sockaddr_un at;
	const socklen_t length = address_of(&at, pid);
	ssize_t n = 0;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	err = connect(fd, (struct sockaddr *)&at, length) ? -errno : 0;
	/* The name could have been taken by somebody else, to be handed our sockets. */
	if (!err && !may_ask(fd))
		err = -EPERM;
	if (!err)
		err = send_request(fd, request, fds, n_fds);
	if (err == -EPIPE)
		err = -EPERM;               /* it has looked at who we are, and hung up */
	if (!err) {
		n = receive(fd, answer, room, none);
		err = n < 0 && errno != ECONNRESET ? -errno : n > 0 ? 0 : -EPERM;
	}
	close(fd);
	if (err) {
		snprintf(answer, room, err == -ECONNREFUSED ? "process %d runs no deployment that takes "
			 "adapters (perhop serve does)" : err == -EPERM ?
			 "process %d belongs to another user" : "process %d did not answer", (int)pid);
		return err;
	}
	if (!strncmp(answer, "ok\n", 3)) {
		memmove(answer, answer + 3, (size_t)n - 2);
		return 0;
	}
	return -EREMOTEIO;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sockmap experiment of `perhop doctor`, small enough to be written in eBPF instructions:
 *
 *     a[0] --send--> SK_MSG: bpf_msg_redirect_map(msg, map, 1) --> b[0]: epoll, FIONREAD, recv
 *
 * Kernels from 6.18.14 report 0 in FIONREAD, and may lose the wake-up, on a socket that has only an
 * SK_MSG program; a no-op SK_SKB verdict program on the same map restores both.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "chain/clock.h"
#include "cli/sockmap_check.h"

enum { MESSAGE_BYTES = 16, WAKE_MS = 300, SEND_AFTER_MS = 20 };

struct experiment {
	int map, route, pass;       /* sockmap; SK_MSG and SK_SKB programs */
	int a[2], b[2];             /* connected pairs; [0] is in the map */
	int epoll;
};

static int load_route(int map)
{
	const struct bpf_insn code[] = {
		/* r1 is the message already; r2 = map, r3 = key 1, r4 = flags */
		{ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = BPF_REG_2,
		  .src_reg = BPF_PSEUDO_MAP_FD, .imm = map },
		{ 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = 1 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_4, .imm = BPF_F_INGRESS },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_msg_redirect_map },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return bpf_prog_load(BPF_PROG_TYPE_SK_MSG, "doctor_route", "Dual BSD/GPL", code,
			     sizeof(code) / sizeof(code[0]), NULL);
}

static int load_pass(void)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = SK_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return bpf_prog_load(BPF_PROG_TYPE_SK_SKB, "doctor_pass", "Dual BSD/GPL", code,
			     sizeof(code) / sizeof(code[0]), NULL);
}

static int tcp_pair(int pair[2])
{
	struct sockaddr_in here = { .sin_family = AF_INET };
	socklen_t length = sizeof(here);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), error = 0;

	here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	pair[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || pair[0] < 0 || bind(listener, (struct sockaddr *)&here, length) ||
	    listen(listener, 1) || getsockname(listener, (struct sockaddr *)&here, &length) ||
	    connect(pair[0], (struct sockaddr *)&here, length))
		error = -errno;
	else if ((pair[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0)
		error = -errno;
	if (listener >= 0)
		close(listener);
	return error;
}

static int prepare(struct experiment *x, bool verdict, const char **what)
{
	struct epoll_event event = { .events = EPOLLIN };
	int i, fds[2];

	*what = "make a sockmap";
	x->map = bpf_map_create(BPF_MAP_TYPE_SOCKMAP, "doctor_sockets", 4, 4, 2, NULL);
	if (x->map < 0)
		return x->map;
	*what = "load an SK_MSG program";
	x->route = load_route(x->map);
	if (x->route < 0)
		return x->route;
	*what = "attach it to the sockmap";
	if (bpf_prog_attach(x->route, x->map, BPF_SK_MSG_VERDICT, 0))
		return -errno;
	if (verdict) {
		*what = "load and attach an SK_SKB verdict program";
		x->pass = load_pass();
		if (x->pass < 0)
			return x->pass;
		if (bpf_prog_attach(x->pass, x->map, BPF_SK_SKB_STREAM_VERDICT, 0))
			return -errno;
	}
	*what = "connect TCP sockets over loopback and put them into the sockmap";
	i = tcp_pair(x->a);
	if (!i)
		i = tcp_pair(x->b);
	if (i)
		return i;
	fds[0] = x->a[0];
	fds[1] = x->b[0];
	for (i = 0; i < 2; i++)
		if (bpf_map_update_elem(x->map, &i, &fds[i], BPF_ANY))
			return -errno;
	x->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (x->epoll < 0 || epoll_ctl(x->epoll, EPOLL_CTL_ADD, x->b[0], &event))
		return -errno;
	return 0;
}

/* Send from a child a little later, when we sleep in epoll_wait already. */
static pid_t send_later(const struct experiment *x)
{
	const struct timespec later = { .tv_nsec = SEND_AFTER_MS * (long)NS_PER_MS };
	char message[MESSAGE_BYTES] = "perhop doctor";
	pid_t pid = fork();

	if (pid)
		return pid;
	nanosleep(&later, NULL);
	_exit(send(x->a[0], message, sizeof(message), MSG_NOSIGNAL) == MESSAGE_BYTES ? 0 : 1);
}

int sockmap_check(bool verdict, struct sockmap_sight *sight, const char **what)
{
	struct experiment x = { -1, -1, -1, { -1, -1 }, { -1, -1 }, -1 };
	int *const fds[] = {
		&x.epoll, &x.a[0], &x.a[1], &x.b[0], &x.b[1], &x.pass, &x.route, &x.map
	};
	char message[MESSAGE_BYTES];
	struct epoll_event event;
	int error, status = 0;
	pid_t pid;

	memset(sight, 0, sizeof(*sight));
	error = prepare(&x, verdict, what);
	if (error)
		goto out;
	*what = "send through the sockmap";
	pid = send_later(&x);
	if (pid < 0) {
		error = -errno;
		goto out;
	}
	sight->woke = epoll_wait(x.epoll, &event, 1, WAKE_MS) == 1;
	if (waitpid(pid, &status, 0) != pid || status) {
		error = -EIO;
		goto out;
	}
	if (ioctl(x.b[0], FIONREAD, &sight->fionread))
		sight->fionread = -1;
	sight->delivered = recv(x.b[0], message, sizeof(message), MSG_DONTWAIT) == MESSAGE_BYTES;
out:
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (*fds[i] >= 0)
			close(*fds[i]);
	return error;
}

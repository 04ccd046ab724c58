/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * uds: the same 16-byte descriptor as skmsg's, through a Unix socket. The control that says what
 * SK_MSG itself buys: both copy the descriptor into a socket buffer and wake the receiver; SK_MSG runs
 * a program in between, this runs none.
 *
 *                  pair 1:  a1 ──► b1            made by the parent, before any child exists
 *      gateway ────send─────┘       └──recv── instance 1
 *      instance 2 ──send────┘
 *
 * A pair per receiver, not per pair of endpoints: all senders inherit its one sending end, so a packet
 * needs no address, no name in a file system and no connect. SEQPACKET keeps packets whole: one holds
 * all descriptors of an event-loop turn for this receiver. (SOCK_DGRAM would do as well and costs the
 * same, but holds net.unix.max_dgram_qlen packets, ten by default.) The parent keeps both ends, so a
 * restarted instance finds what was sent to it.
 *
 * Bounds: a packet stands for at least one buffer of the pool, so no more than pool_buffers packets
 * wait. The sending end's buffer is sized for that where the user may (root); elsewhere EAGAIN comes
 * first, and the message goes back to the runtime, which answers 502.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chain/deploy.h"
#include "chain/waiting.h"

enum {
	OUT_MAX = 256,              /* descriptors held back at most; then send flushes by itself */
	PACKET_MAX = 64,            /* descriptors in a packet */
	PACKET_COST = 2048,         /* bytes of send buffer a small packet takes (skb and its head) */
};

/* The deployment's, in the parent; children inherit the sockets. */
struct uds {
	int to[INSTANCE_MAX], at[INSTANCE_MAX];     /* sending end, receiving end */
	struct hall hall;
};

/* An endpoint's. */
struct uds_port {
	struct uds *uds;
	struct waiter waiter;
	int fd;
	unsigned n_out;
	uint64_t touched;           /* receivers of what is held back */
	struct descriptor out[OUT_MAX], packet[PACKET_MAX];
	unsigned n_bounced;         /* messages that could not be delivered: recv gives them back */
	struct message *bounced[OUT_MAX];
};

static const struct option_spec uds_options[] = {
	WAITING_OPTION("block"),
	NODE_OPTIONS,
	{ NULL, NULL, NULL, NULL },
};

static uint32_t flags_of(const struct spec *spec)
{
	return DP_SHARED_POOL | DP_ZERO_COPY | waiting_flags(waiting_of(spec, uds_options));
}

/* ---- Parent ----------------------------------------------------------------------------------- */

static void uds_probe(const struct spec *spec, struct probe_report *report)
{
	(void)spec;
	report->ok = true;
}

static int uds_setup(struct deployment *d)
{
	int bytes = (int)d->config.pool_buffers * PACKET_COST, pair[2], err;
	struct uds *u = calloc(1, sizeof(*u));

	if (!u)
		return -ENOMEM;
	d->priv = u;
	for (unsigned i = 0; i < INSTANCE_MAX; i++)
		u->to[i] = u->at[i] = -1;
	err = hall_open(&u->hall);
	for (unsigned i = 0; i < d->board->instances && !err; i++) {
		err = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) ? -errno : 0;
		if (err)
			break;
		u->to[i] = pair[0];
		u->at[i] = pair[1];
		if (setsockopt(pair[0], SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)))
			setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	}
	return err ? deploy_error(d, err, "cannot make the sockets: %s", strerror(-err)) : 0;
}

static void uds_teardown(struct deployment *d)
{
	struct uds *u = d->priv;

	if (!u)
		return;
	for (unsigned i = 0; i < INSTANCE_MAX; i++) {
		if (u->to[i] >= 0)
			close(u->to[i]);
		if (u->at[i] >= 0)
			close(u->at[i]);
	}
	hall_close(&u->hall);
	free(u);
	d->priv = NULL;
}

/* ---- Endpoints -------------------------------------------------------------------------------- */

static int uds_attach(struct endpoint *ep)
{
	struct uds *u = ep->deployment->priv;
	struct uds_port *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->uds = u;
	p->fd = u->at[ep->self];
	waiter_open(&p->waiter, &u->hall, ep->self, waiting_of(&ep->deployment->spec, uds_options));
	ep->priv = p;
	ep->poll_fd = p->fd;
	return 0;
}

static void uds_detach(struct endpoint *ep)
{
	struct uds_port *p = ep->priv;

	if (p)
		waiter_close(&p->waiter);
	free(p);
	ep->priv = NULL;
}

/* The packet was refused: its messages are ours again. */
static void bounce(struct endpoint *ep, struct uds_port *p, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (!pool_undescribe(ep->pool, &p->packet[i], ep->self))
			p->bounced[p->n_bounced++] =
				(struct message *)((char *)pool_base(ep->pool) + p->packet[i].offset);
}

/* Send `to` its packets, in order. */
static void flush_to(struct endpoint *ep, struct uds_port *p, unsigned to)
{
	unsigned n = 0;
	ssize_t sent;

	for (unsigned i = 0; i < p->n_out; i++) {
		if (p->out[i].target == to)
			p->packet[n++] = p->out[i];
		if (!n || (n < PACKET_MAX && i + 1 < p->n_out))
			continue;
		do
			sent = send(p->uds->to[to], p->packet, n * sizeof(p->packet[0]),
				    MSG_DONTWAIT | MSG_NOSIGNAL);
		while (sent < 0 && errno == EINTR);
		if (sent < 0)
			bounce(ep, p, n);
		n = 0;
	}
}

static int uds_flush(struct endpoint *ep)
{
	struct uds_port *p = ep->priv;

	if (!p->n_out)
		return 0;
	waiter_sent(&p->waiter, p->touched);
	for (; p->touched; p->touched &= p->touched - 1)
		flush_to(ep, p, (unsigned)__builtin_ctzll(p->touched));
	p->n_out = 0;
	return 0;
}

static int uds_send(struct endpoint *ep, instance_id to, struct message *m)
{
	struct uds_port *p = ep->priv;
	int err;

	if (to >= INSTANCE_MAX || p->uds->to[to] < 0)
		return -EPIPE;
	if (p->n_out == OUT_MAX - p->n_bounced) {
		uds_flush(ep);
		if (p->n_bounced == OUT_MAX)
			return -EAGAIN;
	}
	err = pool_describe(ep->pool, m, ep->self, to, &p->out[p->n_out]);
	if (err)
		return err;
	p->n_out++;
	p->touched |= UINT64_C(1) << to;
	return 0;
}

/* The messages of one packet; waits up to `timeout_ns` (-1: for ever). */
static int receive(struct endpoint *ep, struct message **batch, int max, int64_t timeout_ns)
{
	struct descriptor d[PACKET_MAX];
	struct uds_port *p = ep->priv;
	int n = 0;
	ssize_t got;

	while (p->n_bounced && n < max)
		batch[n++] = p->bounced[--p->n_bounced];
	if (n)
		return n;
	if (max < PACKET_MAX)
		return -EINVAL;             /* the rest of a packet would be lost */
	got = waiter_recv(&p->waiter, p->fd, d, sizeof(d), timeout_ns);
	if (got <= 0)
		return !got ? -ECONNRESET : got == -EAGAIN ? 0 : (int)got;
	for (size_t i = 0; i < (size_t)got / sizeof(d[0]); i++)
		n += !pool_accept(ep->pool, &d[i], ep->self, &batch[n]);
	return n;
}

static int uds_recv(struct endpoint *ep, struct message **batch, int max)
{
	return receive(ep, batch, max, 0);
}

static int uds_recv_wait(struct endpoint *ep, struct message **batch, int max, int64_t timeout_ns)
{
	return receive(ep, batch, max, timeout_ns);
}

static bool uds_arm(struct endpoint *ep)
{
	struct uds_port *p = ep->priv;

	return p->n_bounced > 0 || waiter_arm_socket(&p->waiter);
}

static void uds_disarm(struct endpoint *ep)
{
	struct uds_port *p = ep->priv;

	waiter_disarm(&p->waiter);
}

const struct dataplane_ops dataplane_uds = {
	.version = DATAPLANE_VERSION,
	.name = "uds",
	.summary = "control: shared pool, descriptors in packets through Unix sockets",
	.modes = "",
	.flags = DP_SHARED_POOL | DP_ZERO_COPY,
	.flags_of = flags_of,
	.options = uds_options,
	.probe = uds_probe,
	.setup = uds_setup,
	.attach = uds_attach,
	.send = uds_send,
	.flush = uds_flush,
	.recv = uds_recv,
	.recv_wait = uds_recv_wait,
	.arm = uds_arm,
	.disarm = uds_disarm,
	.detach = uds_detach,
	.teardown = uds_teardown,
};

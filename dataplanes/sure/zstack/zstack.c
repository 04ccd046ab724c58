/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stack=zstack: lwIP, as Debian ships it, on AF_XDP frames that are buffers of the chain's pool (umem.h).
 * Raw API, one thread: lwIP's own is never started, so nobody else is in its core.
 *
 *   received   frame = buffer ── pbuf refers to it ──> TCP ──> the stream; a message that fills it stays
 *   sent       header and payload in their buffer ── copy ──> lwIP's segment ── copy ──> a frame of the UMEM
 *
 * Copies, beside those two: on veth, or without a driver that does it itself, the kernel's at either end of the
 * UMEM (its copy mode), and veth's own in between, for its XDP program. lwIP allocates its segments and pbufs by
 * malloc, copies what is written and sums each byte in software on either side: Debian builds it so.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <lwip/etharp.h>
#include <lwip/init.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/prot/tcp.h>
#include <lwip/tcp.h>
#include <lwip/timeouts.h>
#include <netif/ethernet.h>

#include "chain/clock.h"
#include "chain/dataplane.h"
#include "chain/netns.h"
#include "chain/node.h"
#include "chain/probe.h"
#include "dataplanes/sure/sure.h"
#include "dataplanes/sure/zstack/umem.h"

enum {
	BURST = 64,
	BURSTS = 4,
	TIMERS_NS = 10 * 1000 * 1000,
	/*
	 * lwIP counts TCP's time in steps that are meant to last 250 ms: what is lost is sent again after 1 to 1.5 s, and
	 * two losses in a row are as long as the other node may be silent. While something is not acknowledged, steps of
	 * this length are added: 200 to 300 ms, as with Linux (TCP_RTO_MIN, 200 ms). All that TCP does by the clock comes
	 * sooner then: probes of a shut window, the end of a connection that has ended, giving up after 12 times.
	 */
	STEP_NS = 50 * 1000 * 1000,
	/* An acknowledgement may wait so long, and for so many bytes, for data that takes it along. */
	ACK_NS = 1000 * 1000,
	ACK_BYTES = 8 * TCP_MSS,
};

/* A received frame, while lwIP or the stream looks at it. */
struct frame_in {
	struct pbuf_custom pbuf;    /* first: lwIP gives it back */
	struct zstack *stack;
	struct message *m;          /* NULL: the chain has taken it */
	struct frame_in *next;
};

struct zstack {
	struct peer_config c;
	struct umem umem;
	struct netif netif;
	bool netif_added;
	struct tcp_pcb *listener, *pcb;
	struct tcp_pcb *knocking;   /* accepted while there is a connection, and has not said HELLO; or NULL */
	bool connected;
	const char *broken;         /* why the connection is to be ended */
	uint64_t now_ns, retry_ns, timers_ns, step_ns, knocked_ns;
	uint64_t held_ns;           /* since when an acknowledgement is held back; 0: none is */
	u32_t acked, seen;          /* the last one that was sent; that was made */
	u16_t seen_window;
	struct frame_in *frames, *free_frames;
};

/* ---- Sums -------------------------------------------------------------------------------------- */

/*
 * In place of the library's own, which adds two bytes at a time: lwIP has ports bring a faster one, and calls it
 * by its dynamic symbol, so the program's wins. The Internet checksum (RFC 1071) of `n` bytes, not inverted, as
 * it lies in memory.
 */
u16_t lwip_standard_chksum(const void *at, int n);

u16_t lwip_standard_chksum(const void *at, int n)
{
	const unsigned char *byte = at;
	unsigned __int128 sum = 0;
	uint64_t word, folded;

	for (; n >= 8; n -= 8, byte += 8) {
		memcpy(&word, byte, 8);
		sum += word;
	}
	word = 0;
	memcpy(&word, byte, n > 0 ? (size_t)n : 0);
	sum += word;
	folded = (uint64_t)sum + (uint64_t)(sum >> 64);
	folded += folded < (uint64_t)sum;       /* the carry goes round */
	folded = (folded >> 32) + (folded & UINT32_MAX);
	folded = (folded >> 32) + (folded & UINT32_MAX);
	folded = (folded >> 16) + (folded & UINT16_MAX);
	folded = (folded >> 16) + (folded & UINT16_MAX);
	return (u16_t)folded;
}

/* ---- Frames ------------------------------------------------------------------------------------ */

static void frame_free(struct pbuf *pbuf)
{
	struct frame_in *f = (struct frame_in *)pbuf;
	struct zstack *z = f->stack;

	if (f->m)
		pool_unpost(z->c.pool, f->m, GATEWAY);
	f->m = NULL;
	f->next = z->free_frames;
	z->free_frames = f;
}

static void frame_received(struct zstack *z, const struct xdp_desc *d)
{
	struct message *m = umem_buffer(&z->umem, d->addr);
	struct frame_in *f = z->free_frames;
	struct pbuf *pbuf = NULL;

	z->umem.with_network[pool_index(z->c.pool, m)] = false;
	z->umem.posted--;
	if (d->len > UMEM_HEADERS)
		PERHOP_FRAME_IN(d->len - UMEM_HEADERS, !z->umem.zero_copy);
	if (f) {
		z->free_frames = f->next;
		f->m = m;
		pbuf = pbuf_alloced_custom(PBUF_RAW, (u16_t)d->len, PBUF_REF, &f->pbuf,
					   z->umem.base + d->addr, (u16_t)d->len);
	} else {
		pool_unpost(z->c.pool, m, GATEWAY);     /* lwIP holds all of them, out of order: as if lost */
	}
	if (pbuf && z->netif.input(pbuf, &z->netif) != ERR_OK)
		pbuf_free(pbuf);
}

static void receive(struct zstack *z)
{
	uint32_t at, n = BURST;

	for (unsigned i = 0; i < BURSTS && n == BURST; i++) {
		n = xsk_ring_cons__peek(&z->umem.rx, BURST, &at);
		for (uint32_t k = 0; k < n; k++)
			frame_received(z, xsk_ring_cons__rx_desc(&z->umem.rx, at + k));
		if (!n)
			break;
		xsk_ring_cons__release(&z->umem.rx, n);
		umem_post(&z->umem);
	}
}

/*
 * May this frame wait? lwIP acknowledges every second segment at once, by a frame of its own: the answer that
 * a request gets soon would tell as much, and a frame costs more than all that lwIP does about it. Of what
 * was lost or came twice the other node learns at once.
 */
static bool hold_back(struct zstack *z, const struct pbuf *p)
{
	const struct tcp_hdr *tcp = (const void *)((const unsigned char *)p->payload + UMEM_HEADERS -
						   sizeof(*tcp));
	u32_t acks;
	bool news, alone;

	if (!z->connected || !z->pcb || p->len < UMEM_HEADERS || tcp->src != lwip_htons(z->pcb->local_port) ||
	    tcp->dest != lwip_htons(z->pcb->remote_port))
		return false;           /* ARP, or another connection's */
	acks = lwip_ntohl(tcp->ackno);
	alone = p->tot_len == UMEM_HEADERS && TCPH_FLAGS(tcp) == TCP_ACK;
	news = acks != z->seen || tcp->wnd != z->seen_window;
	z->seen = acks;
	z->seen_window = tcp->wnd;
	if (alone && news && !z->pcb->ooseq && acks - z->acked < ACK_BYTES &&
	    (!z->held_ns || z->now_ns - z->held_ns < ACK_NS)) {
		z->held_ns = z->held_ns ? z->held_ns : z->now_ns;
		return true;
	}
	z->acked = acks;
	z->held_ns = 0;
	return false;
}

/*
 * lwIP has a frame to send. Debian builds it so that a segment is one piece of memory of lwIP's own
 * (LWIP_NETIF_TX_SINGLE_PBUF): it has copied what was written, and it is copied once more, into the UMEM.
 */
static err_t send_frame(struct netif *netif, struct pbuf *p)
{
	struct zstack *z = netif->state;
	const u16_t payload = p->tot_len > UMEM_HEADERS ? p->tot_len - UMEM_HEADERS : 0;
	unsigned char *at;

	if (hold_back(z, p))
		return ERR_OK;
	at = p->tot_len <= UMEM_FRAME ? umem_frame(&z->umem) : NULL;
	if (!at)
		return ERR_MEM;         /* as if lost: TCP sends it again */
	if (payload) {
		PERHOP_FRAME_OUT(payload, !z->umem.zero_copy);
		PERHOP_COPY(payload);
		PERHOP_COPY(payload);
	}
	pbuf_copy_partial(p, at, p->tot_len, 0);
	return umem_send(&z->umem, at, p->tot_len) ? ERR_OK : ERR_MEM;
}

/* ---- TCP --------------------------------------------------------------------------------------- */

static void forget(struct zstack *z)
{
	if (z->pcb) {
		tcp_arg(z->pcb, NULL);
		tcp_err(z->pcb, NULL);
		tcp_recv(z->pcb, NULL);
		tcp_sent(z->pcb, NULL);
		tcp_abort(z->pcb);
	}
	z->pcb = NULL;
	z->connected = false;
	z->held_ns = 0;
	z->broken = NULL;
}

/* Outside of lwIP's callbacks: a connection may be aborted there only with care. */
static void end_if_broken(struct zstack *z)
{
	const char *why = z->broken;
	const bool was = z->connected;

	if (!why)
		return;
	forget(z);
	if (was)
		z->c.events->down(z->c.arg, why);
}

static err_t on_recv(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
	struct zstack *z = arg;

	(void)err;
	if (!p) {
		z->broken = "the other node has closed the connection";
		return ERR_OK;
	}
	for (struct pbuf *q = p; q && !z->broken; q = q->next) {
		struct frame_in *f = q->flags & PBUF_FLAG_IS_CUSTOM ? (struct frame_in *)q : NULL;
		bool taken = false;

		if (z->c.events->received(z->c.arg, q->payload, q->len, f ? f->m : NULL, &taken))
			z->broken = "the other node sent something unsound";
		if (taken)
			f->m = NULL;
	}
	tcp_recved(pcb, p->tot_len);
	pbuf_free(p);
	return ERR_OK;
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t n)
{
	struct zstack *z = arg;

	(void)pcb;
	z->c.events->sent(z->c.arg, n);
	return ERR_OK;
}

/* lwIP has freed the pcb already. */
static void on_error(void *arg, err_t err)
{
	struct zstack *z = arg;

	(void)err;
	z->pcb = NULL;
	z->broken = "the connection was reset";
}

static void adopt(struct zstack *z, struct tcp_pcb *pcb)
{
	z->pcb = pcb;
	tcp_nagle_disable(pcb);
	tcp_arg(pcb, z);
	tcp_recv(pcb, on_recv);
	tcp_sent(pcb, on_sent);
	tcp_err(pcb, on_error);
}

static err_t on_connected(void *arg, struct tcp_pcb *pcb, err_t err)
{
	struct zstack *z = arg;

	(void)pcb, (void)err;
	z->connected = true;
	z->c.events->up(z->c.arg);
	return ERR_OK;
}

/* In place of the connection that there may be. */
static void let_in(struct zstack *z, struct tcp_pcb *pcb)
{
	const bool was = z->connected;

	forget(z);
	if (was)
		z->c.events->down(z->c.arg, "the other node has connected anew");
	adopt(z, pcb);
	on_connected(z, pcb, ERR_OK);
}

/* Whoever has connected beside the connection there is. */
static void send_away(struct zstack *z)
{
	struct tcp_pcb *pcb = z->knocking;

	z->knocking = NULL;
	if (!pcb)
		return;
	tcp_arg(pcb, NULL);
	tcp_err(pcb, NULL);
	tcp_recv(pcb, NULL);
	tcp_abort(pcb);
}

static void on_knock_error(void *arg, err_t err)
{
	struct zstack *z = arg;

	(void)err;
	z->knocking = NULL;
}

/* A HELLO is one segment: what comes otherwise is no node's. */
static err_t on_knock(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
	unsigned char hello[PEER_HEADER_BYTES] = { 0 };
	struct zstack *z = arg;
	const size_t n = p ? pbuf_copy_partial(p, hello, sizeof(hello), 0) : 0;

	(void)err;
	if (!peer_is_hello(hello, n, z->c.node->fingerprint)) {
		if (p)
			pbuf_free(p);
		send_away(z);
		return ERR_ABRT;
	}
	z->knocking = NULL;
	let_in(z, pcb);
	return on_recv(z, pcb, p, ERR_OK);
}

static err_t on_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
	struct zstack *z = arg;

	if (err != ERR_OK || !pcb)
		return ERR_VAL;
	if (z->connected && !z->broken) {
		/* The other node's gateway was started again, or somebody else is there: see peer_is_hello. */
		send_away(z);
		z->knocking = pcb;
		z->knocked_ns = z->now_ns;
		tcp_arg(pcb, z);
		tcp_recv(pcb, on_knock);
		tcp_err(pcb, on_knock_error);
		return ERR_OK;
	}
	let_in(z, pcb);
	return ERR_OK;
}

static void try_connect(struct zstack *z)
{
	ip_addr_t to = IPADDR4_INIT(z->c.node->peer.sin_addr.s_addr);
	struct tcp_pcb *pcb = tcp_new_ip_type(IPADDR_TYPE_V4);

	if (!pcb)
		return;
	adopt(z, pcb);
	if (tcp_connect(pcb, &to, ntohs(z->c.node->peer.sin_port), on_connected) != ERR_OK)
		forget(z);
}

/* ---- The stack's operations -------------------------------------------------------------------- */

static ssize_t zstack_write(void *priv, const struct iovec *iov, unsigned n)
{
	struct zstack *z = priv;
	ssize_t wrote = 0;

	if (!z->connected || z->broken)
		return -EPIPE;
	for (unsigned i = 0; i < n; i++) {
		const size_t room = tcp_sndbuf(z->pcb), want = iov[i].iov_len;
		const size_t use = want < room ? want : room;

		if (!use || tcp_write(z->pcb, iov[i].iov_base, (u16_t)use, 0) != ERR_OK)
			break;
		wrote += (ssize_t)use;
		if (use < want)
			break;
	}
	return wrote;
}

static void zstack_flush(void *priv)
{
	struct zstack *z = priv;

	if (z->connected)
		tcp_output(z->pcb);
	if (z->held_ns && z->connected && z->now_ns - z->held_ns >= ACK_NS) {
		tcp_set_flags(z->pcb, TF_ACK_NOW);
		tcp_output(z->pcb);
	}
	if (z->umem.kicks)
		umem_kick(&z->umem);
}

static void zstack_ready(void *priv, int fd, uint32_t events)
{
	(void)priv, (void)fd, (void)events;     /* the turn that follows looks at the ring */
}

static bool unacknowledged(const struct zstack *z)
{
	return z->pcb && z->pcb->unacked;
}

static void zstack_turn(void *priv, uint64_t now_ns)
{
	struct zstack *z = priv;

	z->now_ns = now_ns;
	receive(z);
	if (now_ns >= z->timers_ns) {
		z->timers_ns = now_ns + TIMERS_NS;
		sys_check_timeouts();
	}
	if (unacknowledged(z) && now_ns >= z->step_ns) {
		z->step_ns = now_ns + STEP_NS;
		tcp_tmr();
	}
	if (z->knocking && now_ns >= z->knocked_ns + NODE_SILENCE_NS)
		send_away(z);
	end_if_broken(z);
	if (!z->pcb && !z->listener && now_ns >= z->retry_ns) {
		z->retry_ns = now_ns + PEER_RETRY_NS;
		try_connect(z);
	} else if (z->pcb && !z->connected && now_ns >= z->retry_ns + NODE_SILENCE_NS) {
		forget(z);
	}
	umem_post(&z->umem);
	if (z->umem.kicks)
		umem_kick(&z->umem);
}

static int64_t zstack_due(void *priv, uint64_t now_ns)
{
	const struct zstack *z = priv;
	const u32_t ms = sys_timeouts_sleeptime();
	int64_t due = ms == UINT32_MAX ? -1 : (int64_t)ms * (int64_t)NS_PER_MS;

	if (due >= 0 && due < TIMERS_NS)
		due = TIMERS_NS;
	if (unacknowledged(z)) {
		int64_t step = z->step_ns > now_ns ? (int64_t)(z->step_ns - now_ns) : 0;

		due = due < 0 || step < due ? step : due;
	}
	if (z->held_ns) {
		int64_t ack = z->held_ns + ACK_NS > now_ns ? (int64_t)(z->held_ns + ACK_NS - now_ns) : 0;

		due = due < 0 || ack < due ? ack : due;
	}
	if (!z->pcb && !z->listener) {
		int64_t retry = z->retry_ns > now_ns ? (int64_t)(z->retry_ns - now_ns) : 0;

		due = due < 0 || retry < due ? retry : due;
	}
	return due;
}

static bool zstack_pending(void *priv)
{
	struct zstack *z = priv;

	return xsk_cons_nb_avail(&z->umem.rx, 1) > 0;
}

static void zstack_reset(void *priv)
{
	forget(priv);
	umem_kick(&((struct zstack *)priv)->umem);
}

static err_t set_up_netif(struct netif *n)
{
	struct zstack *z = n->state;

	n->name[0] = 'z';
	n->name[1] = 's';
	n->output = etharp_output;
	n->linkoutput = send_frame;
	n->mtu = (u16_t)(z->umem.mtu < 1500 ? z->umem.mtu : 1500);
	n->hwaddr_len = ETH_HWADDR_LEN;
	memcpy(n->hwaddr, z->umem.mac, ETH_HWADDR_LEN);
	n->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_LINK_UP;
	return ERR_OK;
}

static int start(struct zstack *z)
{
	const struct node *node = z->c.node;
	const ip4_addr_t address = { node->address.s_addr }, mask = { htonl(0xffffff00) }, none = { 0 };
	struct tcp_pcb *pcb;

	lwip_init();
	if (!netif_add(&z->netif, &address, &mask, &none, z, set_up_netif, ethernet_input))
		return -ENOMEM;
	z->netif_added = true;
	netif_set_default(&z->netif);
	netif_set_up(&z->netif);
	if (!node->listens)
		return 0;
	pcb = tcp_new_ip_type(IPADDR_TYPE_V4);
	if (!pcb || tcp_bind(pcb, IP4_ADDR_ANY, ntohs(node->peer.sin_port)) != ERR_OK)
		return -ENOMEM;
	z->listener = tcp_listen(pcb);
	if (!z->listener)
		return -ENOMEM;
	tcp_arg(z->listener, z);
	tcp_accept(z->listener, on_accept);
	return 0;
}

static int zstack_open(void **priv, const struct peer_config *c, char *why, size_t why_bytes)
{
	const uint32_t frames = 2 * UMEM_POSTED;
	struct zstack *z = calloc(1, sizeof(*z));
	int home = -1, err = -ENOMEM;

	*priv = z;
	if (!z)
		return -ENOMEM;
	z->c = *c;
	z->umem.fd = -1;
	z->frames = calloc(frames, sizeof(*z->frames));
	for (uint32_t i = 0; z->frames && i < frames; i++) {
		z->frames[i].stack = z;
		z->frames[i].pbuf.custom_free_function = frame_free;
		z->frames[i].next = z->free_frames;
		z->free_frames = &z->frames[i];
	}
	if (!z->frames)
		return -ENOMEM;
	if (c->node->netns >= 0) {
		home = netns_enter(c->node->netns);
		if (home < 0)
			return home;
	}
	err = umem_open(&z->umem, c->pool, c->node->iface, c->node->address.s_addr, why, why_bytes);
	if (home >= 0)
		netns_leave(home);
	if (!err)
		err = start(z);
	if (!err)
		err = c->watch(c->arg, 0, z->umem.fd, EPOLLIN);
	return err;
}

static void zstack_settings(FILE *f)
{
	fprintf(f, "link: lwIP's TCP clock steps every %d ms while something is not acknowledged\n"
		"link: acknowledgements wait for data up to %d us or %d bytes\nlink: up to %d frames of the UMEM a turn\n",
		STEP_NS / 1000000, ACK_NS / 1000, ACK_BYTES, BURST * BURSTS);
}

static void zstack_close(void *priv)
{
	struct zstack *z = priv;

	send_away(z);
	forget(z);
	if (z->listener)
		tcp_close(z->listener);
	if (z->netif_added)
		netif_remove(&z->netif);
	if (z->frames)
		umem_close(&z->umem);
	free(z->frames);
	free(z);
}

static void zstack_probe(const struct spec *spec, struct probe_report *report)
{
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);

	(void)spec;
	report->ok = fd >= 0;
	if (fd >= 0)
		close(fd);
	else
		snprintf(report->reason, sizeof(report->reason),
			 "stack=zstack needs AF_XDP (CONFIG_XDP_SOCKETS, CAP_NET_RAW): %s", strerror(errno));
}

const struct peer_stack zstack = {
	.name = "zstack",
	.probe = zstack_probe,
	.open = zstack_open,
	.close = zstack_close,
	.write = zstack_write,
	.flush = zstack_flush,
	.ready = zstack_ready,
	.turn = zstack_turn,
	.due = zstack_due,
	.settings = zstack_settings,
	.pending = zstack_pending,
	.reset = zstack_reset,
};

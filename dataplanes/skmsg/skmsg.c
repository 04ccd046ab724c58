/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * skmsg: SPRIGHT's hop. Payloads stay in the pool; a 16-byte descriptor is redirected by an SK_MSG
 * program from the sender's socket to the receiver's.
 *
 *      gateway            instance 1          instance 2
 *      socket 0            socket 1            socket 2        in the sockmap
 *         |  send(d→1)        ^
 *         +------ SK_MSG -----+                                  the TCP stack is not run
 *
 * SK_MSG runs for TCP sockets only, so each endpoint has one: the connected end of a loopback pair
 * whose other end is only kept open. All are made and inserted before any child exists, so a function
 * that blocks in recv can never have missed its place in the map, and a restarted one inherits it.
 *
 * Back-pressure: redirect has none of its own (a stopped receiver takes descriptors without end). Here
 * every descriptor stands for one buffer, so at most pool_buffers × 16 bytes can ever be queued, and
 * route_pick refuses an instance whose backlog is full.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chain/clock.h"
#include "chain/deploy.h"
#include "chain/waiting.h"
#include "dataplanes/skmsg/skmsg.h"
#include "dataplanes/skmsg/skmsg.skel.h"

_Static_assert((int)SKMSG_INSTANCES == (int)INSTANCE_MAX, "the maps have a slot per instance");

enum {
	OUT_MAX = 256,              /* descriptors held back at most; then send flushes by itself */
	IN_MAX = 64,
};

/* The deployment's, in the parent; children inherit the sockets. */
struct skmsg {
	struct skmsg_bpf *bpf;
	int sock[INSTANCE_MAX], anchor[INSTANCE_MAX];
	struct hall hall;           /* who sleeps since when; the sockets do the waking */
	int counters;               /* the gateway's: the EPROXY's map, all that it keeps of eBPF */
};

/* An endpoint's. */
struct skmsg_port {
	int fd;
	struct waiter waiter;
	unsigned n_out;
	uint64_t touched;           /* receivers of what is held back */
	struct descriptor out[OUT_MAX];
	unsigned in_bytes;          /* of a descriptor that came in two parts */
	struct descriptor in[IN_MAX + 1];
	unsigned n_bounced;         /* messages that could not be delivered: recv gives them back */
	struct message *bounced[OUT_MAX];
};

static const struct option_spec skmsg_options[] = {
	WAITING_OPTION("block"),
	SCALING_OPTIONS("none|load"),
	NODE_OPTIONS,
	{ NULL, NULL, NULL, NULL },
};

static uint32_t flags_of(const struct spec *spec)
{
	return DP_SHARED_POOL | DP_ZERO_COPY | waiting_flags(waiting_of(spec, skmsg_options));
}

/* ---- Parent ----------------------------------------------------------------------------------- */

static int quiet(enum libbpf_print_level level, const char *format, va_list ap)
{
	(void)level, (void)format, (void)ap;
	return 0;
}

static void free_skmsg(struct skmsg *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < INSTANCE_MAX; i++) {
		if (s->sock[i] >= 0)
			close(s->sock[i]);
		if (s->anchor[i] >= 0)
			close(s->anchor[i]);
	}
	hall_close(&s->hall);
	skmsg_bpf__destroy(s->bpf);
	free(s);
}

/* With its programs loaded; s->bpf is NULL and errno set where the kernel refuses them. */
static struct skmsg *new_skmsg(void)
{
	struct skmsg *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	for (unsigned i = 0; i < INSTANCE_MAX; i++)
		s->sock[i] = s->anchor[i] = -1;
	s->hall.gateway_fd = s->counters = -1;
	s->bpf = skmsg_bpf__open_and_load();
	return s;
}

/* A connected TCP pair over loopback, nobody else's connection taken for ours. */
static int tcp_pair(int *a, int *b)
{
	struct sockaddr_in here = { .sin_family = AF_INET }, peer, mine;
	socklen_t length = sizeof(here), peer_length = sizeof(peer);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, err = 0;

	*b = -1;
	*a = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (listener < 0 || *a < 0 || bind(listener, (struct sockaddr *)&here, length) ||
	    listen(listener, 8) || getsockname(listener, (struct sockaddr *)&here, &length) ||
	    connect(*a, (struct sockaddr *)&here, length) ||
	    getsockname(*a, (struct sockaddr *)&mine, &length)) {
		err = -errno;
		goto out;
	}
	for (;;) {
		*b = accept4(listener, (struct sockaddr *)&peer, &peer_length, SOCK_CLOEXEC);
		if (*b < 0) {
			err = -errno;
			goto out;
		}
		if (peer.sin_port == mine.sin_port &&
		    peer.sin_addr.s_addr == mine.sin_addr.s_addr)
			break;
		close(*b);
	}
	setsockopt(*a, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
out:
	if (listener >= 0)
		close(listener);
	return err;
}

/* Make instance `id` a member: its socket in the map, its port and domain known to the program. */
static int join(struct skmsg *s, __u32 id)
{
	struct skmsg_member member = { .instance = id, .domain = 1 };
	struct sockaddr_in mine;
	socklen_t length = sizeof(mine);
	__u32 port;
	__u64 fd;
	int err = tcp_pair(&s->sock[id], &s->anchor[id]);

	if (err)
		return err;
	if (getsockname(s->sock[id], (struct sockaddr *)&mine, &length))
		return -errno;
	port = ntohs(mine.sin_port);
	fd = (__u64)s->sock[id];
	err = bpf_map_update_elem(bpf_map__fd(s->bpf->maps.senders), &port, &member, BPF_ANY);
	if (!err)
		err = bpf_map_update_elem(bpf_map__fd(s->bpf->maps.domains), &id, &member.domain,
					  BPF_ANY);
	if (!err)
		err = bpf_map_update_elem(bpf_map__fd(s->bpf->maps.sockets), &id, &fd, BPF_ANY);
	return err;
}

static void skmsg_probe(const struct spec *spec, struct probe_report *report)
{
	libbpf_print_fn_t print = libbpf_set_print(quiet);
	struct skmsg *s = new_skmsg();
	int err = !s ? ENOMEM : !s->bpf ? errno : 0;

	(void)spec;
	libbpf_set_print(print);
	report->ok = !err;
	if (err)
		snprintf(report->reason, sizeof(report->reason),
			 "the kernel takes no SK_MSG program from this user: %s (needs CAP_BPF and "
			 "CAP_NET_ADMIN, and Linux 5.10 or later with a sockmap)", strerror(err));
	free_skmsg(s);
}

static int skmsg_setup(struct deployment *d)
{
	libbpf_print_fn_t print = libbpf_set_print(quiet);
	struct skmsg *s = new_skmsg();
	int map, err;

	d->priv = s;
	err = !s ? -ENOMEM : s->bpf ? 0 : -errno;
	libbpf_set_print(print);
	if (err)
		return deploy_error(d, err, "cannot load the SK_MSG program: %s", strerror(-err));
	map = bpf_map__fd(s->bpf->maps.sockets);
	err = bpf_prog_attach(bpf_program__fd(s->bpf->progs.pass), map, BPF_SK_SKB_STREAM_VERDICT, 0);
	if (!err)
		err = bpf_prog_attach(bpf_program__fd(s->bpf->progs.route), map, BPF_SK_MSG_VERDICT, 0);
	for (__u32 id = 0; id < d->board->instances && !err; id++)
		err = join(s, id);
	if (!err)
		err = hall_open(&s->hall);
	return err ? deploy_error(d, err, "cannot set up the sockmap: %s", strerror(-err)) : 0;
}

static void skmsg_teardown(struct deployment *d)
{
	free_skmsg(d->priv);
	d->priv = NULL;
}

/* ---- Endpoints -------------------------------------------------------------------------------- */

/* In the child: of all that it inherited, its own socket is enough. */
static void keep_only(struct skmsg *s, instance_id self)
{
	for (unsigned i = 0; i < INSTANCE_MAX; i++) {
		if (i != self && s->sock[i] >= 0)
			close(s->sock[i]);
		if (s->anchor[i] >= 0)
			close(s->anchor[i]);
	}
	skmsg_bpf__destroy(s->bpf);
	s->bpf = NULL;
}

static int skmsg_attach(struct endpoint *ep)
{
	struct skmsg *s = ep->deployment->priv;
	struct skmsg_port *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->fd = s->sock[ep->self];
	if (ep->self == GATEWAY && s->bpf)
		s->counters = fcntl(bpf_map__fd(s->bpf->maps.metrics), F_DUPFD_CLOEXEC, 0);
	keep_only(s, ep->self);
	waiter_open(&p->waiter, &s->hall, ep->self,
		    waiting_of(&ep->deployment->spec, skmsg_options));
	ep->priv = p;
	ep->poll_fd = p->fd;
	return 0;
}

static void skmsg_detach(struct endpoint *ep)
{
	struct skmsg_port *p = ep->priv;

	if (p)
		waiter_close(&p->waiter);
	if (p && ep->self == GATEWAY)
		close(((struct skmsg *)ep->deployment->priv)->counters);
	free(p);
	ep->priv = NULL;
}

/* Descriptor `d` was refused by the kernel: its message is ours again. */
static void bounce(struct endpoint *ep, struct skmsg_port *p, const struct descriptor *d)
{
	if (!pool_undescribe(ep->pool, d, ep->self))
		p->bounced[p->n_bounced++] =
			(struct message *)((char *)pool_base(ep->pool) + d->offset);
}

/*
 * One send for all descriptors of the turn. The kernel stops at one that the program drops (EACCES)
 * and reports what went before it; the dropped one bounces, the rest is sent again.
 */
static int skmsg_flush(struct endpoint *ep)
{
	struct skmsg_port *p = ep->priv;
	char *at = (char *)p->out;
	size_t left = p->n_out * sizeof(p->out[0]);

	if (left)
		waiter_sent(&p->waiter, p->touched);
	p->touched = 0;
	while (left) {
		ssize_t n = send(p->fd, at, left, MSG_NOSIGNAL);

		if (n > 0) {
			at += n;
			left -= (size_t)n;
		} else if (n < 0 && errno == EINTR) {
			continue;
		} else {
			bounce(ep, p, (struct descriptor *)at);
			at += sizeof(p->out[0]);
			left -= sizeof(p->out[0]);
		}
	}
	p->n_out = 0;
	return 0;
}

static int skmsg_send(struct endpoint *ep, instance_id to, struct message *m)
{
	struct skmsg_port *p = ep->priv;
	int err;

	if (p->n_out == OUT_MAX - p->n_bounced) {
		err = skmsg_flush(ep);
		if (err)
			return err;
		if (p->n_bounced == OUT_MAX)
			return -EPIPE;
	}
	err = pool_describe(ep->pool, m, ep->self, to, &p->out[p->n_out]);
	if (!err) {
		p->n_out++;
		p->touched |= UINT64_C(1) << to;
	}
	return err;
}

/* Turn the `n` bytes just received behind p->in_bytes into messages; a torn descriptor waits. */
static int accept_all(struct endpoint *ep, struct skmsg_port *p, size_t n, struct message **batch)
{
	unsigned whole, got = 0;

	p->in_bytes += (unsigned)n;
	whole = p->in_bytes / sizeof(p->in[0]);
	for (unsigned i = 0; i < whole; i++)
		if (!pool_accept(ep->pool, &p->in[i], ep->self, &batch[got]))
			got++;
	p->in_bytes %= sizeof(p->in[0]);
	if (p->in_bytes)
		memmove(p->in, &p->in[whole], p->in_bytes);
	return (int)got;
}

/* Up to `max` messages; waits up to `timeout_ns` (-1: for ever). */
static int receive(struct endpoint *ep, struct message **batch, int max, int64_t timeout_ns)
{
	struct skmsg_port *p = ep->priv;
	size_t room;
	ssize_t got;
	int n = 0;

	while (p->n_bounced && n < max)
		batch[n++] = p->bounced[--p->n_bounced];
	if (n)
		return n;
	max = max < IN_MAX ? max : IN_MAX;
	room = (size_t)max * sizeof(p->in[0]) - p->in_bytes;
	got = waiter_recv(&p->waiter, p->fd, (char *)p->in + p->in_bytes, room, timeout_ns);
	if (got > 0)
		return accept_all(ep, p, (size_t)got, batch);
	if (!got)
		return -ECONNRESET;         /* the anchor is closed: the supervisor is gone */
	return got == -EAGAIN ? 0 : (int)got;
}

static int skmsg_recv(struct endpoint *ep, struct message **batch, int max)
{
	return receive(ep, batch, max, 0);
}

static int skmsg_recv_wait(struct endpoint *ep, struct message **batch, int max, int64_t timeout_ns)
{
	return receive(ep, batch, max, timeout_ns);
}

static bool skmsg_arm(struct endpoint *ep)
{
	struct skmsg_port *p = ep->priv;

	return p->n_bounced > 0 || waiter_arm_socket(&p->waiter);
}

static void skmsg_disarm(struct endpoint *ep)
{
	struct skmsg_port *p = ep->priv;

	waiter_disarm(&p->waiter);
}

/* ---- EPROXY ----------------------------------------------------------------------------------- */

/* The EPROXY's counters of instance `id`, summed over CPUs. */
static bool eproxy_counters(const struct skmsg *s, __u32 id, struct skmsg_metrics *per_cpu, int cpus,
			    struct skmsg_metrics *sum)
{
	*sum = (struct skmsg_metrics){ 0 };
	if (bpf_map_lookup_elem(s->counters, &id, per_cpu))
		return false;
	for (int c = 0; c < cpus; c++) {
		sum->messages_in += per_cpu[c].messages_in;
		sum->messages_out += per_cpu[c].messages_out;
		sum->payload_bytes_in += per_cpu[c].payload_bytes_in;
		sum->refused += per_cpu[c].refused;
	}
	return true;
}

static void skmsg_page(const struct deployment *d, FILE *f)
{
	const int cpus = libbpf_num_possible_cpus();
	struct skmsg_metrics *per_cpu = cpus > 0 ? calloc((size_t)cpus, sizeof(*per_cpu)) : NULL, m;

	fprintf(f, "# HELP perhop_eproxy_messages_total Descriptors that the SK_MSG program saw pass, by direction.\n"
		"# TYPE perhop_eproxy_messages_total counter\n"
		"# TYPE perhop_eproxy_payload_bytes_total counter\n"
		"# TYPE perhop_eproxy_refused_total counter\n");
	for (instance_id id = 0; per_cpu && id < d->board->instances; id++) {
		const char *name = deploy_instance_name(d, id);

		if (!eproxy_counters(d->priv, id, per_cpu, cpus, &m))
			continue;
		fprintf(f, "perhop_eproxy_messages_total{function=\"%s\",instance=\"%u\",direction=\"in\"} %llu\n"
			"perhop_eproxy_messages_total{function=\"%s\",instance=\"%u\",direction=\"out\"} %llu\n"
			"perhop_eproxy_payload_bytes_total{function=\"%s\",instance=\"%u\"} %llu\n"
			"perhop_eproxy_refused_total{function=\"%s\",instance=\"%u\"} %llu\n",
			name, id, (unsigned long long)m.messages_in, name, id, (unsigned long long)m.messages_out,
			name, id, (unsigned long long)m.payload_bytes_in, name, id,
			(unsigned long long)m.refused);
	}
	free(per_cpu);
}

const struct dataplane_ops dataplane_skmsg = {
	.version = DATAPLANE_VERSION,
	.name = "skmsg",
	.summary = "SPRIGHT: shared pool, descriptors redirected between sockets by an SK_MSG program",
	.modes = "",
	.flags = DP_SHARED_POOL | DP_ZERO_COPY,
	.flags_of = flags_of,
	.options = skmsg_options,
	.probe = skmsg_probe,
	.setup = skmsg_setup,
	.attach = skmsg_attach,
	.send = skmsg_send,
	.flush = skmsg_flush,
	.recv = skmsg_recv,
	.recv_wait = skmsg_recv_wait,
	.arm = skmsg_arm,
	.disarm = skmsg_disarm,
	.detach = skmsg_detach,
	.teardown = skmsg_teardown,
	.page = skmsg_page,
};

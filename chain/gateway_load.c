/* SPDX-License-Identifier: BSD-2-Clause */
/* Adapters come and go; the ports' beginning and end. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chain/clock.h"
#include "chain/gateway_session.h"

enum { LOAD_FD = 600 };     /* see open_object */

#define PORTS_MARK (UINT64_C(1) << 62)
#define SLOT_LISTEN 0x80000000u

/* ---- Adapters --------------------------------------------------------------------------------- */

/* Code that others could have written to is not run. */
static int check_object(int fd, char *why, size_t why_bytes)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_mode & (S_IWGRP | S_IWOTH) ||
	    (st.st_uid && st.st_uid != geteuid())) {
		snprintf(why, why_bytes, "an adapter is a regular file of root's or the gateway's user, and "
			 "nobody else may write to it");
		return -EPERM;
	}
	return 0;
}

/*
 * By its descriptor, which names it also from another mount namespace. The loader knows objects by their
 * path: each gets a number of its own, or a new version would be taken for the old one.
 */
static void *open_object(struct ports *p, int so_fd, char *why, size_t why_bytes)
{
	const int fd = fcntl(so_fd, F_DUPFD_CLOEXEC, LOAD_FD);
	char path[64];
	void *handle;

	snprintf(path, sizeof(path), "/proc/self/fd/%.*s%d", (int)(p->loads++ % 16), "////////////////", fd);
	handle = fd < 0 ? NULL : dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!handle)
		snprintf(why, why_bytes, "it cannot be loaded: %s", fd < 0 ? strerror(errno) : dlerror());
	if (fd >= 0)
		close(fd);
	return handle;
}

static bool ops_sound(const struct adapter_ops *o)
{
	return o && o->version == ADAPTER_VERSION && o->name && *o->name && strlen(o->name) < 32 &&
	       o->summary && o->parse && o->format;
}

static int find_port(const struct ports *p, const char *name)
{
	for (int i = 0; i < PORTS_MAX; i++)
		if (p->port[i].ops && !strcmp(p->port[i].ops->name, name))
			return i;
	return -1;
}

static int free_port(const struct ports *p)
{
	for (int i = 0; i < PORTS_MAX; i++)
		if (!p->port[i].ops)
			return i;
	return -1;
}

/* Is it a socket as this protocol needs it? */
static bool socket_fits(int fd, const struct adapter_ops *ops)
{
	const int want = ops->flags & ADAPTER_DATAGRAM ? SOCK_DGRAM : SOCK_STREAM;
	socklen_t n = sizeof(int);
	int type = 0;

	return fd >= 0 && !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) && type == want;
}

static int serve(struct ports *p, unsigned i, int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	p->port[i].listen_fd = fd;
	return p->host.watch(p->host.arg, fd, EPOLLIN, PORTS_MARK | SLOT_LISTEN | i);
}

int ports_add(struct ports *p, const struct adapter_ops *ops, void *handle, int listen_fd, char *why,
	      size_t why_bytes)
{
	int i = find_port(p, ops->name), err;
	void *old;

	if (i >= 0 && (ops->flags ^ p->port[i].ops->flags) & ADAPTER_DATAGRAM)
		return -EINVAL;
	if (i >= 0) {               /* a new version: clients stay */
		if (listen_fd >= 0) {
			snprintf(why, why_bytes, "%s is loaded and has its address: load it without one to "
				 "replace it, or unload it first", ops->name);
			return -EEXIST;
		}
		old = p->port[i].handle;
		p->port[i].ops = ops;
		p->port[i].handle = handle;
		if (old)
			dlclose(old);
		return 0;
	}
	i = free_port(p);
	if (i < 0 || !socket_fits(listen_fd, ops)) {
		snprintf(why, why_bytes, i < 0 ? "all %d ports are taken" :
			 "it needs the address to listen on", PORTS_MAX);
		return i < 0 ? -ENOSPC : -EINVAL;
	}
	p->port[i] = (struct port){ .ops = ops, .handle = handle, .listen_fd = -1 };
	err = serve(p, (unsigned)i, listen_fd);
	if (err)
		p->port[i].ops = NULL;
	return err;
}

int ports_load(struct ports *p, int so_fd, int listen_fd, char *why, size_t why_bytes)
{
	const struct adapter_ops *ops = NULL;
	void *handle = NULL;
	int err;

	snprintf(why, why_bytes, "the adapter cannot be loaded");
	err = check_object(so_fd, why, why_bytes);
	if (!err) {
		handle = open_object(p, so_fd, why, why_bytes);
		err = handle ? 0 : -ENOEXEC;
	}
	if (!err) {
		ops = dlsym(handle, ADAPTER_SYMBOL);
		if (!ops_sound(ops)) {
			snprintf(why, why_bytes, "it has no sound '" ADAPTER_SYMBOL "' of version %d",
				 ADAPTER_VERSION);
			err = -ENOEXEC;
		}
	}
	if (!err)
		err = ports_add(p, ops, handle, listen_fd, why, why_bytes);
	if (err && handle)
		dlclose(handle);
	if (err && listen_fd >= 0)
		close(listen_fd);
	if (so_fd >= 0)
		close(so_fd);
	if (!err)
		*why = '\0';
	return err;
}

int ports_unload(struct ports *p, const char *name, char *why, size_t why_bytes)
{
	const int i = find_port(p, name);

	if (i < 0) {
		snprintf(why, why_bytes, "no adapter '%.32s' is loaded", name);
		return -ENOENT;
	}
	ports_hang_up(p, (unsigned)i);
	close(p->port[i].listen_fd);
	if (p->port[i].handle)
		dlclose(p->port[i].handle);
	p->port[i] = (struct port){ .ops = NULL };
	return 0;
}

bool ports_has(const struct ports *p, const char *name)
{
	return find_port(p, name) >= 0;
}

void ports_list(const struct ports *p, FILE *f)
{
	for (unsigned i = 0; i < PORTS_MAX; i++) {
		struct sockaddr_in at = { .sin_family = AF_INET };
		socklen_t n = sizeof(at);
		char host[INET_ADDRSTRLEN];

		if (!p->port[i].ops)
			continue;
		getsockname(p->port[i].listen_fd, (struct sockaddr *)&at, &n);
		inet_ntop(AF_INET, &at.sin_addr, host, sizeof(host));
		fprintf(f, "%s %s:%u %u clients: %s\n", p->port[i].ops->name, host, ntohs(at.sin_port),
			p->port[i].clients, p->port[i].ops->summary);
	}
}

/* ---- Life ------------------------------------------------------------------------------------- */

/* Pages are touched when first used: what is never needed costs nothing. */
static void *reserve(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			-1, 0);

	return at == MAP_FAILED ? NULL : at;
}

int ports_create(struct ports **out, const struct ports_host *host)
{
	struct ports *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->host = *host;
	if (p->host.leaves > PORTS_LEAVES_MAX)
		p->host.leaves = PORTS_LEAVES_MAX;
	p->conns_free = p->sessions_free = p->leaves_free = p->subscribers = NONE;
	p->waiting_first = p->waiting_last = NONE;
	p->retry_at = UINT64_MAX;
	memset(p->hash, 0xff, sizeof(p->hash));
	p->conns = reserve(PORTS_CONNS_MAX * sizeof(*p->conns));
	p->sessions = reserve(PORTS_SESSIONS_MAX * sizeof(*p->sessions));
	p->leaves = reserve(p->host.leaves * sizeof(*p->leaves));
	p->dirty = reserve((2 * PORTS_CONNS_MAX + 8) * sizeof(*p->dirty));
	p->again = reserve((2 * PORTS_CONNS_MAX + 8) * sizeof(*p->again));
	if (!p->conns || !p->sessions || !p->leaves || !p->dirty || !p->again || datagrams_create(p)) {
		ports_destroy(p);
		return -ENOMEM;
	}
	*out = p;
	return 0;
}

static void release(void *at, size_t bytes)
{
	if (at)
		munmap(at, bytes);
}

void ports_destroy(struct ports *p)
{
	if (!p)
		return;
	for (unsigned i = 0; i < PORTS_MAX; i++)
		if (p->port[i].ops)
			ports_unload(p, p->port[i].ops->name, (char[64]){ 0 }, 64);
	if (p->sessions)
		sessions_destroy(p);
	datagrams_destroy(p);
	while (p->spare) {
		void *next = *(void **)p->spare;

		free(p->spare);
		p->spare = next;
	}
	release(p->conns, PORTS_CONNS_MAX * sizeof(*p->conns));
	release(p->sessions, PORTS_SESSIONS_MAX * sizeof(*p->sessions));
	release(p->leaves, p->host.leaves * sizeof(*p->leaves));
	release(p->dirty, (2 * PORTS_CONNS_MAX + 8) * sizeof(*p->dirty));
	release(p->again, (2 * PORTS_CONNS_MAX + 8) * sizeof(*p->again));
	free(p);
}

/* ---- Counters --------------------------------------------------------------------------------- */

static void counter(FILE *f, const char *name, const char *help, uint64_t value)
{
	fprintf(f, "# HELP perhop_ports_%s %s\n# TYPE perhop_ports_%s counter\nperhop_ports_%s %" PRIu64 "\n",
		name, help, name, name, value);
}

void ports_page(const struct ports *p, FILE *f)
{
	const struct ports_stats *s = &p->stats;

	counter(f, "connections_total", "Clients of adapters so far.", s->accepted);
	counter(f, "crowded_out_total", "Of these, refused as one too many.", s->crowded_out);
	counter(f, "events_total", "Events that clients have published.", s->events);
	counter(f, "acknowledged_total", "Of these, at QoS 1, acknowledged with success.", s->acknowledged);
	counter(f, "retried_total", "Times an event was given to a chain again.", s->retried);
	counter(f, "given_up_total", "Events handed back to their client, without a PUBACK.", s->given_up);
	counter(f, "delivered_total", "Messages queued for subscribers.", s->delivered);
	counter(f, "dropped_total", "Messages that a subscriber did not take in time.", s->dropped);
	counter(f, "timed_out_total", "Clients that took too long.", s->timed_out);
	counter(f, "taken_over_total", "Clients whose identifier another one took.", s->taken_over);
	counter(f, "datagrams_total", "Datagrams received.", s->datagrams);
	counter(f, "repeated_datagrams_total", "Of these, repetitions, answered from memory.",
		s->repeated_datagrams);
	fprintf(f, "# HELP perhop_ports_refused_total Clients, packets and events refused, by MQTT 5 reason.\n"
		"# TYPE perhop_ports_refused_total counter\n");
	for (unsigned i = 0; i < 256; i++)
		if (s->refused[i])
			fprintf(f, "perhop_ports_refused_total{reason=\"0x%02x\"} %" PRIu64 "\n", i,
				s->refused[i]);
	fprintf(f, "# HELP perhop_ports_leaves_in_use Events and messages kept.\n"
		"# TYPE perhop_ports_leaves_in_use gauge\nperhop_ports_leaves_in_use %u\n", p->leaves_held);
	fprintf(f, "# HELP perhop_ports_clients Clients connected by adapters.\n"
		"# TYPE perhop_ports_clients gauge\nperhop_ports_clients %u\n", p->open);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The mechanisms of `perhop floor`. Each carries a descriptor of 16 bytes that lie in shared memory, and whoever has it writes
 * to them where it says, as a function does; or nothing but its own news.
 */
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli/floor.h"

enum {
	SLOTS = 64,
	ALONE = 1 << FLOOR_ALONE,
	SAME = 1 << FLOOR_SAME_CORE,
	CROSS = 1 << FLOOR_CROSS_CORE | 1 << FLOOR_CROSS_AWAKE,
	CROSS_SPIN = 1 << FLOOR_CROSS_CORE,
};

static int nothing_to_open(struct floor_link *l)
{
	(void)l;
	return 0;
}

static void nothing_to_close(struct floor_link *l)
{
	(void)l;
}

/* ---- One process ------------------------------------------------------------------------------ */

static void syscall_send(struct floor_link *l, int side)
{
	(void)l, (void)side;
	syscall(SYS_getppid);
}

/* ---- A cache line ----------------------------------------------------------------------------- */

static void word_send(struct floor_link *l, int side)
{
	atomic_store_explicit(&l->word, side ? 0 : 1, memory_order_release);
}

static void word_recv(struct floor_link *l, int side)
{
	while (atomic_load_explicit(&l->word, memory_order_acquire) != (uint32_t)side)
		__builtin_ia32_pause();
}

static void word_recv_yield(struct floor_link *l, int side)
{
	while (atomic_load_explicit(&l->word, memory_order_acquire) != (uint32_t)side)
		sched_yield();
}

/* ---- A ring, and bells ------------------------------------------------------------------------ */

static int ring_open(struct floor_link *l)
{
	for (int side = 0; side < 2; side++) {
		l->ring[side] = mmap(NULL, ring_bytes(SLOTS), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (l->ring[side] == MAP_FAILED)
			return -errno;
		ring_sender_open(&l->end[!side].out, l->ring[side], SLOTS);
		ring_receiver_open(&l->end[side].in, l->ring[side], SLOTS);
	}
	return 0;
}

static void ring_close(struct floor_link *l)
{
	for (int side = 0; side < 2; side++)
		if (l->ring[side] && l->ring[side] != MAP_FAILED)
			munmap(l->ring[side], ring_bytes(SLOTS));
}

/* Work on the payload where the descriptor that came says it is, and hand it back. */
static const struct descriptor *touch(struct floor_link *l, int side)
{
	struct descriptor *d = &l->end[side].last;
	uint64_t *payload = (uint64_t *)((char *)l->payload + d->offset % sizeof(l->payload));

	*payload += 1;
	d->length = sizeof(l->payload);
	return d;
}

static void ring_send(struct floor_link *l, int side)
{
	ring_push(&l->end[side].out, touch(l, side), 1);
}

static bool ring_take(struct floor_link *l, int side)
{
	return ring_pop(&l->end[side].in, &l->end[side].last, 1, 0);
}

static void ring_recv(struct floor_link *l, int side)
{
	while (!ring_take(l, side))
		__builtin_ia32_pause();
}

static void ring_recv_yield(struct floor_link *l, int side)
{
	while (!ring_take(l, side))
		sched_yield();
}

/*
 * A ring with indices, as rte_ring and virtio have them: the sender's on a line of its own, so that a hop moves two lines, the
 * index and the slot. chain/ring.h moves one.
 */
struct index_ring {
	alignas(64) _Atomic uint32_t pushed;
	alignas(64) _Atomic uint32_t taken;
	alignas(64) struct descriptor slot[SLOTS];
};

static int index_open(struct floor_link *l)
{
	for (int side = 0; side < 2; side++) {
		l->index_ring[side] = mmap(NULL, sizeof(struct index_ring), PROT_READ | PROT_WRITE,
					   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (l->index_ring[side] == MAP_FAILED)
			return -errno;
	}
	return 0;
}

static void index_close(struct floor_link *l)
{
	for (int side = 0; side < 2; side++)
		if (l->index_ring[side] && l->index_ring[side] != MAP_FAILED)
			munmap(l->index_ring[side], sizeof(struct index_ring));
}

static void index_send(struct floor_link *l, int side)
{
	struct index_ring *r = l->index_ring[!side];
	const uint32_t at = atomic_load_explicit(&r->pushed, memory_order_relaxed);
	struct floor_end *e = &l->end[side];

	while (at - e->taken >= SLOTS)
		e->taken = atomic_load_explicit(&r->taken, memory_order_acquire);
	r->slot[at % SLOTS] = *touch(l, side);
	atomic_store_explicit(&r->pushed, at + 1, memory_order_release);
}

static void index_recv(struct floor_link *l, int side)
{
	struct index_ring *r = l->index_ring[side];
	const uint32_t at = atomic_load_explicit(&r->taken, memory_order_relaxed);

	while (atomic_load_explicit(&r->pushed, memory_order_acquire) == at)
		__builtin_ia32_pause();
	l->end[side].last = r->slot[at % SLOTS];
	atomic_store_explicit(&r->taken, at + 1, memory_order_release);
}

static void futex_send(struct floor_link *l, int side)
{
	ring_send(l, side);
	atomic_fetch_add(&l->bell[!side], 1);
	syscall(SYS_futex, &l->bell[!side], FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void futex_recv(struct floor_link *l, int side)
{
	for (;;) {
		uint32_t seen = atomic_load(&l->bell[side]);

		if (ring_take(l, side))
			return;
		syscall(SYS_futex, &l->bell[side], FUTEX_WAIT, seen, NULL, NULL, 0);
	}
}

static int eventfd_open(struct floor_link *l)
{
	int err = ring_open(l);

	l->fd[0] = eventfd(0, EFD_CLOEXEC);
	l->fd[1] = eventfd(0, EFD_CLOEXEC);
	return err ? err : l->fd[0] < 0 || l->fd[1] < 0 ? -errno : 0;
}

static void fds_close(struct floor_link *l)
{
	for (int side = 0; side < 2; side++)
		if (l->fd[side] >= 0)
			close(l->fd[side]);
	ring_close(l);
}

static void eventfd_send(struct floor_link *l, int side)
{
	ring_send(l, side);
	(void)!write(l->fd[!side], &(uint64_t){ 1 }, sizeof(uint64_t));
}

static void eventfd_recv(struct floor_link *l, int side)
{
	uint64_t n;

	while (!ring_take(l, side))
		(void)!read(l->fd[side], &n, sizeof(n));
}

/* ---- Unix sockets ----------------------------------------------------------------------------- */

static int seqpacket_open(struct floor_link *l)
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, l->fd) ? -errno : 0;
}

static int dgram_open(struct floor_link *l)
{
	return socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, l->fd) ? -errno : 0;
}

static int stream_open(struct floor_link *l)
{
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, l->fd) ? -errno : 0;
}

static void socket_send(struct floor_link *l, int side)
{
	(void)!send(l->fd[side], touch(l, side), sizeof(struct descriptor), MSG_NOSIGNAL);
}

static void socket_recv(struct floor_link *l, int side)
{
	(void)!recv(l->fd[side], &l->end[side].last, sizeof(struct descriptor), 0);
}

#define RING_WAYS(recv_fn) ring_open, NULL, ring_send, recv_fn, ring_close
#define SOCKET_WAYS(open_fn) open_fn, NULL, socket_send, socket_recv, fds_close
#define DATAPLANE floor_dataplane_open, floor_dataplane_join, floor_dataplane_send, \
		  floor_dataplane_recv, floor_dataplane_close

const struct floor_mechanism floor_mechanisms[] = {
	{ "syscall", "getppid: into the kernel and back", ALONE, NULL, NULL,
	  nothing_to_open, NULL, syscall_send, NULL, nothing_to_close },
	{ "cache-line", "a word written here, seen there", CROSS_SPIN, NULL, NULL,
	  nothing_to_open, NULL, word_send, word_recv, nothing_to_close },
	{ "switch", "sched_yield to the other process", SAME, NULL, NULL,
	  nothing_to_open, NULL, word_send, word_recv_yield, nothing_to_close },
	{ "ring-spin", "shared ring, receiver spins", CROSS_SPIN, NULL, NULL, RING_WAYS(ring_recv) },
	{ "index-ring", "shared ring with indices, receiver spins", CROSS_SPIN, NULL, NULL,
	  index_open, NULL, index_send, index_recv, index_close },
	{ "ring-yield", "shared ring, receiver yields", SAME, NULL, NULL,
	  RING_WAYS(ring_recv_yield) },
	{ "futex-bell", "shared ring, futex per descriptor", SAME | CROSS, NULL, NULL,
	  ring_open, NULL, futex_send, futex_recv, ring_close },
	{ "eventfd-bell", "shared ring, eventfd per descriptor", SAME | CROSS, NULL, NULL,
	  eventfd_open, NULL, eventfd_send, eventfd_recv, fds_close },
	{ "unix-seqpacket", "descriptor in a Unix packet", SAME | CROSS, NULL, NULL,
	  SOCKET_WAYS(seqpacket_open) },
	{ "unix-dgram", "descriptor in a Unix datagram", SAME | CROSS, NULL, NULL,
	  SOCKET_WAYS(dgram_open) },
	{ "unix-stream", "descriptor in a Unix stream", SAME | CROSS, NULL, NULL,
	  SOCKET_WAYS(stream_open) },
	/* The same through the dataplanes' own hooks, descriptor checked and ownership passed on. */
	{ "futex", "dataplane", SAME | CROSS, "futex-bell", "futex,wait=block", DATAPLANE },
	{ "futex-spin", "dataplane", CROSS_SPIN, "ring-spin", "futex,wait=spin", DATAPLANE },
	{ "futex-yield", "dataplane", SAME, "ring-yield", "futex,wait=yield", DATAPLANE },
	{ "futex-adaptive", "dataplane", SAME | CROSS_SPIN, "ring-spin", "futex,wait=adaptive",
	  DATAPLANE },
	{ "dpdk-spin", "dataplane", CROSS_SPIN, "ring-spin", "dpdk,wait=spin", DATAPLANE },
	{ "dpdk-yield", "dataplane", SAME, "ring-yield", "dpdk,wait=yield", DATAPLANE },
	{ "uds", "dataplane", SAME | CROSS, "unix-seqpacket", "uds,wait=block", DATAPLANE },
	{ "skmsg", "dataplane", SAME | CROSS, "unix-seqpacket", "skmsg,wait=block", DATAPLANE },
	{ 0 },
};

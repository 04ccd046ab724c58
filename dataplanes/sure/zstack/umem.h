/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AF_XDP on the chain's own pool: its buffers are the UMEM.
 *
 *     a buffer of the pool, its first page a frame that the network is to fill
 *     0          164        266    280  300  320         384
 *     | message … | landing  | Eth | IP | TCP | header    | payload ->        arena, 60 KiB more
 *     |<-- XDP headroom 256 + 10 ->|<----- frame of at most 1514 bytes ----->|
 *
 * So a message that fills a frame lies where a function expects it when it has come in. What is sent goes from
 * frames of ours, pages of a few buffers of the pool: lwIP, as Debian builds it, keeps segments in memory of its own.
 */
#ifndef PERHOP_ZSTACK_UMEM_H
#define PERHOP_ZSTACK_UMEM_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <xdp/xsk.h>

#include "chain/peer_wire.h"
#include "chain/pool.h"

struct steer_bpf;
struct bpf_link;

enum {
	UMEM_FRAME = 4096,          /* a page: what every driver can take */
	UMEM_HEADROOM = 10,         /* beyond XDP's own 256 */
	UMEM_HEADERS = 54,          /* Ethernet, IPv4, TCP without options */
	UMEM_DATA = 256 + UMEM_HEADROOM,    /* offset of a received frame in its page */
	UMEM_POSTED = 192,          /* frames that wait for the network: more than two TCP windows */
	UMEM_RING = 512,
	UMEM_TX_BUFFERS = 8,        /* of the pool, 16 frames each, to send from */
};
_Static_assert(UMEM_DATA + UMEM_HEADERS + PEER_HEADER_BYTES == sizeof(struct message),
	       "a received payload lands in the arena");

struct umem {
	struct pool *pool;
	unsigned char *base;
	struct xsk_umem *umem;
	struct xsk_socket *socket;
	struct steer_bpf *bpf;
	struct bpf_link *link;
	struct xsk_ring_prod fill, tx;
	struct xsk_ring_cons complete, rx;
	int fd;                     /* of the socket; -1 before it is open */
	bool zero_copy;             /* the driver fills and reads frames itself */
	unsigned char mac[6];
	unsigned mtu;
	uint32_t posted;            /* buffers with the network */
	bool *with_network;         /* per buffer */
	uint64_t *free_tx;          /* frames to send from: offsets */
	uint32_t n_free_tx;
	bool *sends;                /* per buffer: its pages are such frames */
	uint32_t kicks;             /* frames since the kernel was last told */
};

/*
 * Open a socket on queue 0 of `iface` in this network namespace for `address`. 0, or -errno with a sentence in
 * `why`; umem_close in either case.
 */
int umem_open(struct umem *u, struct pool *pool, const char *iface, uint32_t address, char *why,
	      size_t why_bytes);
void umem_close(struct umem *u);

void umem_post(struct umem *u);             /* give the network frames until UMEM_POSTED are with it */
struct message *umem_buffer(const struct umem *u, uint64_t address);        /* that a frame lies in */

/* A frame of UMEM_FRAME bytes to send from; NULL: none is free now. */
unsigned char *umem_frame(struct umem *u);
/* Send `n` bytes at `at`, which lie in one page of the pool. False: the ring is full. */
bool umem_send(struct umem *u, const unsigned char *at, uint32_t n);
void umem_kick(struct umem *u);             /* let go what was sent; take back what has gone */

#endif

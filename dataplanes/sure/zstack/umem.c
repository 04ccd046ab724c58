/* SPDX-License-Identifier: BSD-2-Clause */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplanes/sure/zstack/steer.skel.h"
#include "dataplanes/sure/zstack/umem.h"

static int sentence(char *why, size_t bytes, int err, const char *what)
{
	snprintf(why, bytes, "%s: %s", what, strerror(-err));
	return err;
}

static int look_at(struct umem *u, const char *iface)
{
	struct ifreq r = { 0 };
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err = 0;

	strncpy(r.ifr_name, iface, IFNAMSIZ - 1);
	if (sock < 0)
		return -errno;
	if (ioctl(sock, SIOCGIFHWADDR, &r))
		err = -errno;
	memcpy(u->mac, r.ifr_hwaddr.sa_data, sizeof(u->mac));
	if (!err && ioctl(sock, SIOCGIFMTU, &r))
		err = -errno;
	u->mtu = (unsigned)r.ifr_mtu;
	close(sock);
	return err;
}

/* Frames to send come from whole buffers. */
static int take_tx_frames(struct umem *u)
{
	const uint32_t bytes = pool_buffer_bytes(u->pool), each = bytes / UMEM_FRAME;

	u->free_tx = calloc(UMEM_TX_BUFFERS * each, sizeof(*u->free_tx));
	if (!u->free_tx)
		return -ENOMEM;
	for (unsigned i = 0; i < UMEM_TX_BUFFERS; i++) {
		struct message *m = pool_post(u->pool, GATEWAY);

		if (!m)
			return -ENOBUFS;
		u->sends[pool_index(u->pool, m)] = true;
		for (uint32_t k = 0; k < each; k++)
			u->free_tx[u->n_free_tx++] =
				(uint64_t)((unsigned char *)m - u->base) + k * UMEM_FRAME;
	}
	return 0;
}

/* The driver's own zero copy where it has it, else the kernel's copy between its buffers and ours. */
static int open_socket(struct umem *u, const char *iface)
{
	struct xsk_socket_config c = { .rx_size = UMEM_RING, .tx_size = UMEM_RING,
				       .libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD };
	int err = -EOPNOTSUPP;

	for (int zero_copy = 1; zero_copy >= 0 && err; zero_copy--) {
		c.bind_flags = (zero_copy ? XDP_ZEROCOPY : XDP_COPY) | XDP_USE_NEED_WAKEUP;
		err = xsk_socket__create(&u->socket, iface, 0, u->umem, &u->rx, &u->tx, &c);
		u->zero_copy = zero_copy;
	}
	return err;
}

static int load(struct umem *u, const char *iface, uint32_t address)
{
	const uint32_t queue = 0;
	int err;

	u->bpf = steer_bpf__open();
	if (!u->bpf)
		return -errno;
	u->bpf->rodata->address = address;
	err = steer_bpf__load(u->bpf);
	if (err)
		return err;
	err = bpf_map_update_elem(bpf_map__fd(u->bpf->maps.sockets), &queue, &u->fd, BPF_ANY);
	if (err)
		return -errno;
	u->link = bpf_program__attach_xdp(u->bpf->progs.steer, (int)if_nametoindex(iface));
	return u->link ? 0 : -errno;
}

int umem_open(struct umem *u, struct pool *pool, const char *iface, uint32_t address, char *why,
	      size_t why_bytes)
{
	const uint32_t buffers = pool_buffers(pool);
	const struct xsk_umem_config c = { .fill_size = UMEM_RING, .comp_size = UMEM_RING,
					   .frame_size = UMEM_FRAME, .frame_headroom = UMEM_HEADROOM };
	int err;

	*u = (struct umem){ .pool = pool, .base = pool_base(pool), .fd = -1 };
	u->sends = calloc(buffers, sizeof(*u->sends));
	u->with_network = calloc(buffers, sizeof(*u->with_network));
	if (!u->sends || !u->with_network)
		return -ENOMEM;
	err = look_at(u, iface);
	if (err)
		return sentence(why, why_bytes, err, iface);
	err = xsk_umem__create(&u->umem, u->base, (uint64_t)buffers * pool_buffer_bytes(pool), &u->fill,
			       &u->complete, &c);
	if (err)
		return sentence(why, why_bytes, err, "the pool cannot be a UMEM");
	err = open_socket(u, iface);
	if (err)
		return sentence(why, why_bytes, err, "cannot open an AF_XDP socket");
	u->fd = xsk_socket__fd(u->socket);
	err = take_tx_frames(u);
	if (err)
		return sentence(why, why_bytes, err, "too few buffers for frames");
	umem_post(u);
	err = load(u, iface, address);
	return err ? sentence(why, why_bytes, err, "cannot attach an XDP program") : 0;
}

void umem_close(struct umem *u)
{
	bpf_link__destroy(u->link);
	steer_bpf__destroy(u->bpf);
	if (u->socket)
		xsk_socket__delete(u->socket);
	if (u->umem)
		xsk_umem__delete(u->umem);
	/* The kernel has let go of all frames: what was posted is free again. */
	for (uint32_t i = 0; u->sends && u->with_network && i < pool_buffers(u->pool); i++)
		if (u->sends[i] || u->with_network[i])
			pool_unpost(u->pool, pool_message(u->pool, i), GATEWAY);
	free(u->free_tx);
	free(u->sends);
	free(u->with_network);
}

struct message *umem_buffer(const struct umem *u, uint64_t address)
{
	return pool_message(u->pool, (uint32_t)(address / pool_buffer_bytes(u->pool)));
}

void umem_post(struct umem *u)
{
	const uint32_t most = pool_buffers(u->pool) / 4, want = most < UMEM_POSTED ? most : UMEM_POSTED;
	uint32_t at;

	while (u->posted < want) {
		struct message *m = pool_post(u->pool, GATEWAY);

		/* The ring has more slots than frames are ever posted. */
		if (!m || !xsk_ring_prod__reserve(&u->fill, 1, &at))
			break;
		u->with_network[pool_index(u->pool, m)] = true;
		*xsk_ring_prod__fill_addr(&u->fill, at) = (uint64_t)((unsigned char *)m - u->base);
		xsk_ring_prod__submit(&u->fill, 1);
		u->posted++;
	}
	if (xsk_ring_prod__needs_wakeup(&u->fill))
		recvfrom(u->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

static void take_back(struct umem *u)
{
	uint32_t at, n = xsk_ring_cons__peek(&u->complete, UMEM_RING, &at);

	for (uint32_t i = 0; i < n; i++)
		u->free_tx[u->n_free_tx++] = *xsk_ring_cons__comp_addr(&u->complete, at + i);
	if (n)
		xsk_ring_cons__release(&u->complete, n);
}

unsigned char *umem_frame(struct umem *u)
{
	if (!u->n_free_tx)
		umem_kick(u);
	return u->n_free_tx ? u->base + u->free_tx[--u->n_free_tx] : NULL;
}

bool umem_send(struct umem *u, const unsigned char *at, uint32_t n)
{
	struct xdp_desc *d;
	uint32_t slot;

	if (!xsk_ring_prod__reserve(&u->tx, 1, &slot)) {
		umem_kick(u);
		if (!xsk_ring_prod__reserve(&u->tx, 1, &slot))
			return false;
	}
	d = xsk_ring_prod__tx_desc(&u->tx, slot);
	*d = (struct xdp_desc){ .addr = (uint64_t)(at - u->base), .len = n };
	xsk_ring_prod__submit(&u->tx, 1);
	u->kicks++;
	return true;
}

void umem_kick(struct umem *u)
{
	enum { PER_CALL = 32 };                 /* frames that the kernel sends in one call (TX_BATCH_SIZE) */

	for (uint32_t tries = u->kicks / PER_CALL + 1; u->kicks && tries; tries--)
		if (sendto(u->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) >= 0 || errno != EAGAIN)
			break;
	u->kicks = 0;
	take_back(u);
}

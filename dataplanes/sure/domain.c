/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The address space of an instance behind a gate. What it inherited lies where the parent happened to
 * map it; here it is moved into one piece, so that one mprotect, or one key, covers all of it:
 *
 *   base                                                           buffers                     end
 *    | root | reserve … | stack | board | bells | rings | sidecar | pool tags | buffer 0 | 1 | … |
 *      private                    shared                                        shared
 *
 * User code gets a stack of its own elsewhere. File descriptors are closed but for the standard three
 * and the gateway's bell: the pool could be read through its memfd.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "dataplanes/sure/sure.h"

enum {
	PAGE = 4096,
	ROOT_BYTES = 64,
	RESERVE_BYTES = 256 << 10,  /* runtime, ports, copies of the plane's and deployment's structs … */
	RESERVE_PER_BUFFER = 32,    /* … and their arrays of one word per buffer */
	STACK_BYTES = 256 << 10,    /* of the runtime */
	USER_STACK_BYTES = 1 << 20,
	BELL_FD = STDERR_FILENO + 1,
};

static size_t pages(size_t bytes)
{
	return (bytes + PAGE - 1) & ~(size_t)(PAGE - 1);
}

/* Move a shared mapping to *at, and *at behind it. */
static int move(void **mapping, size_t bytes, unsigned char **at)
{
	if (mremap(*mapping, pages(bytes), pages(bytes), MREMAP_MAYMOVE | MREMAP_FIXED, *at) ==
	    MAP_FAILED)
		return -errno;
	*mapping = *at;
	*at += pages(bytes);
	return 0;
}

static void *take(struct sure_plane *p, size_t bytes)
{
	unsigned char *at = p->next;

	bytes = (bytes + 63) & ~(size_t)63;
	if (bytes > (size_t)(p->limit - at))
		return NULL;
	p->next += bytes;
	return at;
}

void *sure_reserve(struct deployment *d, size_t bytes)
{
	struct sure_plane *p = d->priv;

	return p->base ? take(p, bytes) : calloc(1, bytes);
}

static int make_user_stack(struct sure_plane *p)
{
	unsigned char *at = mmap(NULL, PAGE + USER_STACK_BYTES, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED || mprotect(at, PAGE, PROT_NONE))
		return -errno;
	p->user_stack = at + PAGE + USER_STACK_BYTES;
	return 0;
}

/* Leave only the page of `id` of all violations. */
static int keep_violation(struct sure_plane *p, instance_id id)
{
	char *mine = (char *)sure_violation(p, id), *from = (char *)p->violations;
	size_t before = (size_t)(mine - from), after = p->violations_bytes - before - PAGE;

	if ((before && munmap(from, before)) || (after && munmap(mine + PAGE, after)))
		return -errno;
	return 0;
}

/* Bring everything into one piece. *out is d's copy in it. */
static int gather(struct deployment *d, instance_id id, struct deployment **out)
{
	struct sure_plane *p = d->priv, *copy;
	size_t reserve = pages(RESERVE_BYTES + (size_t)d->config.pool_buffers * RESERVE_PER_BUFFER);
	size_t private_bytes = reserve + STACK_BYTES;
	size_t bytes = private_bytes + pages(sizeof(*d->board)) + pages(sizeof(*p->mesh.hall.shared)) +
		       pages(p->mesh.map_bytes) + p->stats_bytes + pool_bytes(d->pool);
	unsigned char *at;
	int err;

	err = make_user_stack(p);
	if (!err)
		err = keep_violation(p, id);
	if (err)
		return err;
	p->base = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p->base == MAP_FAILED || mprotect(p->base, private_bytes, PROT_READ | PROT_WRITE))
		return -errno;
	p->next = p->base + ROOT_BYTES;
	p->limit = p->base + reserve;
	at = p->base + private_bytes;
	err = move((void **)&d->board, sizeof(*d->board), &at);
	if (!err)
		err = move((void **)&p->mesh.hall.shared, sizeof(*p->mesh.hall.shared), &at);
	if (!err)
		err = move((void **)&p->mesh.map, p->mesh.map_bytes, &at);
	if (!err)
		err = move((void **)&p->stats, p->stats_bytes, &at);
	if (!err)
		err = pool_move(&d->pool, at, take(p, pool_handle_bytes()));
	if (err)
		return err;
	*out = take(p, sizeof(*d));
	copy = take(p, sizeof(*p));
	*copy = *p;
	/* The tokens' key stays in trusted memory only. */
	OPENSSL_cleanse(p->sidecar.key, sizeof(p->sidecar.key));
	d->priv = copy;
	**out = *d;
	return 0;
}

/* All but the standard three and the gateway's bell, which becomes number 3. */
static int close_descriptors(struct sure_plane *p)
{
	if (p->mesh.hall.gateway_fd != BELL_FD && dup2(p->mesh.hall.gateway_fd, BELL_FD) < 0)
		return -errno;
	p->mesh.hall.gateway_fd = BELL_FD;
	return syscall(SYS_close_range, BELL_FD + 1, ~0u, 0) ? -errno : 0;
}

struct life {
	struct deployment *d;
	instance_id id;
	int (*body)(struct deployment *d, instance_id id);
};

static int live(void *arg)
{
	const struct life *l = arg;

	return l->body(l->d, l->id);
}

int sure_live(struct deployment *d, instance_id id,
	      int (*body)(struct deployment *d, instance_id id))
{
	struct sure_plane *p = d->priv;
	struct life l = { .id = id, .body = body };
	int err;

	if (p->gate < GATE_MPROTECT)
		return body(d, id);
	err = close_descriptors(p);
	if (err)
		return deploy_error(d, err, "cannot close descriptors: %s", strerror(-err));
	err = gather(d, id, &l.d);
	if (err)
		return deploy_error(d, err, "cannot gather the trusted memory: %s", strerror(-err));
	p = l.d->priv;
	tzset();                /* reads its file now: later none can be opened */
	err = gate_on_stack(live, &l, p->limit + STACK_BYTES);
	memcpy(d->why, l.d->why, sizeof(d->why));
	return err;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 *   memfd:  | header | tag 0 | tag 1 | … | pad | buffer 0 | buffer 1 | …
 *
 * A tag is one 64-bit word, so that owner, state and generation change together:
 *
 *      63        32 31      16 15       0
 *     | generation |   owner  |   state  |
 *
 * Who hands a buffer over leaves its name beside the word first: with the word, it is known whose a hand-over is that
 * nobody has taken, and a receiver need not know it.
 *
 * Free buffers form a Treiber stack (last freed, first reused: its lines are still in the cache). Its
 * head carries a counter next to the index against ABA.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "chain/pool.h"

enum tag_state { TAG_FREE = 0, TAG_HELD = 1, TAG_MOVING = 2, TAG_POSTED = 3 };

#define INDEX_NONE UINT32_MAX

struct tag {
	_Atomic uint64_t word;
	_Atomic uint32_t next;      /* in the free stack */
	_Atomic uint32_t sender;    /* while MOVING: who handed it over; written by the holder before that */
};

struct pool_header {
	alignas(64) _Atomic uint64_t free;          /* counter << 32 | index */
	alignas(64) _Atomic uint32_t in_use;
	_Atomic uint64_t refused;
};

struct pool {
	struct pool_header *header;
	struct tag *tags;
	unsigned char *buffers;
	uint32_t count, bytes, shift;
	int fd;
	unsigned page_kib;
	bool zero;
	void *map;
	size_t map_bytes;
};

static uint64_t tag_word(uint32_t generation, instance_id owner, enum tag_state state)
{
	return (uint64_t)generation << 32 | (uint64_t)owner << 16 | state;
}

static uint32_t tag_generation(uint64_t word)
{
	return (uint32_t)(word >> 32);
}

static instance_id tag_owner(uint64_t word)
{
	return (instance_id)(word >> 16);
}

static enum tag_state tag_state(uint64_t word)
{
	return (enum tag_state)(word & 0xffff);
}

/* Map `bytes`, from a sealed memfd or privately. Hugepages are tried first when asked for. */
static int pool_map(struct pool *p, size_t bytes, unsigned flags)
{
	const size_t huge = 2u << 20;
	int err;

	p->page_kib = 4;
	p->fd = -1;
	if (!(flags & POOL_SHARED)) {
		p->map_bytes = bytes;
		p->map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		return p->map == MAP_FAILED ? -errno : 0;
	}
	for (int try_huge = !!(flags & POOL_HUGEPAGES); try_huge >= 0; try_huge--) {
		p->map_bytes = try_huge ? (bytes + huge - 1) & ~(huge - 1) : bytes;
		p->fd = memfd_create("perhop-pool", MFD_CLOEXEC | MFD_ALLOW_SEALING |
				     (try_huge ? MFD_HUGETLB : 0));
		err = -errno;
		if (p->fd < 0)
			continue;
		/* Hugepages are reserved by mmap: where there are too few it fails here, not later. */
		if (!ftruncate(p->fd, (off_t)p->map_bytes)) {
			p->map = mmap(NULL, p->map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, p->fd, 0);
			if (p->map != MAP_FAILED) {
				p->page_kib = try_huge ? 2048 : 4;
				if (fcntl(p->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
					return -errno;
				return 0;
			}
		}
		err = -errno;
		close(p->fd);
		p->fd = -1;
	}
	p->map = MAP_FAILED;
	return err;
}

static size_t head_bytes(uint32_t buffers)
{
	size_t head = sizeof(struct pool_header) + (size_t)buffers * sizeof(struct tag);

	return (head + 4095) & ~(size_t)4095;
}

/* Set what follows from where the pool is mapped and how large it is. */
static void set_up(struct pool *p, void *at, uint32_t buffers, uint32_t buffer_bytes)
{
	p->map = at;
	p->header = at;
	p->tags = (struct tag *)((char *)at + sizeof(struct pool_header));
	p->buffers = (unsigned char *)at + head_bytes(buffers);
	p->count = buffers;
	p->bytes = buffer_bytes;
	p->shift = (uint32_t)__builtin_ctz(buffer_bytes);
}

int pool_create(struct pool **out, uint32_t buffers, uint32_t buffer_bytes, unsigned flags)
{
	struct pool *p;
	int err;

	if (!buffers || buffers > 1u << 20 || buffer_bytes < 4096 || buffer_bytes > 16u << 20 ||
	    (buffer_bytes & (buffer_bytes - 1)))
		return -EINVAL;
	/* Descriptors carry 32-bit offsets. */
	if ((uint64_t)buffers * buffer_bytes > UINT32_MAX)
		return -EINVAL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->zero = flags & POOL_ZERO;
	err = pool_map(p, head_bytes(buffers) + (size_t)buffers * buffer_bytes, flags);
	if (err) {
		pool_destroy(p);
		return err;
	}
	set_up(p, p->map, buffers, buffer_bytes);
	for (uint32_t i = 0; i < buffers; i++)
		p->tags[i].next = i + 1 < buffers ? i + 1 : INDEX_NONE;
	*out = p;
	return 0;
}

void pool_destroy(struct pool *p)
{
	if (!p)
		return;
	if (p->map && p->map != MAP_FAILED)
		munmap(p->map, p->map_bytes);
	if (p->fd >= 0)
		close(p->fd);
	free(p);
}

static struct message *pool_at(const struct pool *p, uint32_t index)
{
	return (struct message *)(p->buffers + ((size_t)index << p->shift));
}

uint32_t pool_index(const struct pool *p, const struct message *m)
{
	return (uint32_t)(((const unsigned char *)m - p->buffers) >> p->shift);
}

struct message *pool_message(const struct pool *p, uint32_t index)
{
	return pool_at(p, index);
}

static void push_free(struct pool *p, uint32_t index)
{
	uint64_t old = atomic_load_explicit(&p->header->free, memory_order_relaxed), new;

	do {
		atomic_store_explicit(&p->tags[index].next, (uint32_t)old, memory_order_relaxed);
		new = ((old >> 32) + 1) << 32 | index;
	} while (!atomic_compare_exchange_weak_explicit(&p->header->free, &old, new,
							memory_order_release, memory_order_relaxed));
}

static uint32_t pop_free(struct pool *p)
{
	uint64_t old = atomic_load_explicit(&p->header->free, memory_order_acquire), new;
	uint32_t index;

	do {
		index = (uint32_t)old;
		if (index >= p->count)          /* empty, or somebody scribbled on it */
			return INDEX_NONE;
		new = ((old >> 32) + 1) << 32 |
		      atomic_load_explicit(&p->tags[index].next, memory_order_relaxed);
	} while (!atomic_compare_exchange_weak_explicit(&p->header->free, &old, new,
							memory_order_acquire, memory_order_acquire));
	return index;
}

/* A free buffer, tagged as `owner`'s in `state`; NULL when there is none. */
static struct message *take_free(struct pool *p, instance_id owner, enum tag_state state)
{
	uint32_t index = pop_free(p);
	uint64_t word;

	if (index == INDEX_NONE)
		return NULL;
	word = atomic_load_explicit(&p->tags[index].word, memory_order_relaxed);
	atomic_store_explicit(&p->tags[index].word,
			      tag_word(tag_generation(word) + 1, owner, state),
			      memory_order_release);
	return pool_at(p, index);
}

struct message *pool_alloc(struct pool *p, instance_id owner)
{
	struct message *m = take_free(p, owner, TAG_HELD);

	if (!m)
		return NULL;
	atomic_fetch_add_explicit(&p->header->in_use, 1, memory_order_relaxed);
	if (p->zero)
		memset(m, 0, p->bytes);
	message_init(m, p->bytes);
	return m;
}

struct message *pool_post(struct pool *p, instance_id owner)
{
	struct message *m = take_free(p, owner, TAG_POSTED);

	if (m && p->zero)
		memset(m, 0, p->bytes);
	return m;
}

void pool_land(struct pool *p, struct message *m, instance_id owner)
{
	uint32_t index = pool_index(p, m);
	uint64_t word = atomic_load_explicit(&p->tags[index].word, memory_order_relaxed);

	atomic_store_explicit(&p->tags[index].word,
			      tag_word(tag_generation(word) + 1, owner, TAG_HELD),
			      memory_order_release);
	atomic_fetch_add_explicit(&p->header->in_use, 1, memory_order_relaxed);
	message_init(m, p->bytes);
}

void pool_unpost(struct pool *p, struct message *m, instance_id owner)
{
	pool_land(p, m, owner);
	pool_free(p, m, owner);
}

static int refuse(struct pool *p, int err)
{
	atomic_fetch_add_explicit(&p->header->refused, 1, memory_order_relaxed);
	return err;
}

/*
 * Change the tag of `index` if `owner` holds it: `to` holds it then, or gets it once it takes it. An exchange, though its holder
 * alone changes it: the gateway may just be taking it for a dead one's (pool_reclaim), whose successor has the same name.
 */
static inline int retag(struct pool *p, uint32_t index, instance_id owner, instance_id to,
		 enum tag_state state, uint32_t *generation)
{
	uint64_t word = atomic_load_explicit(&p->tags[index].word, memory_order_relaxed);

	if (tag_owner(word) != owner || tag_state(word) != TAG_HELD)
		return -EPERM;
	*generation = tag_generation(word) + 1;
	if (state == TAG_MOVING)
		atomic_store_explicit(&p->tags[index].sender, owner, memory_order_relaxed);
	if (!atomic_compare_exchange_strong_explicit(&p->tags[index].word, &word,
						     tag_word(*generation, to, state),
						     memory_order_acq_rel, memory_order_relaxed))
		return -EPERM;
	return 0;
}

int pool_free(struct pool *p, struct message *m, instance_id owner)
{
	uint32_t index = pool_index(p, m), generation;

	if (index >= p->count || retag(p, index, owner, GATEWAY, TAG_FREE, &generation))
		return refuse(p, -EPERM);
	atomic_fetch_sub_explicit(&p->header->in_use, 1, memory_order_relaxed);
	push_free(p, index);
	return 0;
}

int pool_describe(struct pool *p, struct message *m, instance_id from, instance_id to,
		  struct descriptor *d)
{
	uint32_t index = pool_index(p, m);
	uint32_t room = p->bytes - (uint32_t)sizeof(*m), length = m->length;

	/* Everything is read before the hand-over: afterwards the buffer is the receiver's. */
	length = (uint32_t)sizeof(*m) + (length < room ? length : room);
	if (index >= p->count || retag(p, index, from, to, TAG_MOVING, &d->generation))
		return refuse(p, -EPERM);
	d->target = to;
	d->offset = index << p->shift;
	d->length = length;
	return 0;
}

int pool_undescribe(struct pool *p, const struct descriptor *d, instance_id from)
{
	uint64_t word = tag_word(d->generation, (instance_id)d->target, TAG_MOVING);
	uint32_t index = d->offset >> p->shift;

	if (index >= p->count || atomic_load_explicit(&p->tags[index].sender, memory_order_relaxed) != from ||
	    !atomic_compare_exchange_strong(&p->tags[index].word, &word,
					    tag_word(d->generation, from, TAG_HELD)))
		return refuse(p, -EPERM);
	return 0;
}

static inline int take(struct pool *p, const struct descriptor *d, instance_id self, struct message **out)
{
	uint32_t index = d->offset >> p->shift;
	uint64_t word;

	if (index >= p->count || d->offset & (p->bytes - 1) || d->target != self ||
	    d->length < sizeof(**out) || d->length > p->bytes)
		return refuse(p, -EBADMSG);
	*out = pool_at(p, index);
	/* Header and payload cross from the sender's core while the tag does: the exchange waits for its line alone. */
	__builtin_prefetch(*out);
	__builtin_prefetch(*out + 1);
	word = tag_word(d->generation, self, TAG_MOVING);
	if (!atomic_compare_exchange_strong_explicit(&p->tags[index].word, &word,
						     tag_word(d->generation, self, TAG_HELD),
						     memory_order_acq_rel, memory_order_relaxed))
		return refuse(p, -EBADMSG);
	return 0;
}

int pool_take(struct pool *p, const struct descriptor *d, instance_id self, struct message **out)
{
	return take(p, d, self, out);
}

static inline bool sound(const struct pool *p, const struct descriptor *d, const struct message *m)
{
	return d->length == sizeof(*m) + m->length && !message_check(m, p->bytes);
}

void pool_sound(struct pool *p, const struct descriptor *d, struct message *m)
{
	if (sound(p, d, m))
		return;
	/* It is ours but cannot be believed: repair the header, so that it can still be answered. */
	refuse(p, 0);
	m->capacity = p->bytes - (uint32_t)sizeof(*m);
	m->length = m->locals = 0;
	m->depth = 0;
	m->function = FUNCTION_NONE;
	m->status = STATUS_INTERNAL;
}

int pool_accept(struct pool *p, const struct descriptor *d, instance_id self, struct message **out)
{
	int err = take(p, d, self, out);

	if (!err && !sound(p, d, *out))
		pool_sound(p, d, *out);
	return err;
}

uint32_t pool_reclaim(struct pool *p, instance_id dead, bool sent, instance_id heir,
		      void (*each)(void *arg, struct message *m, instance_id to), void *arg)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->count; i++) {
		uint64_t word = atomic_load_explicit(&p->tags[i].word, memory_order_acquire);
		const enum tag_state state = tag_state(word);
		const instance_id owner = tag_owner(word);

		if (state == TAG_FREE ||
		    (owner != dead && !(sent && state == TAG_MOVING &&
					atomic_load_explicit(&p->tags[i].sender, memory_order_relaxed) == dead)))
			continue;
		if (!atomic_compare_exchange_strong(&p->tags[i].word, &word,
						    tag_word(tag_generation(word) + 1, heir,
							     TAG_HELD)))
			continue;
		n++;
		/* It becomes a message of the heir's, with nothing in it. */
		if (state == TAG_POSTED) {
			atomic_fetch_add_explicit(&p->header->in_use, 1, memory_order_relaxed);
			message_init(pool_at(p, i), p->bytes);
		}
		if (each)
			each(arg, pool_at(p, i), owner == dead ? INSTANCE_NONE : owner);
	}
	return n;
}

uint32_t pool_buffers(const struct pool *p)
{
	return p->count;
}

uint32_t pool_buffer_bytes(const struct pool *p)
{
	return p->bytes;
}

uint32_t pool_in_use(const struct pool *p)
{
	return atomic_load_explicit(&p->header->in_use, memory_order_relaxed);
}

uint64_t pool_refused(const struct pool *p)
{
	return atomic_load_explicit(&p->header->refused, memory_order_relaxed);
}

int pool_fd(const struct pool *p)
{
	return p->fd;
}

void *pool_base(const struct pool *p)
{
	return p->buffers;
}

size_t pool_head_bytes(const struct pool *p)
{
	return (size_t)(p->buffers - (unsigned char *)p->map);
}

size_t pool_bytes(const struct pool *p)
{
	return p->map_bytes;
}

size_t pool_handle_bytes(void)
{
	return sizeof(struct pool);
}

int pool_move(struct pool **p, void *at, void *handle)
{
	struct pool *old = *p, *new = handle;

	if (mremap(old->map, old->map_bytes, old->map_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, at) ==
	    MAP_FAILED)
		return -errno;
	*new = *old;
	set_up(new, at, old->count, old->bytes);
	free(old);
	*p = new;
	return 0;
}

int pool_adopt(struct pool **out, void *handle, void *at, size_t bytes, uint32_t buffers,
	       uint32_t buffer_bytes)
{
	struct pool *p = handle;

	if (!buffers || bytes < head_bytes(buffers) + (size_t)buffers * buffer_bytes)
		return -EINVAL;
	memset(p, 0, sizeof(*p));
	set_up(p, at, buffers, buffer_bytes);
	p->map_bytes = bytes;
	p->page_kib = 4;
	p->fd = -1;
	*out = p;
	return 0;
}

unsigned pool_page_kib(const struct pool *p)
{
	return p->page_kib;
}

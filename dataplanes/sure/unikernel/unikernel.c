/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sure:unikernel on the host. The gateway is a process as ever; an instance is QEMU with our
 * library OS (guest/) and the same functions, sidecar, rings and pool.
 *
 *     gateway ══ rings, pool: one memfd ══ guest 1 ══ … ══ guest n
 *        └──── eventfds: a doorbell each ─────┴────────────┘
 *
 * What dataplanes/sure and chain/ have made by now lies here and there; setup gathers it in one
 * memfd, the window, and puts that where it was: nobody notices, and a guest has to be given one
 * thing only.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "chain/clock.h"
#include "dataplanes/sure/unikernel/host.h"
#include "dataplanes/sure/unikernel/rom.h"

enum part { BOARD, BELLS, RINGS, STATS, VIOLATIONS, POOL, PARTS };

enum {
	CALIBRATE_NS = 10 * 1000 * 1000, /* the TSC's rate to 10 ppm */
	RING_NS = 150 * 1000 * 1000, /* without progress: ring its doorbell, and see */
	HANG_NS = 700 * 1000 *
		  1000, /* still none: it hangs. With the watch's own period, below 1 s */
	BATCH = 64, /* invocations that a turn of the loop may hold: chain/runtime.c */
	MICROVM_WINDOW_MAX = 256 << 20, /* a BAR is a power of two, and 512 MiB are for all */
};

int unikernel_probe(const struct spec *spec, char *why, size_t why_bytes)
{
	const char *path = getenv("PATH"), *end;
	char file[512];

	(void)spec;
	if (!unikernel_image_bytes) {
		snprintf(why, why_bytes, "this build has no unikernel image");
		return -ENOTSUP;
	}
	for (path = path ? path : "/usr/bin"; *path; path = *end ? end + 1 : end) {
		end = strchrnul(path, ':');
		snprintf(file, sizeof(file), "%.*s/qemu-system-x86_64", (int)(end - path), path);
		if (!access(file, X_OK))
			return 0;
	}
	snprintf(why, why_bytes, "qemu-system-x86_64 is not installed (package qemu-system-x86)");
	return -ENOTSUP;
}

/* ---- The window ------------------------------------------------------------------------------ */

/* What becomes a part of it: where it is now, and how much of it there is something in. */
struct piece {
	void *at;
	size_t bytes, used;
};

static size_t pages(size_t bytes)
{
	return (bytes + UNIKERNEL_PAGE - 1) & ~(size_t)(UNIKERNEL_PAGE - 1);
}

/* Put the window's part at `offset` where p is, with what is in there. */
static int replace(const struct unikernel *u, const struct piece *p, uint64_t offset)
{
	if (pwrite(u->window_fd, p->at, p->used, (off_t)offset) != (ssize_t)p->used)
		return errno ? -errno : -EIO;
	if (mmap(p->at, p->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, u->window_fd,
		 (off_t)offset) == MAP_FAILED)
		return -errno;
	return 0;
}

static int make_window(struct unikernel *u, struct deployment *d)
{
	struct sure_plane *p = d->priv;
	const struct piece pieces[PARTS] = {
		[BOARD] = {d->board, sizeof(*d->board), sizeof(*d->board)},
		[BELLS] = {p->mesh.hall.shared, sizeof(*p->mesh.hall.shared),
			   sizeof(*p->mesh.hall.shared)},
		[RINGS] = {p->mesh.map, p->mesh.map_bytes, 0},
		[STATS] = {p->stats, p->stats_bytes, 0},
		[VIOLATIONS] = {p->violations, p->violations_bytes, 0},
		[POOL] = {(char *)pool_base(d->pool) - pool_head_bytes(d->pool),
			  pool_bytes(d->pool), pool_head_bytes(d->pool)},
	};
	uint64_t end = (uint64_t)d->board->instances * UNIKERNEL_PAGE;
	int err = 0;

	for (unsigned i = 0; i < PARTS; i++) {
		u->offset[i] = end;
		end += pages(pieces[i].bytes);
	}
	for (u->bytes = 1 << 20; u->bytes < end;)
		u->bytes *= 2;
	if (u->bytes > MICROVM_WINDOW_MAX)
		return deploy_error(
			d, -EINVAL,
			"%llu MiB of shared memory are more than a guest's device takes "
			"(%d MiB): fewer or smaller buffers, or slots=",
			(unsigned long long)end >> 20, MICROVM_WINDOW_MAX >> 20);
	u->window_fd = memfd_create("perhop-window", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (u->window_fd < 0 || ftruncate(u->window_fd, (off_t)u->bytes) ||
	    fcntl(u->window_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return deploy_error(d, -errno, "cannot make the window: %s", strerror(errno));
	for (unsigned i = 0; i < PARTS && !err; i++)
		err = replace(u, &pieces[i], u->offset[i]);
	if (err)
		return deploy_error(d, err, "cannot map the window: %s", strerror(-err));
	u->window =
		mmap(NULL, u->offset[BOARD], PROT_READ | PROT_WRITE, MAP_SHARED, u->window_fd, 0);
	if (u->window == MAP_FAILED) {
		u->window = NULL;
		return deploy_error(d, -errno, "cannot map the window: %s", strerror(errno));
	}
	return 0;
}

/* ---- Setting up ------------------------------------------------------------------------------ */

/* Is the workload one of those in the image (guest/workloads.c)? UNIKERNEL_WORKLOADS: " a b c ". */
static bool in_image(const char *workload)
{
	char word[SPEC_NAME_MAX + 2];

	snprintf(word, sizeof(word), " %s ", workload);
	return strstr(UNIKERNEL_WORKLOADS, word);
}

static uint64_t measure_tsc_khz(void)
{
	const struct timespec nap = {0, CALIBRATE_NS};
	uint64_t tsc = __rdtsc(), ns = clock_now_ns();

	nanosleep(&nap, NULL);
	tsc = __rdtsc() - tsc;
	ns = clock_now_ns() - ns;
	return tsc * NS_PER_MS / ns;
}

/* A memfd with `bytes` of something in it, or -errno. */
static int file_of(const void *what, size_t bytes)
{
	int fd = memfd_create("perhop-unikernel", MFD_CLOEXEC), err;
	ssize_t n = fd < 0 ? -1 : write(fd, what, bytes);

	if (n == (ssize_t)bytes)
		return fd;
	err = n < 0 ? -errno : -EIO;
	if (fd >= 0)
		close(fd);
	return err;
}

static int rom_file(const void *elf, size_t bytes, uint64_t ram_bytes)
{
	unsigned char *rom;
	size_t rom_bytes;
	int fd = rom_make(elf, bytes, ram_bytes, &rom, &rom_bytes);

	if (fd)
		return fd;
	fd = file_of(rom, rom_bytes);
	free(rom);
	return fd;
}

/* The image that was given, or the program's, as the machine takes it: a ROM, or an ELF file for its firmware. */
static int make_image_file(struct unikernel *u)
{
	const void *image = unikernel_image;
	size_t bytes = unikernel_image_bytes;
	struct stat st;
	int fd, err;

	if (*u->image_path) {
		fd = open(u->image_path, O_RDONLY | O_CLOEXEC);
		err = fd < 0 || fstat(fd, &st) ? -errno : 0;
		if (!err) {
			bytes = (size_t)st.st_size;
			image = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
			err = image == MAP_FAILED ? -errno : 0;
		}
		if (fd >= 0)
			close(fd);
		if (err)
			return err;
	}
	u->image_fd = u->machine == MACHINE_MICROVM ? rom_file(image, bytes, (uint64_t)u->memory_mib << 20) :
						      file_of(image, bytes);
	if (image != unikernel_image)
		munmap((void *)(uintptr_t)image, bytes);
	return u->image_fd < 0 ? u->image_fd : 0;
}

static int make_doors(struct unikernel *u, struct deployment *d)
{
	struct sure_plane *p = d->priv;

	u->doors[GATEWAY] = p->mesh.hall.gateway_fd;
	for (unsigned i = 1; i < d->board->instances; i++) {
		u->doors[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (u->doors[i] < 0)
			return -errno;
	}
	p->mesh.hall.doors = u->doors;
	return 0;
}

int unikernel_setup(struct deployment *d)
{
	struct sure_plane *p = d->priv;
	struct unikernel *u = p->unikernel;
	int err;

	u->window_fd = u->image_fd = -1;
	memset(u->doors, -1, sizeof(u->doors));
	if (!*u->image_path && !in_image(d->app->spec.name))
		return deploy_error(d, -ENOTSUP, "the unikernel's image does not hold %s, only%s",
				    d->app->spec.name, UNIKERNEL_WORKLOADS);
	u->tsc_khz = measure_tsc_khz();
	err = make_window(u, d);
	if (err)
		return err;
	err = make_image_file(u);
	if (!err)
		err = make_doors(u, d);
	return err ? deploy_error(d, err, "cannot prepare the guests%s%s: %s",
				  *u->image_path ? " from " : "", u->image_path, strerror(-err))
		   : 0;
}

void unikernel_teardown(struct sure_plane *p)
{
	struct unikernel *u = p->unikernel;

	if (!u)
		return;
	if (u->window)
		munmap(u->window, u->offset[BOARD]);
	for (unsigned i = 1; i < INSTANCE_MAX; i++)
		if (u->doors[i] >= 0)
			close(u->doors[i]);
	if (u->window_fd >= 0)
		close(u->window_fd);
	if (u->image_fd >= 0)
		close(u->image_fd);
	free(u);
	p->unikernel = NULL;
}

/* ---- An instance's life ---------------------------------------------------------------------- */

void unikernel_write_page(const struct unikernel *u, const struct deployment *d, instance_id id)
{
	struct unikernel_page *page = unikernel_page(u, id);
	const struct sure_plane *p = d->priv;
	struct timespec real;

	clock_gettime(CLOCK_REALTIME, &real);
	*page = (struct unikernel_page){
		.magic = UNIKERNEL_MAGIC,
		.self = id,
		.bytes = u->bytes,
		.ram_bytes = (uint64_t)u->memory_mib << 20,
		.tsc_khz = u->tsc_khz,
		.start_ns = clock_now_ns(),
		.board = u->offset[BOARD],
		.bells = u->offset[BELLS],
		.rings = u->offset[RINGS],
		.stats = u->offset[STATS],
		.violations = u->offset[VIOLATIONS],
		.pool = u->offset[POOL],
		.pool_bytes = pool_bytes(d->pool),
		.config = d->config,
		.plane = *p,
	};
	page->realtime_ns = (int64_t)((uint64_t)real.tv_sec * NS_PER_SEC + (uint64_t)real.tv_nsec) -
			    (int64_t)page->start_ns;
	memcpy(page->workload, d->app->spec.text, sizeof(page->workload));
}

int unikernel_live(struct deployment *d, instance_id id)
{
	const struct sure_plane *p = d->priv;
	int err;

	unikernel_write_page(p->unikernel, d, id);
	err = qemu_exec(p->unikernel, id, d->board->instances);
	return deploy_error(d, err, "cannot start qemu-system-x86_64: %s", strerror(-err));
}

/* How long a turn of its loop may take without a sign of life. */
static uint64_t patience(const struct deployment *d, instance_id id)
{
	const struct function *fn = d->app->functions[d->board->line[id].function];

	return HANG_NS +
	       (d->config.service != SERVICE_SPIN
			? 0
			: (uint64_t)((double)fn->service_ns * d->config.service_scale) * BATCH);
}

/*
 * A guest that has work and makes no progress is rung at, since it may well be waiting for others;
 * one that works then passes its loop once more, which is progress. One without work is let sleep.
 */
int unikernel_watch(struct deployment *d, instance_id id)
{
	const struct sure_plane *p = d->priv;
	struct unikernel *u = p->unikernel;
	const struct instance_line *line = &d->board->line[id];
	struct vigil *v = &u->vigil[id];
	uint64_t now = clock_now_ns(), progress, idle;

	progress = atomic_load(&line->turns) + atomic_load(&unikernel_page(u, id)->beat) +
		   ((uint64_t)atomic_load(&line->incarnation) << 48);
	if (progress != v->progress || atomic_load(&line->state) != INSTANCE_READY ||
	    atomic_load(&line->load) <= 0) {
		*v = (struct vigil){.progress = progress, .since_ns = now};
		return 0;
	}
	idle = now - v->since_ns;
	if (idle > RING_NS && !v->rung) {
		(void)!write(u->doors[id], &(uint64_t){1}, sizeof(uint64_t));
		v->rung = true;
	}
	if (idle <= patience(d, id))
		return 0;
	fprintf(stderr, "perhop: the guest of %s has not moved for %llu ms; it is ended\n",
		deploy_instance_name(d, id), (unsigned long long)(idle / NS_PER_MS));
	*v = (struct vigil){.progress = progress, .since_ns = now};
	return -ETIMEDOUT;
}

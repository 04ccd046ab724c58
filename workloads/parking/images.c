/* SPDX-License-Identifier: BSD-2-Clause */
/* A directory of pictures, such as CNRPark+EXT's PATCHES, as the cameras' source. */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "workloads/parking/parking.h"

enum { IMAGES_MAX = 200000 };

struct images {
	char **path;
	size_t count, room;
};

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static bool is_snapshot(const FTSENT *e)
{
	size_t n = e->fts_namelen;

	return e->fts_info == FTS_F && e->fts_statp->st_size > 0 &&
	       e->fts_statp->st_size <= SNAPSHOT_BYTES_MAX && n > 4 &&
	       (!strcasecmp(e->fts_name + n - 4, ".jpg") ||
		(n > 5 && !strcasecmp(e->fts_name + n - 5, ".jpeg")));
}

static int add(struct images *s, const char *path)
{
	if (s->count == s->room) {
		size_t room = s->room ? 2 * s->room : 256;
		char **more = realloc(s->path, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		s->path = more;
		s->room = room;
	}
	s->path[s->count] = strdup(path);
	if (!s->path[s->count])
		return -ENOMEM;
	s->count++;
	return 0;
}

int images_open(struct images **out, const char *directory, char *why, size_t why_bytes)
{
	char *roots[] = { (char *)(uintptr_t)directory, NULL };
	struct images *s = calloc(1, sizeof(*s));
	FTS *tree = s ? fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name) : NULL;
	int err = tree ? 0 : -ENOMEM;
	FTSENT *e;

	while (!err && s->count < IMAGES_MAX && (e = fts_read(tree)))
		if (is_snapshot(e))
			err = add(s, e->fts_path);
	if (tree)
		fts_close(tree);
	if (!err && !s->count)
		err = -ENOENT;
	if (err) {
		snprintf(why, why_bytes, "no pictures (*.jpg, up to %u bytes) in %s: %s",
			 SNAPSHOT_BYTES_MAX, directory, strerror(-err));
		images_close(s);
		s = NULL;
	}
	*out = s;
	return err;
}

ssize_t images_read(const struct images *images, uint64_t i, unsigned char *out, size_t room)
{
	int fd = open(images->path[i % images->count], O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, out, room);
	if (n < 0)
		n = -errno;
	close(fd);
	return n;
}

void images_close(struct images *images)
{
	if (!images)
		return;
	for (size_t i = 0; i < images->count; i++)
		free(images->path[i]);
	free(images->path);
	free(images);
}

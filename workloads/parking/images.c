/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A directory of pictures as the cameras' source. Two layouts of CNRPark+EXT (cnrpark.it) say which parking
 * spots are free; a free one has no car to charge, and is left out:
 *
 *   CNRPark   A/busy/20150703_1425_32.jpg, A/free/…          camera, class, time, spot
 *   CNR-EXT   PATCHES/SUNNY/2015-11-12/camera1/S_2015-11-12_07.09_C01_184.jpg and
 *             LABELS/all.txt: "SUNNY/2015-11-12/camera1/S_….jpg 1", 1: occupied, 0: free
 */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "workloads/parking/parking.h"

enum { IMAGES_MAX = 200000, LINE_MAX_BYTES = 512 };

static const char labels[] = "LABELS/all.txt", patches[] = "PATCHES/";

struct images {
	char **path;
	size_t count, room;
};

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static bool is_jpeg(const char *name)
{
	const size_t n = strlen(name);

	return n > 4 && (!strcasecmp(name + n - 4, ".jpg") ||
			 (n > 5 && !strcasecmp(name + n - 5, ".jpeg")));
}

static bool is_snapshot(const FTSENT *e)
{
	return e->fts_info == FTS_F && e->fts_statp->st_size > 0 &&
	       e->fts_statp->st_size <= SNAPSHOT_BYTES_MAX && is_jpeg(e->fts_name) &&
	       strcmp(e->fts_parent->fts_name, "free");
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

/* All pictures below `directory`, in the order of their names. */
static int walk(struct images *s, const char *directory)
{
	char *roots[] = { (char *)(uintptr_t)directory, NULL };
	FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
	int err = tree ? 0 : -ENOMEM;
	FTSENT *e;

	while (!err && s->count < IMAGES_MAX && (e = fts_read(tree)))
		if (is_snapshot(e))
			err = add(s, e->fts_path);
	if (tree)
		fts_close(tree);
	return err;
}

/*
 * "PATH 0|1\n": the path, below PATCHES, or with PATCHES before it. Returns the class; 2 for an empty line; or
 * -EBADMSG: it is not like that, or would lead out of the directory.
 */
static int parse_label(char *line, const char **path)
{
	size_t n = strcspn(line, "\r\n");

	line[n] = '\0';
	if (!n)
		return 2;
	if (n < 3 || line[n - 2] != ' ' || (line[n - 1] != '0' && line[n - 1] != '1'))
		return -EBADMSG;
	line[n - 2] = '\0';
	*path = strncmp(line, patches, sizeof(patches) - 1) ? line : line + sizeof(patches) - 1;
	return **path == '/' || strstr(*path, "..") || !is_jpeg(*path) ? -EBADMSG : line[n - 1] - '0';
}

/* The occupied spots that the open list `in` names. */
static int read_list(struct images *s, FILE *in, const char *directory, unsigned long *line)
{
	char text[LINE_MAX_BYTES], file[4096];
	const char *path;
	struct stat st;
	int r = 0;

	while (r >= 0 && s->count < IMAGES_MAX && fgets(text, sizeof(text), in)) {
		++*line;
		r = strchr(text, '\n') || feof(in) ? parse_label(text, &path) : -EBADMSG;
		if (r != 1)
			continue;
		if (snprintf(file, sizeof(file), "%s/%s%s", directory, patches, path) >= (int)sizeof(file))
			return -ENAMETOOLONG;
		/* Of a part of the dataset, what is there. */
		if (!stat(file, &st) && S_ISREG(st.st_mode) && st.st_size > 0 &&
		    st.st_size <= SNAPSHOT_BYTES_MAX)
			r = add(s, file);
	}
	return r < 0 ? r : 0;
}

int images_open(struct images **out, const char *directory, char *why, size_t why_bytes)
{
	struct images *s = calloc(1, sizeof(*s));
	unsigned long line = 0;
	FILE *list = NULL;
	char path[4096];
	int err = s ? 0 : -ENOMEM;

	if (snprintf(path, sizeof(path), "%s/%s", directory, labels) < (int)sizeof(path))
		list = fopen(path, "re");
	if (!err)
		err = list ? read_list(s, list, directory, &line) : walk(s, directory);
	if (list)
		fclose(list);
	if (!err && !s->count)
		err = -ENOENT;
	if (err == -EBADMSG)
		snprintf(why, why_bytes, "%s, line %lu: not PATH.jpg 0|1, the path below %s", path, line, patches);
	else if (err)
		snprintf(why, why_bytes, "no pictures of cars (*.jpg, up to %u bytes) in %s: %s",
			 SNAPSHOT_BYTES_MAX, directory, strerror(-err));
	if (err) {
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

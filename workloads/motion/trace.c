/* SPDX-License-Identifier: BSD-2-Clause */
/* Traces of motion: read from a file, or drawn from a seed. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chain/clock.h"
#include "workloads/motion/motion.h"

enum {
	TRACE_MAX = 50 << 20,       /* activations; the dataset has about 30 million */
	SYNTHETIC_SENSORS = 200,    /* about as many as the dataset's building has */
	SILENCE_MIN_MS = 8000, SILENCE_MAX_MS = 600000,
	WALK_MAX = 12,              /* sensors that one walk passes */
};

static int add(struct trace *t, uint64_t at_ms, uint32_t sensor, bool on)
{
	if (t->count == t->room) {
		size_t room = t->room ? 2 * t->room : 1024;
		struct trace_event *more;

		if (room > 2 * (size_t)TRACE_MAX)
			return -EFBIG;
		more = realloc(t->events, room * sizeof(*more));
		if (!more)
			return -ENOMEM;
		t->events = more;
		t->room = room;
	}
	t->events[t->count++] = (struct trace_event){ at_ms, sensor, on };
	return 0;
}

static int by_time(const void *a, const void *b)
{
	const struct trace_event *l = a, *r = b;

	if (l->at_ms != r->at_ms)
		return l->at_ms < r->at_ms ? -1 : 1;
	if (l->sensor != r->sensor)
		return l->sensor < r->sensor ? -1 : 1;
	return (int)l->on - (int)r->on;
}

static int add_activation(struct trace *t, uint32_t sensor, uint64_t from_ms, uint64_t to_ms)
{
	int err = add(t, from_ms, sensor, true);

	return err ? err : add(t, to_ms, sensor, false);
}

/* Order, and count from the first event. */
static void settle(struct trace *t)
{
	uint64_t first;

	qsort(t->events, t->count, sizeof(*t->events), by_time);
	first = t->events[0].at_ms;
	for (size_t i = 0; i < t->count; i++)
		t->events[i].at_ms -= first;
}

/* "SENSOR START STOP …": 1 for an activation, 0 for an empty line, or -EBADMSG. */
static int parse_line(const char *line, uint64_t number[3])
{
	char *end;

	line += strspn(line, " \t\r\n");
	if (!*line)
		return 0;
	for (unsigned i = 0; i < 3; i++) {
		line += strspn(line, " \t");
		if (*line < '0' || *line > '9')
			return -EBADMSG;
		errno = 0;
		number[i] = strtoull(line, &end, 10);
		if (errno || number[i] > INT64_MAX || !strchr(" \t\r\n", *end))
			return -EBADMSG;        /* strchr finds the NUL too */
		line = end;
	}
	return number[0] >= 1 && number[0] <= SENSORS_MAX && number[2] >= number[1] ? 1 : -EBADMSG;
}

int trace_load(struct trace *t, const char *path, char *why, size_t why_bytes)
{
	FILE *in = fopen(path, "re");
	uint64_t number[3];
	unsigned long line = 0;
	char text[256];
	int r = 0;

	*t = (struct trace){ 0 };
	if (!in) {
		r = -errno;
		snprintf(why, why_bytes, "%s: %s", path, strerror(-r));
		return r;
	}
	while (r >= 0 && fgets(text, sizeof(text), in)) {
		line++;
		r = strchr(text, '\n') || feof(in) ? parse_line(text, number) : -EBADMSG;
		if (r == 1)
			r = add_activation(t, (uint32_t)number[0], number[1], number[2]);
	}
	fclose(in);
	if (r < 0)
		snprintf(why, why_bytes, "%s, line %lu: %s", path, line, r == -EBADMSG ?
			 "not SENSOR START_MS STOP_MS" : strerror(-r));
	else if (!t->count) {
		r = -ENODATA;
		snprintf(why, why_bytes, "%s: no activation in it", path);
	}
	if (r < 0) {
		trace_free(t);
		return r;
	}
	settle(t);
	t->length_ms = t->events[t->count - 1].at_ms + OFF_AFTER_MS;
	return 0;
}

static double uniform(uint64_t *random)
{
	return (double)(random_next(random) >> 11) * 0x1p-53;
}

/* Somebody walks past neighbouring sensors from *at on. */
static int walk(struct trace *t, uint64_t *random, uint64_t *at)
{
	uint32_t sensor = 1 + (uint32_t)(random_next(random) % SYNTHETIC_SENSORS);
	unsigned steps = 1 + (unsigned)(random_next(random) % WALK_MAX);
	int step = random_next(random) & 1 ? 1 : -1, err = 0;

	for (unsigned i = 0; i < steps && !err; i++) {
		err = add_activation(t, sensor, *at, *at + 500 + random_next(random) % 1500);
		*at += 500 + random_next(random) % 3500;
		if ((step < 0 && sensor == 1) || (step > 0 && sensor == SYNTHETIC_SENSORS))
			step = -step;
		sensor = (uint32_t)((int)sensor + step);
	}
	return err;
}

int trace_synthesize(struct trace *t, uint64_t seed, uint64_t length_ms)
{
	uint64_t random = seed, at = 0;
	int err = 0;

	*t = (struct trace){ .length_ms = length_ms };
	while (!err && (!at || at < length_ms)) {
		double silence = SILENCE_MIN_MS * pow(1 - uniform(&random), -1 / 1.2);

		err = walk(t, &random, &at);
		at += silence > SILENCE_MAX_MS ? (uint64_t)SILENCE_MAX_MS : (uint64_t)silence;
	}
	if (err) {
		trace_free(t);
		return err;
	}
	settle(t);
	while (t->count > 1 && t->events[t->count - 1].at_ms >= length_ms)
		t->count--;
	return 0;
}

void trace_free(struct trace *t)
{
	free(t->events);
	*t = (struct trace){ 0 };
}

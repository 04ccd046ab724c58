/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The camera of one parking spot is one user: it posts a snapshot, and the next one 240 s later, so
 * that 164 users are the published load. The car is still there with probability `stay`, else a new
 * one has come: that decides which chain the request is expected to take. Plates are drawn from 176
 * million; the rare one that another spot has drawn before takes Ch-2 and is still counted as Ch-1.
 *
 * To draw a picture takes the load generator 0.13 ms, which a burst would show as latency: a car that
 * stays gives the same picture again.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "chain/clock.h"
#include "workloads/parking/parking.h"

struct camera {
	char plate[PLATE_LENGTH + 1];       /* "" before the first snapshot, and with pictures */
	uint32_t spot;              /* 0 before the first */
	uint64_t picture;           /* index into the pictures */
	bool pictures;
	uint32_t bytes;             /* of the snapshot */
	unsigned char jpeg[SNAPSHOT_BYTES_MAX];
};

/* The car on the spot: the one of last time, or another. Returns whether it is new. */
static bool arrive(struct camera *c, const struct parking_app *app, uint64_t *random)
{
	bool stays = c->spot && random_next(random) % 100 < app->stay;

	if (!c->spot)
		c->spot = 1 + (uint32_t)(random_next(random) % SPOTS);
	if (stays)
		return false;
	if (app->images)
		c->picture = random_next(random);
	else
		plate_draw(c->plate, random);
	return true;
}

static int next(void *user, uint64_t *random, struct user_request *rq)
{
	const struct parking_app *app = rq->app ? rq->app->private : NULL;
	struct camera *c = user;
	ssize_t n;
	int head;

	if (!app)
		return -EINVAL;
	c->pictures = app->images;
	rq->chain = arrive(c, app, random) ? CH1_UNKNOWN : CH2_KNOWN;
	if (rq->chain == CH1_UNKNOWN) {
		n = app->images ? images_read(app->images, c->picture, c->jpeg, sizeof(c->jpeg)) :
				  snapshot_draw(app->encoder, c->plate, random, c->jpeg,
						sizeof(c->jpeg));
		if (n < 0)
			return (int)n;
		c->bytes = (uint32_t)n;
	}
	head = snprintf(rq->out, rq->room, "POST /snapshot?spot=%u&key=%016" PRIx64 " HTTP/1.1\r\n"
			"Host: parking\r\nContent-Type: image/jpeg\r\nContent-Length: %u\r\n\r\n",
			c->spot, random_next(random), c->bytes);
	if (head < 0 || (size_t)head + c->bytes > rq->room)
		return -EMSGSIZE;
	memcpy(rq->out + head, c->jpeg, c->bytes);
	rq->length = (size_t)head + c->bytes;
	return 0;
}

/* A success is a receipt for the plate that was in the picture. */
static void response(void *user, const char *head, size_t head_length, const char *body,
		     size_t body_length, unsigned status, bool *ok)
{
	const struct camera *c = user;
	char expected[32];
	int n = snprintf(expected, sizeof(expected), "{\"plate\":\"%s", c->plate);

	(void)head;
	(void)head_length;
	*ok = status == 200 && body_length > (size_t)n && !memcmp(body, expected, (size_t)n) &&
	      (c->pictures || body[n] == '"');
}

const struct user_model parking_users = {
	.user_bytes = sizeof(struct camera),
	.next = next,
	.response = response,
	.think_lo_ms = INTERVAL_MS,
	.think_hi_ms = INTERVAL_MS,
};

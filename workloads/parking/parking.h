/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The workload `parking` (SPRIGHT §4.1): snapshots of parking spots come by HTTP, the car's plate is
 * read, looked up, stored when it is new, and the car is charged.
 *
 *     POST /snapshot?spot=17&key=K   image/jpeg
 *
 *     detection ─> search ─┬─ unknown ─> index ─> persist ─┬─> charging ─> receipt     Table 6, Ch-1
 *                          └─ known ───────────────────────┘                           Table 6, Ch-2
 */
#ifndef PERHOP_PARKING_H
#define PERHOP_PARKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <turbojpeg.h>

#include "chain/codec.h"
#include "chain/function.h"
#include "chain/workload.h"

enum { DETECTION, SEARCH, INDEX, CHARGING, PERSIST, PARKING_FUNCTIONS };

/* Chains: the two of Table 6, and the operator's look at the accounts. */
enum { CH1_UNKNOWN, CH2_KNOWN, CH_LEDGER, PARKING_CHAINS };

enum {
	TYPE_SIGHTING = TYPE_WORKLOAD,
	SPOTS = 164,                /* parking spaces, and snapshots per interval (§4.1) */
	INTERVAL_MS = 240000,       /* §4.1 */
	SNAPSHOT_SIDE = 150,        /* pixels (§4.1) */
	SNAPSHOT_BYTES_MAX = 16 << 10, /* ours are about 3 KB */
	DECODE_SIDE_MAX = 512,      /* pixels: what is larger is refused before it is decoded */
	PLATE_BYTES = 20,           /* with its NUL; ours have 7 characters */
	KEY_BYTES = 40,             /* a client's request key, with its NUL */
	PLATE_LETTERS = 3,
	PLATE_LENGTH = 7,           /* three letters, four digits */
	GLYPH_WIDTH = 5,
	GLYPH_HEIGHT = 7,
};

/* What travels from function to function. */
struct sighting {
	char plate[PLATE_BYTES];    /* [A-Z0-9]+ */
	char key[KEY_BYTES];        /* [A-Za-z0-9-]+ */
	uint32_t spot;
	uint32_t score;             /* of the recogniser, percent */
	uint64_t vehicle;           /* 0: not known yet */
	uint32_t tariff;            /* cents per snapshot; 0: not known yet */
	uint32_t fresh;             /* 1: was not known when it was seen */
};

/* Is `s`, `length` bytes from somebody else, sound? 0 or -EBADMSG. */
int sighting_check(const struct sighting *s, size_t length);
extern const struct codec parking_codec;

/* Copy `n` bytes into text[room] when they are [A-Z0-9]+ (or with `key`, [A-Za-z0-9-]+). */
int text_take(char *text, size_t room, const char *at, size_t n, bool key);

/* ---- Pictures --------------------------------------------------------------------------------- */

/* Row `y` (0…6) of character `c` ([A-Z0-9]); bit 4 is the leftmost pixel. */
unsigned glyph_row(char c, unsigned y);

/* A plate drawn from `random`, with its NUL: ABC1234. */
void plate_draw(char plate[PLATE_LENGTH + 1], uint64_t *random);

/*
 * A spot with a car that carries `plate`, seen by a camera: colours, place and noise are drawn from
 * `random`. JPEG into out[room]; returns its bytes, or -EMSGSIZE, -EIO.
 */
ssize_t snapshot_draw(tjhandle encoder, const char *plate, uint64_t *random, unsigned char *out,
		      size_t room);

/*
 * Decode `n` bytes of JPEG to grey pixels (room for DECODE_SIDE_MAX²). 0; -EBADMSG: not a sound
 * JPEG; -EFBIG: more pixels or scans than a snapshot may have, found before they are decoded.
 */
int snapshot_decode(tjhandle decoder, const unsigned char *jpeg, size_t n, unsigned char *grey,
		    unsigned *width, unsigned *height);

/*
 * Read the plate of a grey picture. Returns the score, 1…100 percent of the plate's cells that are
 * as the font has them in the worst of its characters, or -ENOENT when there is no legible plate.
 */
int plate_read(const unsigned char *grey, unsigned width, unsigned height,
	       char plate[PLATE_LENGTH + 1]);

/*
 * A name for a car whose plate cannot be read (the CNRPark+EXT patches show none): "X" and a hash of
 * the picture averaged to 8×8, the same for the same picture.
 */
void picture_name(const unsigned char *grey, unsigned width, unsigned height,
		  char plate[PLATE_BYTES]);

/* ---- The database ----------------------------------------------------------------------------- */

/*
 * Make an empty database of up to 256 MiB in a file system of its own that has no name: it is gone
 * with the last process that holds the descriptor, however it ends. The descriptor, or -errno with
 * a sentence in `why`.
 */
int store_create(char *why, size_t why_bytes);

struct store;

/* Open the database in the file system `fd`. 0 or -errno. A process opens it after its fork. */
int store_open(struct store **out, int fd);
void store_close(struct store *s);

/* All of these: 0, or -EBUSY (somebody else writes for too long), -ENOSPC, -EIO. */

/* Set vehicle and tariff of a known plate. Also -ENOENT. */
int store_search(struct store *s, struct sighting *g);
/* Give the plate its entry in the index, unless it has one: sets vehicle. */
int store_index(struct store *s, struct sighting *g);
/* Keep what is known of the vehicle, unless that is stored: sets tariff. */
int store_persist(struct store *s, struct sighting *g);

/* What was charged for a request, first time or repeated. */
struct receipt {
	uint64_t number, vehicle;
	uint32_t cents;
	uint32_t fresh;             /* took Ch-1 when it was charged */
};

/*
 * Charge the sighting, once per key: a repeated request gets the receipt of the first.
 * Also -EEXIST: the key belongs to another plate or spot.
 */
int store_charge(struct store *s, const struct sighting *g, struct receipt *r);

/* The accounts: kept with every charge, in its transaction. */
struct ledger {
	uint64_t charges, cents, vehicles;
	uint64_t digest;            /* sum of charge_digest over all charges: independent of order */
};
int store_ledger(struct store *s, struct ledger *l);
uint64_t charge_digest(const char *key, const char *plate, uint32_t spot, uint32_t cents);

/* ---- Functions and users ---------------------------------------------------------------------- */

/* The workload's own; function.config. */
struct parking_app {
	struct function function[PARKING_FUNCTIONS];
	const struct function *functions[PARKING_FUNCTIONS];
	int store_fd;               /* of the current deployment; -1 without one */
	tjhandle encoder;           /* the load generator's */
	unsigned stay;              /* percent of cars that are still there at the next snapshot */
	struct images *images;      /* NULL: draw them */
};

enum outcome detection_handle(struct invocation *inv);
int detection_start(void *state, uint64_t seed);
void detection_stop(void *state);
struct detection_state {
	tjhandle decoder;
	unsigned char *grey;
};

/* State of the four that use the database: opened by the first request, after the fork. */
struct accounts_state {
	struct store *store;
};
enum outcome search_handle(struct invocation *inv);
enum outcome index_handle(struct invocation *inv);
enum outcome persist_handle(struct invocation *inv);
enum outcome charging_handle(struct invocation *inv);
void accounts_stop(void *state);

extern const struct user_model parking_users;

/*
 * All *.jpg under `directory`, ordered by name, at most 200,000 of up to SNAPSHOT_BYTES_MAX; of CNRPark+EXT, as
 * its archives are laid out, those of occupied spots. 0, or -errno with a sentence. The pictures are read when
 * they are sent.
 */
int images_open(struct images **out, const char *directory, char *why, size_t why_bytes);
/* Picture `i` modulo their number into out[room]: its bytes, or -errno. */
ssize_t images_read(const struct images *images, uint64_t i, unsigned char *out, size_t room);
void images_close(struct images *images);

extern const struct workload workload_parking;

#endif

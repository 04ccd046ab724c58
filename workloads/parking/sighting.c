/* SPDX-License-Identifier: BSD-2-Clause */
/* What travels between the car park's functions: its checks, and its protobuf form. */
#include <errno.h>
#include <string.h>

#include "workloads/arena.h"
#include "workloads/parking/parking.h"
#include "workloads/parking/parking.pb-c.h"

enum { TREE_BYTES = 1024 };

int text_take(char *text, size_t room, const char *at, size_t n, bool key)
{
	if (!n || n >= room)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		char c = at[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      (key && ((c >= 'a' && c <= 'z') || c == '-'))))
			return -EINVAL;
	}
	memmove(text, at, n);
	memset(text + n, 0, room - n);
	return 0;
}

int sighting_check(const struct sighting *s, size_t length)
{
	char text[KEY_BYTES];

	if (length != sizeof(*s) ||
	    text_take(text, PLATE_BYTES, s->plate, strnlen(s->plate, PLATE_BYTES), false) ||
	    text_take(text, KEY_BYTES, s->key, strnlen(s->key, KEY_BYTES), true))
		return -EBADMSG;
	return s->spot >= 1 && s->spot <= SPOTS && s->score <= 100 && s->fresh <= 1 &&
	       s->vehicle <= INT64_MAX ? 0 : -EBADMSG;
}

static ssize_t encode(uint16_t type, const void *in, size_t length, void *out, size_t room)
{
	const struct sighting *s = in;
	Perhop__Sighting message = PERHOP__SIGHTING__INIT;

	if (type != TYPE_SIGHTING || sighting_check(s, length))
		return -EINVAL;
	message.plate = (char *)(uintptr_t)s->plate;
	message.key = (char *)(uintptr_t)s->key;
	message.spot = s->spot;
	message.score = s->score;
	message.vehicle = s->vehicle;
	message.tariff = s->tariff;
	message.fresh = (protobuf_c_boolean)s->fresh;
	if (perhop__sighting__get_packed_size(&message) > room)
		return -EMSGSIZE;
	return (ssize_t)perhop__sighting__pack(&message, out);
}

static ssize_t decode(uint16_t type, const void *in, size_t length, void *out, size_t room)
{
	_Alignas(16) unsigned char tree[TREE_BYTES];
	struct arena arena = { .bytes = tree, .size = sizeof(tree) };
	ProtobufCAllocator allocator = arena_allocator(&arena);
	Perhop__Sighting *message;
	struct sighting s = { .spot = 0 };

	if (type != TYPE_SIGHTING)
		return -EINVAL;
	if (room < sizeof(s))
		return -EMSGSIZE;
	message = perhop__sighting__unpack(&allocator, length, in);
	if (!message || text_take(s.plate, PLATE_BYTES, message->plate, strlen(message->plate), false) ||
	    text_take(s.key, KEY_BYTES, message->key, strlen(message->key), true))
		return -EBADMSG;
	s.spot = message->spot;
	s.score = message->score;
	s.vehicle = message->vehicle;
	s.tariff = message->tariff;
	s.fresh = message->fresh ? 1 : 0;
	if (sighting_check(&s, sizeof(s)))
		return -EBADMSG;
	memcpy(out, &s, sizeof(s));
	return sizeof(s);
}

const struct codec parking_codec = { .encode = encode, .decode = decode };

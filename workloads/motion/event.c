/* SPDX-License-Identifier: BSD-2-Clause */
/* CloudEvents 1.0 over HTTP, binary and structured; and the event between the functions. */
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <strings.h>

#include "workloads/arena.h"
#include "workloads/motion/motion.h"
#include "workloads/motion/motion.pb-c.h"

enum { TREE_BYTES = 512 };

/* The attributes that we need, wherever they came from. */
struct attributes {
	struct slice specversion, id, source, type;
};

static bool is(struct slice s, const char *text)
{
	return s.length == strlen(text) && !memcmp(s.at, text, s.length);
}

/* Printable ASCII that needs no escape in JSON. */
static bool take_id(char id[EVENT_ID_BYTES], const char *at, size_t n)
{
	if (!n || n >= EVENT_ID_BYTES)
		return false;
	for (size_t i = 0; i < n; i++)
		if (at[i] < ' ' || at[i] > '~' || at[i] == '"' || at[i] == '\\')
			return false;
	memmove(id, at, n);
	memset(id + n, 0, EVENT_ID_BYTES - n);
	return true;
}

/* "/sensor/17" */
static bool take_source(uint32_t *sensor, struct slice s)
{
	static const char prefix[] = "/sensor/";
	const size_t n = sizeof(prefix) - 1;

	*sensor = 0;
	if (s.length <= n || s.length > n + 4 || memcmp(s.at, prefix, n))
		return false;
	for (size_t i = n; i < s.length; i++) {
		if (s.at[i] < '0' || s.at[i] > '9')
			return false;
		*sensor = *sensor * 10 + (uint32_t)(s.at[i] - '0');
	}
	return *sensor >= 1 && *sensor <= SENSORS_MAX;
}

static int take_attributes(struct motion *m, const struct attributes *a, const char **why)
{
	if (!is(a->specversion, "1.0"))
		*why = "sensor: not a CloudEvent of version 1.0\n";
	else if (!take_id(m->id, a->id.at, a->id.length))
		*why = "sensor: the event's id is missing, too long or not plain text\n";
	else if (!is(a->type, "org.perhop.motion"))
		*why = "sensor: the event's type is not org.perhop.motion\n";
	else if (!take_source(&m->sensor, a->source))
		*why = "sensor: the event's source is not /sensor/1 to /sensor/4096\n";
	else
		return 0;
	return -EBADMSG;
}

/* {"motion":"on","at":1234} */
static int take_data(struct motion *m, const json_t *data, const char **why)
{
	const char *motion = json_string_value(json_object_get(data, "motion"));
	const json_t *at = json_object_get(data, "at");

	*why = "sensor: the event's data is not {\"motion\":\"on\"|\"off\",\"at\":MS}\n";
	if (!motion || (strcmp(motion, "on") && strcmp(motion, "off")) || !json_is_integer(at) ||
	    json_integer_value(at) < 0)
		return -EBADMSG;
	m->on = !strcmp(motion, "on");
	m->at_ms = (uint64_t)json_integer_value(at);
	return 0;
}

static struct slice text_of(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return (struct slice){ json_string_value(value), json_string_length(value) };
}

static int structured(struct motion *m, const json_t *event, const char **why)
{
	const struct attributes a = {
		.specversion = text_of(event, "specversion"), .id = text_of(event, "id"),
		.source = text_of(event, "source"), .type = text_of(event, "type"),
	};
	int err = take_attributes(m, &a, why);

	return err ? err : take_data(m, json_object_get(event, "data"), why);
}

static int binary(struct motion *m, struct slice lines, const json_t *data, const char **why)
{
	struct slice name, value;
	struct attributes a = { .id = { NULL, 0 } };
	const struct {
		const char *name;
		struct slice *to;
	} known[] = { { "ce-specversion", &a.specversion }, { "ce-id", &a.id },
		      { "ce-source", &a.source }, { "ce-type", &a.type } };
	int err;

	while (http_field_next(&lines, &name, &value))
		for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
			if (strlen(known[i].name) != name.length ||
			    strncasecmp(known[i].name, name.at, name.length))
				continue;
			if (known[i].to->at) {
				*why = "sensor: an attribute of the event was given twice\n";
				return -EBADMSG;
			}
			*known[i].to = value;
		}
	err = take_attributes(m, &a, why);
	return err ? err : take_data(m, data, why);
}

/* Is `type` this media type, with or without parameters? */
static bool media_is(struct slice type, const char *name)
{
	const size_t n = strlen(name);

	return type.length >= n && !strncasecmp(type.at, name, n) &&
	       (type.length == n || type.at[n] == ';' || type.at[n] == ' ');
}

static struct slice slice_of(const struct http_request *rq, struct http_part part)
{
	return (struct slice){ (const char *)rq + part.offset, part.length };
}

int event_parse(struct motion *m, const struct http_request *rq, const char **why)
{
	const struct slice type = slice_of(rq, rq->content_type), body = slice_of(rq, rq->body);
	const bool whole = media_is(type, "application/cloudevents+json");
	json_t *json;
	int err;

	*m = (struct motion){ .zone = 0 };
	if (!whole && !media_is(type, "application/json")) {
		*why = "sensor: POST application/cloudevents+json, or Ce-… fields and "
		       "application/json\n";
		return -EBADMSG;
	}
	*why = "sensor: the body is not JSON, or larger than 4096 bytes\n";
	/* jansson bounds the depth itself (2048). */
	json = body.length > EVENT_BODY_MAX ? NULL :
	       json_loadb(body.at, body.length, JSON_REJECT_DUPLICATES, NULL);
	if (!json)
		return -EBADMSG;
	err = whole ? structured(m, json, why) : binary(m, slice_of(rq, rq->event), json, why);
	json_decref(json);
	return err;
}

/* ---- Codec ------------------------------------------------------------------------------------ */

int motion_check(const struct motion *m, size_t length)
{
	char id[EVENT_ID_BYTES];

	if (length != sizeof(*m) || !take_id(id, m->id, strnlen(m->id, EVENT_ID_BYTES)))
		return -EBADMSG;
	return m->sensor >= 1 && m->sensor <= SENSORS_MAX && m->zone <= ZONES && m->on <= 1 &&
	       m->at_ms <= INT64_MAX ? 0 : -EBADMSG;
}

static ssize_t encode(uint16_t type, const void *in, size_t length, void *out, size_t room)
{
	const struct motion *m = in;
	Perhop__Motion message = PERHOP__MOTION__INIT;

	if (type != TYPE_MOTION || motion_check(m, length))
		return -EINVAL;
	message.id = (char *)(uintptr_t)m->id;
	message.sensor = m->sensor;
	message.zone = m->zone;
	message.at_ms = m->at_ms;
	message.on = m->on;
	if (perhop__motion__get_packed_size(&message) > room)
		return -EMSGSIZE;
	return (ssize_t)perhop__motion__pack(&message, out);
}

static ssize_t decode(uint16_t type, const void *in, size_t length, void *out, size_t room)
{
	_Alignas(16) unsigned char tree[TREE_BYTES];
	struct arena arena = { .bytes = tree, .size = sizeof(tree) };
	ProtobufCAllocator allocator = arena_allocator(&arena);
	Perhop__Motion *message;
	struct motion m = { .zone = 0 };

	if (type != TYPE_MOTION)
		return -EINVAL;
	if (room < sizeof(m))
		return -EMSGSIZE;
	message = perhop__motion__unpack(&allocator, length, in);
	if (!message || !take_id(m.id, message->id, strlen(message->id)) || message->zone > ZONES)
		return -EBADMSG;
	m.sensor = message->sensor;
	m.zone = (uint16_t)message->zone;
	m.at_ms = message->at_ms;
	m.on = message->on ? 1 : 0;
	if (motion_check(&m, sizeof(m)))
		return -EBADMSG;
	memcpy(out, &m, sizeof(m));
	return sizeof(m);
}

const struct codec motion_codec = { .encode = encode, .decode = decode };

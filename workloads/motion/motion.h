/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The workload `motion` (SPRIGHT §4.1): motion detectors switch the lights of a building.
 *
 *     POST /motion, a CloudEvent 1.0 ──> sensor ──> actuator ──> state of the zone's light
 *
 * The event's type is org.perhop.motion, its source /sensor/N, its data {"motion":"on","at":MS}: time
 * is the trace's, so that the same trace gives the same answers however fast it is replayed. Both
 * content modes of CloudEvents' HTTP binding are taken: binary (Ce-… fields, data in the body) and
 * structured (application/cloudevents+json).
 *
 * By MQTT and CoAP (adapters of the gateway) the same events come on the topics sensor/N/motion; what became
 * of the light is published on light/ZONE.
 */
#ifndef PERHOP_MOTION_H
#define PERHOP_MOTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chain/codec.h"
#include "chain/function.h"
#include "chain/http.h"
#include "chain/workload.h"

enum { SENSOR, ACTUATOR, MOTION_FUNCTIONS };

enum {
	TYPE_MOTION = TYPE_WORKLOAD,
	SENSORS_MAX = 4096,         /* sensors are numbered 1…4096; MERL's building had about 200 */
	SENSORS_PER_ZONE = 4,
	ZONES = SENSORS_MAX / SENSORS_PER_ZONE,
	OFF_AFTER_MS = 60000,       /* without activity a light goes off */
	EVENT_ID_BYTES = 64,        /* with its NUL */
	EVENT_BODY_MAX = 4096,      /* bytes of a CloudEvent's body that are parsed */
};

struct motion {
	char id[EVENT_ID_BYTES];    /* printable ASCII without quotes and backslashes */
	uint64_t at_ms;
	uint32_t sensor;            /* 1…SENSORS_MAX */
	uint16_t zone;              /* 1…ZONES; 0 while unknown */
	uint16_t on;                /* 1: motion begins; 0: ends */
};

/* Is `m`, `length` bytes from somebody else, sound? 0 or -EBADMSG. */
int motion_check(const struct motion *m, size_t length);
extern const struct codec motion_codec;

/*
 * Read a CloudEvent from a request that http_request_check has passed. 0, or -EBADMSG with a
 * sentence (a literal) in *why.
 */
int event_parse(struct motion *m, const struct http_request *rq, const char **why);

/* ---- Traces ----------------------------------------------------------------------------------- */

struct trace_event {
	uint64_t at_ms;             /* from the trace's start */
	uint32_t sensor;
	uint32_t on;
};

struct trace {
	struct trace_event *events; /* in order of time */
	size_t count, room;
	uint64_t length_ms;         /* of one round: after it, a replay begins anew */
};

/*
 * Read a file in the MERL dataset's text form, a line per activation: SENSOR START STOP WEIGHT, between blanks;
 * times are ms since 1970, what follows STOP is ignored. So SPRIGHT's authors read it too, in the load generator of
 * their artifact (expt-2-motion-detection), which sends one request per START; here STOP is an event as well.
 * 0, or -errno with a sentence; a line that is not like that is an error, by number.
 */
int trace_load(struct trace *t, const char *path, char *why, size_t why_bytes);

/*
 * An hour of a building's day in the dataset's character: somebody walks past a few neighbouring
 * sensors, seconds apart; then long silence (Pareto, shape 1.2). 0 or -ENOMEM.
 */
int trace_synthesize(struct trace *t, uint64_t seed, uint64_t length_ms);
void trace_free(struct trace *t);

/* ---- Functions and users ---------------------------------------------------------------------- */

struct motion_app {
	struct trace trace;
	double scale;               /* replay so many times as fast */
	bool structured;
	struct user_model users;
};

struct light {
	uint64_t last_ms;           /* of activity */
	uint32_t ons, offs;         /* times it was switched */
	uint8_t on, seen;
};

struct actuator_state {
	struct light light[ZONES + 1];
};

enum outcome sensor_handle(struct invocation *inv);
enum outcome actuator_handle(struct invocation *inv);

struct motion_user {
	uint64_t sent;              /* events so far */
	char id[EVENT_ID_BYTES];    /* of the last one */
};
int motion_next(void *user, uint64_t *random, struct user_request *rq);
/* The same for users of MQTT: events are published, and answered by their acknowledgement. */
int motion_publish(void *user, uint64_t *random, struct user_request *rq);
void motion_acknowledged(void *user, const char *head, size_t head_length, const char *body,
			 size_t body_length, unsigned status, bool *ok);
void motion_response(void *user, const char *head, size_t head_length, const char *body,
		     size_t body_length, unsigned status, bool *ok);

extern const struct workload workload_motion;

#endif

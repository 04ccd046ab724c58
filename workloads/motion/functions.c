/* SPDX-License-Identifier: BSD-2-Clause */
/* Sensor and actuator. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "workloads/motion/motion.h"

/* Takes the event from whoever sent it, and says whose light it is about. */
enum outcome sensor_handle(struct invocation *inv)
{
	const struct http_request *rq = inv->payload;
	const char *why = "";
	struct motion m;

	if (inv->type != TYPE_HTTP_REQUEST || http_request_check(rq, inv->length))
		return invocation_fail(inv, STATUS_BAD_REQUEST, "sensor: unsound request\n");
	if (rq->method != HTTP_POST)
		return invocation_fail(inv, 405, "sensor: POST a CloudEvent\n");
	if (event_parse(&m, rq, &why))
		return invocation_fail(inv, STATUS_BAD_REQUEST, why);
	m.zone = (uint16_t)(1 + (m.sensor - 1) / SENSORS_PER_ZONE);
	memcpy(inv->payload, &m, sizeof(m));
	inv->type = TYPE_MOTION;
	inv->length = sizeof(m);
	return FORWARD;
}

/*
 * Any motion turns the light on; it goes off OFF_AFTER_MS after the last. That it went off is found
 * when the zone is next heard of: time is the events' own.
 */
static bool move(struct light *l, const struct motion *m)
{
	bool was_on;

	if (l->seen && m->at_ms < l->last_ms)
		return false;       /* late: what is known is newer */
	if (l->on && m->at_ms - l->last_ms >= OFF_AFTER_MS) {
		l->on = 0;
		l->offs++;
	}
	was_on = l->on;
	l->seen = 1;
	l->last_ms = m->at_ms;
	if (m->on && !was_on) {
		l->on = 1;
		l->ons++;
	}
	return m->on && !was_on;
}

enum outcome actuator_handle(struct invocation *inv)
{
	struct actuator_state *s = inv->state;
	const struct motion *in = inv->payload;
	struct http_writer w;
	const struct light *l;
	struct motion m;
	bool switched;
	ssize_t n;

	if (inv->type != TYPE_MOTION || motion_check(in, inv->length) || !in->zone)
		return invocation_fail(inv, STATUS_BAD_REQUEST, "actuator: unsound message\n");
	m = *in;                    /* the answer is written over it */
	switched = move(&s->light[m.zone], &m);
	l = &s->light[m.zone];
	http_begin(&w, inv->payload, inv->room, STATUS_OK, "application/json");
	http_field(&w, "Topic", "light/%u", m.zone);    /* where subscribers hear of it */
	http_format(&w, "{\"id\":\"%s\",\"zone\":%u,\"light\":\"%s\",\"switched\":%s,\"on\":%u,"
		    "\"off\":%u}\n", m.id, m.zone, l->on ? "on" : "off",
		    switched ? "true" : "false", l->ons, l->offs);
	n = http_end(&w);
	if (n < 0)
		return invocation_fail(inv, STATUS_INTERNAL, "actuator: no room for the answer");
	inv->length = (uint32_t)n;
	inv->type = TYPE_HTTP_RESPONSE;
	inv->status = STATUS_OK;
	return REPLY;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The workload `motion`: chain, options, and the replay of its trace. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chain/clock.h"
#include "workloads/motion/motion.h"

static const struct function sensor = {
	.name = "sensor", .service_ns = 1000000,        /* §4.1: 1 ms */
	.handle = sensor_handle,
};

static const struct function actuator = {
	.name = "actuator", .service_ns = 1000000,      /* §4.1: 1 ms */
	.state_bytes = sizeof(struct actuator_state), .single = 1, .handle = actuator_handle,
};

static const struct function *const functions[MOTION_FUNCTIONS] = {
	[SENSOR] = &sensor, [ACTUATOR] = &actuator,
};

static const function_id sequence[] = { SENSOR, ACTUATOR };
static const struct chain chain = { .name = "motion", .path = "/motion", .sequence = sequence, .length = 2,
				    .topics = "sensor/+/motion|motion" };

/* ---- Users ------------------------------------------------------------------------------------ */

/* When event `n` of an endless replay is due, ms of the trace. */
static uint64_t at_of(const struct trace *t, uint64_t n)
{
	return n / t->count * t->length_ms + t->events[n % t->count].at_ms;
}

/* The event as CloudEvents' JSON format has it. Bytes; negative or ≥ room: it does not fit. */
static int write_structured(char *out, size_t room, const char *id, const struct trace_event *e,
			    uint64_t at_ms)
{
	return snprintf(out, room, "{\"specversion\":\"1.0\",\"id\":\"%s\",\"source\":\"/sensor/%u\","
			"\"type\":\"org.perhop.motion\",\"datacontenttype\":\"application/json\","
			"\"data\":{\"motion\":\"%s\",\"at\":%" PRIu64 "}}", id, e->sensor,
			e->on ? "on" : "off", at_ms);
}

/* When `u`'s next event is due. Of the first, due at 0, too: a due time of 0 would mean none. */
static uint64_t due_ns(const struct motion_app *app, const struct motion_user *u)
{
	return 1 + (uint64_t)((double)(at_of(&app->trace, u->sent) * NS_PER_MS) / app->scale);
}

int motion_publish(void *user, uint64_t *random, struct user_request *rq)
{
	const struct motion_app *app = rq->app ? rq->app->private : NULL;
	struct motion_user *u = user;
	const struct trace_event *e;
	int n;

	if (!app)
		return -EINVAL;
	e = &app->trace.events[u->sent % app->trace.count];
	snprintf(u->id, sizeof(u->id), "%016" PRIx64, random_next(random));
	snprintf(rq->topic, sizeof(rq->topic), "sensor/%u/motion", e->sensor);
	rq->type = "application/cloudevents+json";
	n = write_structured(rq->out, rq->room, u->id, e, at_of(&app->trace, u->sent));
	if (n < 0 || (size_t)n >= rq->room)
		return -EMSGSIZE;
	rq->length = (size_t)n;
	u->sent++;
	rq->due_ns = due_ns(app, u);
	return 0;
}

int motion_next(void *user, uint64_t *random, struct user_request *rq)
{
	const struct motion_app *app = rq->app ? rq->app->private : NULL;
	struct motion_user *u = user;
	const struct trace_event *e;
	char data[64], event[512];
	int n, body;

	if (!app)
		return -EINVAL;
	e = &app->trace.events[u->sent % app->trace.count];
	snprintf(u->id, sizeof(u->id), "%016" PRIx64, random_next(random));
	body = snprintf(data, sizeof(data), "{\"motion\":\"%s\",\"at\":%" PRIu64 "}",
			e->on ? "on" : "off", at_of(&app->trace, u->sent));
	if (app->structured) {
		body = write_structured(event, sizeof(event), u->id, e, at_of(&app->trace, u->sent));
		n = snprintf(rq->out, rq->room, "POST /motion HTTP/1.1\r\nHost: motion\r\n"
			     "Content-Type: application/cloudevents+json\r\n"
			     "Content-Length: %d\r\n\r\n%s", body, event);
	} else {
		n = snprintf(rq->out, rq->room, "POST /motion HTTP/1.1\r\nHost: motion\r\n"
			     "Ce-Specversion: 1.0\r\nCe-Id: %s\r\nCe-Source: /sensor/%u\r\n"
			     "Ce-Type: org.perhop.motion\r\nContent-Type: application/json\r\n"
			     "Content-Length: %d\r\n\r\n%s", u->id, e->sensor, body, data);
	}
	if (n < 0 || (size_t)n >= rq->room)
		return -EMSGSIZE;
	rq->length = (size_t)n;
	u->sent++;
	rq->due_ns = due_ns(app, u);
	return 0;
}

/* A success is the answer to the event that was sent. */
void motion_response(void *user, const char *head, size_t head_length, const char *body,
		     size_t body_length, unsigned status, bool *ok)
{
	const struct motion_user *u = user;
	char expected[EVENT_ID_BYTES + 16];
	int n = snprintf(expected, sizeof(expected), "{\"id\":\"%s\",", u->id);

	(void)head;
	(void)head_length;
	*ok = status == 200 && body_length > (size_t)n && !memcmp(body, expected, (size_t)n);
}

/* Without a subscription the acknowledgement is all there is. */
void motion_acknowledged(void *user, const char *head, size_t head_length, const char *body,
			 size_t body_length, unsigned status, bool *ok)
{
	if (body_length)
		motion_response(user, head, head_length, body, body_length, status, ok);
	else
		*ok = status == 200;
}

/* ---- The workload ----------------------------------------------------------------------------- */

static const struct option_spec options[] = {
	{ "proto", "http|mqtt|mqtt5", "http", "what users speak: HTTP, MQTT 3.1.1 or MQTT 5" },
	{ "qos", "0|1", "1", "of MQTT" },
	{ "event", "binary|structured", "binary", "content mode of CloudEvents over HTTP" },
	{ "trace", "TEXT", "", "file of the MERL dataset (SENSOR START_MS STOP_MS …) to replay; else "
	  "one is drawn" },
	{ "minutes", "1..1440", "60", "length of the trace that is drawn" },
	{ "draw", "1..1000000", "1", "its seed" },
	{ "scale", "1..100000", "1", "replay so many times as fast (with --think model)" },
	{ 0 },
};

static void release(struct application *app)
{
	struct motion_app *m = app->private;

	if (m)
		trace_free(&m->trace);
	free(m);
	app->private = NULL;
}

/* Think time as the offered ceiling needs it: the mean distance of two events, replayed. */
static struct user_model users_of(const struct motion_app *m, enum user_protocol protocol, unsigned qos)
{
	double gap = (double)m->trace.length_ms / (double)m->trace.count / m->scale;
	unsigned ms = gap < 1 ? 1 : gap > 3600e3 ? 3600000 : (unsigned)gap;

	return (struct user_model){ .user_bytes = sizeof(struct motion_user),
				    .next = protocol ? motion_publish : motion_next,
				    .response = protocol ? motion_acknowledged : motion_response,
				    .think_lo_ms = ms, .think_hi_ms = ms, .requests_per_action = ms / gap,
				    .protocol = protocol, .qos = qos, .answers = "light/+" };
}

static int configure(struct application *app, char *why, size_t why_bytes)
{
	const char *path = spec_value(&app->spec, options, "trace");
	const char *proto = spec_value(&app->spec, options, "proto");
	struct motion_app *m = calloc(1, sizeof(*m));
	int err;

	app->private = m;
	if (!m) {
		snprintf(why, why_bytes, "out of memory");
		return -ENOMEM;
	}
	m->scale = (double)spec_number(&app->spec, options, "scale");
	m->structured = !strcmp(spec_value(&app->spec, options, "event"), "structured");
	if (*path) {
		err = trace_load(&m->trace, path, why, why_bytes);
	} else {
		err = trace_synthesize(&m->trace, (uint64_t)spec_number(&app->spec, options, "draw"),
				       (uint64_t)spec_number(&app->spec, options, "minutes") *
				       60000);
		if (err)
			snprintf(why, why_bytes, "out of memory");
	}
	if (err) {
		release(app);
		return err;
	}
	m->users = users_of(m, !strcmp(proto, "mqtt") ? PROTOCOL_MQTT : !strcmp(proto, "mqtt5") ?
			    PROTOCOL_MQTT5 : PROTOCOL_HTTP,
			    (unsigned)spec_number(&app->spec, options, "qos"));
	app->functions = functions;
	app->n_functions = MOTION_FUNCTIONS;
	app->chains = &chain;
	app->n_chains = 1;
	app->codec = &motion_codec;
	app->users = &m->users;
	return 0;
}

const struct workload workload_motion = {
	.name = "motion",
	.summary = "motion detectors switch lights: CloudEvents, a replayed trace (SPRIGHT §4.1)",
	.modes = "",
	.options = options,
	.configure = configure,
	.release = release,
};

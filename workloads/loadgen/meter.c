/* SPDX-License-Identifier: BSD-2-Clause */
#include "workloads/loadgen/meter.h"

#include <stdatomic.h>
#include <string.h>

#include "chain/clock.h"

enum { STEP_MIN_MS = 100 };

static const uint64_t LATE_NS = NS_PER_MS;

static void enter(struct meter *m, enum loadgen_phase phase)
{
	m->phase = phase;
	atomic_store_explicit(&m->result->phase, phase, memory_order_release);
}

static void measure(struct meter *m, uint64_t now)
{
	m->measured_from_ns = m->in_flight_at_ns = now;
	m->result->earlier_ns = m->in_flight * now - m->intended_sum_ns;
	m->cpu_from_ns = clock_cpu_ns();
	enter(m, PHASE_MEASURING);
}

void meter_open(struct meter *m, const struct loadgen_config *config,
		struct loadgen_result *result, uint64_t now)
{
	uint64_t total_ms = (config->warmup_ns + config->duration_ns) / NS_PER_MS;
	uint64_t step_ms = total_ms / LOADGEN_SERIES_MAX + 1;

	memset(m, 0, sizeof(*m));
	m->result = result;
	m->limit = config->requests;
	m->warmup_ends_ns = now + config->warmup_ns;
	m->ends_ns = config->duration_ns ? m->warmup_ends_ns + config->duration_ns : UINT64_MAX;
	m->in_flight_at_ns = now;
	if (step_ms < STEP_MIN_MS)
		step_ms = STEP_MIN_MS;
	result->series_step_ms = (uint32_t)step_ms;
	m->step_ns = step_ms * NS_PER_MS;
	m->step_ends_ns = now + m->step_ns;
	if (config->warmup_ns)
		enter(m, PHASE_WARMUP);
	else
		measure(m, now);
}

/* One point of the series is complete. Steps in which nothing came back are points too. */
static void close_step(struct meter *m)
{
	struct loadgen_result *r = m->result;

	m->step_ends_ns += m->step_ns;
	if (r->series_points < LOADGEN_SERIES_MAX) {
		uint32_t i = r->series_points++;

		r->series[i].requests = m->step_requests;
		r->series[i].errors = m->step_errors;
		r->series[i].p50_us = (uint32_t)(histogram_quantile(&m->step, 0.5) / NS_PER_US);
		r->series[i].p99_us = (uint32_t)(histogram_quantile(&m->step, 0.99) / NS_PER_US);
		r->series[i].users = m->users;
	}
	if (m->step_requests)
		histogram_init(&m->step);
	m->step_requests = m->step_errors = 0;
}

/* Extend the integral of requests in flight to `now`. */
static void integrate(struct meter *m, uint64_t now)
{
	if (now <= m->in_flight_at_ns)
		return;
	if (meter_measuring(m))
		m->result->in_flight_ns += m->in_flight * (now - m->in_flight_at_ns);
	m->in_flight_at_ns = now;
}

void meter_turn(struct meter *m, uint64_t now)
{
	while (now >= m->step_ends_ns && m->phase != PHASE_DONE)
		close_step(m);
	if (m->phase == PHASE_WARMUP && now >= m->warmup_ends_ns)
		measure(m, now);
	if (m->phase == PHASE_MEASURING && now >= m->ends_ns)
		meter_end(m, now);
}

void meter_end(struct meter *m, uint64_t now)
{
	struct loadgen_result *r = m->result;

	if (meter_measuring(m)) {
		integrate(m, now);
		r->measured_ns = now - m->measured_from_ns;
		r->cpu_ns = clock_cpu_ns() - m->cpu_from_ns;
		r->unfinished = m->in_flight;
		r->unfinished_ns = m->in_flight * now - m->intended_sum_ns;
		if (m->thinks)
			r->think_mean_ms = (double)m->think_sum_ns / (double)m->thinks / NS_PER_MS;
	}
	if (m->phase != PHASE_DONE)
		enter(m, PHASE_DONE);
}

void meter_begin(struct meter *m, uint64_t intended, uint64_t now)
{
	struct loadgen_result *r = m->result;

	integrate(m, now);
	m->in_flight++;
	m->intended_sum_ns += intended;
	if (!meter_measuring(m))
		return;
	/* It has been in the system since it was intended: the integral makes up for that. */
	r->in_flight_ns += now - (intended > m->measured_from_ns ? intended : m->measured_from_ns);
	r->late += now - intended > LATE_NS;
}

void meter_complete(struct meter *m, const struct sample *s)
{
	struct loadgen_result *r = m->result;
	uint64_t response = s->now_ns - s->intended_ns;

	integrate(m, s->now_ns);
	m->in_flight--;
	m->intended_sum_ns -= s->intended_ns;
	atomic_store_explicit(&r->completed, ++m->completed, memory_order_relaxed);
	if (s->now_ns >= m->step_ends_ns)
		meter_turn(m, s->now_ns);
	m->step_requests++;
	if (s->ok)
		histogram_add(&m->step, response);
	else
		m->step_errors++;
	if (!meter_measuring(m))
		return;
	r->requests++;
	r->residence_ns += response;
	if (s->ok) {
		histogram_add(&r->service, s->now_ns - s->sent_ns);
		histogram_add(&r->response, response);
		histogram_add(&r->chain_service[s->chain], response);
	} else {
		r->errors++;
		r->errors_by_status[s->status / 100 < 6 ? s->status / 100 : 5]++;
		r->timeouts += s->timed_out;
		r->chain_errors[s->chain]++;
	}
	if (m->limit && r->requests == m->limit)
		meter_end(m, s->now_ns);
}

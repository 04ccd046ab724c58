/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sure: shared memory for functions that are not trusted (SURE, SoCC 2024). The same rings and pool as
 * futex, and around every function a call gate (gate.h) and a sidecar that is a library
 * (sidecar/sidecar.h):
 *
 *      recv      a descriptor is judged; its buffer becomes reachable
 *      call      sidecar before │ gate: close │ the function │ gate: open │ sidecar after
 *      send      the buffer becomes unreachable; its descriptor is pushed
 *
 * A message's header lies in the buffer that the function may write. What the runtime needs of it is
 * kept aside while the function runs and put back afterwards.
 *
 * The gateway is trusted and has no gate. One deployment is one security domain: its pool has no name
 * and is mapped in its own processes only.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "chain/clock.h"
#include "chain/codec.h"
#include "dataplanes/sure/sure.h"

enum {
	IN_MAX = 64,
	GATED_BUFFERS_MAX = 16384,  /* a held buffer is a mapping: well below vm.max_map_count */
};

struct sure_port {
	struct mesh_port mesh;
	struct sidecar sidecar;
	bool gated;                 /* an instance behind mprotect, mpk or model */
	bool guarded;               /* … behind mprotect or mpk */
	uint32_t buffer_bytes;
	uint64_t *begin_ns;         /* per buffer: when its invocation began */
};

/* Cycles: Park et al., libmpk, USENIX ATC 2019, Table 1: WRPKRU 23.3, pkey_mprotect 1104.9. */
static const struct option_spec sure_options[] = {
	{ "gate", "none|mprotect|mpk|model", "none", "what keeps functions out of memory not theirs" },
	{ "wrpkru_cycles", "0..1000000", "23", "gate=model: TSC cycles to open or close trusted memory" },
	{ "pte_cycles", "0..1000000", "1105", "gate=model: TSC cycles to open or close a buffer" },
	{ "sidecar", "TEXT", "none",
	  "none, all, or in this order metrics+trace+auth+rate+timeout+retry+breaker+log" },
	{ "rate", "1..1000000000", "1000000", "sidecar: invocations per second and instance" },
	{ "timeout_ms", "1..3600000", "30000", "sidecar: age at which a request is not begun" },
	{ "retries", "0..100", "3", "sidecar: times to try a full receiver again" },
	{ "breaker_failures", "1..1000000", "5", "sidecar: failures in a row that open the breaker" },
	{ "breaker_ms", "1..3600000", "1000", "sidecar: how long it stays open" },
	{ "dump", "TEXT", "", "file that gets the last spans and access log entries at the end" },
	{ "zero", "off|on", "off", "hand out buffers without what they held before" },
	WAITING_OPTION("adaptive"),
	{ "slots", "16..65536", "1024", "descriptors that one sender can leave at one receiver" },
	{ NULL, NULL, NULL, NULL },
};

static const char *value(const struct spec *spec, const char *key)
{
	return spec_value(spec, sure_options, key);
}

static uint32_t number(const struct spec *spec, const char *key)
{
	return (uint32_t)spec_number(spec, sure_options, key);
}

static enum gate_mode gate_of(const struct spec *spec)
{
	const char *gate = value(spec, "gate");

	return !strcmp(gate, "mpk")	 ? GATE_MPK :
	       !strcmp(gate, "mprotect") ? GATE_MPROTECT :
	       !strcmp(gate, "model")	 ? GATE_MODEL :
					   GATE_NONE;
}

/* ---- Parent ----------------------------------------------------------------------------------- */

static void sure_probe(const struct spec *spec, struct probe_report *report)
{
	struct sidecar_config c;
	report->ok = false;
	if (gate_probe(gate_of(spec), report->reason, sizeof(report->reason)))
		return;
	if (sidecar_parse(&c, value(spec, "sidecar"))) {
		snprintf(report->reason, sizeof(report->reason),
			 "sidecar=%s: not none, all, or handlers joined by '+', each once",
			 value(spec, "sidecar"));
		return;
	}
	report->ok = true;
	if (gate_probe(GATE_MPK, report->reason, sizeof(report->reason)))
		snprintf(report->reason, sizeof(report->reason),
			 "not with gate=mpk: this CPU has no memory protection keys");
}

static uint32_t flags_of(const struct spec *spec)
{
	return DP_SHARED_POOL | DP_ZERO_COPY | DP_SMALL_PAGES |
	       (strcmp(value(spec, "zero"), "on") ? 0 : DP_ZEROED) |
	       waiting_flags(waiting_of(spec, sure_options));
}

static const char *sure_promises(const struct spec *spec)
{
	switch (gate_of(spec)) {
	case GATE_MPK:
		return "what gate=mprotect does, of functions that do not jump to the instructions in libc "
		       "that write PKRU (their own objects are scanned for such)";
	case GATE_MPROTECT:
		return "a function reaches the buffers it holds, from recv to send, and no other shared or "
		       "trusted memory; one that tries is ended, alone, and reported; descriptors work "
		       "once, for their receiver; other deployments' memory is not mapped";
	case GATE_MODEL:
		return "nothing about reach: the gate is a model that spends time and protects nothing; "
		       "descriptors work once, for their receiver; other deployments' memory is not mapped";
	default:
		return "nothing about reach: a function can touch all of its deployment's shared memory; "
		       "descriptors work once, for their receiver; other deployments' memory is not mapped";
	}
}

static int configure_sidecar(struct sidecar_config *c, const struct spec *spec)
{
	int err = sidecar_parse(c, value(spec, "sidecar"));

	c->rate = number(spec, "rate");
	c->timeout_ns = number(spec, "timeout_ms") * NS_PER_MS;
	c->retries = c->has & 1u << SIDECAR_RETRY ? number(spec, "retries") : 0;
	c->breaker_failures = number(spec, "breaker_failures");
	c->breaker_ns = number(spec, "breaker_ms") * NS_PER_MS;
	if (!err && getrandom(c->key, sizeof(c->key), 0) != sizeof(c->key))
		err = -EIO;
	return err;
}

static int share(void *out, size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return -errno;
	memcpy(out, &at, sizeof(at));
	return 0;
}

static int sure_setup(struct deployment *d)
{
	struct sure_plane *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	d->priv = p;
	p->gate = gate_of(&d->spec);
	p->waiting = waiting_of(&d->spec, sure_options);
	p->wrpkru_cycles = number(&d->spec, "wrpkru_cycles");
	p->pte_cycles = number(&d->spec, "pte_cycles");
	if (p->gate >= GATE_MPROTECT && d->config.pool_buffers > GATED_BUFFERS_MAX)
		return deploy_error(d, -EINVAL, "with gate=%s at most %d buffers",
				    value(&d->spec, "gate"), GATED_BUFFERS_MAX);
	err = configure_sidecar(&p->sidecar, &d->spec);
	if (err)
		return deploy_error(d, err, "sidecar=%s is not sound", value(&d->spec, "sidecar"));
	p->stats_bytes = (d->board->instances * sizeof(*p->stats) + 4095) & ~(size_t)4095;
	p->violations_bytes = (size_t)d->board->instances * SURE_VIOLATION_STRIDE;
	err = share(&p->stats, p->stats_bytes);
	if (!err)
		err = share(&p->violations, p->violations_bytes);
	if (err)
		return deploy_error(d, err, "cannot map the sidecars' counters: %s", strerror(-err));
	return mesh_open(&p->mesh, d, number(&d->spec, "slots"));
}

static void dump(const struct deployment *d, const struct sure_plane *p)
{
	const char *path = value(&d->spec, "dump");
	FILE *f = *path ? fopen(path, "we") : NULL;

	if (*path && !f)
		fprintf(stderr, "perhop: cannot write %s: %s\n", path, strerror(errno));
	if (!f)
		return;
	for (instance_id i = 1; p->stats && i < d->board->instances; i++)
		sidecar_dump(f, &p->stats[i], deploy_instance_name(d, i), i);
	if (fclose(f))
		fprintf(stderr, "perhop: cannot write %s: %s\n", path, strerror(errno));
}

static void sure_teardown(struct deployment *d)
{
	struct sure_plane *p = d->priv;

	if (!p)
		return;
	dump(d, p);
	mesh_close(&p->mesh);
	if (p->stats)
		munmap(p->stats, p->stats_bytes);
	if (p->violations)
		munmap(p->violations, p->violations_bytes);
	free(p);
	d->priv = NULL;
}

static const char *instance_name(void *arg, unsigned i)
{
	return deploy_instance_name(arg, (instance_id)(i + 1));
}

static void sure_page(const struct deployment *d, FILE *f)
{
	const struct sure_plane *p = d->priv;

	fprintf(f, "# HELP perhop_violations_total Functions ended for touching what is not theirs.\n"
		"# TYPE perhop_violations_total counter\n");
	for (instance_id i = 1; i < d->board->instances; i++)
		fprintf(f, "perhop_violations_total{function=\"%s\",instance=\"%u\"} %llu\n",
			deploy_instance_name(d, i), i,
			(unsigned long long)*(volatile uint64_t *)&sure_violation(p, i)->count);
	if (p->sidecar.n)
		sidecar_page(f, p->stats + 1, d->board->instances - 1, instance_name,
			     (struct deployment *)d);
}

/* ---- Endpoints -------------------------------------------------------------------------------- */

static void sure_detach(struct endpoint *ep)
{
	struct sure_port *p = ep->priv;

	if (!p)
		return;
	mesh_detach(&p->mesh);
	ep->priv = NULL;
	if (ep->self == GATEWAY)
		free(p);
}

static int seal(struct endpoint *ep, const struct sure_plane *plane)
{
	unsigned char *buffers = pool_base(ep->pool);
	const struct gate_config c = {
		.mode = plane->gate,
		.base = plane->base,
		.buffers = buffers,
		.end = buffers + (size_t)pool_buffers(ep->pool) * pool_buffer_bytes(ep->pool),
		.user_stack = plane->user_stack,
		.name = deploy_instance_name(ep->deployment, ep->self),
		.violation = sure_violation(plane, ep->self),
		.wrpkru_cycles = plane->wrpkru_cycles,
		.pte_cycles = plane->pte_cycles,
		.seccomp = true,
	};

	return gate_seal(&c);
}

static int sure_attach(struct endpoint *ep)
{
	struct sure_plane *plane = ep->deployment->priv;
	struct sure_port *p = ep->self == GATEWAY ? calloc(1, sizeof(*p)) :
						    sure_reserve(ep->deployment, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	ep->priv = p;
	p->buffer_bytes = pool_buffer_bytes(ep->pool);
	sidecar_open(&p->sidecar, &plane->sidecar, &plane->stats[ep->self]);
	err = mesh_attach(&p->mesh, &plane->mesh, ep, plane->waiting);
	if (err || ep->self == GATEWAY)
		return err;
	p->gated = plane->gate != GATE_NONE;
	p->guarded = plane->gate >= GATE_MPROTECT;
	p->begin_ns = sure_reserve(ep->deployment, pool_buffers(ep->pool) * sizeof(*p->begin_ns));
	if (!p->begin_ns)
		return -ENOMEM;
	err = p->gated ? seal(ep, plane) : 0;
	return err ? deploy_error(ep->deployment, err, "cannot close the gate: %s", strerror(-err)) : 0;
}

/* The gateway vouches for what enters the chain. */
static void sign(const struct sure_port *p, struct message *m)
{
	if (m->kind != MESSAGE_INVOKE || m->depth || m->position)
		return;
	m->born_ns = clock_now_ns();
	if (p->sidecar.config.has & 1u << SIDECAR_AUTH)
		sidecar_tag(&p->sidecar, m->id, m->topic, m->tag);
}

/* Room at `to`; the retry handler gives a full receiver a chance to run. */
static int room(struct sure_port *p, instance_id to)
{
	int err = mesh_room(&p->mesh, to);

	for (uint32_t i = 0; err == -EAGAIN && i < p->sidecar.config.retries; i++) {
		mesh_flush(&p->mesh);
		sched_yield();
		atomic_fetch_add_explicit(&p->sidecar.stats->retried, 1, memory_order_relaxed);
		err = mesh_room(&p->mesh, to);
	}
	return err;
}

static int sure_send(struct endpoint *ep, instance_id to, struct message *m)
{
	struct sure_port *p = ep->priv;
	struct descriptor d;
	int err = room(p, to);

	if (err)
		return err;
	if (ep->self == GATEWAY && p->sidecar.config.n)
		sign(p, m);
	err = pool_describe(ep->pool, m, ep->self, to, &d);
	if (err)
		return err;
	/* Closed before anybody can learn of it. */
	if (p->gated)
		gate_buffer(m, p->buffer_bytes, false);
	mesh_push(&p->mesh, &d);
	return 0;
}

static int sure_flush(struct endpoint *ep)
{
	struct sure_port *p = ep->priv;

	mesh_flush(&p->mesh);
	return 0;
}

static int sure_recv(struct endpoint *ep, struct message **batch, int max)
{
	struct sure_port *p = ep->priv;
	struct descriptor d[IN_MAX];
	uint32_t got = mesh_pop(&p->mesh, d, max < IN_MAX ? (uint32_t)max : IN_MAX);
	int n = 0;

	for (uint32_t i = 0; i < got; i++) {
		if (pool_take(ep->pool, &d[i], ep->self, &batch[n]))
			continue;
		if (p->gated)
			gate_buffer(batch[n], p->buffer_bytes, true);
		pool_sound(ep->pool, &d[i], batch[n]);
		n++;
	}
	return n;
}

static int sure_recv_wait(struct endpoint *ep, struct message **batch, int max, int64_t timeout_ns)
{
	struct sure_port *p = ep->priv;
	int n = sure_recv(ep, batch, max), err;

	if (n || !timeout_ns)
		return n;
	err = mesh_wait(&p->mesh, timeout_ns);
	return err ? err : sure_recv(ep, batch, max);
}

static bool sure_arm(struct endpoint *ep)
{
	struct sure_port *p = ep->priv;

	return mesh_arm(&p->mesh);
}

static void sure_disarm(struct endpoint *ep)
{
	struct sure_port *p = ep->priv;

	mesh_disarm(&p->mesh);
}

/* ---- Functions -------------------------------------------------------------------------------- */

static void run_user(void *c)
{
	user_call_run(c);
}

/* Run user code behind the gate. It may have written to the header of the message: that is undone. */
static void pass(const struct sure_port *p, struct message *m, struct user_call *c)
{
	unsigned char header[sizeof(struct message)];

	if (!p->gated) {
		user_call_run(c);
		return;
	}
	if (p->guarded && m)
		memcpy(header, m, sizeof(header));
	gate_call(run_user, c, sizeof(*c));
	if (p->guarded && m)
		memcpy(m, header, sizeof(header));
}

/* Answer in place of the function. */
static void refuse(struct message *m, struct user_call *c, uint16_t status, const char *why)
{
	c->inv.length = (uint32_t)strlen(why);
	memcpy(message_payload(m), why, c->inv.length);
	c->inv.type = TYPE_REASON;
	c->inv.status = status;
	c->result = FAIL;
}

static void sure_call(struct endpoint *ep, struct message *m, struct user_call *c)
{
	struct sure_port *p = ep->priv;
	struct sidecar_request rq;
	const char *why = "";
	uint64_t *begin;
	uint16_t status;

	if (!m || !p->sidecar.config.n) {
		pass(p, m, c);
		return;
	}
	rq = (struct sidecar_request){ .id = m->id, .born_ns = m->born_ns, .tag = m->tag,
				       .topic = m->topic, .function = m->function, .depth = m->depth,
				       .position = m->position };
	begin = &p->begin_ns[pool_index(ep->pool, m)];
	if (!c->inv.step) {
		*begin = clock_now_ns();
		status = sidecar_before(&p->sidecar, &rq, *begin, &why);
		if (status) {
			refuse(m, c, status, why);
			return;
		}
	}
	pass(p, m, c);
	if (c->result == CALL)
		return;
	status = c->result == FORWARD ? STATUS_OK : c->inv.status;
	sidecar_after(&p->sidecar, &rq, *begin, clock_now_ns(), status);
}

const struct dataplane_ops dataplane_sure = {
	.version = DATAPLANE_VERSION,
	.name = "sure",
	.summary = "shared rings as futex has, call gates around functions, the sidecar as a library",
	.modes = "process",
	.flags = DP_SHARED_POOL | DP_ZERO_COPY | DP_SMALL_PAGES,
	.flags_of = flags_of,
	.options = sure_options,
	.probe = sure_probe,
	.setup = sure_setup,
	.live = sure_live,
	.reserve = sure_reserve,
	.call = sure_call,
	.attach = sure_attach,
	.send = sure_send,
	.flush = sure_flush,
	.recv = sure_recv,
	.recv_wait = sure_recv_wait,
	.arm = sure_arm,
	.disarm = sure_disarm,
	.detach = sure_detach,
	.teardown = sure_teardown,
	.promises = sure_promises,
	.page = sure_page,
};

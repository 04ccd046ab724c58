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
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "chain/clock.h"
#include "dataplanes/sure/sure.h"
#include "dataplanes/sure/unikernel/host.h"

/* A held buffer is a mapping: well below vm.max_map_count. */
enum { GATED_BUFFERS_MAX = 16384 };

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
	SCALING_OPTIONS("none|load"),
	{ "zero", "off|on", "off", "hand out buffers without what they held before" },
	{ "machine", "microvm|q35", "microvm", "unikernel: QEMU's machine" },
	{ "accel", "auto|kvm|tcg", "auto", "unikernel: auto: kvm where it works, else emulated" },
	{ "image", "TEXT", "", "unikernel: an image of your own (ELF with a PVH note), in place of the one in the program" },
	{ "memory", "4..1024", "48", "unikernel: MiB of RAM of a guest; the host gives it as it is touched" },
	WAITING_OPTION("adaptive"),
	{ "slots", "16..65536", "1024", "descriptors that one sender can leave at one receiver" },
	NODE_OPTIONS,
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

static bool is_unikernel(const struct spec *spec)
{
	return !strcmp(spec->mode, "unikernel");
}

static bool uses_kvm(const struct spec *spec)
{
	const char *accel = value(spec, "accel");

	return !strcmp(accel, "kvm") || (!strcmp(accel, "auto") && qemu_kvm_works());
}

/* ---- Parent ----------------------------------------------------------------------------------- */

/* A guest has its own protection keys, or there is QEMU's emulation of them. */
static bool probe_unikernel(const struct spec *spec, struct probe_report *report)
{
	enum gate_mode gate = gate_of(spec);
	bool kvm = uses_kvm(spec);

	if (unikernel_probe(spec, report->reason, sizeof(report->reason)))
		return false;
	if (gate != GATE_NONE && gate != GATE_MPK) {
		snprintf(report->reason, sizeof(report->reason),
			 "a unikernel has gate=none and gate=mpk only");
		return false;
	}
	if (kvm && !qemu_kvm_works()) {
		snprintf(report->reason, sizeof(report->reason),
			 "accel=kvm: no virtual machine can be run by /dev/kvm here");
		return false;
	}
	if (kvm && gate == GATE_MPK && gate_probe(gate, report->reason, sizeof(report->reason)))
		return false;
	snprintf(report->reason, sizeof(report->reason), "%s",
		 kvm ? "" : "functions run on an emulated CPU: results are right, times are not to be judged");
	return true;
}

static void sure_probe(const struct spec *spec, struct probe_report *report)
{
	struct sidecar_config c;

	report->ok = false;
	if (is_unikernel(spec) ? !probe_unikernel(spec, report) : gate_probe(gate_of(spec), report->reason,
									     sizeof(report->reason)))
		return;
	if (sidecar_parse(&c, value(spec, "sidecar"))) {
		snprintf(report->reason, sizeof(report->reason),
			 "sidecar=%s: not none, all, or handlers joined by '+', each once",
			 value(spec, "sidecar"));
		return;
	}
	report->ok = true;
	if (!is_unikernel(spec) && gate_probe(GATE_MPK, report->reason, sizeof(report->reason)))
		snprintf(report->reason, sizeof(report->reason),
			 "not with gate=mpk: this CPU has no memory protection keys");
}

static uint32_t flags_of(const struct spec *spec)
{
	return DP_SHARED_POOL | DP_ZERO_COPY |
	       /* Buffers are protected one by one, or are a device's memory in a guest. */
	       (gate_of(spec) != GATE_NONE || is_unikernel(spec) ? DP_SMALL_PAGES : 0) |
	       (strcmp(value(spec, "zero"), "on") ? 0 : DP_ZEROED) |
	       (is_unikernel(spec) && !uses_kvm(spec) ? DP_EMULATED : 0) |
	       waiting_flags(waiting_of(spec, sure_options));
}

static const char *unikernel_promises(enum gate_mode gate)
{
	return gate == GATE_MPK ?
		       "a function is alone in a virtual machine, which has its chain's shared memory and "
		       "nothing else of the host; of that memory it reaches the buffers it holds, as long as "
		       "it executes no privileged instruction (it runs in ring 0); one that tries, hangs or "
		       "resets is ended, alone, and reported" :
		       "a function is alone in a virtual machine, which has its chain's shared memory, all of "
		       "it in reach, and nothing else of the host; one that faults, hangs or resets is ended, "
		       "alone, and reported";
}

static const char *sure_promises(const struct spec *spec)
{
	if (is_unikernel(spec))
		return unikernel_promises(gate_of(spec));
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

static int open_unikernel(struct deployment *d)
{
	struct sure_plane *p = d->priv;
	struct unikernel *u = calloc(1, sizeof(*u));

	if (!u)
		return -ENOMEM;
	p->unikernel = u;
	u->kvm = uses_kvm(&d->spec);
	u->machine = strcmp(value(&d->spec, "machine"), "q35") ? MACHINE_MICROVM : MACHINE_Q35;
	u->memory_mib = number(&d->spec, "memory");
	u->image_path = value(&d->spec, "image");
	return unikernel_setup(d);
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
	err = mesh_open(&p->mesh, d, number(&d->spec, "slots"));
	return err || !is_unikernel(&d->spec) ? err : open_unikernel(d);
}

/* The hooks of an instance's life, by the kind of its runtime. */
static int live_anywhere(struct deployment *d, instance_id id,
			 int (*body)(struct deployment *d, instance_id id))
{
	return is_unikernel(&d->spec) ? unikernel_live(d, id) : sure_live(d, id, body);
}

static int sure_watch(struct deployment *d, instance_id id)
{
	return is_unikernel(&d->spec) ? unikernel_watch(d, id) : 0;
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
	unikernel_teardown(p);
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

const struct dataplane_ops dataplane_sure = {
	.version = DATAPLANE_VERSION,
	.name = "sure",
	.summary = "shared rings as futex has, call gates around functions, the sidecar as a library",
	.modes = "process|unikernel",
	.flags = DP_SHARED_POOL | DP_ZERO_COPY,
	.flags_of = flags_of,
	.options = sure_options,
	.probe = sure_probe,
	.setup = sure_setup,
	.live = live_anywhere,
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
	.watch = sure_watch,
	.teardown = sure_teardown,
	.promises = sure_promises,
	.page = sure_page,
	.peer_stack = &zstack,
};

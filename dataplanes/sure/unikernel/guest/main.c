/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One instance of one function:
 *
 *   boot    device, memory map                          on the boot stack and tables
 *   life    a deployment of what the window holds, then chain/runtime.c, as in a process
 *
 * The runtime, the pool, the rings, the sidecar and the functions are the objects that the process
 * runtime is linked from. What differs is below: gate.c, sys.c and where memory comes from.
 */
#include <errno.h>
#include <string.h>

#include "chain/runtime.h"
#include "dataplanes/sure/gate_entry.h"
#include "dataplanes/sure/unikernel/guest/guest.h"

static void stamp(enum unikernel_phase phase)
{
	atomic_store_explicit(&machine.page->stamp[phase], cpu_tsc(), memory_order_relaxed);
}

/* Every invocation is a sign of life, so that one that never ends can be told from work. */
static void call(struct endpoint *ep, struct message *m, struct user_call *c)
{
	atomic_fetch_add_explicit(&machine.page->beat, 1, memory_order_relaxed);
	sure_call(ep, m, c);
	if (m && !atomic_load_explicit(&machine.page->stamp[UNIKERNEL_FIRST], memory_order_relaxed))
		stamp(UNIKERNEL_FIRST);
}

static const struct dataplane_ops hooks = {
	.version = DATAPLANE_VERSION,
	.name = "sure",
	.reserve = guest_reserve,
	.call = call,
	.attach = sure_attach,
	.send = sure_send,
	.flush = sure_flush,
	.recv = sure_recv,
	.recv_wait = sure_recv_wait,
	.arm = sure_arm,
	.disarm = sure_disarm,
	.detach = sure_detach,
};

void *sure_reserve(struct deployment *d, size_t bytes)
{
	return guest_reserve(d, bytes);
}

int deploy_error(struct deployment *d, int error, const char *format, ...)
{
	(void)d;
	console("perhop: unikernel: ");
	console(format);
	console("\n");
	return error;
}

const char *deploy_instance_name(const struct deployment *d, instance_id id)
{
	return d->app->functions[d->board->line[id].function]->name;
}

static void *in_window(uint64_t offset)
{
	return (void *)(WINDOW_AT + offset);
}

static void *need(size_t bytes)
{
	void *at = guest_reserve(NULL, bytes);

	if (!at)
		guest_panic("no trusted memory left");
	return at;
}

/* The host's struct, with pointers that are good here. */
static struct sure_plane *open_plane(const struct unikernel_page *page)
{
	struct sure_plane *p = need(sizeof(*p));
	int *doors = need(INSTANCE_MAX * sizeof(*doors));

	*p = page->plane;
	for (int i = 0; i < INSTANCE_MAX; i++)
		doors[i] = DOOR_FD + i;
	p->mesh.hall.shared = in_window(page->bells);
	p->mesh.hall.gateway_fd = doors[GATEWAY];
	p->mesh.hall.doors = doors;
	p->mesh.map = in_window(page->rings);
	p->stats = in_window(page->stats);
	p->violations = in_window(page->violations);
	p->base = in_window(0);
	p->user_stack = machine.user_stack;
	return p;
}

static struct deployment *open_deployment(const struct unikernel_page *page)
{
	struct deployment *d = need(sizeof(*d));
	struct application *app = need(sizeof(*app));
	const struct workload *found;
	char why[256] = "";
	int err;

	err = application_open(app, &found, page->workload, why, sizeof(why));
	if (err)
		guest_panic("%s: %s", page->workload, why);
	d->ops = &hooks;
	d->app = app;
	d->config = page->config;
	d->board = in_window(page->board);
	d->flags = DP_SHARED_POOL | DP_ZERO_COPY;
	d->wake_fd = d->listen_fd = -1;
	err = pool_adopt(&d->pool, need(pool_handle_bytes()), in_window(page->pool),
			 page->pool_bytes, page->config.pool_buffers, page->config.buffer_bytes);
	if (err)
		guest_panic("the pool does not fit the window: error %d", -err);
	d->priv = open_plane(page);
	return d;
}

static void life(void)
{
	const struct unikernel_page *page = machine.page;
	struct deployment *d;
	struct runtime *r;
	int err;

	machine.doorbell = (volatile uint32_t *)(machine.device.registers + 12);
	heap_open(machine.heap, machine.heap_end);
	stamp(UNIKERNEL_MAPPED);
	d = open_deployment(page);
	/* With gate=none nobody else says who it is that faults. */
	gate_page.name = deploy_instance_name(d, (instance_id)page->self);
	gate_page.violation = sure_violation(d->priv, (instance_id)page->self);
	machine.bell = &((struct hall_shared *)in_window(page->bells))->bell[page->self];
	err = runtime_open(&r, d, (instance_id)page->self, NULL);
	if (err)
		guest_panic("%s cannot start: error %d%s", page->workload, -err,
			    err == -ENOMEM ? ", out of memory (memory=… gives more)" : "");
	stamp(UNIKERNEL_CONFIGURED);
	atomic_store_explicit(&d->board->line[page->self].state, INSTANCE_READY,
			      memory_order_release);
	err = runtime_loop(r);
	if (err)
		guest_panic("the event loop ended: error %d", -err);
	cpu_exit(UNIKERNEL_EXIT_DONE);
}

_Noreturn void boot(void);

_Noreturn void boot(void)
{
	uint64_t entry = cpu_tsc();
	uint32_t self;

	if (device_find(&machine.device))
		guest_panic("no ivshmem device");
	self = ((volatile uint32_t *)
			machine.device.registers)[2]; /* IVPosition: this peer's number */
	machine.page =
		(struct unikernel_page *)(machine.device.window + (uint64_t)self * UNIKERNEL_PAGE);
	if (self >= INSTANCE_MAX || machine.page->magic != UNIKERNEL_MAGIC ||
	    machine.page->self != self)
		guest_panic("the window has no page for peer %u", self);
	clock_start(machine.page);
	atomic_store_explicit(&machine.page->stamp[UNIKERNEL_ENTRY], entry, memory_order_relaxed);
	cpu_setup();
	if (machine.page->plane.gate == GATE_MPK)
		cpu_keys_on();
	memory_enter(life);
}

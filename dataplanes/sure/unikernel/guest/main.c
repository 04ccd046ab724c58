/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One instance of one function:
 *
 *   boot    device, memory map                          on the boot stack and tables
 *   life    a deployment of what the window holds (window.c), then chain/runtime.c, as in a process
 *
 * The runtime, the pool, the rings, the sidecar and the functions are the objects that the process
 * runtime is linked from. What differs is below: gate.c, sys.c and where memory comes from.
 */
#include <errno.h>

#include "dataplanes/sure/gate_entry.h"
#include "dataplanes/sure/unikernel/guest/guest.h"
#include "dataplanes/sure/unikernel/window.h"

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

static const int *make_doors(void)
{
	int *doors = guest_reserve(NULL, INSTANCE_MAX * sizeof(*doors));

	for (int i = 0; doors && i < INSTANCE_MAX; i++)
		doors[i] = DOOR_FD + i;
	return doors;
}

static void life(void)
{
	unsigned char *window = (unsigned char *)WINDOW_AT;
	const instance_id self = (instance_id)machine.page->self;
	struct sure_plane *p;
	struct deployment *d;
	char why[256] = "";
	int err;

	machine.doorbell = (volatile uint32_t *)(machine.device.registers + 12);
	heap_open(machine.heap, machine.heap_end);
	window_stamp(window, self, UNIKERNEL_MAPPED, cpu_tsc());
	d = window_deployment(window, self, make_doors(), why, sizeof(why));
	if (!d)
		guest_panic("%s: %s", machine.page->workload, why);
	p = d->priv;
	p->user_stack = machine.user_stack;
	machine.bell = &p->mesh.hall.shared->bell[self];
	/* With gate=none nobody else says who it is that faults. */
	gate_page.name = deploy_instance_name(d, self);
	gate_page.violation = sure_violation(p, self);
	err = window_run(d, self);
	if (err)
		guest_panic("%s ended: error %d%s", deploy_instance_name(d, self), -err,
			    err == -ENOMEM ? ", out of memory (memory=… gives more)" : "");
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

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Regressions made to order, to show that `perhop gate` catches them. The product has no trace of them:
 * the linker puts a __wrap_X of this file in the place of a function X of the product
 * (`make MUTATION=copy` builds build/perhop-copy from the objects of build/perhop and this file).
 *
 *     copy        one more copy of the payload for each call of f1
 *     serialize   every payload is encoded twice
 *     wakeup      f1 blocks once more for each call
 *     keepalive   functions' answers say `Connection: close`: every hop of kernel:http connects anew
 *     cpu         f1's process burns 5 % more CPU
 *     leak        every 50th buffer is not given back
 */
#include <string.h>
#include <time.h>

#include "chain/clock.h"
#include "chain/codec.h"
#include "chain/function.h"
#include "chain/pool.h"
#include "chain/probe.h"
#include "dataplanes/kernel/wire.h"

enum { LEAK_EACH = 50, BURN_EACH = 256, BURN_SHARE = 20 };       /* 1/20: 5 % */

static inline bool is_victim(const struct user_call *c)
{
	return c->what == USER_HANDLE && !strcmp(c->fn->name, "f1");
}

#if defined(PERHOP_MUTATION_COPY) || defined(PERHOP_MUTATION_WAKEUP) || defined(PERHOP_MUTATION_CPU)
void __real_user_call_run(struct user_call *c);
void __wrap_user_call_run(struct user_call *c);

void __wrap_user_call_run(struct user_call *c)
{
#if defined(PERHOP_MUTATION_COPY)
	static unsigned char elsewhere[MESSAGE_BUFFER_DEFAULT];

	if (is_victim(c)) {
		memcpy(elsewhere, c->inv.payload, c->inv.length);
		PERHOP_COPY(c->inv.length);
	}
	__real_user_call_run(c);
#elif defined(PERHOP_MUTATION_WAKEUP)
	if (is_victim(c))
		nanosleep(&(struct timespec){ .tv_nsec = 1000 }, NULL);
	__real_user_call_run(c);
#else
	static uint64_t used_ns;
	static unsigned calls;
	uint64_t now;

	__real_user_call_run(c);
	if (!is_victim(c) || ++calls % BURN_EACH)
		return;
	now = clock_cpu_ns();
	if (used_ns)
		clock_spin((now - used_ns) / BURN_SHARE);
	used_ns = clock_cpu_ns();
#endif
}
#endif

#if defined(PERHOP_MUTATION_SERIALIZE)
ssize_t __real_codec_encode(const struct codec *c, uint16_t type, const void *in, size_t length, void *out,
			    size_t room);
ssize_t __wrap_codec_encode(const struct codec *c, uint16_t type, const void *in, size_t length, void *out,
			    size_t room);

ssize_t __wrap_codec_encode(const struct codec *c, uint16_t type, const void *in, size_t length, void *out,
			    size_t room)
{
	__real_codec_encode(c, type, in, length, out, room);
	return __real_codec_encode(c, type, in, length, out, room);
}
#endif

#if defined(PERHOP_MUTATION_KEEPALIVE)
int __real_wire_encode(struct wire *w, const struct message *m, enum wire_form form, bool keep_alive,
		       bool head_only);
int __wrap_wire_encode(struct wire *w, const struct message *m, enum wire_form form, bool keep_alive,
		       bool head_only);

int __wrap_wire_encode(struct wire *w, const struct message *m, enum wire_form form, bool keep_alive,
		       bool head_only)
{
	(void)keep_alive;
	return __real_wire_encode(w, m, form, false, head_only);
}
#endif

#if defined(PERHOP_MUTATION_LEAK)
int __real_pool_free(struct pool *p, struct message *m, instance_id owner);
int __wrap_pool_free(struct pool *p, struct message *m, instance_id owner);

int __wrap_pool_free(struct pool *p, struct message *m, instance_id owner)
{
	static unsigned calls;

	return ++calls % LEAK_EACH ? __real_pool_free(p, m, owner) : 0;
}
#endif

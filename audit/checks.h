/* SPDX-License-Identifier: BSD-2-Clause */
/* Does an audit agree with the kernel's own counters, and with itself? */
#ifndef PERHOP_AUDIT_CHECKS_H
#define PERHOP_AUDIT_CHECKS_H

#include "audit/session.h"

/* Fill s->check from what the session has measured. */
void checks_run(struct session *s);

/* Within `relative` of the larger, or `absolute` apart? */
bool checks_agree(double a, double b, double relative, double absolute);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "chain/dataplane.h"
#include "chain/network.h"
#include "chain/node.h"
#include "chain/scaling.h"

const struct dataplane_ops *dataplane_find(const char *name)
{
	for (unsigned i = 0; dataplanes[i]; i++)
		if (!strcmp(dataplanes[i]->name, name))
			return dataplanes[i];
	return NULL;
}

/* Is `mode` one of "a|b|c"; with an empty `mode`, take the first. 0 or -EINVAL. */
static int choose_mode(char *mode, size_t bytes, const char *modes)
{
	size_t n = strlen(mode), first = strcspn(modes, "|");

	if (!n) {
		snprintf(mode, bytes, "%.*s", (int)first, modes);
		return 0;
	}
	for (const char *at = modes; *at; at += first, at += *at == '|') {
		first = strcspn(at, "|");
		if (first == n && !memcmp(at, mode, n))
			return 0;
	}
	return -EINVAL;
}

int dataplane_open(struct spec *spec, const struct dataplane_ops **ops, const char *text, char *why,
		   size_t why_bytes)
{
	struct scaling_config scaling;
	int err = spec_parse(spec, text, why, why_bytes);

	if (err)
		return err;
	*ops = dataplane_find(spec->name);
	if (!*ops) {
		int n = snprintf(why, why_bytes, "there is no dataplane '%s'; there are", spec->name);

		for (unsigned i = 0; dataplanes[i] && n > 0 && (size_t)n < why_bytes; i++)
			n += snprintf(why + n, why_bytes - (size_t)n, " %s", dataplanes[i]->name);
		return -ENOENT;
	}
	if (choose_mode(spec->mode, sizeof(spec->mode), (*ops)->modes)) {
		snprintf(why, why_bytes, "%s has no mode '%s'; it has %s", spec->name, spec->mode,
			 *(*ops)->modes ? (*ops)->modes : "none");
		return -EINVAL;
	}
	err = spec_check_both(spec, (*ops)->options, network_options, why, why_bytes);
	return err ? err : scaling_parse(&scaling, spec, (*ops)->options, why, why_bytes);
}

void dataplane_probe(const struct dataplane_ops *ops, const struct spec *spec, struct probe_report *report)
{
	network_probe(spec, report);
	if (report->ok)
		ops->probe(spec, report);
	if (report->ok)
		node_probe(ops, spec, report);
}

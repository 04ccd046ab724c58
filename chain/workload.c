/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "chain/workload.h"

/* Is `mode` one of the "a|b|c" in `modes`? */
static bool has_mode(const char *modes, const char *mode)
{
	size_t n = strlen(mode);

	while (*modes) {
		size_t word = strcspn(modes, "|");

		if (word == n && !memcmp(modes, mode, n))
			return true;
		modes += word + (modes[word] == '|');
	}
	return false;
}

static int no_such_workload(const char *name, char *why, size_t why_bytes)
{
	int n = snprintf(why, why_bytes, "there is no workload '%s'; there are:", name);

	for (const struct workload *const *w = workloads; *w; w++)
		if (n >= 0 && (size_t)n < why_bytes)
			n += snprintf(why + n, why_bytes - (size_t)n, " %s", (*w)->name);
	return -ENOENT;
}

/* The first mode is the default. */
static int set_mode(struct spec *spec, const struct workload *w, char *why, size_t why_bytes)
{
	size_t n = strcspn(w->modes, "|");

	if (!spec->mode[0]) {
		if (n >= sizeof(spec->mode))
			return -EINVAL;
		memcpy(spec->mode, w->modes, n);
		spec->mode[n] = '\0';
		return 0;
	}
	if (has_mode(w->modes, spec->mode))
		return 0;
	if (w->modes[0])
		snprintf(why, why_bytes, "%s has no mode '%s'; it has: %s", w->name, spec->mode,
			 w->modes);
	else
		snprintf(why, why_bytes, "%s has no modes, but '%s' was given", w->name,
			 spec->mode);
	return -EINVAL;
}

int application_open(struct application *app, const struct workload **found, const char *text,
		     char *why, size_t why_bytes)
{
	const struct workload *const *w;
	int error;

	memset(app, 0, sizeof(*app));
	error = spec_parse(&app->spec, text, why, why_bytes);
	if (error)
		return error;
	for (w = workloads; *w; w++)
		if (!strcmp((*w)->name, app->spec.name))
			break;
	if (!*w)
		return no_such_workload(app->spec.name, why, why_bytes);
	error = set_mode(&app->spec, *w, why, why_bytes);
	if (error)
		return error;
	error = spec_check(&app->spec, (*w)->options, why, why_bytes);
	if (error)
		return error;
	error = (*w)->configure(app, why, why_bytes);
	if (error)
		return error;
	*found = *w;
	return 0;
}

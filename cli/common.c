/* SPDX-License-Identifier: BSD-2-Clause */
/* What several commands share: signals as a descriptor, JSON out, specs as labels. */
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>

#include "chain/clock.h"
#include "cli/cli.h"

int signals_open(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -errno;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

bool signals_wait(int fd, uint64_t timeout_ns)
{
	return signals_wait_or(fd, -1, timeout_ns);
}

bool signals_wait_or(int fd, int other, uint64_t timeout_ns)
{
	struct timespec timeout = {
		.tv_sec = (time_t)(timeout_ns / NS_PER_SEC),
		.tv_nsec = (long)(timeout_ns % NS_PER_SEC),
	};
	struct pollfd p[2] = { { .fd = fd, .events = POLLIN }, { .fd = other, .events = POLLIN } };

	/* The signal is left in the descriptor: whoever asks next learns of it too. */
	return ppoll(p, 2, &timeout, NULL) > 0 && p[0].revents;
}

int json_line(json_t *object)
{
	int error = 0;

	if (!object || json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(10)))
		error = -EIO;
	else if (putchar('\n') == EOF || fflush(stdout))
		error = -EIO;
	json_decref(object);
	return error;
}

const char *amount_text(double x, char out[16])
{
	if (!isfinite(x))
		snprintf(out, 16, "-");
	else
		snprintf(out, 16, "%.*f", x < 10 ? 2 : x < 100 ? 1 : 0, x);
	return out;
}

json_t *json_amount(double x)
{
	return isfinite(x) ? json_real(x) : json_null();
}

json_t *json_text(const char *text)
{
	json_t *value;
	char *copy, *c;

	if (!text)
		return json_null();
	value = json_string(text);
	if (value)
		return value;
	copy = strdup(text);
	if (!copy)
		return NULL;
	for (c = copy; *c; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	value = json_string(copy);
	free(copy);
	return value;
}

void spec_label(const struct spec *spec, const char *modes, char *out, size_t room)
{
	if (spec->mode[0])
		snprintf(out, room, "%s:%s", spec->name, spec->mode);
	else if (modes && modes[0])
		snprintf(out, room, "%s:%.*s", spec->name, (int)strcspn(modes, "|"), modes);
	else
		snprintf(out, room, "%s", spec->name);
}

json_t *spec_json(const struct spec *spec, const struct option_spec *options)
{
	json_t *object = json_object();

	for (; options && options->key; options++)
		json_object_set_new(object, options->key,
				    json_text(spec_value(spec, options, options->key)));
	return object;
}

const struct option_spec *option_find(const struct option_spec *options, const char *key)
{
	for (; options && options->key; options++)
		if (!strcmp(options->key, key))
			return options;
	return NULL;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* `perhop COMMAND …`: finds the command's row and hands over. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build-info.h"
#include "cli/cli.h"

static const struct command commands[] = {
	{ "list", "show dataplanes and workloads, their options, and what can run here", list_main },
	{ "doctor", "check what this machine offers, what is missing and how to get it", doctor_main },
	{ "floor", "measure what this machine charges for a hop, and perhop on top of it", floor_main },
	{ "startup", "measure how long an instance takes to its first answer, by runtime", startup_main },
	{ "surface", "measure chains without a client: mechanism x waiting x placement x load", surface_main },
	{ "run", "measure: deploy, load, and report one record per run", run_main },
	{ "compare", "run dataplanes in turns, with a live table of ratios and intervals", compare_main },
	{ "serve", "keep a workload up on a dataplane, for curl, wrk, Locust or a browser", serve_main },
	{ "adapter", "load and unload protocols of a running deployment: MQTT, CoAP", adapter_main },
	{ "verify", "check that all dataplanes give the same answers to the same requests", verify_main },
	{ "audit", "count copies, switches, interrupts, protocol and serialization per request", audit_main },
	{ "trace", "record the life of a request across all processes, for Perfetto", trace_main },
	{ "gate", "fail when this build costs more than a baseline or a base revision", gate_main },
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

const char *argp_program_version = "perhop " BUILD_VERSION;

static char *top_help(int key, const char *text, void *input)
{
	char *out = NULL;
	size_t size = 0, i;
	FILE *f;

	(void)input;
	if (key != ARGP_KEY_HELP_POST_DOC)
		return (char *)text;
	f = open_memstream(&out, &size);
	if (!f)
		return (char *)text;
	fprintf(f, "Commands:\n");
	for (i = 0; i < COMMANDS; i++)
		fprintf(f, "  %-8s %s\n", commands[i].name, commands[i].summary);
	fprintf(f, "\n%s", text);
	fclose(f);
	return out;
}

static const struct command *command_find(const char *name)
{
	size_t i;

	for (i = 0; i < COMMANDS; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static error_t top_parse(int key, char *arg, struct argp_state *state)
{
	const struct command **found = state->input;
	char allowed[256] = "";
	size_t i;

	switch (key) {
	case ARGP_KEY_ARG:
		*found = command_find(arg);
		if (*found) {
			/* The rest of the line is the command's own. */
			state->next = state->argc;
			return 0;
		}
		for (i = 0; i < COMMANDS; i++) {
			strncat(allowed, i ? ", " : "", sizeof(allowed) - strlen(allowed) - 1);
			strncat(allowed, commands[i].name, sizeof(allowed) - strlen(allowed) - 1);
		}
		argp_error(state, "no command is called '%s'; there are %s", arg, allowed);
		return EINVAL;
	case ARGP_KEY_NO_ARGS:
		argp_state_help(state, stderr, ARGP_HELP_STD_HELP & ~ARGP_HELP_EXIT_OK);
		exit(STATUS_CANNOT);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp top = {
		.parser = top_parse,
		.args_doc = "COMMAND [OPTION...]",
		.doc = "Measure and audit what every hop of a serverless function chain costs.\v"
		       "`perhop COMMAND --help` explains a command, with examples.\n"
		       "Exit codes: 0 all is well, 1 a run failed or results differ, 2 wrong usage or "
		       "cannot run here.",
		.help_filter = top_help,
	};
	const struct command *command = NULL;
	char name[64];
	int first;

	argp_err_exit_status = STATUS_CANNOT;
	/* Only what stands before the command belongs to us: stop at the first word. */
	for (first = 1; first < argc && argv[first][0] == '-'; first++)
		;
	if (argp_parse(&top, first < argc ? first + 1 : argc, argv, ARGP_IN_ORDER, NULL, &command))
		return STATUS_CANNOT;
	snprintf(name, sizeof(name), "perhop %s", command->name);
	argv[first] = name;
	return command->main(argc - first, argv + first);
}

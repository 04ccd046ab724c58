/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The `perhop` program: a table of sub-commands. Adding one: its file, with `int X_main(argc, argv)`,
 * and a row in main.c.
 */
#ifndef PERHOP_CLI_H
#define PERHOP_CLI_H

#include <argp.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "chain/dataplane.h"
#include "chain/workload.h"

/* Exit codes, the same for every command; scripts and CI rely on them. */
enum {
	STATUS_DONE = 0,            /* did what was asked, and all is well */
	STATUS_FAILED = 1,          /* a run failed or is invalid; digests differ; a check failed */
	STATUS_CANNOT = 2,          /* wrong usage, or this machine cannot do it */
};

struct command {
	const char *name, *summary;
	/* argv[0] is "perhop NAME". Returns the exit code. */
	int (*main)(int argc, char **argv);
};

int run_main(int argc, char **argv);
int compare_main(int argc, char **argv);
int serve_main(int argc, char **argv);
int adapter_main(int argc, char **argv);
int verify_main(int argc, char **argv);
int list_main(int argc, char **argv);
int doctor_main(int argc, char **argv);
int audit_main(int argc, char **argv);
int trace_main(int argc, char **argv);
int floor_main(int argc, char **argv);
int surface_main(int argc, char **argv);
int gate_main(int argc, char **argv);
int startup_main(int argc, char **argv);

/*
 * SIGINT and SIGTERM as a file descriptor: readable means "end in good order". Blocks both for the
 * process, so that no handler and no global flag is needed. Returns the descriptor or -errno.
 */
int signals_open(void);

/* Wait up to `timeout_ns` for one of these signals. True when one has come (and stays so). */
bool signals_wait(int fd, uint64_t timeout_ns);

/* The same, but also returns (false) when `other` becomes readable; -1: there is none. */
bool signals_wait_or(int fd, int other, uint64_t timeout_ns);

/* Print `object` as one line of JSON on stdout and flush it. Takes the reference. 0 or -EIO. */
int json_line(json_t *object);

/* `x` with three significant digits or so, in `out`; "-" when it is not finite. Returns out. */
const char *amount_text(double x, char out[16]);

/* `x` as a JSON number, or null when it is not finite. New reference. */
json_t *json_amount(double x);

/* `text` as a JSON string, or null when it is NULL. Bytes that are not UTF-8 become '?'. */
json_t *json_text(const char *text);

/* "name:mode", the mode being the default where none was given; just "name" without modes. */
void spec_label(const struct spec *spec, const char *modes, char *out, size_t room);

/* Every option with its effective value, as a JSON object. New reference. */
json_t *spec_json(const struct spec *spec, const struct option_spec *options);

/* The option called `key` in a table (may be NULL), or NULL. */
const struct option_spec *option_find(const struct option_spec *options, const char *key);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* One measurement of one program. All of it through that program's own commands, so that an older base
 * revision is measured by its own code. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/client.h"
#include "chain/clock.h"
#include "cli/cli.h"
#include "cli/gate.h"
#include "cli/spawn.h"

#define JOB_TIMEOUT_S 120
#define SERVE_TIMEOUT_S 60                  /* valgrind starts slowly */
#define REQUESTS_TIMEOUT_S UINT64_C(60)

static const char *text_of(const json_t *job, const char *key)
{
	const char *text = json_string_value(json_object_get(job, key));

	return text ? text : "";
}

static json_int_t number_of(const json_t *job, const char *key, json_int_t otherwise)
{
	const json_t *n = json_object_get(job, key);

	return json_is_integer(n) ? json_integer_value(n) : otherwise;
}

static const char *program_of(const struct gate *g, const json_t *job)
{
	return !strcmp(text_of(job, "side"), "base") ? g->base : g->head;
}

/* What came of a job. */
struct result {
	json_t *record;
	char why[600];
	int exit;
};

static int run_program(struct gate *g, struct result *r, char *const argv[])
{
	struct spawned s;
	int err = spawn_run(&s, argv, g->signals, JOB_TIMEOUT_S);
	json_error_t bad;

	r->exit = s.status;
	if (s.text && strchr(s.text, '\n'))
		r->record = json_loads(s.text, JSON_DISABLE_EOF_CHECK, &bad);
	if (err || !r->record)
		snprintf(r->why, sizeof(r->why), "%s", err == -ETIME ? "not done in time" :
			 s.why[0] ? s.why : err ? strerror(-err) : "it printed no record");
	spawn_free(&s);
	return err == -EINTR ? err : 0;
}

static int job_audit(struct gate *g, const json_t *job, struct result *r)
{
	char reps[16], requests[16];
	char *const argv[] = { (char *)program_of(g, job), "audit", "--json", "--no-cost", "--mode", "isolated",
			       "-d", (char *)text_of(job, "dataplane"), "-w",
			       (char *)text_of(job, "workload"), "--reps", reps, "-n", requests, NULL };

	snprintf(reps, sizeof(reps), "%" PRIu64, (uint64_t)number_of(job, "reps", 5));
	snprintf(requests, sizeof(requests), "%" PRIu64, (uint64_t)number_of(job, "requests", 100));
	return run_program(g, r, argv);
}

static int job_run(struct gate *g, const json_t *job, struct result *r)
{
	char users[16], seconds[16], seed[16];
	char *const argv[] = { (char *)program_of(g, job), "run", "--json", "-d",
			       (char *)text_of(job, "dataplane"), "-w", (char *)text_of(job, "workload"),
			       "-c", users, "-t", seconds, "--warmup", "0.1", "--seed", seed, NULL };
	static const char *const bulky[] = { "histogram", "series", "cpu_series", "chains" };
	int err;

	snprintf(users, sizeof(users), "%" PRIu64, (uint64_t)number_of(job, "users", 8));
	snprintf(seconds, sizeof(seconds), "%g", (double)number_of(job, "milliseconds", 500) / 1e3);
	snprintf(seed, sizeof(seed), "%" PRIu64, (uint64_t)number_of(job, "seed", 1));
	err = run_program(g, r, argv);
	/* Hundreds of short runs: what no verdict reads is not kept. */
	for (size_t i = 0; r->record && i < sizeof(bulky) / sizeof(bulky[0]); i++)
		json_object_set_new(r->record, bulky[i], json_null());
	return err;
}

/* ---- Size ------------------------------------------------------------------------------------- */

/* Bytes of the sections that are loaded: code, constants, variables. */
static int job_size(struct gate *g, const json_t *job, struct result *r)
{
	json_int_t code = 0, constants = 0, variables = 0;
	Elf_Scn *section = NULL;
	GElf_Shdr h;
	int fd = open(program_of(g, job), O_RDONLY | O_CLOEXEC);
	Elf *elf;

	if (fd < 0 || elf_version(EV_CURRENT) == EV_NONE) {
		snprintf(r->why, sizeof(r->why), "%.400s: %s", program_of(g, job), strerror(errno));
		return 0;
	}
	elf = elf_begin(fd, ELF_C_READ, NULL);
	while (elf && (section = elf_nextscn(elf, section))) {
		if (!gelf_getshdr(section, &h) || !(h.sh_flags & SHF_ALLOC))
			continue;
		if (h.sh_flags & SHF_EXECINSTR)
			code += (json_int_t)h.sh_size;
		else if (h.sh_flags & SHF_WRITE)
			variables += (json_int_t)h.sh_size;
		else
			constants += (json_int_t)h.sh_size;
	}
	if (code)
		r->record = json_pack("{s:I, s:I, s:I}", "code", code, "constants", constants,
				      "variables", variables);
	else
		snprintf(r->why, sizeof(r->why), "%.400s is no ELF program", program_of(g, job));
	elf_end(elf);
	close(fd);
	return 0;
}

/* ---- Instructions ----------------------------------------------------------------------------- */

/* The callgrind file with the most instructions is that of the process that handled the requests. */
static json_int_t most_instructions(const struct gate *g, const char *prefix, char *file, size_t room)
{
	char path[PATH_MAX + 300], line[512];
	unsigned long long most = 0, n;
	DIR *dir = opendir(g->folder);
	struct dirent *entry;
	FILE *f;

	while (dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, prefix, strlen(prefix)))
			continue;
		snprintf(path, sizeof(path), "%s/%s", g->folder, entry->d_name);
		f = fopen(path, "re");
		while (f && fgets(line, sizeof(line), f))
			if (sscanf(line, "summary: %llu", &n) == 1) {
				if (n > most) {
					most = n;
					snprintf(file, room, "%s", entry->d_name);
				}
				break;
			}
		if (f)
			fclose(f);
	}
	if (dir)
		closedir(dir);
	return (json_int_t)most;
}

/* `requests` requests to the deployment; valgrind complains of a system call it does not know each turn. */
static int send_requests(struct gate *g, struct spawned *s, struct client *client, unsigned requests)
{
	const uint64_t until = clock_now_ns() + REQUESTS_TIMEOUT_S * NS_PER_SEC;
	struct client_result result = { 0 };
	int err = client_go(client, requests, 0);

	while (!err) {
		err = client_poll(client, 20, &result);
		spawn_drain(s);
		if (err == -EINTR)
			err = 0;
		if (!err && signals_wait(g->signals, 0))
			err = -EINTR;
		if (!err && clock_now_ns() > until)
			err = -ETIME;
	}
	return err < 0 ? err : result.errors ? -EPROTO : 0;
}

/* The same to the deployment that says in its output where it is. */
static int drive(struct gate *g, struct spawned *s, const char *workload, unsigned requests, char *why,
		 size_t why_bytes)
{
	json_t *o = json_loads(s->text, JSON_DISABLE_EOF_CHECK, NULL);
	struct client_config config = { .threads = 1, .seed = 1, .cpu = -1, .netns = -1,
					.target.sin_family = AF_INET };
	const struct workload *found;
	struct client *client = NULL;
	struct application app;
	int err;

	config.target.sin_port = htons((uint16_t)number_of(o, "port", 0));
	err = inet_pton(AF_INET, text_of(o, "address"), &config.target.sin_addr) == 1 ? 0 : -EINVAL;
	json_decref(o);
	if (!err)
		err = application_open(&app, &found, workload, why, why_bytes);
	if (err)
		return err;
	config.app = &app;
	err = client_start(&client, &config);
	if (!err)
		err = send_requests(g, s, client, requests);
	if (err)
		snprintf(why, why_bytes, "%u requests to it: %s", requests, strerror(-err));
	client_end(client);
	if (found->release)
		found->release(&app);
	return err;
}

/* Instructions of the process that handles `requests` requests, start and end included. */
static int count_once(struct gate *g, const json_t *job, unsigned requests, json_t **out, struct result *r)
{
	char prefix[48], where[PATH_MAX], file[256] = "";
	char *const argv[] = { "valgrind", "-q", "--tool=callgrind", where, (char *)program_of(g, job), "serve",
			       "--json", "-d", "null", "-w", (char *)text_of(job, "workload"), NULL };
	struct spawned s;
	json_int_t n;
	int err;

	snprintf(prefix, sizeof(prefix), "callgrind.%u.%u.", g->jobs, requests);
	snprintf(where, sizeof(where), "--callgrind-out-file=%.3900s/%s%%p", g->folder, prefix);
	err = spawn_start(&s, argv);
	if (!err)
		err = spawn_read(&s, true, g->signals, SERVE_TIMEOUT_S);
	if (!err && s.text && strchr(s.text, '\n'))
		err = drive(g, &s, text_of(job, "workload"), requests, r->why, sizeof(r->why));
	else if (!err)
		err = -ENOENT;
	spawn_end(&s);
	n = most_instructions(g, prefix, file, sizeof(file));
	if (err && !r->why[0])
		snprintf(r->why, sizeof(r->why), "valgrind: %s", s.why[0] ? s.why : strerror(-err));
	else if (!err && !n)
		snprintf(r->why, sizeof(r->why), "callgrind wrote no count");
	spawn_free(&s);
	*out = err || !n ? NULL : json_pack("{s:i, s:I, s:s}", "requests", (int)requests, "instructions", n,
					    "file", file);
	return err == -EINTR ? err : 0;
}

/* With few requests and with many, in turns: the difference is what requests cost, without start and end. */
static int job_callgrind(struct gate *g, const json_t *job, struct result *r)
{
	const unsigned reps = (unsigned)number_of(job, "reps", 3);
	const unsigned few = (unsigned)number_of(job, "few", 50), many = (unsigned)number_of(job, "many", 250);
	json_t *list = json_array(), *one;
	int err = 0;

	for (unsigned i = 0; i < 2 * reps && !err; i++) {
		err = count_once(g, job, i % 2 ? many : few, &one, r);
		if (!one)
			break;
		json_array_append_new(list, one);
	}
	if (!err && json_array_size(list) == 2 * reps)
		r->record = json_pack("{s:s, s:O}", "tool", "callgrind", "counts", list);
	json_decref(list);
	return err;
}

/* ---- All of them ------------------------------------------------------------------------------ */

static const struct {
	const char *what;
	int (*measure)(struct gate *g, const json_t *job, struct result *r);
} kinds[] = {
	{ "audit", job_audit },
	{ "run", job_run },
	{ "size", job_size },
	{ "callgrind", job_callgrind },
};

int gate_job(struct gate *g, json_t *job)
{
	const uint64_t start = clock_now_ns();
	struct result r = { .exit = 0 };
	int err = -EINVAL;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(text_of(job, "what"), kinds[i].what))
			err = kinds[i].measure(g, job, &r);
	g->jobs++;
	if (err) {
		json_decref(r.record);
		return err;
	}
	json_object_set_new(job, "exit", json_integer(r.exit));
	json_object_set_new(job, "why", r.record ? json_null() : json_text(r.why));
	json_object_set_new(job, "elapsed_s", json_real((double)(clock_now_ns() - start) / 1e9));
	json_object_set_new(job, "record", r.record ? r.record : json_null());
	if (json_dumpf(job, g->records, JSON_COMPACT | JSON_REAL_PRECISION(10)) ||
	    fputc('\n', g->records) == EOF || fflush(g->records))
		return -EIO;
	return 0;
}

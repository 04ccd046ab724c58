/* SPDX-License-Identifier: BSD-2-Clause */
/* `perhop adapter`: load, unload and list the protocols of a running deployment. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chain/adapter_file.h"
#include "chain/clock.h"
#include "chain/control.h"
#include "cli/cli.h"
#include "cli/parse.h"

enum { OPT_PID = 'p', OPT_LISTEN = 256, PIDS_MAX = 64 };

struct adapter_arguments {
	const char *verb, *name;
	pid_t pid;                  /* 0: the only one there is */
	struct sockaddr_in listen;
	bool has_listen;
};

static const struct argp_option options[] = {
	{ "pid", OPT_PID, "PID", 0, "Supervisor of the deployment (the only one, if there is one)", 0 },
	{ "listen", OPT_LISTEN, "ADDR:PORT", 0,
	  "load: where its clients connect (127.0.0.1 and the protocol's own port). Not when a loaded "
	  "adapter is replaced: its clients stay connected",
	  0 },
	{ 0 },
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct adapter_arguments *a = state->input;
	struct why why;
	uint64_t n;

	switch (key) {
	case OPT_PID:
		if (parse_count(arg, 1, 1 << 22, &n, &why))
			argp_error(state, "--pid: %s", why.text);
		else
			a->pid = (pid_t)n;
		return 0;
	case OPT_LISTEN:
		if (parse_address(arg, &a->listen, &why))
			argp_error(state, "--listen: %s", why.text);
		a->has_listen = true;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num > 1)
			argp_error(state, "'%s' is not expected here", arg);
		*(state->arg_num ? &a->name : &a->verb) = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->verb || (strcmp(a->verb, "load") && strcmp(a->verb, "unload") &&
				 strcmp(a->verb, "list")))
			argp_error(state, "load, unload or list is missing");
		else if (!strcmp(a->verb, "list") != !a->name)
			argp_error(state, a->name ? "list takes no name" : "the adapter's name is missing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse_option,
	.args_doc = "load NAME|FILE.so | unload NAME | list",
	.doc = "Load and unload protocol adapters of a running `perhop serve`, without stopping it. Only its "
	       "own user and root may.\v"
	       "Examples:\n"
	       "  perhop adapter load mqtt\n"
	       "  perhop adapter load ./mine.so --pid 4711 --listen 0.0.0.0:1884\n"
	       "  perhop adapter list\n"
	       "  perhop adapter unload mqtt\n\n"
	       "An adapter that is loaded again is replaced; its clients stay connected. What was loaded this "
	       "way is gone when the gateway is restarted; what `serve --adapter` loads is not.\n\n"
	       "Exit codes: 0 done, 1 the deployment refused, 2 wrong usage or no deployment.",
};

/* The supervisors that can be asked, from the kernel's list of sockets. */
static unsigned find_pids(pid_t pids[PIDS_MAX])
{
	FILE *f = fopen("/proc/net/unix", "re");
	char line[512];
	unsigned n = 0, i;

	while (f && n < PIDS_MAX && fgets(line, sizeof(line), f)) {
		const char *at = strstr(line, " @perhop/");
		pid_t pid = at ? (pid_t)atoi(at + 9) : 0;

		for (i = 0; i < n && pids[i] != pid; i++)
			;
		if (pid > 0 && i == n)
			pids[n++] = pid;
	}
	if (f)
		fclose(f);
	return n;
}

static int choose(struct adapter_arguments *a)
{
	pid_t pids[PIDS_MAX];
	unsigned n;

	if (a->pid)
		return 0;
	n = find_pids(pids);
	if (n == 1) {
		a->pid = pids[0];
		return 0;
	}
	fprintf(stderr, n ? "perhop adapter: there are %u deployments, choose with --pid:" :
		"perhop adapter: no deployment is running (perhop serve)", n);
	for (unsigned i = 0; i < n; i++)
		fprintf(stderr, " %d", (int)pids[i]);
	fputc('\n', stderr);
	return -ESRCH;
}

static bool is_loaded(pid_t pid, const char *name)
{
	char list[CONTROL_MESSAGE_MAX], *line, *rest = NULL;
	const size_t n = strlen(name);

	if (control_ask(pid, "list", NULL, 0, list, sizeof(list)))
		return false;
	for (line = strtok_r(list, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		if (!strncmp(line, name, n) && line[n] == ' ')
			return true;
	return false;
}

static int load(struct adapter_arguments *a, char *answer, size_t room)
{
	struct adapter_file file;
	struct sockaddr_in got;
	int fds[2] = { -1, -1 }, err;

	err = adapter_open(&file, a->name, answer, room);
	if (err)
		return err;
	fds[0] = file.fd;
	if (a->has_listen || !is_loaded(a->pid, file.name)) {
		if (!a->has_listen)
			a->listen = (struct sockaddr_in){ .sin_family = AF_INET,
							  .sin_port = htons(file.port),
							  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		/* Of an adapter just unloaded, the deployment lets go within a moment. */
		for (int tries = 0; tries < 10; tries++) {
			err = adapter_listen(&fds[1], &file, &a->listen, &got, answer, room);
			if (err != -EADDRINUSE)
				break;
			nanosleep(&(struct timespec){ .tv_nsec = 20 * NS_PER_MS }, NULL);
		}
	}
	if (!err)
		err = control_ask(a->pid, "load", fds, fds[1] < 0 ? 1 : 2, answer, room);
	close(fds[0]);
	if (fds[1] >= 0)
		close(fds[1]);
	return err;
}

int adapter_main(int argc, char **argv)
{
	struct adapter_arguments a = { 0 };
	char answer[CONTROL_MESSAGE_MAX] = "", request[64];
	int err;

	if (argp_parse(&argp, argc, argv, 0, NULL, &a) || choose(&a))
		return STATUS_CANNOT;
	if (!strcmp(a.verb, "load")) {
		err = load(&a, answer, sizeof(answer));
	} else {
		snprintf(request, sizeof(request), "%s%s%s", a.verb, a.name ? " " : "", a.name ? a.name : "");
		err = control_ask(a.pid, request, NULL, 0, answer, sizeof(answer));
	}
	if (!err) {
		fputs(answer, stdout);
		return STATUS_DONE;
	}
	answer[strcspn(answer, "\n")] = '\0';
	fprintf(stderr, "perhop adapter: %s\n", !strncmp(answer, "error: ", 7) ? answer + 7 : answer);
	return err == -EREMOTEIO ? STATUS_FAILED : STATUS_CANNOT;
}

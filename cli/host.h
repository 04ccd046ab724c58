/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine a record was made on. */
#ifndef PERHOP_CLI_HOST_H
#define PERHOP_CLI_HOST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * Everything about the host that does not change while we run, as in results/schema.json, without
 * `bpf_tags` and `config_hash`. Asks dpkg-query: call once per process. New reference.
 */
json_t *host_json(void);

/* Small readers that `perhop doctor` shares. */

/* First line of a file without its newline. False (and "") when it cannot be read. */
bool host_line(const char *path, char *out, size_t room);

/* Vendor of the hypervisor as CPUID tells it ("KVMKVMKVM"), or false: none seen. */
bool host_hypervisor(char *out, size_t room);

/* Is `flag` in /proc/cpuinfo's flags? */
bool host_cpu_flag(const char *flag);

#endif

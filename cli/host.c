/* SPDX-License-Identifier: BSD-2-Clause */
#include <bpf/libbpf.h>
#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "build-info.h"
#include "cli/cli.h"
#include "cli/host.h"

/* Foreign programs and libraries in the path of a request, as Debian packages. */
static const char *const packages[] = {
	"nginx", "nginx-light", "nginx-core", "libnginx-mod-http-lua", "lua-resty-core", "libbpf1",
	"libprotobuf-c1", "libjansson4", "libssl3", "libc6",
};

bool host_line(const char *path, char *out, size_t room)
{
	FILE *f = fopen(path, "re");
	bool ok = f && fgets(out, (int)room, f);

	if (f)
		fclose(f);
	if (!ok)
		out[0] = '\0';
	out[strcspn(out, "\n")] = '\0';
	return ok;
}

static json_t *line_json(const char *path)
{
	char line[4096];

	return host_line(path, line, sizeof(line)) ? json_text(line) : json_null();
}

bool host_hypervisor(char *out, size_t room)
{
#if defined(__x86_64__)
	unsigned a, b, c, d;
	char vendor[13] = "";

	/* CPUID 1, ECX bit 31: reserved for hypervisors to say that they are there. */
	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & (1u << 31)))
		return false;
	__cpuid(0x40000000, a, b, c, d);
	memcpy(vendor, &b, 4);
	memcpy(vendor + 4, &c, 4);
	memcpy(vendor + 8, &d, 4);
	snprintf(out, room, "%s", vendor[0] ? vendor : "unknown");
	return true;
#else
	return host_line("/sys/hypervisor/type", out, room);
#endif
}

/* The value of "key : value" in a /proc file. */
static bool proc_value(const char *path, const char *key, char *out, size_t room)
{
	size_t n = strlen(key);
	char *line = NULL, *colon;
	size_t size = 0;
	FILE *f = fopen(path, "re");
	bool found = false;

	while (f && !found && getline(&line, &size, f) > 0) {
		colon = strchr(line, ':');
		if (!colon || strncmp(line, key, n) || !strchr(" \t:", line[n]))
			continue;
		colon += 1 + strspn(colon + 1, " \t");
		colon[strcspn(colon, "\n")] = '\0';
		snprintf(out, room, "%s", colon);
		found = true;
	}
	free(line);
	if (f)
		fclose(f);
	return found;
}

bool host_cpu_flag(const char *flag)
{
	char flags[8192], *save, *word;

	if (!proc_value("/proc/cpuinfo", "flags", flags, sizeof(flags)))
		return false;
	for (word = strtok_r(flags, " ", &save); word; word = strtok_r(NULL, " ", &save))
		if (!strcmp(word, flag))
			return true;
	return false;
}

static json_t *mitigations(void)
{
	static const char folder[] = "/sys/devices/system/cpu/vulnerabilities";
	json_t *object = json_object();
	struct dirent *entry;
	char path[512];
	DIR *dir = opendir(folder);

	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		json_object_set_new(object, entry->d_name, line_json(path));
	}
	if (dir)
		closedir(dir);
	return object;
}

static json_t *hugepages(void)
{
	static const char folder[] = "/sys/kernel/mm/hugepages";
	static const char *const counts[][2] = {
		{ "nr_hugepages", "total" }, { "free_hugepages", "free" },
	};
	json_t *object = json_object();
	char path[512], line[64], key[128];
	struct dirent *entry;
	DIR *dir = opendir(folder);
	size_t i;

	while (dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "hugepages-", 10))
			continue;
		for (i = 0; i < 2; i++) {
			snprintf(path, sizeof(path), "%s/%s/%s", folder, entry->d_name,
				 counts[i][0]);
			if (!host_line(path, line, sizeof(line)))
				continue;
			snprintf(key, sizeof(key), "%.60s_%s", entry->d_name + 10, counts[i][1]);
			json_object_set_new(object, key, json_integer(atoll(line)));
		}
	}
	if (dir)
		closedir(dir);
	return object;
}

static json_t *numa_nodes(void)
{
	DIR *dir = opendir("/sys/devices/system/node");
	struct dirent *entry;
	int n = 0;

	if (!dir)
		return json_null();
	while ((entry = readdir(dir)))
		if (!strncmp(entry->d_name, "node", 4) && entry->d_name[4] >= '0' &&
		    entry->d_name[4] <= '9')
			n++;
	closedir(dir);
	return n ? json_integer(n) : json_null();
}

/* Versions of `packages`; null where one is not installed. */
static json_t *package_versions(void)
{
	json_t *object = json_object();
	char command[512] = "dpkg-query -W -f '${Package} ${db:Status-Abbrev} ${Version}\\n'";
	char name[128], status[8], version[128];
	FILE *f;
	size_t i;

	for (i = 0; i < sizeof(packages) / sizeof(packages[0]); i++) {
		json_object_set_new(object, packages[i], json_null());
		snprintf(command + strlen(command), sizeof(command) - strlen(command), " %s",
			 packages[i]);
	}
	snprintf(command + strlen(command), sizeof(command) - strlen(command), " 2>/dev/null");
	f = popen(command, "re");
	if (!f)
		return object;
	while (fscanf(f, "%127s %7s %127s", name, status, version) == 3)
		if (!strcmp(status, "ii"))
			json_object_set_new(object, name, json_text(version));
	pclose(f);
	return object;
}

static json_t *smt(void)
{
	char line[16];

	if (!host_line("/sys/devices/system/cpu/smt/active", line, sizeof(line)))
		return json_null();
	return json_boolean(line[0] == '1');
}

static json_t *cpu_model(void)
{
	char model[256];

	if (!proc_value("/proc/cpuinfo", "model name", model, sizeof(model)))
		return json_null();
	return json_text(model);
}

static json_t *memory_kib(void)
{
	char text[64];

	if (!proc_value("/proc/meminfo", "MemTotal", text, sizeof(text)))
		return json_null();
	return json_integer(atoll(text));
}

static int cpus(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) ? 1 : CPU_COUNT(&set);
}

json_t *host_json(void)
{
	json_t *h = json_object();
	struct utsname name;
	char text[64];

	json_object_set_new(h, "kernel", json_text(uname(&name) ? "unknown" : name.release));
	json_object_set_new(h, "cmdline", line_json("/proc/cmdline"));
	json_object_set_new(h, "mitigations", mitigations());
	json_object_set_new(h, "cpu_model", cpu_model());
	json_object_set_new(h, "cpus", json_integer(cpus()));
	json_object_set_new(h, "smt", smt());
	json_object_set_new(h, "numa_nodes", numa_nodes());
	json_object_set_new(h, "governor",
			    line_json("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"));
	json_object_set_new(h, "clocksource", line_json("/sys/devices/system/clocksource/"
							"clocksource0/current_clocksource"));
	json_object_set_new(h, "hypervisor", host_hypervisor(text, sizeof(text)) ?
					     json_text(text) : json_null());
	json_object_set_new(h, "hugepages", hugepages());
	json_object_set_new(h, "memory_kib", memory_kib());
#if defined(__clang__)
	json_object_set_new(h, "compiler", json_text(__VERSION__));
#else
	json_object_set_new(h, "compiler", json_text("gcc " __VERSION__));
#endif
	json_object_set_new(h, "cflags", json_text(BUILD_CFLAGS));
	json_object_set_new(h, "git_sha", json_text(BUILD_GIT_SHA));
	json_object_set_new(h, "git_dirty",
			    BUILD_GIT_DIRTY < 0 ? json_null() : json_boolean(BUILD_GIT_DIRTY));
	json_object_set_new(h, "packages", package_versions());
	json_object_set_new(h, "libbpf", json_text(libbpf_version_string()));
	json_object_set_new(h, "boot_id", line_json("/proc/sys/kernel/random/boot_id"));
	return h;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "chain/clock.h"
#include "cli/doctor.h"
#include "cli/host.h"
#include "cli/sockmap_check.h"

#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#endif
#ifndef CAP_BPF
#define CAP_BPF 39
#endif

enum {
	FILES_WANTED = 16384,       /* a thousand users, their server ends, and pods */
	STEAL_WINDOW_MS = 300,
	HUGEPAGES_WANTED = 32,      /* 1024 buffers of 64 KiB in pages of 2 MiB */
};

static void found(struct finding *f, enum health health, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void found(struct finding *f, enum health health, const char *format, ...)
{
	va_list ap;

	f->health = health;
	va_start(ap, format);
	vsnprintf(f->found, sizeof(f->found), format, ap);
	va_end(ap);
}

static void means(struct finding *f, const char *what, const char *fix)
{
	snprintf(f->means, sizeof(f->means), "%s", what);
	snprintf(f->fix, sizeof(f->fix), "%s", fix);
}

static void check_kernel(struct finding *f)
{
	struct utsname name;
	int major = 0, minor = 0;

	if (uname(&name) || sscanf(name.release, "%d.%d", &major, &minor) != 2) {
		found(f, HEALTH_WARN, "cannot tell");
		return;
	}
	if (major > 5 || (major == 5 && minor >= 15)) {
		found(f, HEALTH_OK, "Linux %s", name.release);
		return;
	}
	found(f, HEALTH_WARN, "Linux %s", name.release);
	means(f, "perhop is written for 5.15 and later; older kernels lack some of its hooks",
	      "install a newer kernel");
}

static void check_btf(struct finding *f)
{
	if (!access("/sys/kernel/btf/vmlinux", R_OK)) {
		found(f, HEALTH_OK, "/sys/kernel/btf/vmlinux");
		return;
	}
	found(f, HEALTH_MISSING, "no /sys/kernel/btf/vmlinux");
	means(f, "eBPF programs can be neither built nor fitted to this kernel: skmsg cannot run",
	      "a kernel with CONFIG_DEBUG_INFO_BTF=y (all current distributions)");
}

static void check_capabilities(struct finding *f)
{
	static const struct {
		int bit;
		const char *name;
	} wanted[] = {
		{ CAP_NET_ADMIN, "CAP_NET_ADMIN" }, { CAP_SYS_ADMIN, "CAP_SYS_ADMIN" },
		{ CAP_PERFMON, "CAP_PERFMON" }, { CAP_BPF, "CAP_BPF" },
	};
	char line[128], absent[128] = "";
	unsigned long long effective = 0;
	FILE *file = fopen("/proc/self/status", "re");
	size_t i;

	while (file && fgets(line, sizeof(line), file))
		sscanf(line, "CapEff: %llx", &effective);
	if (file)
		fclose(file);
	for (i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (!(effective >> wanted[i].bit & 1))
			snprintf(absent + strlen(absent), sizeof(absent) - strlen(absent), " %s",
				 wanted[i].name);
	if (!absent[0]) {
		found(f, HEALTH_OK, "CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN, CAP_SYS_ADMIN");
		return;
	}
	found(f, HEALTH_MISSING, "user %u is without%s", (unsigned)geteuid(), absent);
	means(f, "skmsg (eBPF) and kernel (network namespaces) cannot run; null can",
	      "run as root");
}

/* In a child of its own, so that nothing of ours changes. */
static void check_namespaces(struct finding *f)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid)
		_exit(unshare(CLONE_NEWPID | CLONE_NEWNET) ? errno : 0);
	if (pid > 0 && waitpid(pid, &status, 0) == pid && !status) {
		found(f, HEALTH_OK, "PID and network namespaces can be made");
		return;
	}
	found(f, HEALTH_MISSING, "PID and network namespaces cannot be made: %s",
	      WIFEXITED(status) ? strerror(WEXITSTATUS(status)) : "the child was killed");
	means(f, "kernel has no pods; and after kill -9 of perhop only its own children end, not "
	      "theirs", "run as root, in a container with CAP_SYS_ADMIN");
}

static void check_cgroup(struct finding *f)
{
	if (!access("/sys/fs/cgroup/cgroup.controllers", R_OK)) {
		found(f, HEALTH_OK, "version 2");
		return;
	}
	if (!access("/sys/fs/cgroup/unified", F_OK) || !access("/sys/fs/cgroup/cpu", F_OK)) {
		found(f, HEALTH_WARN, "version 1 (or a hybrid)");
		means(f,
		      "CPU is taken from each process's clock, so runs are not affected; crun and "
		      "audits by cgroup need version 2",
		      "boot with systemd.unified_cgroup_hierarchy=1");
		return;
	}
	found(f, HEALTH_WARN, "not mounted");
	means(f, "runs are not affected; audits by cgroup are not possible",
	      "mount -t cgroup2 none /sys/fs/cgroup");
}

static void check_hugepages(struct finding *f)
{
	char line[32];
	long n = 0;

	if (host_line("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", line,
		      sizeof(line)))
		n = atol(line);
	if (n >= HUGEPAGES_WANTED) {
		found(f, HEALTH_OK, "%ld of 2 MiB are free", n);
		return;
	}
	found(f, HEALTH_WARN, "%ld of 2 MiB are free, a pool takes %d", n, HUGEPAGES_WANTED);
	means(f, "pools use pages of 4 KiB: more TLB misses; records say so in pool.page_kib",
	      "echo 64 > /proc/sys/vm/nr_hugepages");
}

static void check_skmsg(struct finding *f)
{
	struct sockmap_sight sight;
	const char *what;
	int error = sockmap_check(true, &sight, &what);

	if (error) {
		found(f, HEALTH_MISSING, "cannot %s: %s", what, strerror(-error));
		means(f, "skmsg cannot run",
		      "run as root; a kernel with CONFIG_BPF_STREAM_PARSER=y");
	} else if (!sight.delivered) {
		found(f, HEALTH_MISSING, "a redirected message did not arrive");
		means(f, "skmsg cannot run", "");
	} else if (!sight.woke) {
		found(f, HEALTH_MISSING, "a redirected message does not wake its receiver");
		means(f, "skmsg would stall", "another kernel");
	} else {
		found(f, HEALTH_OK, "an SK_MSG program loads, redirects and wakes the receiver");
	}
}

static void check_sockmap(struct finding *f)
{
	struct sockmap_sight sight;
	const char *what;
	int error = sockmap_check(false, &sight, &what);

	if (error) {
		found(f, HEALTH_WARN, "cannot be tested: %s: %s", what, strerror(-error));
		return;
	}
	if (sight.woke && sight.fionread == 16) {
		found(f, HEALTH_OK,
		      "absent: FIONREAD and epoll are right with an SK_MSG program alone");
		return;
	}
	found(f, HEALTH_WARN,
	      "present: with an SK_MSG program alone FIONREAD is %d of 16 and epoll %s",
	      sight.fionread, sight.woke ? "wakes" : "does not wake");
	means(f,
	      "skmsg avoids it by a no-op SK_SKB verdict program on its sockmap; other programs on "
	      "this machine may stall",
	      "");
}

static void check_pmu(struct finding *f)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_HARDWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_HW_CPU_CYCLES,
		.disabled = 1,
	};
	long fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd >= 0) {
		close((int)fd);
		found(f, HEALTH_OK, "cycles can be counted");
		return;
	}
	found(f, HEALTH_WARN, "cycles cannot be counted: %s", strerror(errno));
	means(f, "cycles are CPU time times the TSC's rate, and labelled so",
	      errno == EACCES || errno == EPERM ? "sysctl kernel.perf_event_paranoid=1" :
	      "a machine (or VM) with a virtual PMU");
}

static void check_pku(struct finding *f)
{
	if (host_cpu_flag("ospke")) {
		found(f, HEALTH_OK, "protection keys are on");
		return;
	}
	found(f, HEALTH_WARN, host_cpu_flag("pku") ? "pku is there, but the kernel has it off" :
	      "the CPU has no protection keys (pku)");
	means(f, "gate=mpk cannot be measured here", "");
}

static void check_kvm(struct finding *f)
{
	bool cpu = host_cpu_flag("vmx") || host_cpu_flag("svm");

	if (cpu && !access("/dev/kvm", R_OK | W_OK)) {
		found(f, HEALTH_OK, "/dev/kvm with hardware virtualization");
		return;
	}
	found(f, HEALTH_WARN, "%s",
	      access("/dev/kvm", F_OK) ? "no /dev/kvm"
	      : cpu                    ? "/dev/kvm may not be opened"
				       : "/dev/kvm is there, but the CPU has neither vmx nor svm");
	means(f, "unikernels run in QEMU's TCG: right, but slow; their timings are not comparable",
	      cpu ? "join the group kvm" : "a machine (or VM) with nested virtualization");
}

static void check_clocksource(struct finding *f)
{
	char name[64];

	host_line("/sys/devices/system/clocksource/clocksource0/current_clocksource", name,
		  sizeof(name));
	if (!strcmp(name, "tsc") || !strcmp(name, "kvm-clock") ||
	    !strcmp(name, "arch_sys_counter")) {
		found(f, HEALTH_OK, "%s", name);
		return;
	}
	found(f, HEALTH_WARN, "%s", name[0] ? name : "unknown");
	means(f, "reading the clock is a system call here: it costs microseconds of each latency",
	      "echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource");
}

static void check_governor(struct finding *f)
{
	char name[64];

	if (!host_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", name,
		       sizeof(name))) {
		found(f, HEALTH_OK, "none: the kernel does not change the CPU's frequency");
		return;
	}
	if (!strcmp(name, "performance")) {
		found(f, HEALTH_OK, "%s", name);
		return;
	}
	found(f, HEALTH_WARN, "%s", name);
	means(f, "the frequency follows the load: CPU times of light loads come out too high",
	      "echo performance | tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor");
}

static void check_cpus(struct finding *f)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) ? 1 : CPU_COUNT(&set);

	found(f, n >= 2 ? HEALTH_OK : HEALTH_WARN, "%d", n);
	if (n < 2)
		means(f,
		      "load generator and deployment share one core: cross-core cannot be measured",
		      "a machine with two or more");
}

static void read_steal(unsigned long long *steal, unsigned long long *total)
{
	unsigned long long v[8] = { 0 };
	FILE *file = fopen("/proc/stat", "re");

	if (file && fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2],
			   &v[3], &v[4], &v[5], &v[6], &v[7]) != 8)
		v[7] = 0;
	if (file)
		fclose(file);
	*steal = v[7];
	*total = 0;
	for (int i = 0; i < 8; i++)
		*total += v[i];
}

static void check_steal(struct finding *f)
{
	const struct timespec window = { .tv_nsec = STEAL_WINDOW_MS * (long)NS_PER_MS };
	unsigned long long steal[2], total[2];
	double percent = 0;

	read_steal(&steal[0], &total[0]);
	nanosleep(&window, NULL);
	read_steal(&steal[1], &total[1]);
	if (total[1] > total[0])
		percent = 100.0 * (double)(steal[1] - steal[0]) / (double)(total[1] - total[0]);
	found(f, percent > 3 ? HEALTH_WARN : HEALTH_OK, "%.1f %% now", percent);
	if (percent > 3)
		means(f,
		      "other machines on this host take CPU time: figures are noisy; records are "
		      "marked",
		      "wait, or use another machine");
}

static bool in_path(const char *name)
{
	static const char *const folders[] = { "/usr/sbin", "/usr/bin", "/sbin", "/bin",
					       "/usr/local/sbin", "/usr/local/bin" };
	char path[128];

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", folders[i], name);
		if (!access(path, X_OK))
			return true;
	}
	return false;
}

static void check_nginx(struct finding *f)
{
	bool nginx = in_path("nginx");
	bool lua = !access("/usr/lib/nginx/modules/ngx_http_lua_module.so", R_OK) ||
		   !access("/usr/lib64/nginx/modules/ngx_http_lua_module.so", R_OK);

	if (nginx && lua) {
		found(f, HEALTH_OK, "nginx with its Lua module");
		return;
	}
	found(f, HEALTH_MISSING, nginx ? "nginx is there, its Lua module is not" : "no nginx");
	means(f, "kernel:knative cannot run, nor sidecar=nginx", "scripts/prerequisites.sh");
}

static void check_python(struct finding *f)
{
	char absent[256] = "";
	FILE *p = popen(
		"/usr/bin/python3 -c 'import importlib.util as u; print(*[m for m in "
		"(\"numpy\", \"scipy\", \"matplotlib\", \"jsonschema\") if not u.find_spec(m)])' "
		"2>/dev/null",
		"re");
	bool ran = p && fgets(absent, sizeof(absent), p);

	if (p)
		pclose(p);
	absent[strcspn(absent, "\n")] = '\0';
	if (ran && !absent[0]) {
		found(f, HEALTH_OK, "python3 with numpy, scipy, matplotlib, jsonschema");
		return;
	}
	found(f, HEALTH_MISSING, ran ? "python3 without: %s" : "no /usr/bin/python3%s", absent);
	means(f, "records can be made but no tables and figures; make reproduce cannot run",
	      "scripts/prerequisites.sh");
}

static void check_memlock(struct finding *f)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit)) {
		found(f, HEALTH_WARN, "%s", strerror(errno));
		return;
	}
	if (limit.rlim_cur == RLIM_INFINITY) {
		found(f, HEALTH_OK, "unlimited");
		return;
	}
	/* From 5.11 on eBPF maps count against the cgroup's memory instead. */
	found(f, HEALTH_OK, "%llu KiB", (unsigned long long)limit.rlim_cur >> 10);
}

static void check_files(struct finding *f)
{
	struct rlimit limit = { 0 };

	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur >= FILES_WANTED) {
		found(f, HEALTH_OK, "%llu", (unsigned long long)limit.rlim_cur);
		return;
	}
	found(f, HEALTH_WARN, "%llu (at most %llu)", (unsigned long long)limit.rlim_cur,
	      (unsigned long long)limit.rlim_max);
	means(f, "each user of a closed loop is a connection: thousands of them do not fit",
	      "ulimit -n 65536");
}

const struct check doctor_checks[] = {
	{ "kernel", check_kernel },
	{ "BTF", check_btf },
	{ "capabilities", check_capabilities },
	{ "namespaces", check_namespaces },
	{ "cgroup", check_cgroup },
	{ "SK_MSG redirect", check_skmsg },
	{ "sockmap regression", check_sockmap },
	{ "hugepages", check_hugepages },
	{ "hardware counters", check_pmu },
	{ "protection keys", check_pku },
	{ "virtualization", check_kvm },
	{ "clock source", check_clocksource },
	{ "governor", check_governor },
	{ "CPUs", check_cpus },
	{ "steal", check_steal },
	{ "nginx", check_nginx },
	{ "python", check_python },
	{ "locked memory", check_memlock },
	{ "open files", check_files },
};

const size_t doctor_checks_count = sizeof(doctor_checks) / sizeof(doctor_checks[0]);

/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chain/netfilter.h"

static const struct {
	const char *path, *kind;
} programs[] = {
	{ "/usr/sbin/iptables-legacy-restore", "legacy" },
	{ "/sbin/iptables-legacy-restore", "legacy" },
	{ "/usr/sbin/iptables-nft-restore", "nft" },
	{ "/sbin/iptables-nft-restore", "nft" },
};

static int find_program(void)
{
	for (unsigned i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		if (!access(programs[i].path, X_OK))
			return (int)i;
	return -ENOENT;
}

const char *netfilter_program(void)
{
	int i = find_program();

	return i < 0 ? NULL : programs[i].path;
}

const char *netfilter_kind(void)
{
	int i = find_program();

	return i < 0 ? NULL : programs[i].kind;
}

/* ---- The rules -------------------------------------------------------------------------------- */

static const char nat_frame[] =
	"*nat\n"
	":PREROUTING ACCEPT [0:0]\n"
	":INPUT ACCEPT [0:0]\n"
	":OUTPUT ACCEPT [0:0]\n"
	":POSTROUTING ACCEPT [0:0]\n"
	":KUBE-SERVICES - [0:0]\n"
	":KUBE-NODEPORTS - [0:0]\n"
	":KUBE-POSTROUTING - [0:0]\n"
	":KUBE-MARK-MASQ - [0:0]\n";

static const char nat_jumps[] =
	"-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n"
	"-A OUTPUT -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n"
	"-A POSTROUTING -m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING\n"
	"-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN\n"
	"-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000\n"
	"-A KUBE-POSTROUTING -m comment --comment \"kubernetes service traffic requiring SNAT\" -j MASQUERADE\n"
	"-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000\n";

static const char nat_end[] =
	"-A KUBE-SERVICES -m comment --comment \"kubernetes service nodeports; NOTE: this must be the last rule "
	"in this chain\" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS\n"
	"COMMIT\n";

static const char filter[] =
	"*filter\n"
	":INPUT ACCEPT [0:0]\n"
	":FORWARD ACCEPT [0:0]\n"
	":OUTPUT ACCEPT [0:0]\n"
	":KUBE-FIREWALL - [0:0]\n"
	":KUBE-FORWARD - [0:0]\n"
	":KUBE-SERVICES - [0:0]\n"
	":KUBE-EXTERNAL-SERVICES - [0:0]\n"
	"-A INPUT -m conntrack --ctstate NEW -m comment --comment \"kubernetes externally-visible service "
	"portals\" -j KUBE-EXTERNAL-SERVICES\n"
	"-A INPUT -j KUBE-FIREWALL\n"
	"-A FORWARD -m comment --comment \"kubernetes forwarding rules\" -j KUBE-FORWARD\n"
	"-A FORWARD -m conntrack --ctstate NEW -m comment --comment \"kubernetes service portals\" -j "
	"KUBE-SERVICES\n"
	"-A OUTPUT -m conntrack --ctstate NEW -m comment --comment \"kubernetes service portals\" -j "
	"KUBE-SERVICES\n"
	"-A OUTPUT -j KUBE-FIREWALL\n"
	"-A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP\n"
	"-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP\n"
	"-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT\n"
	"-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
	"COMMIT\n";

/* Service `i` has cluster address 10.96.0.0/12 + i and one endpoint 10.244.0.0/16 + i. */
static void put_service(FILE *f, unsigned i, uint32_t base)
{
	const unsigned high = i / 250, low = i % 250 + 1;

	fprintf(f, "-A KUBE-SERVICES ! -s %u.%u.%u.0/24 -d 10.96.%u.%u/32 -p tcp -m comment --comment "
		   "\"default/service-%u cluster IP\" -m tcp --dport 80 -j KUBE-MARK-MASQ\n",
		base >> 24, base >> 16 & 255, base >> 8 & 255, high, low, i);
	fprintf(f, "-A KUBE-SERVICES -d 10.96.%u.%u/32 -p tcp -m comment --comment "
		   "\"default/service-%u cluster IP\" -m tcp --dport 80 -j KUBE-SVC-%016X\n", high, low, i, i);
	fprintf(f, "-A KUBE-SVC-%016X -m comment --comment \"default/service-%u\" -j KUBE-SEP-%016X\n", i, i, i);
	fprintf(f, "-A KUBE-SEP-%016X -s 10.244.%u.%u/32 -m comment --comment \"default/service-%u\" -j "
		   "KUBE-MARK-MASQ\n", i, high, low, i);
	fprintf(f, "-A KUBE-SEP-%016X -p tcp -m comment --comment \"default/service-%u\" -m tcp -j DNAT "
		   "--to-destination 10.244.%u.%u:8080\n", i, i, high, low);
}

char *netfilter_text(uint32_t base, unsigned rules)
{
	const unsigned services = (rules + NETFILTER_RULES_PER_SERVICE - 1) / NETFILTER_RULES_PER_SERVICE;
	char *text = NULL;
	size_t bytes;
	FILE *f = open_memstream(&text, &bytes);

	if (!f)
		return NULL;
	fputs(nat_frame, f);
	for (unsigned i = 0; i < services; i++)
		fprintf(f, ":KUBE-SVC-%016X - [0:0]\n:KUBE-SEP-%016X - [0:0]\n", i, i);
	fputs(nat_jumps, f);
	for (unsigned i = 0; i < services; i++)
		put_service(f, i, base);
	fputs(nat_end, f);
	fputs(filter, f);
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}

/* ---- Installing ------------------------------------------------------------------------------- */

/* A file without a name that holds `text`, to be read from its start. fd or -errno. */
static int text_file(const char *text)
{
	size_t length = strlen(text);
	int fd = memfd_create("rules", MFD_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	if (write(fd, text, length) == (ssize_t)length && !lseek(fd, 0, SEEK_SET))
		return fd;
	err = -ENOSPC;
	close(fd);
	return err;
}

/* In the child. iptables keeps its lock in /run, which only this process sees as it is here. */
static _Noreturn void restore_main(int node, int rules, int says)
{
	char *const argv[] = { (char *)netfilter_program(), NULL };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!setns(node, CLONE_NEWNET) && !unshare(CLONE_NEWNS) &&
	    !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	    !mount("perhop", "/run", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=1m") &&
	    dup2(rules, STDIN_FILENO) == STDIN_FILENO && dup2(says, STDOUT_FILENO) == STDOUT_FILENO &&
	    dup2(says, STDERR_FILENO) == STDERR_FILENO && argv[0])
		execv(argv[0], argv);
	_exit(127);
}

int netfilter_install(int node, uint32_t base, unsigned rules, char *why, size_t why_bytes)
{
	char *text = netfilter_text(base, rules), said[256] = "";
	int file = text ? text_file(text) : -ENOMEM, says = memfd_create("said", MFD_CLOEXEC), status = 0;
	int err = file < 0 ? file : says < 0 ? -errno : 0;
	pid_t pid = -1;
	ssize_t n;

	free(text);
	if (!err) {
		pid = fork();
		if (!pid)
			restore_main(node, file, says);
		err = pid < 0 ? -errno : 0;
	}
	while (!err && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			err = -errno;
	if (!err && status) {
		n = pread(says, said, sizeof(said) - 1, 0);
		said[n > 0 ? n : 0] = '\0';
		said[strcspn(said, "\n")] = '\0';
		err = -EOPNOTSUPP;
	}
	if (err)
		snprintf(why, why_bytes, "cannot install %u netfilter rules: %s", rules,
			 *said ? said : strerror(-err));
	if (file >= 0)
		close(file);
	if (says >= 0)
		close(says);
	return err;
}

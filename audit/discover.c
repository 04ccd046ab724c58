/* SPDX-License-Identifier: BSD-2-Clause */
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/discover.h"

enum { TCP_STATE_ESTABLISHED = 1, TCP_STATE_LISTEN = 10 };

/* A row of /proc/net/tcp or tcp6. */
struct row {
	uint32_t netns;
	uint32_t local[4], remote[4];       /* network order, IPv4 mapped */
	uint16_t local_port, remote_port;
	unsigned state;
	uint64_t inode;
};

/* A socket in a process's hands. */
struct holder {
	uint64_t inode;
	pid_t pid;
};

struct sockets {
	struct row *row;
	size_t rows, row_room;
	struct holder *holder;      /* sorted by inode once collected */
	size_t holders, holder_room;
	uint32_t netns[AUDIT_COMPONENTS * 2];
	unsigned n_netns;
	bool denied;                /* some process could not be looked at */
};

static void *grow(void *at, size_t count, size_t *room, size_t size)
{
	void *more;

	if (count < *room)
		return at;
	more = realloc(at, (*room ? *room * 2 : 256) * size);
	if (more)
		*room = *room ? *room * 2 : 256;
	return more;
}

/* ---- Reading /proc ---------------------------------------------------------------------------- */

static uint32_t netns_of(pid_t pid)
{
	char path[64], link[64];
	uint32_t inode;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return 0;
	link[n] = '\0';
	return sscanf(link, "net:[%" SCNu32 "]", &inode) == 1 ? inode : 0;
}

static pid_t parent_of(pid_t pid)
{
	char path[64], line[512], *close;
	int parent = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fgets(line, sizeof(line), f)) {
		close = strrchr(line, ')');     /* the name before it may hold anything */
		if (!close || sscanf(close + 1, " %*c %d", &parent) != 1)
			parent = 0;
	}
	fclose(f);
	return parent;
}

/* "0100007F" or 32 such digits: words as the kernel has them, in network order. */
static bool parse_address(const char *text, uint32_t *addr)
{
	size_t n = strlen(text);
	char word[9] = "";

	if (n != 8 && n != 32)
		return false;
	addr[0] = addr[1] = 0;
	addr[2] = htonl(0xffff);
	for (size_t i = 0; i < n / 8; i++) {
		memcpy(word, text + 8 * i, 8);
		addr[n == 8 ? 3 : i] = (uint32_t)strtoul(word, NULL, 16);
	}
	return true;
}

/* `who`: a pid, or thread-self. */
static int read_table(struct sockets *s, const char *who, const char *name, uint32_t netns)
{
	char path[64], line[512], local[40], remote[40];
	unsigned lport, rport, state;
	uint64_t inode;
	struct row *row;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/net/%s", who, name);
	f = fopen(path, "re");
	if (!f)
		return errno == ENOENT ? 0 : -errno;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, " %*d: %39[0-9A-Fa-f]:%x %39[0-9A-Fa-f]:%x %x %*s %*s %*s %*s %*s %"
			   SCNu64, local, &lport, remote, &rport, &state, &inode) != 6)
			continue;
		row = grow(s->row, s->rows, &s->row_room, sizeof(*s->row));
		if (!row) {
			fclose(f);
			return -ENOMEM;
		}
		s->row = row;
		row += s->rows;
		*row = (struct row){ .netns = netns, .local_port = (uint16_t)lport,
				     .remote_port = (uint16_t)rport, .state = state, .inode = inode };
		if (parse_address(local, row->local) && parse_address(remote, row->remote))
			s->rows++;
	}
	fclose(f);
	return 0;
}

/* The tables of the network namespace that `pid` is in, once each. */
static int read_netns(struct sockets *s, pid_t pid)
{
	uint32_t netns = netns_of(pid);
	char who[16];
	int err;

	if (!netns) {
		s->denied = s->denied || errno == EACCES;
		return 0;
	}
	for (unsigned i = 0; i < s->n_netns; i++)
		if (s->netns[i] == netns)
			return 0;
	if (s->n_netns == sizeof(s->netns) / sizeof(s->netns[0]))
		return -ENOSPC;
	s->netns[s->n_netns++] = netns;
	snprintf(who, sizeof(who), "%d", pid);
	err = read_table(s, who, "tcp", netns);
	return err ? err : read_table(s, who, "tcp6", netns);
}

static uint32_t inode_of(int netns)
{
	struct stat s;

	return fstat(netns, &s) ? 0 : (uint32_t)s.st_ino;
}

/* Call `each` for every network namespace that this process holds a descriptor of. Stops at an error. */
static int for_each_namespace(int (*each)(void *arg, int fd, uint32_t inode), void *arg)
{
	char path[320], link[64];
	struct dirent *entry;
	uint32_t inode;
	int err = 0;
	ssize_t n;
	DIR *dir = opendir("/proc/self/fd");

	while (dir && !err && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/self/fd/%s", entry->d_name);
		n = readlink(path, link, sizeof(link) - 1);
		if (n < 0)
			continue;
		link[n] = '\0';
		if (sscanf(link, "net:[%" SCNu32 "]", &inode) == 1)
			err = each(arg, atoi(entry->d_name), inode);
	}
	if (dir)
		closedir(dir);
	return err;
}

/*
 * The sockets of a namespace that we hold: a listening socket may live where none of its holders does (the
 * node's address, served from a pod).
 */
static int read_held(void *arg, int fd, uint32_t inode)
{
	struct sockets *s = arg;
	int home, err;

	for (unsigned i = 0; i < s->n_netns; i++)
		if (s->netns[i] == inode)
			return 0;
	if (s->n_netns == sizeof(s->netns) / sizeof(s->netns[0]))
		return -ENOSPC;
	home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (home < 0 || setns(fd, CLONE_NEWNET)) {
		if (home >= 0)
			close(home);
		return 0;               /* without the privilege such a socket stays unknown */
	}
	s->netns[s->n_netns++] = inode;
	err = read_table(s, "thread-self", "tcp", inode);
	if (!err)
		err = read_table(s, "thread-self", "tcp6", inode);
	if (setns(home, CLONE_NEWNET) && !err)
		err = -errno;
	close(home);
	return err;
}

static int read_holder(struct sockets *s, pid_t pid)
{
	char path[320], link[64];
	struct dirent *entry;
	struct holder *h;
	uint64_t inode;
	ssize_t n;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir) {
		s->denied = s->denied || errno == EACCES;
		return 0;
	}
	while ((entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%s", pid, entry->d_name);
		n = readlink(path, link, sizeof(link) - 1);
		if (n < 0)
			continue;
		link[n] = '\0';
		if (sscanf(link, "socket:[%" SCNu64 "]", &inode) != 1)
			continue;
		h = grow(s->holder, s->holders, &s->holder_room, sizeof(*h));
		if (!h) {
			closedir(dir);
			return -ENOMEM;
		}
		s->holder = h;
		s->holder[s->holders++] = (struct holder){ inode, pid };
	}
	closedir(dir);
	return 0;
}

/* Call `each` for every process there is. Stops at the first error. */
static int for_each_process(int (*each)(void *arg, pid_t pid), void *arg)
{
	struct dirent *entry;
	int err = 0;
	DIR *dir = opendir("/proc");

	if (!dir)
		return -errno;
	while (!err && (entry = readdir(dir)))
		if (isdigit((unsigned char)entry->d_name[0]))
			err = each(arg, atoi(entry->d_name));
	closedir(dir);
	return err;
}

static int read_process(void *arg, pid_t pid)
{
	int err = read_netns(arg, pid);

	return err ? err : read_holder(arg, pid);
}

static int by_inode(const void *a, const void *b)
{
	const struct holder *x = a, *y = b;

	return x->inode < y->inode ? -1 : x->inode > y->inode;
}

static void sockets_free(struct sockets *s)
{
	free(s->row);
	free(s->holder);
}

static int sockets_read(struct sockets *s, const struct plan *p, bool all)
{
	int err = read_netns(s, getpid());

	if (!err)
		err = for_each_namespace(read_held, s);
	if (!err && all)
		err = for_each_process(read_process, s);
	for (unsigned i = AUDIT_CLIENT; !err && !all && i < p->components; i++)
		for (unsigned k = 0; !err && k < p->component[i].pids; k++)
			err = read_process(s, p->component[i].pid[k]);
	if (s->holders)
		qsort(s->holder, s->holders, sizeof(s->holder[0]), by_inode);
	return err;
}

/* ---- Matching --------------------------------------------------------------------------------- */

/* A process that holds the socket; one of the plan's when there are several. 0: nobody known. */
static pid_t holder_of(const struct sockets *s, const struct plan *p, uint64_t inode)
{
	struct holder key = { .inode = inode }, *h;
	pid_t any = 0;

	h = s->holders && inode ? bsearch(&key, s->holder, s->holders, sizeof(*h), by_inode) : NULL;
	if (!h)
		return 0;
	while (h > s->holder && h[-1].inode == inode)
		h--;
	for (; h < s->holder + s->holders && h->inode == inode; h++) {
		if (plan_find_pid(p, h->pid))
			return h->pid;
		if (!any)
			any = h->pid;
	}
	return any;
}

static bool is_any(const uint32_t *addr)
{
	return !addr[0] && !addr[1] && !addr[3] && (!addr[2] || addr[2] == htonl(0xffff));
}

static bool is_loopback(const uint32_t *addr)
{
	if (addr[0] || addr[1])
		return false;
	if (addr[2] == htonl(0xffff))
		return ntohl(addr[3]) >> 24 == 127;
	return !addr[2] && addr[3] == htonl(1);
}

static bool listens(const struct sockets *s, uint32_t netns, const uint32_t *addr, uint16_t port)
{
	for (size_t i = 0; i < s->rows; i++) {
		const struct row *r = &s->row[i];

		if (r->state == TCP_STATE_LISTEN && r->netns == netns && r->local_port == port &&
		    (is_any(r->local) || !memcmp(r->local, addr, sizeof(r->local))))
			return true;
	}
	return false;
}

/* The other end of a connection, or NULL when it is in no namespace that we have read. */
static const struct row *peer_of(const struct sockets *s, const struct row *r)
{
	bool local = is_loopback(r->local);

	for (size_t i = 0; i < s->rows; i++) {
		const struct row *o = &s->row[i];

		if (o != r && o->state != TCP_STATE_LISTEN && o->local_port == r->remote_port &&
		    o->remote_port == r->local_port && (!local || o->netns == r->netns) &&
		    !memcmp(o->local, r->remote, sizeof(o->local)) &&
		    !memcmp(o->remote, r->local, sizeof(o->remote)))
			return o;
	}
	return NULL;
}

/* `r` is the server's end of a connection. 1: a new link; 0: none; or -errno. */
static int match(struct plan *p, const struct sockets *s, const struct row *r,
		 const struct discover_options *o)
{
	struct audit_link_key key = { .port = r->local_port };
	const struct row *peer = peer_of(s, r);
	pid_t server_pid = holder_of(s, p, r->inode), client_pid;
	unsigned before = p->links, server, client;
	int err;

	server = server_pid ? plan_find_pid(p, server_pid) : AUDIT_NOBODY;
	client_pid = peer ? holder_of(s, p, peer->inode) : 0;
	client = client_pid ? plan_find_pid(p, client_pid) : AUDIT_NOBODY;
	if (!server && o->expand && client > AUDIT_CLIENT && server_pid) {
		err = discover_process(p, server_pid);
		if (err < 0)
			return err;
		server = (unsigned)err;
	}
	if (server <= AUDIT_CLIENT)
		return 0;
	if (!client && r->local_port == o->entry_port)
		client = AUDIT_CLIENT;
	if (!client || client == server)
		return 0;
	memcpy(key.addr, r->local, sizeof(key.addr));
	key.netns = is_loopback(r->local) ? r->netns : 0;
	err = plan_add_link(p, &key, client, server);
	return err ? err : (int)(p->links - before);
}

int discover_sample(struct plan *p, const struct discover_options *o)
{
	struct sockets s = { 0 };
	int err, found = 0;

	err = sockets_read(&s, p, o->expand);
	for (size_t i = 0; !err && i < s.rows; i++) {
		const struct row *r = &s.row[i];
		int n;

		if (r->state == TCP_STATE_LISTEN || !r->inode ||
		    !listens(&s, r->netns, r->local, r->local_port))
			continue;
		n = match(p, &s, r, o);
		if (n < 0)
			err = n;
		else
			found += n;
	}
	for (unsigned i = AUDIT_CLIENT + 1; i < p->components; i++)
		if (!p->component[i].netns && p->component[i].pids)
			p->component[i].netns = netns_of(p->component[i].pid[0]);
	sockets_free(&s);
	return err ? err : found;
}

/* The process that listens at `addr`:`port` as seen from `netns`; 0 when nobody does. */
static pid_t listener_at(const struct sockets *s, const struct plan *p, uint32_t netns,
			 const uint32_t *addr, uint16_t port)
{
	pid_t any = 0;

	for (size_t i = 0; i < s->rows; i++) {
		const struct row *r = &s->row[i];

		if (r->state != TCP_STATE_LISTEN || r->local_port != port ||
		    (is_loopback(addr) && r->netns != netns))
			continue;
		if (!memcmp(r->local, addr, sizeof(r->local)))
			return holder_of(s, p, r->inode);
		if (is_any(r->local) && !any)
			any = holder_of(s, p, r->inode);
	}
	return any;
}

int discover_open(struct sockets **s, const struct plan *p, const struct discover_options *o)
{
	*s = calloc(1, sizeof(**s));
	return *s ? sockets_read(*s, p, o->expand) : -ENOMEM;
}

void discover_close(struct sockets *s)
{
	if (s)
		sockets_free(s);
	free(s);
}

int discover_connection(struct plan *p, const struct sockets *s, const struct discover_options *o, pid_t client,
			uint32_t netns, const uint32_t *addr, uint16_t port)
{
	struct audit_link_key key = { .port = port, .netns = is_loopback(addr) ? netns : 0 };
	unsigned from = plan_find_pid(p, client), before = p->links;
	pid_t pid = listener_at(s, p, netns, addr, port);
	int err, to;

	if (!pid || !from)
		return 0;
	to = (int)plan_find_pid(p, pid);
	if (!to && o->expand)
		to = discover_process(p, pid);
	if (to < 0)
		return to;
	if (to <= AUDIT_CLIENT || (unsigned)to == from)
		return 0;
	memcpy(key.addr, addr, sizeof(key.addr));
	err = plan_add_link(p, &key, from, (unsigned)to);
	return err ? err : (int)(p->links - before);
}

/* ---- Components ------------------------------------------------------------------------------- */

static void program_name(pid_t pid, char *out, size_t room)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	f = fopen(path, "re");
	if (!f || !fgets(out, (int)room, f))
		snprintf(out, room, "%d", pid);
	if (f)
		fclose(f);
	out[strcspn(out, "\n")] = '\0';
}

int discover_process(struct plan *p, pid_t pid)
{
	char name[PLAN_NAME], program[32], above[32];
	unsigned known = plan_find_pid(p, pid);
	pid_t parent = parent_of(pid);
	struct sockets s = { 0 };
	int id, err;

	if (known)
		return (int)known;
	/* A worker belongs to its master. */
	program_name(pid, program, sizeof(program));
	program_name(parent, above, sizeof(above));
	known = parent > 1 ? plan_find_pid(p, parent) : AUDIT_NOBODY;
	if (known && !strcmp(program, above)) {
		err = plan_add_pid(p, known, pid);
		return err ? err : (int)known;
	}
	snprintf(name, sizeof(name), "%s:%d", program, pid);
	err = read_process(&s, pid);
	if (!err && s.holders)
		qsort(s.holder, s.holders, sizeof(s.holder[0]), by_inode);
	for (size_t i = 0; !err && i < s.rows; i++)
		if (s.row[i].state == TCP_STATE_LISTEN && holder_of(&s, p, s.row[i].inode))
			snprintf(name, sizeof(name), "%s:%u", program, s.row[i].local_port);
	sockets_free(&s);
	if (err)
		return err;
	id = plan_add(p, name, COMPONENT_FUNCTION);
	if (id < 0)
		return id;
	err = plan_add_pid(p, (unsigned)id, pid);
	return err && err != -EEXIST ? err : id;
}

static int adopt(void *arg, pid_t pid)
{
	struct plan *p = arg;
	unsigned id;
	int err;

	if (plan_find_pid(p, pid))
		return 0;
	id = plan_find_pid(p, parent_of(pid));
	if (id <= AUDIT_CLIENT)
		return 0;
	err = plan_add_pid(p, id, pid);
	return err == -EEXIST ? 0 : err;
}

static void add_namespace(struct plan *p, uint32_t inode)
{
	for (unsigned i = 0; i < p->namespaces; i++)
		if (p->namespace[i] == inode)
			return;
	if (inode && p->namespaces < PLAN_NAMESPACES)
		p->namespace[p->namespaces++] = inode;
}

static int note_namespace(void *arg, int fd, uint32_t inode)
{
	(void)fd;
	add_namespace(arg, inode);
	return 0;
}

void discover_namespaces(struct plan *p, int client_netns)
{
	uint32_t client = client_netns < 0 ? 0 : inode_of(client_netns);
	unsigned kept = 0;

	add_namespace(p, netns_of(getpid()));
	for (unsigned i = AUDIT_CLIENT; i < p->components; i++)
		for (unsigned k = 0; k < p->component[i].pids; k++)
			add_namespace(p, netns_of(p->component[i].pid[k]));
	for_each_namespace(note_namespace, p);
	for (unsigned i = 0; i < p->namespaces; i++)
		if (p->namespace[i] != client)
			p->namespace[kept++] = p->namespace[i];
	p->namespaces = kept;
}

void discover_children(struct plan *p)
{
	/* Twice: /proc may list a grandchild before its parent. What fails now is not in the plan. */
	for (int i = 0; i < 2; i++)
		for_each_process(adopt, p);
}

int discover_listener(struct plan *p, uint16_t port)
{
	struct sockets s = { 0 };
	uint32_t here = netns_of(getpid());
	int err = sockets_read(&s, p, true), id = -ENOENT;
	pid_t pid;

	for (size_t i = 0; !err && i < s.rows; i++) {
		const struct row *r = &s.row[i];

		if (r->state != TCP_STATE_LISTEN || r->local_port != port || r->netns != here)
			continue;
		pid = holder_of(&s, p, r->inode);
		if (!pid)
			continue;
		id = discover_process(p, pid);
		break;
	}
	if (!err && id == -ENOENT && s.denied)
		id = -EACCES;
	sockets_free(&s);
	return err ? err : id;
}

int discover_cgroup(struct plan *p, const char *path)
{
	char file[512];
	int pid, found = 0, id;
	FILE *f;

	snprintf(file, sizeof(file), "%s%s/cgroup.procs", path[0] == '/' ? "" : "/sys/fs/cgroup/", path);
	f = fopen(file, "re");
	if (!f)
		return -errno;
	while (fscanf(f, "%d", &pid) == 1) {
		id = discover_process(p, pid);
		if (id < 0) {
			fclose(f);
			return id;
		}
		found++;
	}
	fclose(f);
	return found ? found : -ESRCH;
}

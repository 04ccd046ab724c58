/* SPDX-License-Identifier: BSD-2-Clause */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chain/adapter_file.h"

enum { LISTEN_BACKLOG = 4096, DATAGRAM_BUFFER = 4 << 20 };

static int find_file(char *path, size_t room, const char *name)
{
	const size_t n = strlen(name);
	char program[PATH_MAX], *slash;
	ssize_t length;

	if (strchr(name, '/') || (n > 3 && !strcmp(name + n - 3, ".so")))
		return snprintf(path, room, "%s%s", strchr(name, '/') ? "" : "./", name) < (int)room ?
		       0 : -ENAMETOOLONG;
	length = readlink("/proc/self/exe", program, sizeof(program) - 1);
	if (length < 0)
		return -errno;
	program[length] = '\0';
	/* Tests are programs of their own, in folders beside the program's. */
	while ((slash = strrchr(program, '/')) && slash != program) {
		*slash = '\0';
		if (snprintf(path, room, "%s/adapters/%s.so", program, name) >= (int)room)
			return -ENAMETOOLONG;
		if (!access(path, R_OK))
			return 0;
	}
	return -ENOENT;
}

/* What the file says of itself. */
static int ask(struct adapter_file *file, const char *path, char *why, size_t why_bytes)
{
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	const struct adapter_ops *o = handle ? dlsym(handle, ADAPTER_SYMBOL) : NULL;
	int err = 0;

	if (!o || o->version != ADAPTER_VERSION || !o->name || !o->summary) {
		snprintf(why, why_bytes, "%s is no adapter of version %d%s%s", path, ADAPTER_VERSION,
			 handle ? "" : ": ", handle ? "" : dlerror());
		err = -ENOEXEC;
	} else {
		file->flags = o->flags;
		file->port = o->port;
		snprintf(file->name, sizeof(file->name), "%s", o->name);
		snprintf(file->summary, sizeof(file->summary), "%s", o->summary);
	}
	if (handle)
		dlclose(handle);
	return err;
}

int adapter_open(struct adapter_file *file, const char *name, char *why, size_t why_bytes)
{
	char path[PATH_MAX];
	int err = find_file(path, sizeof(path), name);

	*file = (struct adapter_file){ .fd = -1 };
	if (!err) {
		file->fd = open(path, O_RDONLY | O_CLOEXEC);
		err = file->fd < 0 ? -errno : 0;
	}
	if (err) {
		snprintf(why, why_bytes, "no such adapter: %s", strerror(-err));
		return err;
	}
	err = ask(file, path, why, why_bytes);
	if (err) {
		close(file->fd);
		file->fd = -1;
	}
	return err;
}

int adapter_listen(int *fd, const struct adapter_file *file, const struct sockaddr_in *at,
		   struct sockaddr_in *got, char *why, size_t why_bytes)
{
	const bool datagram = file->flags & ADAPTER_DATAGRAM;
	const int one = 1, buffer = DATAGRAM_BUFFER;
	socklen_t length = sizeof(*got);
	char host[INET_ADDRSTRLEN];
	int err;

	*fd = socket(AF_INET, (datagram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (*fd >= 0 && !datagram)
		setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	/* Inherited by what is accepted: packets are whole, Nagle would only delay them. */
	if (*fd >= 0 && !datagram)
		setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (*fd >= 0 && datagram)
		setsockopt(*fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
	if (*fd >= 0 && !bind(*fd, (const struct sockaddr *)at, sizeof(*at)) &&
	    (datagram || !listen(*fd, LISTEN_BACKLOG)) &&
	    !getsockname(*fd, (struct sockaddr *)got, &length))
		return 0;
	err = -errno;
	inet_ntop(AF_INET, &at->sin_addr, host, sizeof(host));
	snprintf(why, why_bytes, "cannot listen on %s:%u: %s", host, ntohs(at->sin_port), strerror(-err));
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	return err;
}

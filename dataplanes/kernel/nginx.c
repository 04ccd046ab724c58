/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chain/clock.h"
#include "chain/netns.h"
#include "dataplanes/kernel/nginx.h"

enum { ASK_MS = 20, NOBODY = 65534 };

static const char tmpfs_dir[] = "/run";     /* there on every Linux; covered in nginx's eyes only */

const char *nginx_program(void)
{
	static const char *const places[] = { "/usr/sbin/nginx", "/usr/local/sbin/nginx",
					      "/usr/local/nginx/sbin/nginx", "/usr/bin/nginx" };

	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (!access(places[i], X_OK))
			return places[i];
	return NULL;
}

const char *nginx_lua_modules(void)
{
	static const char *const places[] = { "/usr/lib/nginx/modules", "/usr/lib64/nginx/modules",
					      "/usr/local/nginx/modules" };
	char path[128];

	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, sizeof(path), "%s/ngx_http_lua_module.so", places[i]);
		if (!access(path, R_OK))
			return places[i];
	}
	return NULL;
}

/* ---- Starting --------------------------------------------------------------------------------- */

struct files {
	const struct nginx_launch *launch;
	struct {
		const char *name, *text;
	} file[3];
};

static int write_file(const char *name, const char *text)
{
	char path[128];
	size_t length = strlen(text);
	int fd, err = 0;

	snprintf(path, sizeof(path), "%s/%s", tmpfs_dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	if (write(fd, text, length) != (ssize_t)length)
		err = -ENOSPC;
	close(fd);
	return err;
}

/* A tmpfs over /run that nobody else sees and that ends with this process. */
static int private_files(const struct files *f)
{
	int err = 0;

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("perhop", tmpfs_dir, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  "mode=0755,size=16m,uid=65534,gid=65534"))
		return -errno;
	for (unsigned i = 0; i < 3 && !err; i++)
		if (f->file[i].text)
			err = write_file(f->file[i].name, f->file[i].text);
	return err;
}

/* NGINX="5;" names the listening sockets that nginx inherits. */
static int inherit_socket(int fd)
{
	char text[16];

	if (fd < 0)
		return 0;
	snprintf(text, sizeof(text), "%d;", fd);
	return fcntl(fd, F_SETFD, 0) || setenv("NGINX", text, 1) ? -errno : 0;
}

static int drop_root(void)
{
	if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
	    setresuid(NOBODY, NOBODY, NOBODY))
		return -errno;
	prctl(PR_SET_PDEATHSIG, SIGKILL);       /* a change of user has cleared it */
	return 0;
}

/* In the child, before exec. */
static int settle(void *arg)
{
	const struct files *f = arg;
	struct rlimit r;
	int err = 0;

	if (!getrlimit(RLIMIT_NOFILE, &r)) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
	if (setns(f->launch->netns, CLONE_NEWNET))
		err = -errno;
	if (!err)
		err = private_files(f);
	if (!err)
		err = inherit_socket(f->launch->listen_fd);
	if (!err)
		err = drop_root();
	if (!err && dup2(f->launch->log_fd, STDERR_FILENO) < 0)
		err = -errno;
	errno = -err;
	return err;
}

int nginx_start(struct deployment *d, const struct nginx_launch *l)
{
	const bool broker = l->conf.role == NGINX_BROKER;
	char *conf = nginx_conf_render(&l->conf);
	char *routes = broker ? nginx_routes_render(l->conf.app, l->conf.key) : NULL;
	struct files f = {
		.launch = l,
		.file = {
			{ "nginx.conf", conf },
			{ "routes.lua", routes },
			{ "broker.lua", broker ? nginx_broker_lua() : NULL },
		},
	};
	char *argv[] = { (char *)nginx_program(), "-p", (char *)tmpfs_dir, "-c", "nginx.conf", NULL };
	pid_t pid;

	if (!argv[0])
		pid = deploy_error(d, -ENOENT, "nginx is not installed");
	else if (!conf || (broker && !routes))
		pid = -ENOMEM;
	else
		pid = deploy_exec(d, l->name, l->kind, l->instance, argv, settle, &f);
	free(conf);
	free(routes);
	return pid < 0 ? pid : 0;
}

/* ---- Readiness -------------------------------------------------------------------------------- */

/* One request for /_perhop/health; 0: answered with 200; -EAGAIN: no answer within `ms`. */
static int ask(int netns, const struct sockaddr_in *at, int ms)
{
	static const char text[] = "GET /_perhop/health HTTP/1.1\r\nHost: perhop\r\n"
				   "Connection: close\r\n\r\n";
	char answer[64] = "";
	struct pollfd p = { .fd = netns_socket(netns, AF_INET, SOCK_STREAM, 0), .events = POLLIN };
	int err = 0;

	if (p.fd < 0)
		return p.fd;
	if (connect(p.fd, (const struct sockaddr *)at, sizeof(*at)) ||
	    send(p.fd, text, sizeof(text) - 1, MSG_NOSIGNAL) < 0)
		err = -errno;
	else if (poll(&p, 1, ms) != 1)
		err = -EAGAIN;
	else if (recv(p.fd, answer, sizeof(answer) - 1, 0) <= 0)
		err = -ECONNRESET;
	else if (strncmp(answer, "HTTP/1.1 200 ", 13))
		err = -EPROTO;
	close(p.fd);
	return err;
}

int nginx_ask(int netns, const struct sockaddr_in *at)
{
	return ask(netns, at, ASK_MS);
}

/* Add nginx's last complaint, if there is one, to d->why. */
static void quote_log(struct deployment *d, int log_fd)
{
	char text[4096], why[sizeof(d->why)], *line, *rest = text, *last = NULL;
	ssize_t n = read(log_fd, text, sizeof(text) - 1);

	if (n <= 0)
		return;
	text[n] = '\0';
	while ((line = strsep(&rest, "\n")))
		if (*line && !strstr(line, "[notice]"))
			last = line;
	if (!last)
		return;
	memcpy(why, d->why, sizeof(why));
	deploy_error(d, 0, "%.200s; nginx says: %.250s", why, last);
}

int nginx_wait(struct deployment *d, const char *name, int netns, const struct sockaddr_in *at,
	       int log_fd)
{
	const uint64_t end = clock_now_ns() + d->config.start_timeout_ms * NS_PER_MS;
	int err;

	while ((err = ask(netns, at, 100))) {
		if (deploy_watch(d))
			err = -ECHILD;
		else if (clock_now_ns() > end)
			deploy_error(d, -ETIMEDOUT, "%s was not ready after %u ms: %s", name,
				     d->config.start_timeout_ms, strerror(-err));
		else if (!usleep(1000))
			continue;
		quote_log(d, log_fd);
		return err == -ECHILD ? err : -ETIMEDOUT;
	}
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>

#include "chain/netns.h"
#include "chain/redirect.h"
#include "chain/redirect.skel.h"

static int quiet(enum libbpf_print_level level, const char *format, va_list ap)
{
	(void)level, (void)format, (void)ap;
	return 0;
}

int redirect_open(struct redirect_bpf **out)
{
	libbpf_print_fn_t print = libbpf_set_print(quiet);
	int err;

	*out = redirect_bpf__open_and_load();
	err = *out ? 0 : -errno;
	libbpf_set_print(print);
	return err;
}

void redirect_close(struct redirect_bpf *bpf)
{
	redirect_bpf__destroy(bpf);
}

int redirect_probe(char *why, size_t why_bytes)
{
	struct redirect_bpf *bpf;
	int err = redirect_open(&bpf);

	if (err)
		snprintf(why, why_bytes, "the kernel takes no redirecting XDP and TC programs: %s (needs "
			 "CAP_BPF, CAP_NET_ADMIN and Linux 5.10)", strerror(-err));
	redirect_close(bpf);
	return err;
}

/* A clsact qdisc and the program in it; both go with the device. The caller is in its namespace. */
static int attach_tc(int index, int program)
{
	struct bpf_tc_hook hook = { .sz = sizeof(hook), .ifindex = index, .attach_point = BPF_TC_INGRESS };
	struct bpf_tc_opts opts = { .sz = sizeof(opts), .prog_fd = program, .handle = 1, .priority = 1 };
	int err = bpf_tc_hook_create(&hook);

	return err ? err : bpf_tc_attach(&hook, &opts);
}

/* libbpf's netlink sockets are of the namespace where the caller is. */
static int attach(int node, int index, int program, bool xdp)
{
	libbpf_print_fn_t print;
	int home, err;

	if (index < 0)
		return index;
	home = netns_enter(node);
	if (home < 0)
		return home;
	print = libbpf_set_print(quiet);
	err = xdp ? bpf_xdp_attach(index, program, XDP_FLAGS_DRV_MODE, NULL) : attach_tc(index, program);
	libbpf_set_print(print);
	return netns_leave(home) && !err ? -errno : err;
}

int redirect_uplink(struct redirect_bpf *bpf, int node, int index, bool xdp)
{
	if (index < 0)
		return index;
	bpf->bss->uplink = (__u32)index;
	return attach(node, index, bpf_program__fd(xdp ? bpf->progs.xdp_redirect : bpf->progs.tc_redirect),
		      xdp);
}

int redirect_pod(struct redirect_bpf *bpf, int node, int index)
{
	return attach(node, index, bpf_program__fd(bpf->progs.tc_redirect), false);
}

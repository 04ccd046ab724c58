/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chain/netns.h"

enum { PREFIX_HOST = 32 };

/* ---- Namespaces ------------------------------------------------------------------------------- */

static int netns_here(void)
{
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* An ioctl socket is the shortest way to an interface's flags and index. */
static int link_up(int sock, const char *name)
{
	struct ifreq r = { .ifr_flags = IFF_UP };

	strncpy(r.ifr_name, name, IFNAMSIZ - 1);
	return ioctl(sock, SIOCSIFFLAGS, &r) ? -errno : 0;
}

static int link_index(int sock, const char *name)
{
	struct ifreq r = { 0 };

	strncpy(r.ifr_name, name, IFNAMSIZ - 1);
	return ioctl(sock, SIOCGIFINDEX, &r) ? -errno : r.ifr_ifindex;
}

/*
 * Without this, every new veth announces itself with IPv6 neighbour and multicast packets for some
 * seconds, and they would be counted as the chain's. A read-only /proc is no reason to fail.
 */
static void ipv6_off(void)
{
	static const char *const files[] = {
		"/proc/sys/net/ipv6/conf/all/disable_ipv6",
		"/proc/sys/net/ipv6/conf/default/disable_ipv6",
	};

	for (unsigned i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		int fd = open(files[i], O_WRONLY | O_CLOEXEC);

		if (fd < 0)
			continue;
		(void)!write(fd, "1", 1);
		close(fd);
	}
}

int netns_new(void)
{
	int home = netns_here(), fd, sock, err = 0;

	if (home < 0)
		return home;
	if (unshare(CLONE_NEWNET)) {
		err = -errno;
		close(home);
		return err;
	}
	fd = netns_here();
	ipv6_off();
	sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	err = fd < 0 ? fd : sock < 0 ? -errno : link_up(sock, "lo");
	if (setns(home, CLONE_NEWNET) && !err)
		err = -errno;
	close(home);
	if (sock >= 0)
		close(sock);
	if (err && fd >= 0)
		close(fd);
	return err ? err : fd;
}

int netns_enter(int ns)
{
	int home = netns_here(), err;

	if (home < 0 || !setns(ns, CLONE_NEWNET))
		return home;
	err = -errno;
	close(home);
	return err;
}

int netns_leave(int home)
{
	int err = setns(home, CLONE_NEWNET) ? -errno : 0;

	close(home);
	return err;
}

int netns_socket(int ns, int domain, int type, int protocol)
{
	int home, fd, err;

	if (ns < 0) {
		fd = socket(domain, type | SOCK_CLOEXEC, protocol);
		return fd < 0 ? -errno : fd;
	}
	home = netns_enter(ns);
	if (home < 0)
		return home;
	fd = socket(domain, type | SOCK_CLOEXEC, protocol);
	if (fd < 0)
		fd = -errno;
	err = netns_leave(home);
	if (err && fd >= 0)
		close(fd);
	return err ? err : fd;
}

int netns_forward(int ns)
{
	int home = netns_enter(ns), fd, err;

	if (home < 0)
		return home;
	/* What lies below /proc/sys/net is the namespace's of whoever opens it. */
	fd = open("/proc/sys/net/ipv4/ip_forward", O_WRONLY | O_CLOEXEC);
	err = fd < 0 || write(fd, "1", 1) != 1 ? -errno : 0;
	if (fd >= 0)
		close(fd);
	if (netns_leave(home) && !err)
		err = -errno;
	return err;
}

int netns_listen(int ns, const struct sockaddr_in *at, int backlog)
{
	int fd = netns_socket(ns, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1, err;

	if (fd < 0)
		return fd;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, (const struct sockaddr *)at, sizeof(*at)) || listen(fd, backlog)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

int netns_index(int ns, const char *name)
{
	int sock = netns_socket(ns, AF_INET, SOCK_DGRAM, 0), index;

	if (sock < 0)
		return sock;
	index = link_index(sock, name);
	close(sock);
	return index;
}

/* ---- rtnetlink -------------------------------------------------------------------------------- */

/* A socket for requests to `ns`: libmnl's socket, opened there. */
static struct mnl_socket *rtnl_open(int ns)
{
	int fd = netns_socket(ns, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	struct mnl_socket *nl;

	if (fd < 0)
		return NULL;
	nl = mnl_socket_fdopen(fd);
	if (!nl)
		close(fd);
	return nl;
}

static struct nlmsghdr *request(void *buf, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	return nlh;
}

/* Send and wait for the acknowledgement. 0 or -errno. */
static int talk(struct mnl_socket *nl, struct nlmsghdr *nlh)
{
	char answer[8192];
	ssize_t n;

	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	n = mnl_socket_recvfrom(nl, answer, sizeof(answer));
	if (n < 0)
		return -errno;
	return mnl_cb_run(answer, (size_t)n, 0, 0, NULL, NULL) < 0 ? -errno : 0;
}

int netns_bridge(int node, const char *name)
{
	char buf[1024];
	struct mnl_socket *nl = rtnl_open(node);
	struct nlmsghdr *nlh;
	struct ifinfomsg *info;
	struct nlattr *kind;
	int err;

	if (!nl)
		return -errno;
	nlh = request(buf, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	info = mnl_nlmsg_put_extra_header(nlh, sizeof(*info));
	info->ifi_flags = info->ifi_change = IFF_UP;
	mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	kind = mnl_attr_nest_start(nlh, IFLA_LINKINFO);
	mnl_attr_put_strz(nlh, IFLA_INFO_KIND, "bridge");
	mnl_attr_nest_end(nlh, kind);
	err = talk(nl, nlh);
	mnl_socket_close(nl);
	return err;
}

/* One request makes the pair, puts this end on the bridge, if any, and the other into the pod. */
static int make_pair(int node, const char *bridge, const char *port, int pod, const uint8_t *mac)
{
	char buf[1024];
	struct mnl_socket *nl = rtnl_open(node);
	struct nlattr *kind, *data, *peer;
	struct ifinfomsg *info;
	struct nlmsghdr *nlh;
	int master, err;

	if (!nl)
		return -errno;
	master = bridge ? netns_index(node, bridge) : 0;
	if (master < 0) {
		mnl_socket_close(nl);
		return master;
	}
	nlh = request(buf, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	info = mnl_nlmsg_put_extra_header(nlh, sizeof(*info));
	info->ifi_flags = info->ifi_change = IFF_UP;
	mnl_attr_put_strz(nlh, IFLA_IFNAME, port);
	if (master)
		mnl_attr_put_u32(nlh, IFLA_MASTER, (uint32_t)master);
	kind = mnl_attr_nest_start(nlh, IFLA_LINKINFO);
	mnl_attr_put_strz(nlh, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(nlh, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(nlh, VETH_INFO_PEER);
	mnl_nlmsg_put_extra_header(nlh, sizeof(*info));
	mnl_attr_put_strz(nlh, IFLA_IFNAME, "eth0");
	mnl_attr_put_u32(nlh, IFLA_NET_NS_FD, (uint32_t)pod);
	if (mac)
		mnl_attr_put(nlh, IFLA_ADDRESS, ETH_ALEN, mac);
	mnl_attr_nest_end(nlh, peer);
	mnl_attr_nest_end(nlh, data);
	mnl_attr_nest_end(nlh, kind);
	err = talk(nl, nlh);
	mnl_socket_close(nl);
	return err;
}

static int add_address(int pod, int index, struct in_addr address, unsigned prefix)
{
	char buf[256];
	struct mnl_socket *nl = rtnl_open(pod);
	struct ifaddrmsg *a;
	struct nlmsghdr *nlh;
	int err;

	if (!nl)
		return -errno;
	nlh = request(buf, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
	a = mnl_nlmsg_put_extra_header(nlh, sizeof(*a));
	a->ifa_family = AF_INET;
	a->ifa_prefixlen = (uint8_t)prefix;
	a->ifa_index = (uint32_t)index;
	mnl_attr_put_u32(nlh, IFA_LOCAL, address.s_addr);
	mnl_attr_put_u32(nlh, IFA_ADDRESS, address.s_addr);
	err = talk(nl, nlh);
	mnl_socket_close(nl);
	return err;
}

int netns_veth(int node, const char *bridge, const char *port, int pod, struct in_addr address,
	       unsigned prefix)
{
	/* From the address: whoever knows the one knows the other, also of a pod that comes again. */
	uint8_t mac[ETH_ALEN] = { 0x02, 0x00 };
	int err, sock, index;

	memcpy(mac + 2, &address, sizeof(address));
	err = make_pair(node, bridge, port, pod, bridge ? mac : NULL);

	if (err)
		return err;
	sock = netns_socket(pod, AF_INET, SOCK_DGRAM, 0);
	if (sock < 0)
		return sock;
	index = link_index(sock, "eth0");
	err = index < 0 ? index : add_address(pod, index, address, prefix);
	if (!err)
		err = link_up(sock, "eth0");
	close(sock);
	return err;
}

int netns_unlink(int ns, const char *name)
{
	char buf[256];
	struct mnl_socket *nl;
	struct ifinfomsg *info;
	struct nlmsghdr *nlh;
	int index = netns_index(ns, name), err;

	if (index < 0)
		return index;
	nl = rtnl_open(ns);
	if (!nl)
		return -errno;
	nlh = request(buf, RTM_DELLINK, 0);
	info = mnl_nlmsg_put_extra_header(nlh, sizeof(*info));
	info->ifi_index = index;
	err = talk(nl, nlh);
	mnl_socket_close(nl);
	return err;
}

/* ---- Routes, for a node that forwards --------------------------------------------------------- */

/* To address/32 on the link itself, or by default (`gateway`), through device `index`. */
static int add_route(int ns, int index, struct in_addr address, bool gateway)
{
	char buf[256];
	struct mnl_socket *nl = rtnl_open(ns);
	struct nlmsghdr *nlh;
	struct rtmsg *r;
	int err;

	if (!nl)
		return -errno;
	nlh = request(buf, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
	r = mnl_nlmsg_put_extra_header(nlh, sizeof(*r));
	r->rtm_family = AF_INET;
	r->rtm_dst_len = gateway ? 0 : PREFIX_HOST;
	r->rtm_table = RT_TABLE_MAIN;
	r->rtm_protocol = RTPROT_STATIC;
	r->rtm_scope = gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
	r->rtm_type = RTN_UNICAST;
	mnl_attr_put_u32(nlh, gateway ? RTA_GATEWAY : RTA_DST, address.s_addr);
	mnl_attr_put_u32(nlh, RTA_OIF, (uint32_t)index);
	err = talk(nl, nlh);
	mnl_socket_close(nl);
	return err;
}

/* `address` is at `mac`, for good: no ARP, and a FIB lookup always finds the neighbour. */
static int add_neighbour(int ns, int index, struct in_addr address, const uint8_t *mac)
{
	char buf[256];
	struct mnl_socket *nl = rtnl_open(ns);
	struct nlmsghdr *nlh;
	struct ndmsg *n;
	int err;

	if (!nl)
		return -errno;
	nlh = request(buf, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE);
	n = mnl_nlmsg_put_extra_header(nlh, sizeof(*n));
	n->ndm_family = AF_INET;
	n->ndm_ifindex = index;
	n->ndm_state = NUD_PERMANENT;
	mnl_attr_put_u32(nlh, NDA_DST, address.s_addr);
	mnl_attr_put(nlh, NDA_LLADDR, ETHER_ADDR_LEN, mac);
	err = talk(nl, nlh);
	mnl_socket_close(nl);
	return err;
}

static int link_mac(int ns, const char *name, uint8_t *mac)
{
	int sock = netns_socket(ns, AF_INET, SOCK_DGRAM, 0), err;
	struct ifreq r = { 0 };

	if (sock < 0)
		return sock;
	strncpy(r.ifr_name, name, IFNAMSIZ - 1);
	err = ioctl(sock, SIOCGIFHWADDR, &r) ? -errno : 0;
	memcpy(mac, r.ifr_hwaddr.sa_data, ETHER_ADDR_LEN);
	close(sock);
	return err;
}

int netns_offload(int ns, const char *name, uint32_t command, bool on)
{
	struct ethtool_value v = { .cmd = command, .data = on };
	int sock = netns_socket(ns, AF_INET, SOCK_DGRAM, 0), err;
	struct ifreq r = { 0 };

	if (sock < 0)
		return sock;
	strncpy(r.ifr_name, name, IFNAMSIZ - 1);
	r.ifr_data = (void *)&v;
	err = ioctl(sock, SIOCETHTOOL, &r) ? -errno : 0;
	close(sock);
	return err;
}

int netns_join(int node, const char *port, int pod, struct in_addr address)
{
	const struct in_addr hop = { htonl(NETNS_NEXT_HOP) };
	uint8_t here[ETHER_ADDR_LEN], there[ETHER_ADDR_LEN];
	int err = netns_veth(node, NULL, port, pod, address, PREFIX_HOST), port_index, pod_index;

	if (err)
		return err;
	port_index = netns_index(node, port);
	pod_index = netns_index(pod, "eth0");
	if (port_index < 0 || pod_index < 0)
		return port_index < 0 ? port_index : pod_index;
	err = link_mac(node, port, here);
	if (!err)
		err = link_mac(pod, "eth0", there);
	if (!err)
		err = add_neighbour(node, port_index, address, there);
	if (!err)
		err = add_route(node, port_index, address, false);
	if (!err)
		err = add_neighbour(pod, pod_index, hop, here);
	if (!err)
		err = add_route(pod, pod_index, hop, false);
	if (!err)
		err = add_route(pod, pod_index, hop, true);
	return err;
}

int netns_neighbours(int a, const char *port, int b, struct in_addr address)
{
	int err = netns_join(a, port, b, address), index;

	if (err)
		return err;
	index = netns_index(a, port);
	err = index < 0 ? index : add_route(a, index, address, true);
	if (!err)
		err = netns_forward(a);
	return err ? err : netns_forward(b);
}

int netns_address(int ns, const char *name, struct in_addr address, unsigned prefix)
{
	int index = netns_index(ns, name);

	return index < 0 ? index : add_address(ns, index, address, prefix);
}

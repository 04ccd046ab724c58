/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Netfilter rules in the node's namespace, as kube-proxy 1.19 (the papers' version) installs them with
 * iptables-restore: a service has five in the nat table, two in KUBE-SERVICES, one in KUBE-SVC-*, two in
 * KUBE-SEP-*; the filter table has the same few whatever the number of services.
 *
 *   PREROUTING ─> KUBE-SERVICES ─┬─> KUBE-SVC-1 ─> KUBE-SEP-1 ─> DNAT
 *                                ├─> KUBE-SVC-2 …              (one after another, first packet of a
 *                                └─> KUBE-NODEPORTS             connection only: nat is stateful)
 *   FORWARD    ─> KUBE-FORWARD: invalid? marked? established?  (every packet)
 *
 * None of the services is ours: a request walks past all of them, as one for the last service would.
 */
#ifndef PERHOP_CHAIN_NETFILTER_H
#define PERHOP_CHAIN_NETFILTER_H

#include <stddef.h>
#include <stdint.h>

enum { NETFILTER_RULES_PER_SERVICE = 5 };

/* Path of iptables-restore: the legacy one where there is one (as on the papers' machines), or NULL. */
const char *netfilter_program(void);

/* "legacy" or "nft": which of the kernel's two implementations netfilter_program talks to; NULL: none. */
const char *netfilter_kind(void);

/*
 * The text for iptables-restore: `rules` of services, rounded up to whole ones. `base`: the node's /24, host
 * byte order. NULL: no memory. The caller's to free.
 */
char *netfilter_text(uint32_t base, unsigned rules);

/* Install them in namespace `node`. 0, or -errno with a sentence in `why`. */
int netfilter_install(int node, uint32_t base, unsigned rules, char *why, size_t why_bytes);

#endif

# SPDX-License-Identifier: BSD-2-Clause
# By gnuplot, for machines without matplotlib: see ../lines.gp. The first comment of this kind is the caption:
#: Client node → node → gateway's pod → two functions on SK_MSG, 256 bytes, no think time: the node's stack with and without kube-proxy rules, and XDP/TC redirecting past it. Means with 99 % t intervals (from 3 runs on). Drawn by gnuplot, without Fig 13.
load "../lines.gp"

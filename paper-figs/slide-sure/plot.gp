# SPDX-License-Identifier: BSD-2-Clause
# By gnuplot, for machines without matplotlib: see ../lines.gp. The first comment of this kind is the caption:
#: Online Boutique, no think time, on one node and on two (network namespaces joined by a veth, on the same CPUs as the load generator). Means with 99 % t intervals (from 3 runs on); all axes are logarithmic. Drawn by gnuplot.
COLUMNS = 3
load "../lines.gp"

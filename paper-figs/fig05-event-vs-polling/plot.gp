# SPDX-License-Identifier: BSD-2-Clause
# By gnuplot, for machines without matplotlib: see ../lines.gp. The first comment of this kind is the caption:
#: Gateway and two functions that do nothing, no think time, over connections. Means with 99 % t intervals (from 3 runs on); all axes are logarithmic. Drawn by gnuplot.
COLUMNS = 3
load "../lines.gp"

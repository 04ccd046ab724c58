# SPDX-License-Identifier: BSD-2-Clause
# By gnuplot, for machines without matplotlib: see ../lines.gp. The first comment of this kind is the caption:
#: Gateway and two functions that do nothing, without client and HTTP, by mechanism, placement and way of waiting: medians with their exact 99 % interval where there are runs enough; all axes are logarithmic. Drawn by gnuplot.
COLUMNS = 4
load "../lines.gp"

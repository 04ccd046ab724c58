# SPDX-License-Identifier: BSD-2-Clause
# By gnuplot, for machines without matplotlib: see ../lines.gp. The first comment of this kind is the caption:
#: Left: time from one function to the next. Right: mean time of a request of 16 KB over the length of the chain. One request at a time, all on one core; means with 99 % t intervals (from 3 runs on); axes are logarithmic. Drawn by gnuplot.
load "../lines.gp"

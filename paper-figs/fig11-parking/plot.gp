# SPDX-License-Identifier: BSD-2-Clause
# By gnuplot, for machines without matplotlib: see ../lines.gp. The first comment of this kind is the caption:
#: Response time of each step, from the moment a request was due (median and 99th percentile; logarithmic), and CPU of all components, over time. The first run of each system. Drawn by gnuplot.
COLUMNS = 3
load "../lines.gp"

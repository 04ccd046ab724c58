# SPDX-License-Identifier: BSD-2-Clause
# By gnuplot, for machines without matplotlib: see ../lines.gp. The first comment of this kind is the caption:
#: One hop within a chain, one request at a time: medians of (six functions less two) / 4, with the exact 99 % interval of the median where there are runs enough. A difference that the noise made negative is not drawn. Drawn by gnuplot.
load "../lines.gp"

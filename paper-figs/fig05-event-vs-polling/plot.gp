# SPDX-License-Identifier: BSD-2-Clause
# Throughput and CPU per request by gnuplot, for machines without matplotlib. scripts/figures.py runs it with
#   data   figures/…/points.dat: a block per system (see scripts/sweeps.py)
#   stem   where to write, without the suffix
# By hand: gnuplot -e "data='points.dat'; stem='fig05'" plot.gp
# The first comment of this kind is the caption:
#: Gateway and two functions that do nothing, no think time: throughput, and CPU of gateway and functions per request, over connections. Means with 99 % t intervals (from 3 runs on); all axes are logarithmic. Drawn by gnuplot.

set datafile missing "?"
stats data using 1:3 nooutput
set logscale xy
set xlabel "connections (closed loop, no think time)"
set xtics (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
set xrange [STATS_min_x / 1.25 : STATS_max_x * 1.25]
set grid ytics lc rgb "#d9dade" lw 0.5
set border 3 lc rgb "#5c5e66"
set tics nomirror

# Okabe and Ito's colours, in the order of paper-figs/style.py.
array COLOUR[8] = [0xd55e00, 0x0072b2, 0x56b4e9, 0xcc79a7, 0xe69f00, 0x999999, 0x000000, 0x009e73]
do for [f = 1:3] {
	if (f == 1) { set terminal svg noenhanced size 760,360 dynamic font "sans-serif,10"; set output stem.".svg" }
	if (f == 2) { set terminal pdfcairo noenhanced size 7in,3in font "DejaVu Sans,6" fontscale 0.9; set output stem.".pdf" }
	if (f == 3) { set terminal pngcairo noenhanced size 2100,900 font "DejaVu Sans,16"; set output stem.".png" }
	set multiplot layout 1,2
	set ylabel "requests/s"
	set format y "%.0f"
	set key outside top left horizontal Left reverse noenhanced maxcols 2
	plot for [i = 0:STATS_blocks - 1] data index i using 1:3:4:5 with yerrorlines \
		lc rgb COLOUR[i % 8 + 1] pt i + 4 ps 0.5 lw 1.3 dt i + 1 title columnheader(1)
	set ylabel "CPU per request, µs"
	set format y "%g"
	plot for [i = 0:STATS_blocks - 1] data index i using 1:12:13:14 with yerrorlines \
		lc rgb COLOUR[i % 8 + 1] pt i + 4 ps 0.5 lw 1.3 dt i + 1 title columnheader(1)
	unset multiplot
}
unset output

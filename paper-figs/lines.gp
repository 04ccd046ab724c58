# SPDX-License-Identifier: BSD-2-Clause
# Line plots by gnuplot, for machines without matplotlib: what the plot.gp of every folder loads. scripts/figures.py
# runs plot.gp in its folder with
#   dir    the folder with points.dat and panels.gp (see scripts/lines.py)
#   stem   where to write, without the suffix
# By hand: cd paper-figs/FIGURE; gnuplot -e "dir='…/results/runs/RUN/figures/FIGURE'; stem='/tmp/figure'" plot.gp
# A plot.gp may set COLUMNS, the panels in a row.

set encoding utf8
set datafile missing "?"
data = dir."/points.dat"
load dir."/panels.gp"
if (!exists("COLUMNS")) { COLUMNS = 2 }
if (COLUMNS > PANELS) { COLUMNS = PANELS }
rows = (PANELS + COLUMNS - 1) / COLUMNS
set grid ytics lc rgb "#d9dade" lw 0.5
set border 3 lc rgb "#5c5e66"
set tics nomirror

# Okabe and Ito's colours, as in paper-figs/style.py.
array COLOUR[8] = [0xd55e00, 0xe69f00, 0x0072b2, 0x009e73, 0x56b4e9, 0xcc79a7, 0x999999, 0x000000]
do for [f = 1:3] {
	if (f == 1) { set terminal svg noenhanced size 380 * COLUMNS, 320 * rows dynamic font "sans-serif,10"; set output stem.".svg" }
	if (f == 2) { set terminal pdfcairo noenhanced size 3.4 * COLUMNS, 2.8 * rows font "DejaVu Sans,6" fontscale 0.9; set output stem.".pdf" }
	if (f == 3) { set terminal pngcairo noenhanced size 950 * COLUMNS, 800 * rows font "DejaVu Sans,14"; set output stem.".png" }
	set multiplot layout rows, COLUMNS
	do for [p = 1:PANELS] {
		unset logscale
		set format "%g"
		if (LOGX[p]) { set logscale x }
		if (LOGY[p]) { set logscale y; set yrange [*:*] } else { set yrange [0:*] }
		if (LOGX[p]) { stats data index FIRST[p]:FIRST[p] + COUNT[p] - 1 using 1 nooutput; set xrange [STATS_min / 1.25:STATS_max * 1.25] } else { set xrange [*:*] }
		set xlabel XLABEL[p]
		set ylabel TITLE[p]
		if (KEY[p]) { set key outside top left horizontal Left reverse noenhanced maxcols 2 } else { unset key }
		plot for [i = FIRST[p]:FIRST[p] + COUNT[p] - 1] data index i using 1:2:3:4 with yerrorlines \
			lc rgb COLOUR[LOOK[i + 1] % 8 + 1] pt LOOK[i + 1] % 8 + 4 ps 0.5 lw 1.3 dt LOOK[i + 1] % 5 + 1 title columnheader(1)
	}
	unset multiplot
}
unset output

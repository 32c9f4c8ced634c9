# SPDX-License-Identifier: MIT
# A picture (SVG) of summary.awk's CSV: a group of bars for each kind of work, a bar for each engine
# and model, as high as its tokens a second, its share of the roofline above it. -v title= and
# -v note= are the lines on top.

BEGIN {
	FS = ","
	shades["nibble"] = split("#17477e #2f75c0 #6aa5de #a9cdf0 #2e8b7a #8fc7bb", ours, " ")
	shades["peer"] = split("#c55a11 #f0a35e #f7cf9f", theirs, " ")
	shades["driver"] = split("#7b5aa6 #b79fd1", drivers, " ")
	left = 76; right = 24; top = 84; plot = 330; bar = 40; gap = 34
}

FNR == 1 {
	for (i = 1; i <= NF; i++)
		column[$i] = i
	next
}

$column["work"] ~ /^(prefill|decode)/ {
	work = $column["work"] "," $column["batch"]
	who = $column["engine"] "," $column["model"]
	if (!(work in groups)) {
		groups[work] = ++n_groups
		group[n_groups] = work
	}
	if (!(who in series)) {
		series[who] = ++n_series
		list[n_series] = who
		colour[who] = shade($column["engine"])
	}
	value[work, who] = $column["tokens_per_s"]
	share[work, who] = $column["roof_share"]
	if (value[work, who] > most)
		most = value[work, who]
	members[work]++
}

# One family of colours an engine.
function shade(engine, n) {
	if (!(engine in shades))
		return "#777777"
	n = used[engine]++ % shades[engine] + 1
	return engine == "nibble" ? ours[n] : engine == "peer" ? theirs[n] : drivers[n]
}

# A group is as wide as its bars or its name.
function group_width(work, name) {
	name = length(work_name(work)) * 7.5
	return members[work] * bar > name ? members[work] * bar : name
}

function escape(s) {
	gsub(/&/, "\\&amp;", s)
	gsub(/</, "\\&lt;", s)
	return s
}

function text(x, y, size, anchor, fill, s) {
	printf "<text x=\"%.1f\" y=\"%.1f\" font-size=\"%d\" text-anchor=\"%s\" fill=\"%s\">%s</text>\n",
		x, y, size, anchor, fill, escape(s)
}

# 1, 2 or 5 times a power of ten, so that about six of them reach @most.
function tick_of(most, step) {
	step = 1
	while (step * 60 < most)
		step *= 10
	while (step > most)
		step /= 10
	return step * 6 >= most ? step : step * 12 >= most ? step * 2 : step * 30 >= most ? step * 5 : step * 10
}

function legend_name(who, f) {
	split(who, f, ",")
	return f[1] == "driver" ? "driver in a guest, " f[2] : f[1] ", " f[2]
}

function work_name(work, f) {
	split(work, f, ",")
	return f[1] ~ /^prefill/ ? f[1] : f[1] ", batch " f[2]
}

END {
	if (!n_groups)
		exit 1
	width = left + right + n_groups * gap
	for (g = 1; g <= n_groups; g++)
		width += group_width(group[g])
	if (width < 720)
		width = 720
	columns = int((width - left) / 240)
	rows = int((n_series + columns - 1) / columns)
	height = top + plot + 64 + rows * 22 + 16
	step = tick_of(most)
	ceiling = (int(most / step) + 1) * step
	printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" " \
		"viewBox=\"0 0 %d %d\" font-family=\"sans-serif\">\n", width, height, width, height
	printf "<rect width=\"%d\" height=\"%d\" fill=\"white\"/>\n", width, height
	text(left, 28, 18, "start", "#111", title)
	text(left, 50, 12, "start", "#555", note)
	for (y = 0; y <= ceiling; y += step) {
		at = top + plot - y / ceiling * plot
		printf "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>\n", left,
			width - right, at, at, (y ? "#e2e2e2" : "#333")
		text(left - 8, at + 4, 12, "end", "#333", y)
	}
	printf "<text transform=\"translate(22 %d) rotate(-90)\" font-size=\"13\" text-anchor=\"middle\" " \
		"fill=\"#333\">tokens per second</text>\n", top + plot / 2
	x = left + gap / 2
	for (g = 1; g <= n_groups; g++) {
		first = x
		x += (group_width(group[g]) - members[group[g]] * bar) / 2
		for (s = 1; s <= n_series; s++) {
			if (!((group[g], list[s]) in value))
				continue
			v = value[group[g], list[s]]
			h = v / ceiling * plot
			printf "<rect x=\"%.1f\" y=\"%.1f\" width=\"%d\" height=\"%.1f\" fill=\"%s\"/>\n",
				x + 2, top + plot - h, bar - 4, h, colour[list[s]]
			text(x + bar / 2, top + plot - h - 17, 11, "middle", "#111",
			     sprintf(v < 99.95 ? "%.1f" : "%.0f", v))
			text(x + bar / 2, top + plot - h - 5, 10, "middle", "#666",
			     sprintf("%.0f%%", share[group[g], list[s]] * 100))
			x += bar
		}
		x = first + group_width(group[g])
		text((first + x) / 2, top + plot + 20, 13, "middle", "#111", work_name(group[g]))
		x += gap
	}
	text((left + width - right) / 2, top + plot + 44, 13, "middle", "#333",
	     "kind of work; above each bar its tokens per second and its share of the roofline")
	for (s = 1; s <= n_series; s++) {
		x = left + (s - 1) % columns * 240
		y = top + plot + 64 + int((s - 1) / columns) * 22
		printf "<rect x=\"%d\" y=\"%d\" width=\"14\" height=\"14\" fill=\"%s\"/>\n", x, y,
			colour[list[s]]
		text(x + 20, y + 12, 13, "start", "#111", legend_name(list[s]))
	}
	print "</svg>"
}

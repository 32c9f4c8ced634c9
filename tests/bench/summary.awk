# SPDX-License-Identifier: MIT
# The rows of all rounds become one row for each engine, model, kind of work and batch: its best
# round, and the median. Reads what bench_llm --csv writes, prints a table, writes CSV to the file
# that -v csv= names.
#
# A row's share of the roofline is how near it comes to the faster of the two times that the machine
# could need, to read the bytes or to do the operations. Its roofline is of the same round.

BEGIN {
	FS = ","
	# Engines that serve the same program another way are held against this one.
	base = "nibble"
}

function larger(a, b) { return a > b ? a : b }

$1 == "engine" { next }

# machine,PEAK,roofline,...: bytes or operations a second.
$1 == "machine" {
	peaks[$2] = larger(peaks[$2], $6 + $7)
	next
}

{
	key = $1 "," $2 "," $3 "," $4
	work = $3 "," $4
	if (!(key in count)) {
		keys[++n_keys] = key
		if (!(work in works)) {
			works[work] = ++n_works
			work_list[n_works] = work
		}
	}
	tokens[key, ++count[key]] = $5
	if ($3 == "resident") {
		if ($11 > resident[key]) {
			resident[key] = $11
			bound[key] = $12
		}
		next
	}
	if ($5 > best[key]) {
		best[key] = $5
		bytes[key] = $6
		ops[key] = $7
		read_peak[key] = $8
		ops_peak[key] = $9
		peak[key] = $10
	}
}

# By insertion: there are few.
function median(key, n, i, j, x, v) {
	n = count[key]
	for (i = 1; i <= n; i++) {
		x = tokens[key, i] + 0
		for (j = i - 1; j > 0 && v[j] > x; j--)
			v[j + 1] = v[j]
		v[j + 1] = x
	}
	return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}

function of(x, most) { return most > 0 ? x / most : 0 }

function row(key, f, of_read, of_ops, roof, by, ratio, in_process, within) {
	split(key, f, ",")
	if (f[3] == "resident") {
		within = resident[key] <= bound[key] ? "within" : "above"
		printf "%-8s %-16s %-12s %5d  %.1f MB at most, bound %.1f MB (file, K/V, 64 MB): %s\n",
			f[1], f[2], f[3], f[4], resident[key] / 1e6, bound[key] / 1e6,
			within
		print key ",,,,,,,,,,,,," count[key] "," resident[key] "," bound[key] >csv
		return
	}
	of_read = of(bytes[key], read_peak[key])
	of_ops = of(ops[key], ops_peak[key])
	roof = larger(of_read, of_ops)
	by = of_read > of_ops ? "read" : peak[key]
	in_process = best[base "," f[2] "," f[3] "," f[4]]
	ratio = f[1] == "driver" && in_process ? best[key] / in_process : ""
	printf "%-8s %-16s %-12s %5d %9.2f %9.2f %8.2f %8.3f %8.1f%% %-5s %6d%s\n", f[1], f[2],
		f[3], f[4], best[key], median(key), bytes[key] * 1e-9, ops[key] * 1e-12,
		roof * 100, by, count[key],
		(ratio ? sprintf("  %.1f%% of in process", ratio * 100) : "")
	printf "%s,%.3f,%.3f,%.5g,%.5g,%.5g,%.5g,%s,%.4f,%.4f,%.4f,%s,,%d,,\n", key, best[key],
		median(key), bytes[key], ops[key], read_peak[key], ops_peak[key], peak[key],
		of_read, of_ops, roof, (ratio ? sprintf("%.4f", ratio) : ""), count[key] >csv
}

END {
	print "engine,model,work,batch,tokens_per_s,median_tokens_per_s,bytes_per_s,ops_per_s," \
		"read_peak,ops_peak,peak,read_share,ops_share,roof_share,of_in_process,seconds," \
		"runs,resident,resident_bound" >csv
	printf "machine: read %.1f GB/s; int8 %.3f, bf16 %.3f, fp32 %.3f Top/s\n", peaks["read"] * 1e-9,
		peaks["int8"] * 1e-12, peaks["bf16"] * 1e-12, peaks["fp32"] * 1e-12
	for (p in peaks)
		printf "machine,%s,roofline,,,,%s%.5g%s,,,,,,,,,,,\n", p, (p == "read" ? "" : ","),
			peaks[p], (p == "read" ? "," : "") >csv
	printf "%-8s %-16s %-12s %5s %9s %9s %8s %8s %9s %-5s %6s\n", "engine", "model", "work", "batch",
		"tok/s", "median", "GB/s", "Top/s", "of roof", "by", "runs"
	for (w = 1; w <= n_works; w++)
		for (i = 1; i <= n_keys; i++)
			if (index(keys[i] "\n", "," work_list[w] "\n"))
				row(keys[i])
}

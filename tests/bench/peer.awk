# SPDX-License-Identifier: MIT
# Rows of ours from what llama-bench -o csv or llama-batched-bench print, told by -v model=,
# cost="BYTES OPS OPS" (mkmodel --cost), roof="READ,FP32,BF16,INT8" (of before and after, separated
# by a space). A peer says how many tokens a second; bytes are its weights, once a step.

function larger(a, b) { return a > b ? a : b }

BEGIN {
	split(cost, c, " ")
	n = split(roof, both, " ")
	for (i = 1; i <= n; i++) {
		split(both[i], r, ",")
		read = larger(read, r[1])
		int8 = larger(int8, larger(r[4], larger(r[3], r[2])))
	}
}

# tokens a second, tokens a step, batch
function row(work, rate, step, batch) {
	printf "peer,%s,%s,%d,%.3f,%.5g,%.5g,%.5g,%.5g,int8,0,0\n", model, work, batch, rate,
		rate / step * c[1], rate * c[2] + rate * c[3] * batch / step, read, int8
}

# "a","b",... with the names in the first line.
/^"/ || /^build_commit,/ {
	n = split($0, f, /"?,"?/)
	sub(/^"/, "", f[1])
	sub(/"$/, "", f[n])
	if (!named) {
		for (i = 1; i <= n; i++)
			name[i] = f[i]
		named = n
		next
	}
	# Commas within fields can only come before the numbers wanted: count from the end.
	for (i = 1; i <= named; i++)
		v[name[i]] = f[n - named + i]
	if (v["n_prompt"] > 0 && !(v["n_gen"] > 0))
		row("prefill", v["avg_ts"], v["n_prompt"], 1)
	else if (v["n_gen"] > 0 && !(v["n_prompt"] > 0))
		row("decode", v["avg_ts"], 1, 1)
}

# | PP | TG | B | N_KV | T_PP | S_PP | T_TG | S_TG | ...
/^\| *[0-9]/ {
	split($0, f, "|")
	row("decode", f[9] + 0, f[4] + 0, f[4] + 0)
}

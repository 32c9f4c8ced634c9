# SPDX-License-Identifier: MIT
# Manual pages from the headers' comments, in mdoc: awk -v dir=OUT -f mkman.awk HEADER...
#
# A comment followed by declarations documents the functions up to the next blank line or comment:
# the first one gets the page, the others a .so link to it. A kernel-doc comment of a struct becomes
# a section of every page whose functions take that struct. The first comment of a header becomes
# the description of accel(3).

function flush_group(    i) {
	if (n_protos)
		emit_page()
	n_protos = 0
	n_comment = 0
}

function trim(s) {
	gsub(/^[ \t]+|[ \t]+$/, "", s)
	return s
}

# Escapes what roff would take for a request, and what mdoc would take for a macro.
function text(s) {
	gsub(/\\/, "\\e", s)
	if (s ~ /^[.']/)
		s = "\\&" s
	return s
}

# Splits on commas that are not inside parentheses.
function split_args(s, out,    i, c, depth, n, word) {
	n = 0
	word = ""
	depth = 0
	for (i = 1; i <= length(s); i++) {
		c = substr(s, i, 1)
		depth += (c == "(") - (c == ")")
		if (c == "," && !depth) {
			out[++n] = trim(word)
			word = ""
		} else
			word = word c
	}
	out[++n] = trim(word)
	return n
}

function names(proto,    s) {
	s = proto
	sub(/\(.*/, "", s)
	sub(/^.*[ *]/, "", s)
	return s
}

function emit_fn(proto, out,    type, name, args, n, a, i, line) {
	name = names(proto)
	type = substr(proto, 1, index(proto, name "(") - 1)
	args = substr(proto, index(proto, name "(") + length(name) + 1)
	sub(/\);?$/, "", args)
	gsub(/[ \t]+/, " ", args)
	printf ".Ft %s\n", trim(type) >out
	n = split_args(args, a)
	line = ".Fn " name
	for (i = 1; i <= n; i++)
		if (a[i] != "void")
			line = line " \"" a[i] "\""
	print line >out
}

# Ends the line of text that is being filled.
function break_line(out) {
	if (fill != "")
		print text(fill) >out
	fill = ""
}

# Words into lines of at most 78 characters, a new one for each sentence; functions as references.
function emit_words(s, out,    n, w, i, word, rest) {
	gsub(/@/, "", s)
	n = split(s, w, /[ \t]+/)
	for (i = 1; i <= n; i++) {
		word = w[i]
		if (word == "")
			continue
		if (word ~ /^accel_[a-z_]+\(\)[.,;:)]*$/) {
			break_line(out)
			rest = word
			sub(/^[a-z_]+\(\)/, "", rest)
			sub(/\(.*/, "", word)
			gsub(/./, " &", rest)
			print (word == page ? ".Fn " word : ".Xr " word " 3") rest >out
			continue
		}
		if (length(fill) + length(word) > 77)
			break_line(out)
		fill = fill (fill == "" ? "" : " ") word
		if (word ~ /[.!?]\)?$/ && (i == n || w[i + 1] ~ /^[A-Z]/))
			break_line(out)
	}
}

# A comment's text: paragraphs, and @name: lines as a list.
function emit_text(lines, first, last, out,    i, s, list, started) {
	list = started = 0
	fill = ""
	for (i = first; i <= last; i++) {
		s = lines[i]
		if (s == "") {
			break_line(out)
			if (list)
				print ".El" >out
			if (started && i < last && lines[i + 1] != "" && lines[i + 1] !~ /^@/)
				print ".Pp" >out
			list = 0
			continue
		}
		if (s ~ /^@[a-z_0-9]+:/) {
			break_line(out)
			if (!list)
				print ".Bl -tag -width Ds" >out
			list = 1
			printf ".It Fa %s\n", substr(s, 2, index(s, ":") - 2) >out
			s = trim(substr(s, index(s, ":") + 1))
		}
		started = 1
		emit_words(s, out)
	}
	break_line(out)
	if (list)
		print ".El" >out
}

function header_of(file) {
	sub(/.*\//, "", file)
	return file
}

function emit_top(name, out, summary) {
	printf ".Dd $Mdocdate$\n.Dt %s 3\n.Os\n.Sh NAME\n.Nm %s\n.Nd %s\n", toupper(name), name,
		summary >out
}

# Structs that the arguments name, once each, with their own comment.
function emit_structs(protos, out,    s, i, lines, n) {
	for (i = 1; i <= n_structs; i++) {
		s = struct_name[i]
		if (protos !~ ("struct " s "[ *]"))
			continue
		printf ".Sh STRUCT %s\n", toupper(s) >out
		print ".Bd -literal" >out
		print struct_body[i] >out
		print ".Ed" >out
		n = split(struct_text[i], lines, "\n")
		if (lines[1] !~ /^@/)
			print ".Pp" >out
		emit_text(lines, 1, n, out)
	}
}

function emit_page(    name, out, i, summary, first, all, link, words) {
	name = names(protos[1])
	out = dir "/" name ".3"
	page = name
	pages[++n_pages] = name
	first = 1
	summary = ""
	if (comment[1] ~ /^accel_[a-z_]+ - /) {
		summary = comment[1]
		sub(/^[a-z_]+ - /, "", summary)
		first = 2
		while (first <= n_comment && comment[first] != "" && comment[first] !~ /^@/)
			summary = summary " " comment[first++]
	}
	if (summary == "" && n_comment == 1 && comment[1] !~ /^Returns/) {
		summary = comment[1]
		if (summary ~ /^[A-Z][a-z ]/)
			summary = tolower(substr(summary, 1, 1)) substr(summary, 2)
		sub(/[.:] .*/, "", summary)
		sub(/ \(.*/, "", summary)
		first = summary "." == tolower(substr(comment[1], 1, 1)) substr(comment[1], 2) ? 2 : 1
	}
	if (summary == "") {
		# accel_noun_verb
		words = name
		sub(/^accel_/, "", words)
		summary = words
		sub(/_[a-z]+$/, "", summary)
		sub(/^.*_/, "", words)
		gsub(/_/, " ", summary)
		summary = words " a " summary
	}
	sub(/\.( .*)?$/, "", summary)
	gsub(/@/, "", summary)
	emit_top(name, out, summary)
	printf ".Sh LIBRARY\nlibaccel (libaccel, \\-laccel)\n" >out
	printf ".Sh SYNOPSIS\n.In %s\n", header_of(FILENAME_NOW) >out
	all = ""
	for (i = 1; i <= n_protos; i++) {
		emit_fn(protos[i], out)
		all = all " " protos[i]
		if (i > 1) {
			link = dir "/" names(protos[i]) ".3"
			printf ".so man3/%s.3\n", name >link
			close(link)
		}
	}
	print ".Sh DESCRIPTION" >out
	if (first > n_comment)
		printf "%s%s.\n", toupper(substr(summary, 1, 1)), text(substr(summary, 2)) >out
	emit_text(comment, first, n_comment, out)
	emit_structs(all, out)
	print ".Sh SEE ALSO\n.Xr accel 3" >out
	close(out)
}

function emit_overview(    out, i, n, lines) {
	out = dir "/accel.3"
	page = "accel"
	emit_top("accel", out, "runtime of the Nibble inference accelerator")
	print ".Sh LIBRARY\nlibaccel (libaccel, \\-laccel)" >out
	print ".Sh SYNOPSIS\n.In accel.h\n.In accel_stream.h\n.In accel_llm.h" >out
	print ".Sh DESCRIPTION" >out
	n = split(overview, lines, "\n")
	emit_text(lines, 1, n, out)
	print ".Sh EXAMPLES" >out
	print "samples/hello-stream.c and samples/accel-run.c of the source tree." >out
	print ".Sh SEE ALSO" >out
	for (i = 2; i <= n_pages; i++)
		for (n = i; n > 1 && pages[n - 1] > pages[n]; n--) {
			out_of_order = pages[n]
			pages[n] = pages[n - 1]
			pages[n - 1] = out_of_order
		}
	for (i = 1; i <= n_pages; i++)
		printf ".Xr %s 3%s\n", pages[i], (i < n_pages ? " ," : "") >out
	close(out)
}

# Structs may be declared after the functions that use them are read: read every header twice.
BEGIN {
	n = ARGC
	for (i = 1; i < n; i++)
		ARGV[ARGC++] = ARGV[i]
	files = n - 1
}

FNR == 1 {
	flush_group()
	file_no++
	second = file_no > files
	FILENAME_NOW = FILENAME
	in_comment = in_struct = in_proto = seen_first = 0
}

/^\/\*/ {
	if (second)
		flush_group()
	n_comment = 0
	in_comment = 1
	line = $0
	sub(/^\/\*+ ?/, "", line)
	one = line ~ /\*\/$/
	sub(/ ?\*\/$/, "", line)
	if (line != "" && line !~ /SPDX|^---/)
		comment[++n_comment] = line
	if (one)
		in_comment = 0
	next
}

in_comment {
	line = $0
	if (line ~ /\*\//) {
		in_comment = 0
		sub(/ ?\*\/.*/, "", line)
		if (line !~ /^ \* ?./) {
			if (!seen_first++ && !second)
				for (i = 1; i <= n_comment; i++)
					overview = overview comment[i] "\n" (i == n_comment ? "\n" : "")
			next
		}
	}
	sub(/^ \* ?/, "", line)
	gsub(/^\t+/, "", line)
	comment[++n_comment] = line
	next
}

/^struct accel_[a-z_]+ \{/ {
	in_struct = 1
	body = ""
	name = $2
}

in_struct {
	body = body (body == "" ? "" : "\n") $0
	if ($0 ~ /^\};/) {
		in_struct = 0
		if (!second && comment[1] ~ "^struct " name " - ") {
			struct_name[++n_structs] = name
			gsub(/\\/, "\\e", body)
			struct_body[n_structs] = body
			for (i = 2; i <= n_comment; i++)
				struct_text[n_structs] = struct_text[n_structs] comment[i] "\n"
		}
		n_comment = 0
	}
	next
}

/^[a-z].*accel_[a-z_]+\(.*[,;]$/ && !/^static/ {
	in_proto = 1
	proto = ""
}

in_proto {
	line = $0
	sub(/[ \t]*\/\*.*\*\/$/, "", line)
	proto = proto " " trim(line)
	if (line ~ /;$/) {
		in_proto = 0
		if (second)
			protos[++n_protos] = trim(proto)
	}
	next
}

/^$/ && n_protos {
	flush_group()
}

END {
	flush_group()
	emit_overview()
}

# SPDX-License-Identifier: MIT
# Turns a specification of a netlink family (uapi/nib_netlink.yaml) into C that compiles only if the
# header says the same: names as the kernel's generator makes them, values, and no more of them than
# the specification has. Knows the layout that our file has, not all of YAML.

function upper(s) {
	gsub(/-/, "_", s)
	return toupper(s)
}

function expect(name, value) {
	printf "_Static_assert(%s == %d, \"%s\");\n", name, value, name
	checks++
}

# The last of a list is what the header calls its maximum.
function finish() {
	if (kind == "enum" && has_max)
		expect(family "_" upper(group) "_MAX", value - 1)
	if (kind == "set")
		expect(family "_A_" upper(group) "_MAX", value - 1)
	if (kind == "ops")
		expect(family "_CMD_MAX", value - 1)
	kind = ""
}

/^name: / { family = upper($2) }
/^name: / { printf "_Static_assert(!__builtin_strcmp(%s_FAMILY_NAME, \"%s\"), \"name\");\n", family, $2 }
/^[a-z]/ { finish(); room = $1 }

# "    name: x" begins a definition, a set, an operation or a group.
/^    name: / || /^      name: / && room == "operations:" || /^      name: / && room == "mcast-groups:" {
	if (room == "definitions:") {
		finish()
		kind = "enum"
		group = $2
		value = 0
		has_max = 0
	} else if (room == "attribute-sets:") {
		finish()
		kind = "set"
		group = $2
		value = 1
	} else if (room == "operations:") {
		if (kind != "ops")
			value = 1
		kind = "ops"
		expect(family "_CMD_" upper($2), value++)
	} else if (room == "mcast-groups:") {
		printf "_Static_assert(!__builtin_strcmp(%s_MCGRP_%s, \"%s\"), \"group\");\n", family, upper($2), $2
	}
}
/^    render-max: true/ { has_max = 1 }

# "        name: x" is an entry of an enum or an attribute of a set.
/^        name: / && kind == "enum" { expect(family "_" upper(group) "_" upper($2), value++) }
/^        name: / && kind == "set" {
	expect(family "_A_" upper(group) "_" upper($2), value++)
	known[group "/" $2] = 1
}
# What an operation refers to exists.
/^      attribute-set: / { set = $2 }
/^ +- [a-z0-9-]+$/ && room == "operations:" && !((set "/" $2) in known) {
	printf "#error \"%s has no attribute %s\"\n", set, $2
}
END {
	finish()
	if (checks < 80)
		print "#error \"the specification was not understood\""
}

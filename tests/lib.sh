# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Shared by test scripts; they run at the top of the tree.

BUILD=${BUILD:-build}
data=${NIB_SHARED_DATA:-../shared/data}
work=$BUILD/model
mkdir -p "$work"

skip()
{
	echo "$*"
	exit 77
}

fail()
{
	echo "FAIL: $*" >&2
	exit 1
}

# need FILE: skip where the shared test data is absent.
need()
{
	[ -e "$1" ] || skip "no $1: the shared test data is not here"
}

# compile MODEL OUT OPTIONS...: accelc, quiet unless it fails.
compile()
{
	local model=$1 out=$2
	shift 2
	"$BUILD/accelc" "$model" -o "$out" "$@" >"$out.log" 2>&1 ||
		fail "accelc $model $*: $(cat "$out.log")"
}

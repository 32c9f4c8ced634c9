# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154 # sourced by toolbox, whose variables and functions these are
#
# The debug kernel of the toolbox: the linux-source package of the kernel "backport", configured by
# debug.config, built in the cache and seen as /debug in the root. Which options it has and why is
# said there; what runs on it is not decided here.

debug_recipe=1 # to be counted up when the functions below change what they make
debug_config=$repo/tests/toolbox/debug.config
# Never unpacked: other architectures, documentation, registers of hardware that no guest has.
debug_excluded=('*/Documentation/*/*' '*/tools/testing/*' '*/tools/perf/*' '*/rust/*.rs'
	'*/drivers/gpu/drm/amd/include/*' '*/drivers/gpu/drm/amd/pm/*' '*/arch/*/boot/dts/*'
	'*/sound/soc/*.[ch]' '*/drivers/net/ethernet/*.[ch]' '*/drivers/net/wireless/*.[ch]' '*/drivers/media/*.[ch]')

# Sets $debug, where this kernel is or would be. What the driver's Kconfig selects is part of it.
debug_place() {
	local sum
	sum=$(cat "$debug_config" <(grep -h '^	select ' "$repo/kmod/Kconfig") <(printf '%s\n' "$debug_recipe" "$suite" \
		"${debug_excluded[@]}") "$box/kernels/backport/info" | sha256sum)
	debug=$cache/debug-${sum:0:12}
}

# Makes the debug kernel, or does nothing when it is there. Needs the root.
debug_ensure() {
	local new log pid
	debug_place
	if [[ -f $debug/info ]]; then
		touch "$debug"
		return
	fi
	export debug
	new=$debug.new log=$debug.log
	exec 6>"$cache/debug.lock"
	flock -n 6 || { echo "toolbox: another process makes the debug kernel, waiting" >&2; flock 6; }
	[[ -f $debug/info ]] && { exec 6>&-; return; }
	SECONDS=0
	find_mirror
	mkdir -p "$new"
	# What was built stays: the next try goes on from there.
	mirror=$mirror keyring=$keyring "$self" __debug "$new" >"$log" 2>&1 6>&- </dev/null &
	pid=$!
	trap 'kill -TERM "$pid"; wait "$pid" || true; exit 130' INT TERM HUP
	show_progress "$pid" "$log" '^\(I: \|  [A-Z]\+ \).*'
	if ! wait "$pid"; then
		tail -n 25 "$log" >&2
		die "the debug kernel could not be made; all of it: $log"
	fi
	trap - INT TERM HUP
	mv "$new" "$debug"
	debug_remove_old
	exec 6>&-
	echo "toolbox: made $debug in $SECONDS s" >&2
}

# Removes those that nobody asked for in a week.
debug_remove_old() {
	local old
	find "$cache" -maxdepth 1 -name 'debug-*' -mtime +7 | while read -r old; do
		rm -rf "$old"
	done
}

# Fills directory $1, which may hold part of it.
debug_make() {
	local new=$1
	debug_fetch "$new"
	debug_unpack "$new"
	echo "I: configuring" >&2
	# In a pid namespace, so that nothing of the build outlives us.
	"$self" run --die-with-parent --bind "$new:/debug" --bind "$debug_config:/mnt/config" \
		--cwd /debug/src unshare --pid --fork --kill-child \
		bash -euo pipefail -c "$(declare -f debug_build); debug_build \$0" \
		"${debug##*/}"
	rm -rf "$new/apt" "$new"/*.deb
}

# The source of the kernel "backport"; where the archive has it no more, the newest. The root has no
# apt: this machine's is told to look elsewhere.
debug_fetch() {
	local new=$1 apt=$1/apt options package release
	[[ -d $new/src || -n $(compgen -G "$new/*.deb") ]] && return
	echo "I: looking for linux-source" >&2
	mkdir -p "$apt"/{lists/partial,cache/archives/partial}
	for options in "$keyring" /usr/share/keyrings/debian-archive-keyring.{gpg,pgp}; do
		[[ -n $options && -r $options ]] && { keyring=$options; break; }
	done
	echo "deb ${keyring:+[signed-by=$keyring]} $mirror $suite-backports main" >"$apt/sources"
	options=(-q -o "Dir::Etc::SourceList=$apt/sources" -o Dir::Etc::SourceParts=/dev/null
		-o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
		-o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache"
		-o APT::Sandbox::User= -o Acquire::Languages=none
		-o APT::Get::List-Cleanup=false -o APT::Architecture=amd64 -o APT::Architectures=amd64)
	apt-get "${options[@]}" update
	read -r _ release _ <"$box/kernels/backport/info"
	package=linux-source-$(cut -d. -f1-2 <<<"$release")
	apt-cache "${options[@]}" show "$package" >/dev/null 2>&1 ||
		package=$(apt-cache "${options[@]}" pkgnames linux-source- |
			grep -x 'linux-source-[0-9.]*' | sort -V | tail -n 1)
	[[ -n $package ]] || { echo "E: no linux-source in $suite-backports" >&2; return 1; }
	echo "I: downloading $package" >&2
	(cd "$apt" && apt-get "${options[@]}" download "$package" && mv ./*.deb ..)
}

debug_unpack() {
	local new=$1 option options=()
	[[ -d $new/src ]] && return
	echo "I: unpacking" >&2
	for option in "${debug_excluded[@]}"; do
		options+=(--exclude="$option")
	done
	rm -rf "$new/src.new"
	mkdir "$new/src.new"
	# The package holds one tar.xz.
	dpkg-deb --fsys-tarfile "$new"/*.deb | tar -xO --wildcards '*/linux-source-*.tar.xz' |
		xz -dcT0 | tar -x -C "$new/src.new" --strip-components=1 --wildcards "${options[@]}"
	mkdir "$new/src.new/drivers/accel/nib"
	cp "$repo/kmod/Kconfig" "$new/src.new/drivers/accel/nib/"
	# Empty: the sources come with each build of the module.
	echo '# SPDX-License-Identifier: GPL-2.0' >"$new/src.new/drivers/accel/nib/Makefile"
	"$repo/kmod/in-tree" --hook "$new/src.new"
	debug_mend "$new/src.new"
	mv "$new/src.new" "$new/src"
}

# Bugs of the kernel that its own failing allocations lay open, and that would end a sweep over ours.
# A kernel without them is left as it is.
debug_mend() {
	# When a split gets no memory, a block is freed that is still in its tree.
	sed -i '/^alloc_from_freetree/,/^}/ s/if (tmp != order)/if (false)/' "$1/drivers/gpu/buddy.c"
	# When there is no device for a minor, an error pointer is left where a device is put later.
	sed -i '/^static int drm_minor_alloc(/,/^}/ s/\treturn PTR_ERR(minor->kdev);/{\
		r = PTR_ERR(minor->kdev);\
		minor->kdev = NULL;\
		return r;\
	}/' "$1/drivers/gpu/drm/drm_drv.c"
}

# Runs in the root, in /debug/src. $1 becomes part of the release.
debug_build() {
	local line symbol release
	echo "-$1" >localversion-nib
	export KBUILD_BUILD_TIMESTAMP=2026-01-01 KBUILD_BUILD_USER=nibble KBUILD_BUILD_HOST=toolbox
	make -s allnoconfig KCONFIG_ALLCONFIG=/mnt/config
	while IFS= read -r line; do
		[[ $line = CONFIG_* ]] || continue
		symbol=${line%%=*}
		if [[ ${line#*=} = n ]]; then
			! grep -q "^$symbol=" .config
		else
			grep -qxF "$line" .config
		fi || { echo "E: this kernel does not take $line" >&2; exit 1; }
	done </mnt/config
	make -j"$(nproc)" bzImage modules
	echo "I: installing" >&2
	release=$(make -s kernelrelease)
	make -s modules_install INSTALL_MOD_PATH=/debug/root
	cp arch/x86/boot/bzImage /debug/bzImage
	echo "debug $release /debug/src /debug/bzImage /debug/root/lib/modules/$release" >/debug/info.new
	mv /debug/info.new /debug/info
}

# The driver in drivers/accel/nib of this kernel, as a module and as a part of it, and its headers as
# user space gets them. On a file system of its own above the kernel's tree, which others use too.
debug_in_tree() {
	local out
	debug_ensure
	out=$(builds)/in-tree
	rm -rf "$out"
	mkdir -p "$out"
	"$self" run --die-with-parent --bind "$out:/mnt/out" --cwd / \
		unshare --pid --fork --kill-child env "REPO=$repo" bash -euo pipefail -c \
		"$(declare -f debug_in_tree_build); debug_in_tree_build" >"$out/log" 2>&1 || {
		tail -n 40 "$out/log" >&2
		return 1
	}
	! grep -i 'warning' "$out/log" >&2
}

# Runs in the root.
debug_in_tree_build() {
	local upper=/run/upper
	mkdir $upper
	busybox mount -t tmpfs -o size=8G tmpfs $upper
	mkdir $upper/up $upper/work
	busybox mount -t overlay -o lowerdir=/debug/src,upperdir=$upper/up,workdir=$upper/work overlay /debug/src
	"$REPO/kmod/in-tree" /debug/src
	cd /debug/src
	export KBUILD_BUILD_TIMESTAMP=2026-01-01 KBUILD_BUILD_USER=nibble KBUILD_BUILD_HOST=toolbox
	make modules
	cp drivers/accel/nib/*.ko /mnt/out/
	make -s headers
	for header in usr/include/drm/nib_*.h; do
		gcc -std=c11 -Wall -Wextra -Werror -fsyntax-only -Iusr/include -Iusr/include/drm \
			-x c "$header"
	done
	sed -i 's/^CONFIG_DRM_ACCEL_NIB=m/CONFIG_DRM_ACCEL_NIB=y/
		s/^CONFIG_DRM_ACCEL_NIB_KUNIT_TEST=m/CONFIG_DRM_ACCEL_NIB_KUNIT_TEST=y/' .config
	make olddefconfig
	make -j"$(nproc)" bzImage
	cp arch/x86/boot/bzImage /mnt/out/
}

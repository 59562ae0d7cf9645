# SPDX-License-Identifier: Apache-2.0
#
# What the scripts share: sourced by them, not run.  A script starts with
#
#	set -euo pipefail
#	. "$(dirname "$(readlink -f "$0")")/lib.sh"
#
# and then calls what it needs.  All of these do nothing, quickly, when there is nothing to do:
#
#	need PURPOSE...      Debian and Python packages for run, test, bench, kernels
#	install_package      build this tree as pip does and install it into the virtual environment
#	build_c DIR OPTS...  a meson build in $BUILD/DIR; build_dev is the one for development
#
# Set by this file: ROOT (the tree), BUILD (all that is made goes there), VENV, PY (its python).
# From the environment: PYDTRACE_BUILD (instead of ROOT/build), JOBS (parallel jobs of a build).

ROOT=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
BUILD=${PYDTRACE_BUILD:-$ROOT/build}
VENV=$BUILD/venv
PY=$VENV/bin/python
JOBS=${JOBS:-$(nproc)}
export PYDTRACE_BUILD=$BUILD PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
PATH=$VENV/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
unset PYTHONHOME PYTHONPATH CDPATH
mkdir -p "$BUILD/log"

say() { printf '%s\n' "$*" >&2; }
die() {
	say "${0##*/}: $*"
	exit 1
}

# quietly NAME COMMAND...: output to a log, shown only when the command fails.
quietly() {
	local log=$BUILD/log/$1.log
	shift
	"$@" >"$log" 2>&1 </dev/null && return
	local status=$?
	tail -n 60 "$log" >&2
	say "failed: $* (log: $log)"
	return "$status"
}

# ---- packages ----------------------------------------------------------------------------------

packages_of() {
	case $1 in
	run) echo gcc libc6-dev pkg-config python3 python3-dev python3-venv libbpf-dev libelf-dev \
		zlib1g-dev libiberty-dev ca-certificates ;;
	wheel) echo git ;;
	docs) echo python3 ;;
	test) echo clang libclang-rt-14-dev groff-base curl postgresql ;;
	bench) echo bpftrace python3-bpfcc linux-headers-amd64 clang ;;
	kernels) echo qemu-system-x86 busybox-static cpio xz-utils zstd lz4 ;;
	*) die "no such purpose: $1 (run, test, wheel, docs, bench, kernels)" ;;
	esac
}

missing_packages() {
	local p
	for p in "$@"; do
		case $(dpkg-query -W -f '${Status}' "$p" 2>/dev/null || :) in
		*' installed') ;;
		*) echo "$p" ;;
		esac
	done
}

apt_need() {
	local missing
	command -v dpkg-query >/dev/null || {
		say "no Debian here: taking for granted what these packages hold: $*"
		return 0
	}
	mapfile -t missing < <(missing_packages "$@")
	[ ${#missing[@]} -eq 0 ] && return
	[ "$(id -u)" = 0 ] || die "missing Debian packages; as root: apt-get install ${missing[*]}"
	say "installing: ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	quietly apt-update apt-get -q update
	quietly apt-install apt-get -q -y --no-install-recommends \
		-o DPkg::Lock::Timeout=300 install "${missing[@]}"
}

# pip_need FILE: the packages pinned there; a stamp remembers which text of the file was installed.
pip_need() {
	local file=$1 stamp
	stamp=$VENV/.$(basename "$file").done
	cmp -s "$file" "$stamp" && return
	say "installing Python packages: $(grep -v '^#' "$file" | tr '\n' ' ')"
	quietly "pip-$(basename "$file" .txt)" "$PY" -m pip install -r "$file"
	cp "$file" "$stamp"
}

need_one() {
	local purpose=$1 packages
	packages=$(packages_of "$purpose")
	# shellcheck disable=SC2086
	apt_need $packages
	[ -x "$PY" ] || quietly venv /usr/bin/python3 -m venv "$VENV"
	if [ -f "$ROOT/script/requirements/$purpose.txt" ]; then
		pip_need "$ROOT/script/requirements/$purpose.txt"
	fi
}

need() {
	local purpose
	for purpose in "$@"; do
		locked need_one "$purpose"
	done
}

# One at a time, when several scripts run in this tree.  Descriptor 9 holds the lock; the subshell's end frees it.
locked() {
	(
		exec 9>"$BUILD/.lock"
		flock 9
		"$@" 9>&-
	)
}

# ---- builds ------------------------------------------------------------------------------------

# newer_than STAMP: is any source newer?
newer_than() {
	[ -f "$1" ] || return 0
	[ -n "$(cd "$ROOT" && find engine include binding python d data meson.build meson_options.txt \
		pyproject.toml -newer "$1" -not -name __pycache__ -not -name '*.pyc' \
		-print -quit 2>/dev/null)" ]
}

pip_install() {
	quietly pip-install "$PY" -m pip install --no-build-isolation --no-deps --force-reinstall \
		--config-settings=build-dir="$BUILD/wheel" --config-settings=compile-args="-j$JOBS" "$ROOT"
}

install_package_now() {
	local stamp=$VENV/.pydtrace.done
	newer_than "$stamp" || return 0
	say "building and installing the package"
	touch "$stamp.new"
	# A build directory of other options than today's does not do.
	pip_install || { rm -rf "$BUILD/wheel" && pip_install; } || return
	mv "$stamp.new" "$stamp"
}

install_package() {
	need run
	locked install_package_now
}

build_c_now() {
	local dir=$BUILD/$1
	shift
	if [ -f "$dir/build.ninja" ]; then
		# Test programs are found by their folder: configure anew, to see the new ones.
		quietly "meson-${dir##*/}" meson setup --reconfigure "$@" "$dir" "$ROOT" ||
			quietly "meson-${dir##*/}" meson setup --wipe "$@" "$dir" "$ROOT"
	else
		quietly "meson-${dir##*/}" meson setup "$@" "$dir" "$ROOT"
	fi
	quietly "ninja-${dir##*/}" ninja -C "$dir" -j "$JOBS"
}

build_c() {
	need run
	say "building: $BUILD/$1"
	locked build_c_now "$@"
}

# The build for development, in $BUILD/dev: the C tests are run from it, clang-tidy reads its commands.
build_dev() {
	build_c dev -Dwerror=true --prefix="$BUILD/dev/root" \
		-Dpython.platlibdir="$BUILD/dev/site" -Dpython.purelibdir="$BUILD/dev/site"
}

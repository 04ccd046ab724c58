#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# What perhop needs from the system, and how to get it.
#
#   scripts/prerequisites.sh           install what is missing (Debian, root), or say how
#   scripts/prerequisites.sh --check   only say what is missing
#
# Exit code 0: all that perhop cannot do without is there; 1: something is missing. With everything there it
# installs nothing, needs no network and takes a fraction of a second. Needs no more than a POSIX shell.
#
# What perhop can do without is installed along with the rest, or on its own, but tried once per checkout
# (build/optional-tried): a machine that cannot have it skips what needs it, and is not asked again.
set -u

# package | what for | how to recognise it where there is no dpkg
#   cmd:X  a program    pc:X  a pkg-config module    py:X  a module of /usr/bin/python3    file:X
list() {
	cat <<'LIST'
gcc build cmd:gcc
libc6-dev build file:/usr/include/stdio.h
pkg-config build cmd:pkg-config
libjansson-dev build pc:jansson
libssl-dev build pc:libcrypto
protobuf-c-compiler build cmd:protoc-c
libprotobuf-c-dev build pc:libprotobuf-c
libmnl-dev build pc:libmnl
libnghttp2-dev build pc:libnghttp2
libturbojpeg0-dev build pc:libturbojpeg
libsqlite3-dev build pc:sqlite3
libelf-dev build pc:libelf
systemtap-sdt-dev build file:/usr/include/sys/sdt.h
zlib1g-dev build pc:zlib
libbpf-dev bpf pc:libbpf
clang bpf cmd:clang
bpftool bpf cmd:bpftool
nginx nginx cmd:nginx
libnginx-mod-http-lua nginx file:/usr/lib/nginx/modules/ngx_http_lua_module.so
python3 python cmd:/usr/bin/python3
python3-numpy python py:numpy
python3-scipy python py:scipy
python3-matplotlib python py:matplotlib
python3-jsonschema python py:jsonschema
libcmocka-dev tests pc:cmocka
curl tests cmd:curl
procps tests cmd:ps
iproute2 tests cmd:ip
iptables netfilter-rules cmd:iptables-restore
shellcheck tests cmd:shellcheck
pyflakes3 tests cmd:pyflakes3
wrk tests cmd:wrk
nghttp2-client tests cmd:nghttp
python3-grpcio tests py:grpc
python3-grpc-tools tests py:grpc_tools
mosquitto-clients tests cmd:mosquitto_pub
libcoap3-bin tests cmd:coap-client-notls
LIST
}

# Without these a dataplane, a row or a test is skipped and says so.
# shellcheck disable=SC2317 # missing_debian calls it
list_optional() {
	cat <<'LIST'
libdpdk-dev dataplane-dpdk pc:libdpdk
qemu-system-x86 sure:unikernel,gate=mpk-tested cmd:qemu-system-x86_64
liblwip-dev sure,stack=zstack file:/usr/include/lwip/lwip/init.h
libxdp-dev sure,stack=zstack pc:libxdp
runc startup cmd:runc
valgrind gate:instructions cmd:valgrind
bpftrace tests-of-the-audit cmd:bpftrace
LIST
}

# Missing packages of `$1` (list, list_optional), one per line, by one question to dpkg.
missing_debian() {
	names=$("$1" | cut -d' ' -f1)
	# shellcheck disable=SC2086 # the list is to be split
	installed=$(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' $names 2>/dev/null |
		sed -n "s/^[hi]i *//p")
	"$1" | while read -r package reason how; do
		case "
$installed
" in
		*"
$package
"*) ;;
		*) echo "$package $reason $how" ;;
		esac
	done
}

# The same where there is no dpkg.
missing_elsewhere() {
	list | while read -r package reason how; do
		what=${how#*:}
		case $how in
		cmd:*) command -v "$what" || PATH=$PATH:/usr/sbin:/sbin command -v "$what" ;;
		pc:*) pkg-config --exists "$what" ;;
		py:*) /usr/bin/python3 -c "import importlib.util as u, sys; sys.exit(not u.find_spec('$what'))" ;;
		file:/usr/lib/*) test -e "$what" || test -e "/usr/lib64/${what#/usr/lib/}" ;;
		file:/usr/include/*)
			test -e "$what" || test -e "/usr/include/$(uname -m)-linux-gnu/${what#/usr/include/}"
			;;
		file:*) test -e "$what" ;;
		esac >/dev/null 2>&1 || echo "$package $reason $how"
	done
}

# "gcc (build), wrk (tests)"
describe() {
	printf '%s\n' "$1" | while read -r package reason _; do
		printf '  %-24s %s\n' "$package" "$reason"
	done
}

names_of() {
	printf '%s\n' "$1" | cut -d' ' -f1 | tr '\n' ' ' | sed 's/ $//'
}

# Debian starts a service as soon as its package is there; an nginx of the system on port 80 is not
# ours to start. policy-rc.d is Debian's way to say so; what was there before comes back.
POLICY=/usr/sbin/policy-rc.d
policy_saved=

deny_services() {
	if [ -e "$POLICY" ]; then
		policy_saved=$(mktemp "$POLICY.XXXXXX") && cp -p "$POLICY" "$policy_saved" || exit 1
	fi
	trap restore_services EXIT
	trap 'exit 1' HUP INT TERM
	printf '#!/bin/sh\nexit 101\n' >"$POLICY"
	chmod 755 "$POLICY"
}

restore_services() {
	trap - EXIT
	if [ -n "$policy_saved" ]; then
		mv -f "$policy_saved" "$POLICY"
	else
		rm -f "$POLICY"
	fi
}

# What describe shows, from Debian's archive. 0, or apt-get's status.
install_debian() {
	packages=$(names_of "$1")
	echo "Installing from Debian's archive:"
	describe "$1"
	deny_services
	export DEBIAN_FRONTEND=noninteractive
	# shellcheck disable=SC2086 # the list is to be split
	apt-get -q -o DPkg::Lock::Timeout=120 update &&
		apt-get -q -y -o DPkg::Lock::Timeout=120 -o Dpkg::Options::=--force-confold \
			install --no-install-recommends $packages
	status=$?
	case " $packages " in
	*' nginx '*) never_start nginx ;;
	esac
	restore_services
	return $status
}

# Nor is it to start with the machine: perhop runs its own from its own configuration. Where there is
# no systemctl (a chroot, an image to be), there may be systemd or SysV's init later.
never_start() {
	[ -e "/etc/init.d/$1" ] || return 0
	update-rc.d "$1" disable
	if command -v systemctl; then
		systemctl disable "$1.service"
	else
		deb-systemd-helper disable "$1.service"
	fi
} >/dev/null 2>&1

# The packages' names elsewhere differ a little: a hint, not a promise.
hint() {
	sudo=
	[ "$(id -u)" = 0 ] || sudo='sudo '
	case " $ID ${ID_LIKE-} " in
	*' fedora '* | *' rhel '* | *' centos '*)
		echo "  ${sudo}dnf install gcc glibc-devel pkgconf jansson-devel openssl-devel protobuf-c-devel" \
			"protobuf-c-compiler libmnl-devel libnghttp2-devel turbojpeg-devel sqlite-devel elfutils-libelf-devel" \
			"systemtap-sdt-devel zlib-devel libbpf-devel clang bpftool nginx nginx-mod-http-lua" \
			"python3 python3-numpy python3-scipy python3-matplotlib python3-jsonschema" \
			"libcmocka-devel curl procps-ng iproute ShellCheck python3-pyflakes wrk nghttp2 python3-grpcio python3-grpcio-tools"
		;;
	*' arch '*)
		echo "  ${sudo}pacman -S --needed base-devel jansson openssl protobuf-c libmnl libnghttp2 libjpeg-turbo sqlite" \
			"libelf zlib libbpf clang bpf nginx nginx-mod-lua python python-numpy python-scipy" \
			"python-matplotlib python-jsonschema cmocka curl procps-ng iproute2 shellcheck" \
			"python-pyflakes wrk nghttp2 python-grpcio python-grpcio-tools"
		echo "  (sys/sdt.h is systemtap's, which is in the AUR)"
		;;
	*' alpine '*)
		echo "  ${sudo}apk add build-base bash linux-headers pkgconf jansson-dev openssl-dev protobuf-c-dev" \
			"protobuf-c-compiler libmnl-dev nghttp2-dev libjpeg-turbo-dev sqlite-dev elfutils-dev zlib-dev" \
			"libbpf-dev clang bpftool nginx nginx-mod-http-lua python3 py3-numpy py3-scipy" \
			"py3-matplotlib py3-jsonschema cmocka-dev curl procps iproute2 shellcheck py3-flakes wrk nghttp2 py3-grpcio py3-grpcio-tools"
		echo "  (sys/sdt.h is SystemTap's; perhop is developed against glibc)"
		;;
	*' ubuntu '*)
		echo "  ${sudo}apt-get install --no-install-recommends" \
			"$(names_of "$missing" | sed 's/\<bpftool\>/linux-tools-generic/')"
		echo "  (nginx starts by itself; to stop it: ${sudo}systemctl disable --now nginx)"
		;;
	*' debian '*)
		echo "  ${sudo}apt-get install --no-install-recommends $(names_of "$missing")"
		echo "  (nginx starts by itself; to stop it: ${sudo}systemctl disable --now nginx)"
		;;
	*) echo "  the packages above, or their counterparts, by this system's package manager" ;;
	esac
}

# Once per checkout, as root on Debian.
optional() {
	tried=$(dirname "$0")/../build/optional-tried
	[ "$ID" = debian ] && [ "$(id -u)" = 0 ] && [ ! -e "$tried" ] || return 0
	mkdir -p "${tried%/*}" && : >"$tried"
	wanted=$(missing_debian list_optional)
	if [ -n "$wanted" ] && ! install_debian "$wanted"; then
		echo "perhop: not installed, so what needs them is skipped: $(names_of "$wanted")" >&2
	fi
}

case ${1-} in
'' | --check) ;;
*)
	echo "usage: scripts/prerequisites.sh [--check]" >&2
	exit 2
	;;
esac

ID=unknown ID_LIKE=
# shellcheck disable=SC1091 # the system's
[ -r /etc/os-release ] && . /etc/os-release
if [ "$ID" = debian ] && command -v dpkg-query >/dev/null 2>&1; then
	missing=$(missing_debian list)
else
	missing=$(missing_elsewhere)
fi
if [ -z "$missing" ]; then
	[ "${1-}" = --check ] || optional
	exit 0
fi

if [ "${1-}" = --check ]; then
	echo "Missing:"
	describe "$missing"
	exit 1
fi
if [ "$ID" != debian ]; then
	echo "Missing on this system ($ID), by their names in Debian:"
	describe "$missing"
	echo "Probably this installs them, with what else perhop needs:"
	hint
	exit 1
fi
if [ "$(id -u)" != 0 ]; then
	echo "Missing:"
	describe "$missing"
	echo "Install them (nginx without starting it) by"
	echo "  sudo $0"
	echo "or, which starts Debian's nginx on port 80 where it is missing now, by"
	echo "  sudo apt-get install --no-install-recommends $(names_of "$missing")"
	exit 1
fi
if ! install_debian "$missing"; then
	echo "perhop: the packages above could not be installed; apt-get says why" >&2
	exit 1
fi
left=$(missing_debian list)
if [ -z "$left" ]; then
	optional
	exit 0
fi
echo "perhop: still missing after the installation:" >&2
describe "$left" >&2
exit 1

#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# gate=mpk on an emulated CPU with protection keys: QEMU's -cpu max without KVM, a packaged Debian
# kernel, and tests/mpk/guest.c as its only program. Correctness only: emulated times say nothing.
# The kernel: $PERHOP_GUEST_KERNEL, else what is in /boot, else a package fetched with apt-get download.
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

name='mpk: the gate holds on a CPU with protection keys'
guest=$(dirname "$PERHOP")/tests/mpk/guest
kept=$(dirname "$PERHOP")/guest-kernel

find_kernel() {
	local package
	kernel=${PERHOP_GUEST_KERNEL:-}
	[[ -r $kernel ]] && return
	kernel=$(find /boot "$kept" -maxdepth 1 -name 'vmlinuz-*' -readable 2>/dev/null | sort -V | tail -n 1)
	[[ -n $kernel ]] && return
	package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '/Depends: linux-image/ {print $2; exit}')
	[[ -n $package ]] || return
	mkdir -p "$kept" "$scratch/deb"
	(cd "$scratch/deb" && timeout 60 apt-get -qq download "$package" >/dev/null 2>&1 &&
		dpkg-deb --fsys-tarfile ./*.deb | tar -xf - --wildcards './boot/vmlinuz-*') || return
	mv "$scratch/deb/boot/"vmlinuz-* "$kept/"
	kernel=$(find "$kept" -name 'vmlinuz-*' | tail -n 1)
	[[ -n $kernel ]]
}

if ! command -v qemu-system-x86_64 >/dev/null; then
	skip "$name" 'qemu-system-x86_64 is not installed (package qemu-system-x86)'
	exit 0
fi
if [[ ! -x $guest ]]; then
	skip "$name" "$guest is not built: a static libc is missing"
	exit 0
fi
if ! find_kernel; then
	skip "$name" 'no kernel image in /boot, and package linux-image-cloud-amd64 cannot be fetched'
	exit 0
fi
/usr/bin/python3 tests/mpk/initramfs.py "$guest" "$scratch/initramfs" || exit 1
timeout -k 5 100 qemu-system-x86_64 -accel tcg -cpu max -m 256 -nographic -no-reboot -nodefaults \
	-serial stdio -kernel "$kernel" -initrd "$scratch/initramfs" \
	-append 'console=ttyS0 quiet panic=-1' </dev/null >"$scratch/console" 2>&1
tr -d '\r' <"$scratch/console" | grep -E '^(ok|not ok) - mpk: '
if grep -q 'guest is done' "$scratch/console"; then
	ok "$name"
else
	not_ok "$name" "the guest did not finish: $(tail -n 1 "$scratch/console" | tr -d '\r')"
fi

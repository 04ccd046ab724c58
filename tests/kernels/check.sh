#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Does the audit work on Debian 12's own kernel? Boots it under QEMU (TCG, no KVM needed) with an initramfs
# that holds perhop and its libraries, and audits there: the kernel's tracepoints, BTF and verifier are what
# is tested, not its speed. Takes some minutes.
#
#   tests/kernels/check.sh [PERHOP [SERVER]]     exit 0: well, or skipped with a reason; 1: it failed
#
# Downloads two packages (27 MB) by apt-get into build/kernels, once.
set -u
cd "$(dirname "$0")/../.." || exit 2
perhop=${1:-build/perhop}
folder=$PWD/build/kernels
limit=540

skip() {
	echo "skip - audit on Debian's kernel # $1"
	exit 0
}

command -v qemu-system-x86_64 >/dev/null || skip "qemu-system-x86 is not installed"
command -v apt-get >/dev/null || skip "no apt-get to fetch the kernel with"
mkdir -p "$folder" || exit 2

# The newest 6.1 kernel that the package lists know.
package=$(apt-cache search --names-only '^linux-image-6\.1\.0-[0-9]+-cloud-amd64$' | cut -d' ' -f1 | sort -V | tail -n 1)
[[ -n $package ]] || skip "no package linux-image-6.1.0-*-cloud-amd64"
fetch() {
	compgen -G "$folder/${1}_*.deb" >/dev/null ||
		(cd "$folder" && apt-get -qq download "$1" >/dev/null 2>&1)
	dpkg-deb -x "$folder/${1}_"*.deb "$folder/$1" 2>/dev/null
}
if ! fetch "$package" || ! fetch busybox-static; then
	skip "$package or busybox-static cannot be had"
fi

# ---- The initramfs ------------------------------------------------------------------------------
root=$(mktemp -d) || exit 2
trap 'rm -rf "$root"' EXIT
mkdir -p "$root"/{bin,proc,sys,dev,tmp,run,lib64} "$root/modules"
cp "$folder/busybox-static/bin/busybox" "$root/bin/busybox"
cp "$perhop" "$root/bin/perhop"
${CC:-gcc} -std=gnu11 -O2 -I. -o "$root/bin/audit-server" tests/e2e/audit-server.c || exit 1
for binary in perhop audit-server; do
	ldd "$root/bin/$binary" | awk '$2 == "=>" { print $3 } $1 ~ /^\// { print $1 }'
done | sort -u | while read -r library; do
	mkdir -p "$root$(dirname "$library")"
	cp -L "$library" "$root$library"
done
cat >"$root/init" <<'INIT'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs dev /dev
$b ip link set lo up
echo "=== kernel $($b uname -r)"
audit-server 8080 copies=1 &
$b sleep 1
echo "=== external"
perhop audit --port 8080 --reps 3 -n 20 --no-cost --json 2>/tmp/err || $b tail -n 3 /tmp/err
echo "=== skmsg"
perhop audit -d skmsg -w echo,length=2 --reps 3 -n 20 --no-cost --json 2>/tmp/err || $b tail -n 3 /tmp/err
echo "=== end"
$b poweroff -f
INIT
chmod 755 "$root/init"
(cd "$root" && find . | "$folder/busybox-static/bin/busybox" cpio -o -H newc | gzip -1) >"$folder/initramfs" || exit 1

# ---- Boot ---------------------------------------------------------------------------------------
timeout -k 5 "$limit" qemu-system-x86_64 -accel tcg -cpu max -smp 2 -m 1024 -nographic -no-reboot \
	-kernel "$folder/$package/boot/vmlinuz-"* -initrd "$folder/initramfs" \
	-append "console=ttyS0 quiet panic=-1 tsc=unstable" </dev/null >"$folder/console" 2>&1
/usr/bin/python3 - "$folder/console" <<'PY'
import json, sys
text = open(sys.argv[1], errors="replace").read()
failed = 0
def result(name, good, why=""):
    global failed
    failed += not good
    print(f"ok - {name}" if good else f"not ok - {name} # {why}")
kernel = text.partition("=== kernel ")[2].split("\n")[0].strip()
result(f"Debian's kernel boots ({kernel})", bool(kernel), "it did not come up: " + text[-300:])
def record(part):
    body = text.partition(f"=== {part}")[2].partition("===")[0]
    for line in body.splitlines():
        if line.startswith('{"schema_version"'):
            return json.loads(line), body
    return None, body
if kernel:
    for part in ("external", "skmsg"):
        o, body = record(part)
        result(f"{kernel}: the audit of {part} counts", bool(o and o["counts"]),
               (o or {}).get("no_probes") or body[-300:].replace("\n", " "))
        if not o or not o["counts"]:
            continue
        print("#", part, "tier", o["tier"], "; not attached:",
              ", ".join(h["target"] for h in o["hooks"] if not h["attached"] and h["reason"] != "not needed"))
        c = {q: v["round_trip"]["mean"] for q, v in o["counts"].items()}
        want = {"external": (3, 1, 1, 2), "skmsg": (2, 1, 1, 2)}[part]
        got = (c["copies"], c["serializations"], c["deserializations"], c["protocol_tasks"])
        result(f"{kernel}: copies, serialization and protocol of {part} are exact", got == want, f"{got}")
        if part == "skmsg":
            result(f"{kernel}: nothing is copied within the chain of skmsg",
                   o["counts"]["copies"]["within"]["mean"] == 0, "")
sys.exit(failed > 0)
PY

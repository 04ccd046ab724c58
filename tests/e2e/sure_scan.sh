#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The build's scan of function objects finds what could write the protection key register.
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

build=$(dirname "$PERHOP")
scan() { /usr/bin/python3 scripts/scan_pkru.py "$@" 2>"$scratch/found"; }

# plant NAME BYTES: an object whose code contains them inside another instruction's constant.
plant() {
	printf '.text\nf:\t.byte 0x48,0xb8,%s,0x90,0x90,0x90,0x90,0x90\n\tret\n' "$2" >"$scratch/$1.s"
	${CC:-gcc} -c -o "$scratch/$1.o" "$scratch/$1.s"
}

objects=()
while IFS= read -r each; do objects+=("$each"); done < <(find "$build/workloads" -name '*.o')
check 'functions as built contain no WRPKRU and no XRSTOR' "$(head -n 1 "$scratch/found" 2>/dev/null)" \
	scan "${objects[@]}"

plant wrpkru 0x0f,0x01,0xef
plant xrstor 0x0f,0xae,0x2b
plant lfence 0x0f,0xae,0xe8
scan "$scratch/wrpkru.o"
check 'a planted WRPKRU is found, also inside another instruction' "exit code $?" grep -q WRPKRU "$scratch/found"
scan "$scratch/xrstor.o"
check 'a planted XRSTOR is found' "exit code $?" grep -q XRSTOR "$scratch/found"
check 'LFENCE, which looks like XRSTOR, is none' 'it was reported' scan "$scratch/lfence.o"
scan /dev/null; status=$?
check 'what is no object is refused, not passed' "exit code $status" test "$status" = 2

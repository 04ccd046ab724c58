# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# What tests and benches read JSON with.

# json FILE EXPRESSION: a Python expression over the first line's object `o`.
json() {
	/usr/bin/python3 -c '
import json, sys
with open(sys.argv[1]) as f:
    o = json.loads(f.readline())
print(eval(sys.argv[2]))' "$1" "$2"
}

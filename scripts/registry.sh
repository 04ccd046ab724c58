#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# registry.sh [ROOT]: the lists of dataplanes and workloads, as C on stdout. A folder dataplanes/NAME/ with NAME.c in it
# is a dataplane and defines `dataplane_NAME`; workloads/NAME/ likewise, `workload_NAME`. `make` runs this: a copied folder
# is found without a further line. dataplanes/skeleton is there to be copied, and workloads/loadgen asks: neither is listed.
set -eu
cd "${1:-$(dirname "$0")/..}"

# names KIND FIRST...: of the folders, these first and in this order, the others as the alphabet has them.
names() {
	local kind=$1 each name
	shift
	for each in "$@" "${kind}s"/*/; do
		name=$(basename "$each")
		[[ -e ${kind}s/$name/$name.c && $name != skeleton && $name != loadgen ]] || continue
		if [[ ! $name =~ ^[a-z][a-z0-9_]*$ ]]; then
			echo "registry.sh: ${kind}s/$name: a name is a small letter, then small letters, digits and _" >&2
			return 1
		fi
		echo "$name"
	done | awk '!seen[$0]++'
}

# list KIND TYPE FIRST...: declarations, and the NULL-terminated list.
list() {
	local kind=$1 type=$2 found name
	shift 2
	found=$(set -o pipefail; names "$kind" "$@")
	for name in $found; do echo "extern const struct $type ${kind}_$name;"; done
	printf '\n'
	echo "const struct $type *const ${kind}s[] = {"
	for name in $found; do printf '\t&%s_%s,\n' "$kind" "$name"; done
	printf '\tNULL,\n};\n\n'
}

printf '/* Made by scripts/registry.sh from the folders there are. */\n'
printf '#include <stddef.h>\n\n#include "chain/dataplane.h"\n#include "chain/workload.h"\n\n'
list dataplane dataplane_ops null kernel skmsg dpdk uds futex sure
list workload workload boutique echo motion parking

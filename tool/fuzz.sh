#!/bin/bash
# fuzz.sh TARGET SECONDS - runs one fuzz target (or all, in turn) under ASan and UBSan
#
# New inputs go to the target's folder in test/corpus only when they are findings;
# what libFuzzer collects on the way stays in build-fuzz/.
set -euo pipefail
target=$1 seconds=$2
d=build-fuzz
[ -f $d/build.ninja ] || CC=clang meson setup $d -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false \
	-Dbuildtype=debugoptimized > /dev/null
ninja -C $d --quiet
list=$(find $d -name '*_fuzz' -type f -perm -u+x | sort)
[ -z "$target" ] || list=$(printf '%s\n' "$list" | grep "/${target}_fuzz\$") || { echo "no fuzz target $target" >&2; exit 2; }
for f in $list; do
	name=$(basename "$f" _fuzz)
	mkdir -p "$d/corpus/$name"
	echo "== $name, $seconds s"
	UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 "$f" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 \
		-print_final_stats=1 -verbosity=0 -artifact_prefix="$d/$name-" "$d/corpus/$name" "test/corpus/$name"
done

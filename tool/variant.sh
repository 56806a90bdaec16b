#!/bin/sh
# variant.sh asan|tsan|debug|clang - another build and its unit tests, beside the first
set -eu
v=$1 d=build-$1
case $v in
asan) opts='-Db_sanitize=address,undefined -Dbuildtype=debugoptimized -Db_lundef=false' ;;
tsan) opts='-Db_sanitize=thread -Dbuildtype=debugoptimized -Db_lundef=false' ;;
debug) opts='-Dbuildtype=debug' ;;
clang) opts= ; CC=clang; export CC ;;
*) echo "usage: variant.sh asan|tsan|debug|clang" >&2; exit 2 ;;
esac
tool/deps.sh test
[ "$v" != clang ] || tool/deps.sh fuzz
[ -f "$d/build.ninja" ] || meson setup "$d" $opts > "$d.log" 2>&1 || { cat "$d.log"; exit 1; }
rm -f "$d.log"
ninja -C "$d" --quiet
# A sanitizer's halt is the test's failure.
UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 exec meson test -C "$d" --print-errorlogs -t 4

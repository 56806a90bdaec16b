#!/bin/bash
# lint.sh BUILDDIR - what the compiler does not check
#
#  - layers: an #include names a room that tool/layers allows, and no _priv.h but one's own
#  - every header compiles alone
#  - file sizes: over 1,200 lines is refused
#  - the man page names every option of every verb
set -u
b=$1 bad=0
fail() { printf '%s\n' "$1"; bad=1; }

layers() {
	awk '
	FNR == NR { if ($0 !~ /^#/ && NF) { room = $1; sub(":", "", room); known[room] = 1
			for (i = 2; i <= NF; i++) may[room, $i] = 1 } next }
	/^#include "/ {
		split(FILENAME, p, "/"); me = p[2]
		inc = $2; gsub(/"/, "", inc)
		if (inc !~ /\//) { if (inc !~ /\.hex$/) print FILENAME ": includes \"" inc "\" without its room"; next }
		split(inc, q, "/"); room = q[1]
		if (room != me && !((me, room) in may) && !((me, inc) in may) && FILENAME !~ /_(test|fuzz)\.c$/)
			print FILENAME ": " me " may not include " inc
		if (room != me && inc ~ /_priv\.h$/)
			print FILENAME ": includes a private header of " room
	}' tool/layers $(find src -name '*.[ch]')
}
out=$(layers); [ -z "$out" ] || fail "$out"

for h in $(find src -name '*.h'); do
	out=$(echo "#include \"${h#src/}\"" | gcc -std=gnu17 -D_GNU_SOURCE -Isrc -fsyntax-only -Wno-unused -x c - 2>&1) ||
		fail "$h does not compile alone: $(echo "$out" | head -3)"
done

while read -r n f; do
	[ "$f" = total ] || [ "$n" -le 1200 ] || fail "$f: $n lines, at most 1200"
done < <(find src -name '*.[ch]' -exec wc -l {} + | grep -v ' total$')

for v in run 'disk new' 'disk info' 'disk export' 'switch new' 'switch list' 'switch set' 'switch port' 'switch remove' \
	'switch capture' 'switch run' 'net show' 'net list' 'net add' 'net remove' 'net set' screenshot key type dvd floppy doctor completion; do
	for o in $("$b/genvisor" $v --help | sed -n 's/^  --\([a-z0-9-]*\).*/\1/p'); do
		grep -q -- "\\\\-\\\\-${o//-/\\\\-}" doc/man/genvisor.1 || fail "man page: $v --$o is not in it"
	done
done
[ $bad = 0 ] && echo "lint: nothing to say"
exit $bad

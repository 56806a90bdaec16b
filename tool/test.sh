#!/bin/bash
# test.sh BUILDDIR - every test; the last line is "N passed, N failed[, N skipped]"
#
# Unit tests count by their cases, the rest one by one.
set -u
b=$1 passed=0 failed=0 skipped=0
ninja -C "$b" --quiet || { echo "0 passed, 1 failed"; exit 1; }

rm -f "$b/meson-logs/testlog.json"		# of an earlier run: it must not speak for this one
meson test -C "$b" --print-errorlogs > "$b/unit.log" 2>&1 || cat "$b/unit.log"
counts=$(python3 - "$b/meson-logs/testlog.json" <<'EOP'
import json, re, sys
ok = bad = skip = 0
for line in open(sys.argv[1]):
    t = json.loads(line)
    out = t.get('stdout', '') + t.get('stderr', '')
    n = len(re.findall(r'^\[       OK \]', out, re.M))
    f = len(re.findall(r'^\[  FAILED  \] \w+$', out, re.M))
    s = len(re.findall(r'^\[  SKIPPED \] \w+$', out, re.M))
    if t['result'] == 'OK':
        ok += n if n else 1
        skip += s
    elif t['result'] == 'SKIP':
        skip += 1
        print('skipped:', t['name'], out.strip().splitlines()[-1:] or '', file=sys.stderr)
    else:
        ok += n
        bad += max(f, 1)
        print('failed:', t['name'], file=sys.stderr)
print(ok, bad, skip)
EOP
) || counts='0 1 0'
[ "${counts%% *}" != 0 ] || counts="0 1 0"	# no unit test at all: something is missing here
read -r passed failed skipped <<< "$counts"
echo "unit tests: $passed passed, $failed failed, $skipped skipped"

run() {		# NAME COMMAND...: status 77 = skipped, its last line says why
	local name=$1 t0=$SECONDS rc
	shift
	"$@" > "$b/$name.log" 2>&1
	rc=$?
	case $rc in
	0) passed=$((passed + 1)); echo "ok       $name ($((SECONDS - t0)) s)" ;;
	77) skipped=$((skipped + 1)); echo "skipped  $name: $(tail -1 "$b/$name.log")" ;;
	*) failed=$((failed + 1)); echo "FAILED   $name"; tail -40 "$b/$name.log" ;;
	esac
}

run lint tool/lint.sh "$b"
run demo-guest make --no-print-directory guest
for t in test/boot/*.py; do
	[ "$(basename "$t")" = machine.py ] || run "$(basename "$t" .py)" timeout 600 python3 "$t" "$b/genvisor" cache/demo
done
for t in test/cli/*.sh; do
	run "$(basename "$t" .sh)" timeout 120 bash "$t" "$b/genvisor"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]

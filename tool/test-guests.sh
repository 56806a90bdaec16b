#!/bin/bash
# test-guests.sh BUILDDIR - whole guests that take long or come from elsewhere; the last line as test.sh's
set -u
b=$1 passed=0 failed=0 skipped=0
for t in test/guests/*.py; do
	name=$(basename "$t" .py) t0=$SECONDS
	timeout 3600 python3 "$t" "$b/genvisor" > "$b/guest-$name.log" 2>&1
	case $? in
	0) passed=$((passed + 1)); echo "ok       $name ($((SECONDS - t0)) s): $(tail -1 "$b/guest-$name.log")" ;;
	77) skipped=$((skipped + 1)); echo "skipped  $name: $(tail -1 "$b/guest-$name.log")" ;;
	*) failed=$((failed + 1)); echo "FAILED   $name"; tail -40 "$b/guest-$name.log" ;;
	esac
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]

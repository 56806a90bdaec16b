#!/bin/bash
# general.sh ARCHIVE: what runs while vector registers are the guest's calls nothing that uses them
#
# The objects are compiled with -mgeneral-regs-only; here it is checked that they call only
# each other and what is on the list below: functions that do not use vector registers, or
# that are called when the guest's FPU state is parked.
set -euo pipefail
allowed='^(_GLOBAL_OFFSET_TABLE_|__errno_location|__popcountdi2|_setjmp|longjmp|base_bug|base_new0
bt_enter|bt_gates_make|bt_lock_block|bt_translate|decode_insn|decode_text|decoder_init
Zydis.*|interp_debug_.*|interp_trace_.*|interp_ferr_settle|log_debug
free|realloc|memcmp|memcpy|memset|strcmp|close|ftruncate64|madvise|memfd_create|mmap64|munmap
pthread_mutex_lock|pthread_mutex_unlock|sched_yield
gmem_.*)$'
allowed=$(tr '\n' '|' <<< "$allowed" | sed 's/|$//')
bad=$(comm -23 <(nm -u "$@" | awk '$1 == "U" { print $2 }' | sort -u) \
	<(nm --defined-only "$@" | awk 'NF == 3 { print $3 }' | sort -u) | grep -vE "$allowed" || :)
if [ -n "$bad" ]; then
	echo "called with the guest's vector registers in place, and may use them:" $bad >&2
	exit 1
fi

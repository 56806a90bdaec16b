#!/bin/bash
# The real gdb at a machine with two processors, on every engine that works here.
set -u
g=$1 bad=0
for tool in gdb nasm ld objcopy; do
	command -v $tool > /dev/null || { echo "no $tool: apt install gdb nasm binutils"; exit 77; }
done
d=$(mktemp -d)
vm=
trap '[ -z "$vm" ] || kill -KILL $vm 2>/dev/null; rm -rf "$d"' EXIT
nasm -felf64 -o "$d/guest.o" "$(dirname "$0")/gdb.asm" || exit 1
ld -n -m elf_x86_64 --no-warn-rwx-segments -Ttext 0x100000 -o "$d/guest" "$d/guest.o" || exit 1
objcopy -O elf32-i386 "$d/guest" "$d/kernel" || exit 1

start() {	# ENGINE OPTION...
	local i
	"$g" run --engine "$1" --memory 32M --cpus 2 --kernel "$d/kernel" --gdb "unix:$d/sock" "${@:2}" 2> "$d/err" &
	vm=$!
	for i in $(seq 100); do [ ! -S "$d/sock" ] || return 0; sleep 0.1; done
	cat "$d/err"; exit 1
}
stop() {
	kill -INT $vm
	wait $vm
	[ $? = 130 ] || { echo "$engine: the guest ended by itself"; cat "$d/err"; bad=1; }
	vm=
}
session() {	# reads gdb commands; what gdb said is in $d/out
	cat > "$d/script"
	timeout 60 gdb -nx -batch -ex "set pagination off" -ex "target remote $d/sock" -x "$d/script" "$d/guest" > "$d/out" 2>&1
}
said() {	# PATTERN...: each must be in it
	local p
	for p in "$@"; do
		grep -qE -- "$p" "$d/out" || { echo "$engine: gdb did not say \"$p\":"; sed 's/^/    /' "$d/out"; bad=1; return; }
	done
}

one_engine() {
	start "$engine" --gdb-wait
	# Break, step, registers, and memory by either address.
	session <<-'EOF'
		info threads
		break first
		hbreak again
		continue
		p/x $xmm0.uint128
		p/x $rbx
		p/x $ymm0.v4_int64[0]
		info registers cr0 cr4 efer fs_base mxcsr
		p $eflags
		continue
		p $pc == &again
		delete
		stepi
		p *(long *)0x8000
		stepi 2
		p $rdx & 0x100
		x/gx 0xffff800000008000
		x/gx &constant
		set var *(long *)&constant = 77
		p *(long *)&constant
		set var $rdx = 0x1234
		set var $xmm1.v2_int64[1] = 42
		p/x $rdx
		p $xmm1.v2_int64[1]
		x/gx 0x200000
	EOF
	said 'Thread 1 .vCPU 0: running, 32-bit' 'Thread 2 .vCPU 1: waits for SIPI' 'Breakpoint 1, .*first' \
		'= 0x1122334455667788$' '= 0xffff800000100000' 'cr0 .*PG' 'efer .*LMA' 'mxcsr .*0x1f80' 'Breakpoint 2, .*again' \
		'^\$5 = 1$' '^\$6 = 1$' '^\$7 = 0$' '0xffff800000008000:	0x0000000000000001' '0x5a5a5a5a5a5a5a5a' \
		'^\$8 = 77$' 'Cannot access memory at address 0x200000' '^\$9 = 0x1234$' '^\$10 = 42$'
	# gdb went without a word and the guest goes on; then watchpoints, both processors, and a detach.
	session <<-'EOF'
		set var *(long *)0x8000 = 500
		watch *(long *)0x8000
		continue
		info threads
		delete
		rwatch *(long *)0x8000
		continue
		delete
		awatch *(long *)0x8008
		continue
		delete
		thread 2
		p/x $cs_base + $rip
		x/i 0x7004
		hbreak *0x7004
		continue
		delete
		p *(int *)0x8010
		set scheduler-locking on
		stepi
		p *(int *)0x8010 - $2
		thread 1
		monitor cpus
		monitor phys 0x8000 16
		monitor help
		detach
	EOF
	said 'Hardware watchpoint 1' 'New value = 501' 'Thread 2 .vCPU 1: running, real mode' 'Hardware read watchpoint' \
		'Value = 501' 'Hardware access' 'vCPU 1: running, real mode' '^\$3 = 1$' '^000000008000 ( [0-9a-f]{2}){16} ' 'phys ' 'detached'
	stop
	# No word of a debugger in the guest, and a port of our own choice.
	timeout 20 "$g" run --engine "$engine" --memory 32M --kernel "$d/kernel" --gdb 0 2> "$d/err" &
	vm=$!
	for i in $(seq 50); do ! grep -q 'target remote 127.0.0.1:[0-9]' "$d/err" || break; sleep 0.1; done
	timeout 30 gdb -nx -batch -ex "$(sed -n 's/.*\(target remote .*\)/\1/p' "$d/err")" -ex 'p/x $rbx' -ex kill > "$d/out" 2>&1
	said '0xffff800000100000' 'killed'
	wait $vm || { echo "$engine: killed by gdb, status $?"; bad=1; }
	vm=
}
for engine in $("$g" doctor | sed -n 's/^engine \([a-z]*\)  *yes.*/\1/p'); do
	one_engine
done
exit $bad

#!/bin/bash
# run.sh GENVISOR GUESTDIR - measured side by side with QEMU's TCG in one run
#
#   BENCH_SETS   workloads of the yardstick (default: a few of each kind; "all" takes an hour)
#   BENCH_MS     guest milliseconds per workload (default 300)
#   BENCH_RUNS   boots measured (default 3)
#
# Ratios only mean something on a quiet machine: the load is printed first.
set -u
g=$(realpath "$1") guest=$2
here=$(cd "$(dirname "$0")" && pwd)
yard=$here/../../shared/bench/bench.sh
sets=${BENCH_SETS:-int.core,int.qsort,int.fib,int.bytecode,fp.nbody,fp.x87,simd.pix_sse2,mem.sum64,mem.memcpy4k,mem.repmovsb,sys.getpid,sys.pgfault,exc.div0,smc.jit}
ms=${BENCH_MS:-300} runs=${BENCH_RUNS:-3}
t=$(mktemp -d)
trap 'rm -rf "$t"' EXIT
qemu=$(command -v qemu-system-x86_64 || :)
echo "load: $(cut -d' ' -f1-3 /proc/loadavg), $(nproc) processors, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)"
[ -n "$qemu" ] && "$qemu" --version | head -1

boot() {	# NAME COMMAND...: wall seconds to the initial RAM disk's shell, median
	local name=$1 all= i t0
	shift
	for i in $(seq "$runs"); do
		: > "$t/log"
		t0=$EPOCHREALTIME
		"$@" > "$t/log" 2>&1 < /dev/null &
		local pid=$!
		while kill -0 $pid 2> /dev/null && ! grep -q 'a shell, as' "$t/log"; do sleep 0.02; done
		all+="$(awk -v a="$t0" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.2f ", b - a }')"
		kill $pid 2> /dev/null
		wait $pid 2> /dev/null
	done
	printf '%-28s %s s (median of: %s)\n' "$name" "$(tr ' ' '\n' <<< "$all" | sed '/^$/d' | sort -n | sed -n "$((runs / 2 + 1))p")" "$all"
}
args='console=ttyS0 quiet gv.shell panic=-1'
echo "# boot to a shell in the initial RAM disk, 1 processor, 1 GiB"
for engine in translate interpret; do
	boot "genvisor $engine" "$g" run --memory 1G --kernel "$guest/vmlinuz" --initrd "$guest/initrd.img" \
		--append "$args" --com1 stdio --engine $engine
done
[ -z "$qemu" ] || boot "qemu -accel tcg -cpu max" "$qemu" -accel tcg -cpu max -m 1024 -nographic -no-reboot \
	-kernel "$guest/vmlinuz" -initrd "$guest/initrd.img" -append "$args"

prompt() {	# wall seconds to the prompt of the whole guest
	local t0=$EPOCHREALTIME
	cp "$guest/root.vhdx" "$t/root.vhdx"
	: > "$t/log"
	"$g" run --memory 1G --cpus 2 --disk "$t/root.vhdx" --kernel "$guest/vmlinuz" --initrd "$guest/initrd.img" \
		--append 'root=/dev/sda console=ttyS0' --com1 stdio --stats > "$t/log" 2>&1 < /dev/null &
	local pid=$!
	while kill -0 $pid 2> /dev/null && ! grep -q 'root@genvisor' "$t/log"; do sleep 0.02; done
	awk -v a="$t0" -v b="$EPOCHREALTIME" 'BEGIN { printf "make run to the prompt         %.2f s\n", b - a }'
	kill $pid
	wait $pid 2> /dev/null
	grep 'guest instructions' "$t/log"
}
prompt

[ -x "$yard" ] || [ -f "$yard" ] || { echo "the yardstick (../shared/bench) is not there: skipped"; exit 0; }
export BENCH_KERNEL=$(realpath "$guest/vmlinuz")
i="$g run --generation 2 --memory 1G --kernel {KERNEL} --initrd {INITRD} --append \"{APPEND}\" --com1 stdio --engine interpret"
q="qemu-system-x86_64 -accel tcg -cpu max -m 1024 -nographic -no-reboot -kernel {KERNEL} -initrd {INITRD} -append \"{APPEND}\""
if [ -n "$qemu" ]; then
	echo "# QEMU"
	bash "$yard" -s "$sets" -t "$ms" -o "$t/qemu.tsv" "$q"
	echo "# genvisor interpret; slowdown is against QEMU"
	bash "$yard" -s "$sets" -t "$ms" -b "$t/qemu.tsv" -T 3600 "$i"
else
	bash "$yard" -s "$sets" -t "$ms" -T 3600 "$i"
fi

#!/bin/bash
# What a person meets first: help, wrong words, wrong files.  One sentence each, exit status 2, nothing made.
set -u
g=$1 bad=0
d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
. "$(dirname "$0")/expect"
printf 'nonsense, not a disk, but long enough to be looked at %4096s' x > "$d/nonsense"
: > "$d/empty"
head -c 100000 /dev/urandom > "$d/kernel"

expect 0 '^usage: genvisor' "$g" --help
expect 0 '^genvisor 0\.' "$g" --version
expect 2 '^usage: genvisor' "$g"
expect 0 'usage: genvisor run' "$g" run --help
expect 0 'complete -o filenames -F _genvisor' "$g" completion bash
expect 0 'engine interpret  yes' "$g" doctor
expect 0 'model  x86-64-v2 +yes' "$g" doctor
one_sentence 'no verb "rum"' "$g" rum
one_sentence 'did you mean --memory' "$g" run --memry 1G
one_sentence 'expected SIZE after it' "$g" run --memory
one_sentence 'expected a size' "$g" run --memory lots
one_sentence 'a multiple of 2 MiB' "$g" run --memory 3000001 --kernel "$d/kernel"
one_sentence 'the host has only' "$g" run --memory 9T --kernel "$d/kernel"
one_sentence 'expected a number' "$g" run --cpus two
one_sentence '1 to 1024' "$g" run --cpus 0 --kernel "$d/kernel"
one_sentence 'which is what generation 1 takes' "$g" run --generation 1 --kernel "$d/kernel"
one_sentence 'expected a floppy image of' "$g" run --generation 1 --floppy "$d/nonsense"
one_sentence 'generation 2 has no floppy drive' "$g" run --floppy "$d/nonsense" --kernel "$d/kernel"
one_sentence 'generation 2 has no legacy network adapter' "$g" run --net nat,adapter=legacy --kernel "$d/kernel"
legacy=(--net private,adapter=legacy)
one_sentence 'more than 4 legacy' "$g" run --generation 1 "${legacy[@]}" "${legacy[@]}" "${legacy[@]}" \
	"${legacy[@]}" "${legacy[@]}"
one_sentence 'expected synthetic or legacy' "$g" run --net nat,adapter=fast
one_sentence 'cd, ide, net and floppy' "$g" run --generation 1 --boot-order cd,tape
one_sentence 'a BIOS of 64, 128 or 256 KiB' "$g" run --generation 1 --firmware "$d/nonsense"
one_sentence 'No such file' "$g" run --kernel "$d/absent"
one_sentence 'neither a Linux' "$g" run --kernel "$d/kernel"
one_sentence 'give --kernel' "$g" run
one_sentence 'processor model "host" is not known' "$g" run --cpu-model host --kernel "$d/kernel"
one_sentence 'engine "fast"' "$g" run --engine fast --kernel "$d/kernel"
one_sentence 'size such as' "$g" run --translate-cache 0 --kernel "$d/kernel"
if "$g" doctor | grep -q 'engine translate  *yes'; then
	small=(--engine translate --memory 64M --kernel /dev/null)
	expect 2 '8 MiB to 1 GiB' "$g" run "${small[@]}" --translate-cache 4M
	expect 2 'at most 4[0-9][0-9] MiB each' "$g" run "${small[@]}" --cpus 4 --translate-cache 1G
	expect 2 'no room for 100 processors' "$g" run "${small[@]}" --cpus 100
fi
one_sentence 'expected FILE, FILE,blocks' "$g" run --trace "$d/t,lines" --kernel "$d/kernel"
one_sentence 'No such file' "$g" run --trace "$d/none/t" --kernel "$d/kernel"
one_sentence 'give --gdb' "$g" run --gdb-wait --kernel "$d/kernel"
one_sentence "$d/nonsense" "$g" run --kernel "$d/kernel" --disk "$d/nonsense"
one_sentence "$d/empty" "$g" run --kernel "$d/kernel" --disk "$d/empty"
one_sentence 'No such file' "$g" disk info "$d/absent.vhdx"
one_sentence 'which file' "$g" disk new
one_sentence 'give --size or --from' "$g" disk new "$d/a.vhdx"
one_sentence 'a.vhdx' "$g" disk new --size 1M "$d/a.vhdx"
one_sentence 'a.vhdx' "$g" disk new --size 40G --block-size 3M "$d/a.vhdx"
[ ! -e "$d/a.vhdx" ] || { echo "a refused disk new left a file"; bad=1; }
expect 0 '' "$g" disk new --size 40G "$d/a.vhdx"
expect 0 'VHDX, dynamic' "$g" disk info "$d/a.vhdx"
one_sentence 'a.vhdx' "$g" disk new --size 40G "$d/a.vhdx"
truncate -s 3000000 "$d/a.vhdx"
one_sentence 'a.vhdx' "$g" disk info "$d/a.vhdx"
one_sentence 'a.vhdx' "$g" run --kernel "$d/kernel" --disk "$d/a.vhdx"
expect 0 '' "$g" disk new --size 4M --fixed "$d/b.vhdx"
expect 0 'VHDX, fixed' "$g" disk info "$d/b.vhdx"
expect 0 '' "$g" disk new --size 40G "$d/v.vhd"
expect 0 'VHD, dynamic' "$g" disk info "$d/v.vhd"
expect 0 "cylinders, 16 heads" "$g" disk info "$d/v.vhd"
one_sentence 'v.vhd' "$g" disk new --size 40G "$d/v.vhd"
expect 0 '' "$g" disk new --parent "$d/v.vhd" "$d/c.avhd"
expect 0 'parent  *\.\\v.vhd' "$g" disk info "$d/c.avhd"
expect 0 '' "$g" disk new --type fixed --size 4M "$d/f.vhd"
expect 0 'VHD, fixed' "$g" disk info "$d/f.vhd"
one_sentence 'expected fixed, dynamic or differencing' "$g" disk new --size 4M --type thick "$d/x.vhd"
one_sentence 'needs --parent' "$g" disk new --type differencing "$d/x.vhd"
expect 0 '' "$g" disk new --parent "$d/b.vhdx" "$d/c.avhdx"
expect 0 'VHDX, differencing' "$g" disk info "$d/c.avhdx"
expect 0 'parent  *\.\\b.vhdx' "$g" disk info "$d/c.avhdx"
one_sentence 'found no VHDX' "$g" disk new --parent "$d/v.vhd" "$d/x.vhdx"
[ ! -e "$d/x.vhdx" ] || { echo "a refused disk new left a file"; bad=1; }
one_sentence 'found no VHD' "$g" disk new --parent "$d/b.vhdx" "$d/x.vhd"
one_sentence '2040 GiB' "$g" disk new --size 3T "$d/x.vhd"
one_sentence 'sectors of 512' "$g" disk new --size 4M --logical-sector 4096 "$d/x.vhd"
one_sentence '512K or 2M' "$g" disk new --size 4M --block-size 1M "$d/x.vhd"
[ ! -e "$d/x.vhd" ] || { echo "a refused disk new left a file"; bad=1; }
one_sentence 'convert it to VHDX' "$g" run --kernel "$d/kernel" --disk "$d/v.vhd"
mkdir "$d/in"
expect 0 '' "$g" disk new --parent "$d/v.vhd" "$d/in/c.vhd"
one_sentence 'outside of' "$g" disk export "$d/in/c.vhd" "$d/out.raw"
expect 0 '' "$g" disk export --parents "$d" "$d/in/c.vhd" "$d/out.raw"
one_sentence 'outside of' "$g" run --generation 1 --disk "$d/in/c.vhd"
rm "$d/v.vhd"
one_sentence 'v.vhd" was not found' "$g" run --generation 1 --disk "$d/c.avhd"
truncate -s -512 "$d/f.vhd"
one_sentence 'f.vhd: found an unknown first sector' "$g" run --generation 1 --disk "$d/f.vhd"
if [ "$bad" = 0 ]; then echo "all as expected"; fi
exit $bad

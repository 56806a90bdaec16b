#!/bin/bash
# A Generation 1 machine's screen, by genvisor screenshot and by a VNC viewer that is not ours; its
# keyboard, by genvisor key.  Then screen.asm, a boot sector that draws by the BIOS, the registers and
# the linear frame buffer.
set -u
g=$1 here=$(dirname "$0")
[ -f /usr/share/seabios/vgabios-stdvga.bin ] || { echo "no SeaBIOS: apt install seabios"; exit 77; }
d=$(mktemp -d)
vm= keys=
trap '[ -z "$keys" ] || kill $keys 2>/dev/null; [ -z "$vm" ] || kill -KILL $vm 2>/dev/null; rm -rf "$d"' EXIT
fail() { echo "$1"; [ ! -f "$d/text" ] || sed 's/^/    /' "$d/text"; sed 's/^/    /' "$d/err"; exit 1; }

shot() { "$g" screenshot --control "unix:$d/control" "$d/shot.png" && python3 "$here/screen.py" text "$d/shot.png" > "$d/text"; }
until_it_says() {	# PATTERN
	local i
	for i in $(seq 150); do
		shot 2> "$d/shot.err" && grep -q -- "$1" "$d/text" && return
		kill -0 $vm 2>/dev/null || fail "the machine ended"
		sleep 0.2
	done
	fail "the screen never said \"$1\""
}

"$g" run --generation 1 --memory 64M --boot-menu --control "unix:$d/control" --vnc 0 2> "$d/err" &
vm=$!
# The BIOS waits for this key for 2.5 seconds only, and forgets what was pressed before.
(while sleep 0.1; do "$g" key --control "unix:$d/control" esc 2>> "$d/keys"; done) &
keys=$!
until_it_says '^SeaBIOS (version'
until_it_says '^Select boot device:'
kill $keys; keys=

port=$(sed -n 's/^genvisor: VNC at 127.0.0.1:\([0-9]*\)$/\1/p' "$d/err")
[ -n "$port" ] || fail "no word of where VNC is"
if command -v gvnccapture > /dev/null; then
	timeout 30 gvnccapture "127.0.0.1:$((port - 5900))" "$d/vnc.png" > "$d/gvnc" 2>&1 || { cat "$d/gvnc"; fail "gvnccapture failed"; }
	shot && python3 "$here/screen.py" same "$d/shot.png" "$d/vnc.png" || fail "the viewer sees another picture"
else
	echo "no gvnccapture: only our own screenshots were looked at"
fi
[ "$(stat -c %a "$d/control")" = 600 ] || fail "others may use the control socket"
kill -INT $vm
wait $vm
[ $? = 130 ] || fail "the machine ended by itself"
vm=
[ ! -e "$d/control" ] || fail "the control socket is still there"

command -v nasm > /dev/null || { echo "no nasm: the boot sector was not run"; exit 0; }
rm -f "$d/text"
nasm -f bin -o "$d/boot.img" "$here/screen.asm" && truncate -s 4M "$d/boot.img" || exit 1
"$g" disk new --from "$d/boot.img" "$d/boot.vhdx" > "$d/new" 2>&1 || { cat "$d/new"; exit 1; }
"$g" run --generation 1 --memory 64M --disk "$d/boot.vhdx" --control "unix:$d/control" 2> "$d/err" &
vm=$!
until_it_draws() {	# PICTURE
	local i
	for i in $(seq 150); do
		"$g" screenshot --control "unix:$d/control" "$d/shot.png" 2> "$d/shot.err" && python3 "$here/screen.py" "$1" "$d/shot.png" && return
		kill -0 $vm 2>/dev/null || fail "the machine ended"
		sleep 0.2
	done
	fail "picture $1 never came"
}
until_it_draws 13
"$g" type --control "unix:$d/control" x || fail "the key was not taken"
until_it_draws 12
"$g" type --control "unix:$d/control" x || fail "the key was not taken"
until_it_draws lfb
kill -INT $vm
wait $vm
vm=

#!/bin/sh
# deps.sh build|test|guest|fuzz - installs the Debian packages that are missing
#
# Says what it does; uses sudo when it is not root; does nothing, quickly, when
# all is there.
set -eu
build='gcc meson ninja-build pkg-config libc6-dev libzydis-dev liburing-dev libslirp-dev zlib1g-dev libssl-dev libjansson-dev acpica-tools'
guest='mmdebstrap fakeroot e2fsprogs cpio kmod xz-utils zstd busybox-static ca-certificates seabios'
test='libcmocka-dev qemu-utils libvhdi-utils python3 nasm gdb openssh-client ipxe mtools grub-pc-bin grub-common xorriso fdisk'
fuzz='clang libclang-rt-14-dev'
case ${1:-} in
build) want=$build ;;
guest) want="$build $guest"; [ "$(id -u)" = 0 ] || want="$want uidmap" ;;
test) want="$build $guest $test"; [ "$(id -u)" = 0 ] || want="$want uidmap" ;;
fuzz) want="$build $test $fuzz" ;;
*) echo "usage: deps.sh build|guest|test|fuzz" >&2; exit 2 ;;
esac
missing=
for p in $want; do
	case $(dpkg-query -W -f '${Status}' "$p" 2>/dev/null) in
	*' installed') ;;
	*) missing="$missing $p" ;;
	esac
done
[ -n "$missing" ] || exit 0
echo "installing:$missing" >&2
sudo=
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || { echo "not root and no sudo: install these yourself" >&2; exit 1; }
	sudo=sudo
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# An old package list cannot be installed from: fetch a new one when the first try fails.
install() { DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y --no-install-recommends $missing; }
[ -n "$(ls /var/lib/apt/lists/*Packages* 2>/dev/null)" ] || $sudo apt-get update >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
install >"$log" 2>&1 || { $sudo apt-get update >>"$log" 2>&1 && install >>"$log" 2>&1; } ||
	{ tail -20 "$log" >&2; exit 1; }

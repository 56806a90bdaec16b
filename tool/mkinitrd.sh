#!/bin/bash
# mkinitrd.sh MODULES_DIR OUT - a small initial RAM disk for a root on hv_storvsc
#
# busybox (Debian's busybox-static) loads the modules listed below in the order
# their dependencies demand, waits for the root device named on the kernel
# command line, mounts it and hands over.  Not compressed: unpacking costs the
# guest more than reading.  For other machines than the demo guest: MODULES names
# other modules, PROGRAMS static programs that /bin gets.
set -euo pipefail
mods=$(realpath "$1") out=$(realpath -m "$2")
PATH=$PATH:/usr/sbin:/sbin
want=${MODULES:-hv_vmbus hv_storvsc hv_utils sd_mod ext4 crc32c_generic crc32c-intel}
busybox=${BUSYBOX:-/bin/busybox}
[ -x "$busybox" ] || busybox=$(command -v busybox)
d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
mkdir -p "$d"/bin "$d"/dev "$d"/proc "$d"/sys "$d"/root "$d"/modules
cp "$busybox" "$d/bin/busybox"
ln -s busybox "$d/bin/sh"
[ -z "${PROGRAMS:-}" ] || cp $PROGRAMS "$d/bin/"

# modules.dep may not be there yet (an unpacked package): make it.
version=$(basename "$mods")
base=${mods%/lib/modules/*}
[ -s "$mods/modules.dep" ] || depmod -b "$base" "$version"
list=$(for m in $want; do
	modprobe -d "$base" -S "$version" --show-depends "$m" 2>/dev/null || :
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }')
[ -n "$list" ] || { echo "mkinitrd: none of '$want' found in $mods" >&2; exit 1; }
for f in $list; do
	name=$(basename "$f")
	case $name in
	*.xz) xz -dc "$f" > "$d/modules/${name%.xz}"; name=${name%.xz} ;;
	*.zst) zstd -qdc "$f" > "$d/modules/${name%.zst}"; name=${name%.zst} ;;
	*) cp "$f" "$d/modules/$name" ;;
	esac
	echo "$name" >> "$d/modules/order"
done

cat > "$d/init" <<'EOI'
#!/bin/sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sysfs /sys
for m in $(cat /modules/order); do
	args=		# of the kernel command line, as modprobe takes them from there
	for w in $(cat /proc/cmdline); do
		case $w in ${m%.ko}.*) args="$args ${w#*.}" ;; esac
	done
	insmod /modules/$m $args 2>/dev/null
done
root=/dev/sda
for w in $(cat /proc/cmdline); do
	case $w in root=*) root=${w#root=} ;; gv.shell) shell=1 ;; esac
done
if [ -n "$shell" ]; then
	echo "initrd: a shell, as gv.shell asked"
	setsid cttyhack sh
fi
# Disks are found in any order: a label or an id names the same one every time.
n=0
case $root in LABEL=*|UUID=*)
	while ! dev=$(findfs "$root" 2>/dev/null) && [ $n -lt 300 ]; do usleep 100000; n=$((n + 1)); done
	root=${dev:-$root} ;;
esac
while [ ! -b "$root" ] && [ $n -lt 300 ]; do usleep 100000; n=$((n + 1)); done
if ! mount -t ext4 -o ro "$root" /root; then
	echo "initrd: no root file system on $root; a shell instead"
	exec setsid cttyhack sh
fi
umount /proc /sys
mount --move /dev /root/dev
exec switch_root /root /sbin/init
EOI
chmod 755 "$d/init"
(cd "$d" && find . | LC_ALL=C sort | cpio -o -H newc --quiet -R 0:0) > "$out"

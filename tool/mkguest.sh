#!/bin/bash
# mkguest.sh OUTDIR [SIZE_MIB] - makes the demo guest from Debian's packages
#
# OUTDIR gets: vmlinuz (Debian's cloud kernel, as packaged), initrd.img (busybox
# and the modules between the kernel and its root), root.img (ext4, raw, sparse).
# Needs no root and no loop device: mmdebstrap builds the tree, fakeroot keeps
# the owners, mke2fs -d fills the file system.
#
# The initrd is our own and not initramfs-tools' so that the prompt comes soon:
# nothing in it but what hv_storvsc and ext4 need.  Kernel and modules are Debian's.
set -euo pipefail
out=$(realpath -m "$1") size=${2:-4096}
here=$(cd "$(dirname "$0")" && pwd)
PATH=$PATH:/usr/sbin:/sbin
suite=bookworm
say() { printf 'guest: %s\n' "$*" >&2; }

# Package sources: this host's own where it runs the same suite.
sources=${APT_SOURCES:-/etc/apt/sources.list.d/debian.sources}
[ -e "$sources" ] || sources=/etc/apt/sources.list
grep -q "$suite" "$sources" 2>/dev/null || sources="deb http://deb.debian.org/debian $suite main"
mode=auto
[ "$(id -u)" = 0 ] && mode=root

mkdir -p "$out"
work=$(mktemp -d "$out/making.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cd "$work"
chmod 755 "$work"

say "fetching packages and unpacking them (1 of 3, about a minute)"
# Runs on the finished tree, on the host's side of it.
cat > setup.sh <<'EOS'
set -e
r=$1
sed -i 's|^root:[^:]*:|root::|' "$r/etc/shadow"
echo genvisor > "$r/etc/hostname"
echo '127.0.0.1 localhost genvisor' > "$r/etc/hosts"
echo 'LABEL=genvisor-root / ext4 errors=remount-ro 0 1' > "$r/etc/fstab"
cat > "$r/etc/inittab" <<'EOI'
::sysinit:/etc/rc.boot
ttyS0::respawn:/etc/console
::ctrlaltdel:/bin/busybox reboot
::shutdown:/etc/rc.halt
::restart:/bin/busybox init
EOI
cat > "$r/etc/rc.boot" <<'EOI'
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mountpoint -q /dev || mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs -o mode=755 tmpfs /run
mount -o remount,rw /
hostname -F /etc/hostname
ip link set lo up 2>/dev/null
[ -x /etc/rc.local ] && /etc/rc.local
dmesg -n 4
/etc/rc.net > /dev/null 2>&1 &
EOI
cat > "$r/etc/rc.net" <<'EOI'
#!/bin/sh
# Network adapters, while somebody types already: DHCP on each, then ssh.
grep -qs f8615163 /sys/bus/vmbus/devices/*/class_id || exit 0
modprobe hv_netvsc
n=0
while [ ! -e /sys/class/net/eth0 ] && [ $n -lt 50 ]; do busybox usleep 100000; n=$((n + 1)); done
for d in /sys/class/net/eth*; do
	ip link set "${d##*/}" up
	busybox udhcpc -i "${d##*/}" -n -q -t 4 -T 1 -s /etc/udhcpc.sh && leased=1
done
[ -z "${leased:-}" ] || dropbear -R -B
EOI
cat > "$r/etc/udhcpc.sh" <<'EOI'
#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr replace "$ip/${mask:-24}" dev "$interface"
[ -z "${router:-}" ] || ip route replace default via "${router%% *}" dev "$interface"
for s in ${dns:-}; do echo "nameserver $s"; done > /etc/resolv.conf
EOI
cat > "$r/etc/console" <<'EOI'
#!/bin/sh
# The shell on the serial port, without a login: whoever has the port has the machine.
export HOME=/root TERM=vt100
cd
exec /bin/bash -l
EOI
cat > "$r/etc/rc.halt" <<'EOI'
#!/bin/sh
sync
umount -a -r 2>/dev/null
mount -o remount,ro / 2>/dev/null
:
EOI
chmod 755 "$r/etc/rc.boot" "$r/etc/rc.halt" "$r/etc/rc.net" "$r/etc/udhcpc.sh" "$r/etc/console"
mkdir -p "$r/etc/dropbear"
echo 'set enable-bracketed-paste off' > "$r/root/.inputrc"
for n in poweroff reboot halt; do ln -sf /bin/busybox "$r/sbin/$n"; done
ln -sf /bin/busybox "$r/sbin/init"
cat > "$r/root/.profile" <<'EOI'
PS1='root@\h:\w# '
EOI
rm -rf "$r"/usr/share/doc/* "$r"/usr/share/man/* "$r"/usr/share/locale/* \
	"$r"/var/cache/apt/*.bin "$r"/var/lib/apt/lists/*
EOS
mmdebstrap --quiet --mode="$mode" --variant=apt --architectures=amd64 --skip=output/dev \
	--aptopt='APT::Install-Recommends "false"' \
	--include=busybox-static,iproute2,kmod,procps,util-linux,mount,e2fsprogs,less,dropbear-bin,ethtool \
	--customize-hook="sh $work/setup.sh \"\$1\"" \
	"$suite" rootfs.tar "$sources"

# The kernel package is unpacked, not installed: nobody here needs its hooks.
kpkg=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image/ { print $2; exit }')
[ -n "$kpkg" ] || { say "apt knows no linux-image-cloud-amd64: run apt-get update"; exit 1; }
apt-get download -o APT::Sandbox::User=root "$kpkg" > /dev/null
dpkg-deb -x "$kpkg"_*.deb kernel
version=${kpkg#linux-image-}
cp kernel/boot/vmlinuz-"$version" vmlinuz

say "making the initial RAM disk (2 of 3)"
"$here/mkinitrd.sh" kernel/lib/modules/"$version" initrd.img

say "making the ext4 root file system (3 of 3)"
truncate -s "${size}M" root.img
fakeroot -- sh -e <<EOF2
mkdir rootfs
tar -C rootfs -xf rootfs.tar --numeric-owner
mkdir -p -m 755 rootfs/dev rootfs/proc rootfs/sys rootfs/run
cp -r kernel/lib/modules rootfs/lib/
depmod -b rootfs "$version"
mke2fs -q -t ext4 -F -L genvisor-root -d rootfs root.img
EOF2

mv -f vmlinuz initrd.img root.img "$out/"

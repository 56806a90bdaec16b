#!/bin/sh
# run.sh GENVISOR GUESTDIR - what make run starts
set -eu
cat >&2 <<EOT
A Generation 2 machine boots Debian's own kernel; its root is a VHDX behind hv_storvsc.
Leave with "poweroff" in the guest, or Ctrl-A X. Ctrl-A H lists the other keys.
Without hardware virtualization the prompt takes some seconds.
EOT
exec "$1" run --generation 2 --memory 1G --cpus 2 --disk "$2/root.vhdx" \
	--kernel "$2/vmlinuz" --initrd "$2/initrd.img" \
	--append 'root=/dev/sda console=ttyS0 panic=-1' --com1 stdio

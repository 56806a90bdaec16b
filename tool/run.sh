#!/bin/bash
# run.sh GENVISOR GUESTDIR - what make run starts
set -eu
# The first free one of some ports, for ssh.
port=2222
while (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null; do port=$((port + 1)); done
cat >&2 <<EOT
A Generation 2 machine boots Debian's own kernel; its root is a VHDX behind hv_storvsc, its network NAT.
Leave with "poweroff" in the guest, or Ctrl-A X. Ctrl-A H lists the other keys.
From another terminal of this host: ssh -p $port root@localhost (no password; nobody else reaches the port).
Without hardware virtualization the prompt takes some seconds.
EOT
exec "$1" run --generation 2 --memory 1G --cpus 2 --disk "$2/root.vhdx" \
	--net "nat,hostfwd=tcp::$port-:22" \
	--kernel "$2/vmlinuz" --initrd "$2/initrd.img" \
	--append 'root=/dev/sda console=ttyS0 panic=-1' --com1 stdio

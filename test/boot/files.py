"""Files written, synced and trimmed by the guest are there for every reader that we did not write."""
import hashlib
import os
import shutil
import struct
import subprocess
import sys

from machine import PROMPT, Failed, Machine, guest_args, main

MIB = int(sys.argv[3]) if len(sys.argv) > 3 else 48
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VHXREAD = os.path.join(SOURCE, '../shared/images/tools/vhxread.py')


def sparse_hash(path):
    """sha256 over offset and bytes of every 64-KiB chunk that is not all zeros, as vhxread.py prints it."""
    h, zero = hashlib.sha256(), bytes(65536)
    size = os.path.getsize(path)
    with open(path, 'rb') as f:
        at = 0
        while at < size:
            try:
                at = os.lseek(f.fileno(), at, os.SEEK_DATA) // 65536 * 65536
            except OSError:
                break
            f.seek(at)
            chunk = f.read(65536)
            if chunk != zero[:len(chunk)]:
                h.update(struct.pack('<Q', at) + chunk)
            at += 65536
    return h.hexdigest()


def host(*command):
    r = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if r.returncode != 0:
        raise Failed(f'{" ".join(command)}: status {r.returncode}\n{r.stdout}')
    return r.stdout


def test(genvisor, guest, scratch):
    disk, raw = f'{scratch}/root.vhdx', f'{scratch}/root.raw'
    shutil.copy(f'{guest}/root.vhdx', disk)
    m = Machine(genvisor, *guest_args(guest, disk, memory='1G'))
    m.wait_for(PROMPT)
    n = max(MIB // 16, 1)
    m.run('mkdir d && cd d && dd if=/dev/urandom of=seed bs=1M count=16 status=none', 600)
    # Each file differs: the seed, and its own number at the front.
    m.run(f'for i in $(seq {n}); do (echo $i; cat seed) > f$i; done; rm seed; sync', 3600)
    m.run('sha256sum f* > sums', 3600)
    m.run('sync; echo 3 > /proc/sys/vm/drop_caches')
    m.run('sha256sum --quiet -c sums', 3600)
    m.run(f'cd; dd if=/dev/zero of=gone bs=1M count={min(MIB, 256)} status=none; sync; rm gone; sync', 3600)
    if 'bytes' not in m.run('fstrim -v /', 600):
        raise Failed('fstrim trimmed nothing')
    m.send('poweroff\n')
    if (status := m.end()) != 0:
        raise Failed(f'poweroff gave status {status}')
    host(genvisor, 'disk', 'export', '--quiet', disk, raw)
    # Status 0: clean, and not a bit to mend.
    host('/sbin/e2fsck', '-fn', raw)
    host('qemu-img', 'check', disk)
    host('qemu-img', 'compare', '-f', 'vhdx', '-F', 'raw', disk, raw)
    if os.path.exists(VHXREAD):
        ours = sparse_hash(raw)
        if ours not in host(sys.executable, VHXREAD, disk):
            raise Failed(f'vhxread.py reads other content than we do ({ours})')
    else:
        print('vhxread.py is not there: not asked')


main(test)

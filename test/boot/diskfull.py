"""The host disk fills up while the guest writes: the guest stands still, goes on after there is room, and loses nothing."""
import os
import shutil
import signal
import subprocess
import sys
import time

from machine import PROMPT, Failed, Machine, guest_args, main

FULL = 'paused: a host disk says "No space left on device"'
MIB = 1 << 20
ROOM = 80               # MiB of the small file system
FILLER = 48             # of these, taken by somebody else at first


def host(*command):
    r = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if r.returncode != 0:
        raise Failed(f'{" ".join(command)}: status {r.returncode}\n{r.stdout}')
    return r.stdout


def small_file_system(path):
    """A tmpfs at PATH, of our own; or the end of this test, with the reason."""
    os.mkdir(path)
    r = subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={ROOM}M', 'tmpfs', path], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True)
    if r.returncode == 0:
        return
    if os.getuid() != 0 and 'GENVISOR_UNSHARED' not in os.environ and shutil.which('unshare'):
        # A user may mount in name spaces of his own, where the host allows them.
        again = ['unshare', '-rm', sys.executable, *sys.argv]
        if subprocess.run(['unshare', '-rm', 'true'], stderr=subprocess.DEVNULL).returncode == 0:
            sys.exit(subprocess.run(again, env=os.environ | {'GENVISOR_UNSHARED': '1'}).returncode)
    print('cannot mount a tmpfs here:', r.stdout.strip())
    sys.exit(77)


def fill_until_paused(m, command):
    m.send(command + '; echo "=st""atus $?="\n')
    m.wait_for(FULL)
    # It tries again every two seconds, and says nothing as long as nothing has changed.
    at = len(m.log)
    end = time.monotonic() + 5
    while time.monotonic() < end:
        m.pump(0.5)
    # Requests that were under way may fail each in their own place, once.
    rest = [x for x in m.log[at:].splitlines() if x.strip() and 'the guest goes on by itself' not in x]
    if len(rest) != len(set(rest)) or any(not x.startswith('genvisor: error: disk: ') for x in rest):
        raise Failed(f'the guest is not paused, or is told so again: {m.log[at:]!r}')


def test(genvisor, guest, scratch):
    small = f'{scratch}/small'
    small_file_system(small)
    try:
        filled(genvisor, guest, scratch, small)
    finally:
        host('umount', '-l', small)


def filled(genvisor, guest, scratch, small):
    disk, root = f'{small}/data.vhdx', f'{scratch}/root.vhdx'
    shutil.copy(f'{guest}/root.vhdx', root)
    host(genvisor, 'disk', 'new', '--size', '256M', '--block-size', '1M', disk)
    with open(f'{small}/filler', 'wb') as f:
        f.write(bytes(FILLER * MIB))
    m = Machine(genvisor, *guest_args(guest, root, root='LABEL=genvisor-root'), '--disk', disk)
    m.wait_for(PROMPT)
    # Two disks are probed side by side, so that either may be sda: take the second by its LUN.
    m.run('d=/dev/$(ls /sys/bus/scsi/devices/0:0:0:1/block) && mke2fs -q -t ext4 -J size=4 $d && mount $d /mnt && cd /mnt')
    m.run('dd if=/dev/urandom of=/dev/shm/seed bs=1M count=16 status=none')
    m.run('(cat /dev/shm/seed /dev/shm/seed | sha256sum) > /dev/shm/sum')
    # 32 MiB do not fit beside the filler; they do without it.
    fill_until_paused(m, 'cat /dev/shm/seed /dev/shm/seed > /mnt/file; sync')
    os.unlink(f'{small}/filler')
    m.wait_for('going on', 20)
    m.wait_for('=status 0=')
    m.run('echo 3 > /proc/sys/vm/drop_caches; sha256sum < /mnt/file | cmp - /dev/shm/sum')
    bad = m.run('dmesg --level=emerg,alert,crit,err,warn | grep -E "sd[ab]|EXT4|Buffer|blk" || :')
    if bad.strip():
        raise Failed(f'the guest noticed:\n{bad}')
    # Full again, and the operator gives up: the image is whole, with all that was synced.
    fill_until_paused(m, 'cat /dev/shm/seed /dev/shm/seed > /mnt/more; sync')
    m.proc.send_signal(signal.SIGINT)
    if (status := m.end(30)) != 128 + signal.SIGINT:
        raise Failed(f'SIGINT while paused: status {status}')
    # Where the block table had no room its new pages are in the log alone, to be replayed.
    shutil.copyfile(disk, f'{scratch}/check.vhdx')
    host('qemu-img', 'check', '-r', 'all', f'{scratch}/check.vhdx')
    raw = f'{scratch}/data.raw'
    host(genvisor, 'disk', 'export', '--quiet', disk, raw)
    # Replays the file system's journal; what was synced before is then there.
    subprocess.run(['/sbin/e2fsck', '-fy', raw], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    host('/sbin/e2fsck', '-fn', raw)
    host('/sbin/debugfs', '-R', f'dump file {scratch}/file', raw)
    want = m.log[m.log.rindex('=status 0='):]      # for the log of a failure
    if os.path.getsize(f'{scratch}/file') != 32 * MIB:
        raise Failed(f'the synced file has {os.path.getsize(f"{scratch}/file")} bytes\n{want}')
    with open(f'{scratch}/file', 'rb') as f:
        if f.read(16 * MIB) != f.read(16 * MIB):
            raise Failed('the synced file has other content')


main(test)

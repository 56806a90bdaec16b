"""Generation 1's IDE controller: GRUB from MBR and El Torito, Linux through ata_piix and through the accelerator.

The disk is the demo guest's root file system in a partition, with GRUB as grub-install would put it: once a VHD,
once a VHDX, once a VHD whose content is its parent's.
"""
import glob
import hashlib
import os
import shutil
import subprocess
import sys

from machine import PROMPT, Failed, Machine, main

MIB = int(sys.argv[3]) if len(sys.argv) > 3 else 32
HERE = os.path.dirname(os.path.abspath(__file__))
MKINITRD = os.path.join(HERE, '../../tool/mkinitrd.sh')
GRUB = '/usr/lib/grub/i386-pc'
FIRST = 2048            # sector of the partition
DATA_MIB = 64           # of a second disk

PIIX = 'ata_piix sd_mod sr_mod ext4 crc32c_generic'
BOTH = 'ata_piix hv_vmbus hv_storvsc sd_mod sr_mod ext4 crc32c_generic'
PCI = ['00:00.0 8086:7192', '00:07.0 8086:7110', '00:07.1 8086:7111', '00:07.3 8086:7113', '00:08.0 1414:5353']
EJECT, CLOSE_TRAY, DRIVE_STATUS = 0x5309, 0x5319, 0x5326        # CDROM...
NO_DISC, TRAY_OPEN, DISC_OK = 1, 2, 4   # CDS_...
# What libata says when something goes wrong.
BAD = ['exception', 'failed command', 'lost interrupt', 'qc timeout', 'I/O error', 'hard resetting', 'limiting speed']

GRUB_CFG = '''serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
set timeout=0
echo "GRUB is here"
linux /boot/vmlinuz root=/dev/sda1 ro console=ttyS0,115200n8 panic=-1 {append}
initrd /boot/initrd.img
boot
'''
ISO_CFG = '''serial --unit=0 --speed=115200
terminal_output serial
echo "GRUB is on the DVD"
halt
'''


def host(*command, ok=(0,), stdin=None):
    r = subprocess.run(command, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if r.returncode not in ok:
        raise Failed(f'{" ".join(command)}: status {r.returncode}\n{r.stdout}')
    return r.stdout


class Disks:
    """Makes the images; scratch files stay in its folder."""

    def __init__(self, genvisor, guest, scratch):
        self.genvisor, self.guest, self.d = genvisor, guest, scratch
        self.root = f'{scratch}/root.raw'
        host(genvisor, 'disk', 'export', '--quiet', f'{guest}/root.vhdx', self.root)
        # As small as the test can do with: it is copied and read a few times.
        size = 512 + 3 * MIB
        host('e2fsck', '-fy', self.root, ok=(0, 1))
        host('resize2fs', self.root, f'{size}M')
        os.truncate(self.root, size << 20)
        os.mkdir(f'{scratch}/lib')
        host('debugfs', '-R', f'rdump /lib/modules {scratch}/lib', self.root)
        self.modules = glob.glob(f'{scratch}/lib/modules/*')[0]

    def mbr(self, name, modules, append):
        """A disk of one bootable partition, of the kind that NAME ends in; its path."""
        part, raw, out = f'{self.d}/{name}.part', f'{self.d}/{name}.raw', f'{self.d}/{name}'
        initrd, cfg, core = f'{self.d}/initrd.img', f'{self.d}/grub.cfg', f'{self.d}/core.img'
        subprocess.run([MKINITRD, self.modules, initrd], check=True, env=dict(os.environ, MODULES=modules))
        with open(cfg, 'w') as f:
            f.write(GRUB_CFG.format(append=append))
        host('cp', '--sparse=always', self.root, part)
        host('debugfs', '-w', '-f', '-', part, stdin=f'mkdir /boot\nmkdir /boot/grub\n'
             f'write {self.guest}/vmlinuz /boot/vmlinuz\nwrite {initrd} /boot/initrd.img\n'
             f'write {cfg} /boot/grub/grub.cfg\n')
        host('e2fsck', '-fy', part, ok=(0, 1))
        size = os.path.getsize(part)
        with open(raw, 'wb') as f:
            f.truncate(FIRST * 512 + size)
        host('sfdisk', '-q', raw, stdin=f'label: dos\nstart={FIRST}, size={size // 512}, type=83, bootable\n')
        host('dd', f'if={part}', f'of={raw}', 'bs=1M', 'seek=1', 'conv=sparse,notrunc')
        # boot.img looks for the core at sector 1, the core for its rest from sector 2 on.
        host('grub-mkimage', '-O', 'i386-pc', '-d', GRUB, '-p', '(hd0,msdos1)/boot/grub', '-o', core,
             *'biosdisk part_msdos ext2 normal configfile linux serial terminal echo'.split())
        host('dd', f'if={GRUB}/boot.img', f'of={raw}', 'bs=1', 'count=440', 'conv=notrunc')
        host('dd', f'if={core}', f'of={raw}', 'bs=512', 'seek=1', 'conv=notrunc')
        if out.endswith('.avhd'):
            base = out.replace('.avhd', '.vhd')
            host(self.genvisor, 'disk', 'new', '--type', 'fixed', '--from', raw, base)
            host(self.genvisor, 'disk', 'new', '--parent', base, out)
        else:
            host(self.genvisor, 'disk', 'new', '--from', raw, out)
        os.unlink(part)
        os.unlink(raw)
        return out

    def check(self, path):
        """fsck of the partition, by a reader that we did not write; the disk is not needed any more."""
        raw, part = f'{path}.raw', f'{path}.part'
        host(self.genvisor, 'disk', 'export', '--quiet', path, raw)
        host('dd', f'if={raw}', f'of={part}', 'bs=1M', 'skip=1', 'conv=sparse')
        out = host('e2fsck', '-fn', part, ok=(0, 4))
        if 'FILE SYSTEM WAS MODIFIED' in out or 'WARNING' in out or '?' in out.split('Pass 1', 1)[-1]:
            raise Failed(f'{path}: not clean:\n{out}')
        for f in raw, part, path:
            os.unlink(f)

    def iso(self):
        os.makedirs(f'{self.d}/iso/boot/grub')
        with open(f'{self.d}/iso/boot/grub/grub.cfg', 'w') as f:
            f.write(ISO_CFG)
        host('grub-mkrescue', '-o', f'{self.d}/grub.iso', f'{self.d}/iso')
        return f'{self.d}/grub.iso'


def refused_by_generation_2(genvisor, guest, disk):
    r = subprocess.run([genvisor, 'run', '--kernel', f'{guest}/vmlinuz', '--disk', disk], stdin=subprocess.DEVNULL,
                       capture_output=True, text=True, timeout=60)
    if r.returncode != 2 or r.stderr.count('\n') != 1 or 'convert it to VHDX' not in r.stderr:
        raise Failed(f'Generation 2 said: {r.returncode} {r.stderr}')


def synthetic_vhd(m):
    """Fills the data disk through the synthetic SCSI controller; the sum of what it holds now."""
    m.run('modprobe hv_storvsc; udevadm settle 2>/dev/null; sleep 2')
    size = DATA_MIB << 11
    name = m.run(f'for d in /sys/block/sd*; do [ $(cat $d/size) = {size} ] && echo ${{d##*/}}; done; true').split()
    if len(name) != 1:
        raise Failed(f'the data disk is not there once: {name}')
    m.run(f'dd if=/dev/urandom of=/dev/{name[0]} bs=1M seek=3 count=9 oflag=direct status=none; '
          f'dd if=/dev/urandom of=/dev/{name[0]} bs=512 seek=100001 count=777 oflag=direct status=none; sync')
    return m.run(f'sha256sum /dev/{name[0]}').split()[0]


def machine(genvisor, *args):
    return Machine(genvisor, 'run', '--generation', '1', '--memory', '512M', '--com1', 'stdio', *args)


def boot(genvisor, disk, *args):
    m = machine(genvisor, '--boot-order', 'ide', '--disk', disk, '--cpus', '2', *args)
    m.wait_for('GRUB is here', 120)
    m.wait_for(PROMPT)
    if m.run('nproc').strip() != '2':       # the BIOS started both, and our tables say so
        raise Failed('not both processors are up')
    return m


def write_verify(m, mib):
    m.run('mkdir d && cd d')
    n = max(mib // 16, 1)
    m.run('dd if=/dev/urandom of=seed bs=1M count=16 status=none', 600)
    m.run(f'for i in $(seq {n}); do (echo $i; cat seed) > f$i; done; rm seed; sync', 3600)
    m.run('sha256sum f* > sums; sync; echo 3 > /proc/sys/vm/drop_caches', 3600)
    m.run('sha256sum --quiet -c sums; cd', 3600)


def well_said(m):
    log = m.run('dmesg')
    if (bad := [l for l in log.splitlines() if any(b in l for b in BAD)]):
        raise Failed('\n'.join(bad))
    return log


def off(m):
    m.send('poweroff\n')
    if (status := m.end()) != 0:
        raise Failed(f'poweroff gave status {status}')


def dvd_ioctl(m, request, arg):
    return int(m.run('perl -MFcntl -e \'sysopen F, "/dev/sr0", O_RDONLY | O_NONBLOCK or die; '
                     f'print 0 + ioctl(F, {request}, {arg}), "\\n"\''))


def el_torito(genvisor, iso):
    m = machine(genvisor, '--vga', 'off', '--dvd', iso)
    m.wait_for('GRUB is on the DVD', 120)
    m.kill()


def another_disc(genvisor, m, iso, control):
    """By command: the guest reads what is in the drive now."""
    other = f'{iso}.longer'
    with open(iso, 'rb') as f:
        data = f.read() + b'x' * 2048 * 100
    with open(other, 'wb') as f:
        f.write(data)
    host(genvisor, 'dvd', other, *control)
    if hashlib.sha256(data).hexdigest() not in m.run('sha256sum /dev/sr0', 600):
        raise Failed('the other disc read differently')
    host(genvisor, 'dvd', '--eject', *control)
    if dvd_ioctl(m, DRIVE_STATUS, 0x7fffffff) != NO_DISC:
        raise Failed('the drive is not empty')
    host(genvisor, 'dvd', iso, *control)


def piix(genvisor, disks, name, iso, speed, mib, append=''):
    """Everything through the emulated controller."""
    disk = disks.mbr(name, PIIX, f'ata_piix.prefer_ms_hyperv=0 {append}')
    data = f'{disks.d}/data.vhd'
    host(genvisor, 'disk', 'new', '--size', f'{DATA_MIB}M', data)
    control = '--control', f'unix:{disks.d}/{name}.control'
    m = boot(genvisor, disk, '--dvd', iso, '--disk', f'{data},controller=0', *control)
    log = well_said(m)
    for words in 'ata1.00: ATA-8: Virtual HD, 1.1.0', 'ata2.00: ATAPI: Virtual CD':
        if words not in log:
            raise Failed(f'Linux never said {words!r}')
    if m.run('cat /sys/class/ata_device/dev[12].0/xfer_mode').split() != [speed, speed]:
        raise Failed(f'Linux did not choose {speed}')
    got = m.run('for d in /sys/bus/pci/devices/*; do echo ${d##*/0000:} $(cat $d/vendor):$(cat $d/device); done')
    got = got.replace('0x', '').split('\n')[:-1]
    if got != PCI:
        raise Failed(f'PCI devices: {got}')
    write_verify(m, mib)
    with open(iso, 'rb') as f:
        want = hashlib.sha256(f.read()).hexdigest()
    if want not in m.run('sha256sum /dev/sr0', 600):
        raise Failed('the DVD read differently')
    for move, want in (EJECT, TRAY_OPEN), (CLOSE_TRAY, DISC_OK):
        dvd_ioctl(m, move, 0)
        if dvd_ioctl(m, DRIVE_STATUS, 0x7fffffff) != want:
            raise Failed('the tray does not move')
    another_disc(genvisor, m, iso, control)
    want = synthetic_vhd(m)
    off(m)
    disks.check(disk)
    host(genvisor, 'disk', 'export', '--quiet', data, f'{data}.raw')
    with open(f'{data}.raw', 'rb') as f:
        if hashlib.sha256(f.read()).hexdigest() != want:
            raise Failed('the data disk is not what the guest wrote')
    host('qemu-img', 'compare', '-f', 'vpc', '-F', 'raw', data, f'{data}.raw')
    os.unlink(data)
    os.unlink(f'{data}.raw')


def accelerator(genvisor, disks, mib):
    """Linux sees Hyper-V's identity, leaves the disk to VMBus, and both ways lead to the same bytes."""
    disk = disks.mbr('accel.avhd', BOTH, '')
    refused_by_generation_2(genvisor, disks.guest, disk)
    m = boot(genvisor, disk)
    log = well_said(m)
    if 'Hyper-V Virtual Machine detected, ATA device ignore set' not in log:
        raise Failed('ata_piix did not step back')
    if m.run('ls /sys/block | grep sd').split() != ['sda'] or \
            'storvsc' not in m.run('cat /sys/class/scsi_host/host*/proc_name'):
        raise Failed('the disk is not where it should be')
    write_verify(m, mib)
    # The same disk again, through the emulated controller: the gap before the partition is free.
    m.run('rmmod ata_piix; modprobe ata_piix prefer_ms_hyperv=0; udevadm settle 2>/dev/null; sleep 2')
    if m.run('ls /sys/block | grep sd').split() != ['sda', 'sdb']:
        raise Failed('the disk is not there twice')
    for one, other in ('sda', 'sdb'), ('sdb', 'sda'):
        m.run('dd if=/dev/urandom of=/tmp/x bs=512 count=64 status=none')
        m.run(f'dd if=/tmp/x of=/dev/{one} bs=512 seek=1900 oflag=direct status=none')
        m.run(f'dd if=/dev/{other} bs=512 skip=1900 count=64 iflag=direct status=none | cmp - /tmp/x')
    off(m)
    disks.check(disk)


def test(genvisor, guest, scratch):
    disks = Disks(genvisor, guest, scratch)
    iso = disks.iso()
    el_torito(genvisor, iso)
    piix(genvisor, disks, 'piix.vhd', iso, 'XFER_UDMA_2', MIB)
    piix(genvisor, disks, 'piix.vhdx', iso, 'XFER_PIO_4', min(MIB, 16), 'libata.force=pio4')
    accelerator(genvisor, disks, MIB)


if not all(map(shutil.which, ('grub-mkimage', 'grub-mkrescue', 'xorriso', 'mformat', 'sfdisk'))) or \
        not os.path.exists(f'{GRUB}/boot.img'):
    print('no GRUB for BIOS: install grub-pc-bin, grub-common, xorriso, mtools, fdisk')
    sys.exit(77)
main(test)

"""A stock Debian kernel boots to a prompt on a VHDX, believes it is on Hyper-V, reboots and powers off."""
import re
import shutil
import sys

from machine import PROMPT, Failed, Machine, guest_args, main

REBOOTS = int(sys.argv[3]) if len(sys.argv) > 3 else 1

# What the same kernel says on real Hyper-V too, or of what this machine really lacks.
HARMLESS = [
    # A Generation 2 machine has no PCI; the same two lines stand in every boot log of one.
    r'PCI: Fatal: No config space access function found',
    r'PCI: System does not support PCI',
]

SEEN = [
    'Hypervisor detected: Microsoft Hyper-V',
    'clocksource: hyperv_clocksource_tsc_page',
    'hv_vmbus: Vmbus version:5.3',
    'scsi host0: storvsc_host_t',
    'EXT4-fs (sda): mounted filesystem',
]


def test(genvisor, guest, scratch):
    disk = f'{scratch}/root.vhdx'
    shutil.copy(f'{guest}/root.vhdx', disk)
    m = Machine(genvisor, *guest_args(guest, disk))
    m.wait_for(PROMPT)
    log = m.run('dmesg')
    for words in SEEN:
        if words not in log:
            raise Failed(f'the guest never said {words!r}')
    bad = [l for l in m.run('dmesg --level=emerg,alert,crit,err,warn').splitlines()
           if not any(re.search(h, l) for h in HARMLESS)]
    if bad:
        raise Failed('warnings in the boot log:\n' + '\n'.join(bad))
    if 'Call Trace' in log:
        raise Failed('a stack trace in the boot log')
    if m.run('nproc').strip() != '2':
        raise Failed('not both processors are up')
    if m.run('cat /sys/devices/system/clocksource/clocksource0/current_clocksource').strip() != \
            'hyperv_clocksource_tsc_page':
        raise Failed('another clocksource')
    if m.run('findmnt -no SOURCE,FSTYPE /').split() != ['/dev/sda', 'ext4']:
        raise Failed('another root')
    for _ in range(REBOOTS):
        m.send('reboot\n')
        m.wait_for('Linux version')
        m.wait_for(PROMPT)
    m.send('poweroff\n')
    if (status := m.end()) != 0:
        raise Failed(f'poweroff gave status {status}')


main(test)

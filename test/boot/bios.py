"""Generation 1: Debian's SeaBIOS starts, finds our machine and, without anything to boot, says so on COM1."""
import os
import re
import sys
import time

from machine import Failed, Machine, expect

GENVISOR = os.path.abspath(sys.argv[1])
BIOS = '/usr/share/seabios/bios-256k.bin'
NOTHING = 'No bootable device.\n'

# What SeaBIOS must have found, by its own words on port 402.
SEEN = [
    'Running on QEMU (i440fx)',
    'Found QEMU fw_cfg',
    'Moving pm_base to 0x600',
    'PIIX3/PIIX4 init: elcr=00 0c',
    'Copying SMBIOS from',
    'ACPI: parse DSDT',
    'PS2 keyboard initialized',
    'Found 4 serial ports',
]
BAD = ['Unable to', 'WARNING', 'internal error']


def boot(*args):
    """The machine's words up to the end of its search, and the seconds that took."""
    start = time.monotonic()
    m = Machine(GENVISOR, 'run', '--generation', '1', '--memory', '64M', *args)
    try:
        m.wait_for(NOTHING, 60)
        return m.log, time.monotonic() - start
    except Failed:
        print(m.log[-4000:])
        raise
    finally:
        m.kill()


def check(engine, cpus):
    machine = '--engine', engine, '--cpus', str(cpus)
    text, seconds = boot(*machine, '--vga', 'off', '--com1', 'stdio')
    # What there is, is tried in order; what there is not, is not tried.
    expect('what is tried', re.findall(r'Booting from (\S+)', text), ['DVD/CD...', 'Floppy...'])
    if 'SeaBIOS (version' not in text:
        raise Failed(f'COM1 never said SeaBIOS:\n{text}')
    log, _ = boot(*machine, '--verbose')
    for words in SEEN + [f'Found {cpus} cpu(s) max supported {cpus} cpu(s)',
                         'Running option rom at c000:0003']:
        if words not in log:
            raise Failed(f'SeaBIOS never said {words!r}:\n{log}')
    if (bad := [l for l in log.splitlines() if any(b in l for b in BAD)]):
        raise Failed('\n'.join(bad))
    print(f'{engine}, {cpus} processors: {seconds:.2f} s to "{NOTHING.strip()}"', flush=True)


def main():
    if not os.path.exists(BIOS):
        print('no SeaBIOS: install the package seabios')
        sys.exit(77)
    try:
        for engine in 'interpret', 'translate':
            for cpus in 1, 2, 8:
                check(engine, cpus)
    except Failed as e:
        print('failed:', e)
        sys.exit(1)


main()

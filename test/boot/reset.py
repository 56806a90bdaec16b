"""Generation 1's wires to its processor: A20, resets that come back through the BIOS, x87 errors by IRQ 13."""
import os
import re
import subprocess
import sys
import tempfile

from machine import Failed, Machine

GENVISOR = os.path.abspath(sys.argv[1])
HERE = os.path.dirname(os.path.abspath(__file__))
STEPS = ['a20 by port 92', 'a20 by i8042', 'a20 by int 15', 'by port 92', 'by i8042', 'by cf9', 'by shutdown', 'x87 error',
         'machine by cf9', 'machine by i8042', 'machine by shutdown']


def check(image, engine):
    m = Machine(GENVISOR, 'run', '--generation', '1', '--memory', '64M', '--vga', 'off', '--com1', 'stdio',
                '--floppy', image, '--boot-order', 'floppy', '--engine', engine)
    try:
        m.wait_for('reset: end', 120)
        # The machine's own words come in between; the last letters before a reset may be lost.
        said = re.sub(r'genvisor: warning: .*\n', '', m.log)
        steps = re.findall(r'reset: (.*?) (?:goo|BAD)', said)
        if steps != STEPS or 'BAD' in said:
            raise Failed(f'not each step went well: {steps}')
    except Failed:
        print(m.log[-4000:])
        raise
    finally:
        m.kill()
    print(f'{engine}: {len(STEPS)} steps', flush=True)


def main():
    if not os.path.exists('/usr/share/seabios/bios-256k.bin'):
        print('no SeaBIOS: install the package seabios')
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix='genvisor-test.') as scratch:
        image = f'{scratch}/reset.img'
        subprocess.run(['nasm', '-f', 'bin', '-o', image, f'{HERE}/reset.asm'], check=True)
        os.truncate(image, 1474560)
        try:
            for engine in 'interpret', 'translate':
                check(image, engine)
        except Failed as e:
            print('failed:', e)
            sys.exit(1)


main()

"""Generation 1 starts a Linux kernel that the host gives, through its BIOS: command line, initial RAM disk, a shell."""
import os
import sys

from machine import Failed, Machine, expect

GENVISOR = os.path.abspath(sys.argv[1])
HERE = os.path.dirname(os.path.abspath(__file__))
GUESTS = os.environ.get('GUESTS', os.path.join(HERE, '../../../shared/guests'))
APPEND = 'console=ttyS0 words="of the host"'


def check():
    m = Machine(GENVISOR, 'run', '--generation', '1', '--memory', '128M', '--vga', 'off', '--com1', 'stdio',
                '--kernel', f'{GUESTS}/nanoalpine-bzImage', '--initrd', f'{GUESTS}/nanoalpine-initrd.cpio.xz',
                '--append', APPEND)
    try:
        said = m.wait_for('Welcome to Alpine Linux', 60)
        expect('the command line', f'Command line: {APPEND}\n' in said, True)
        expect('the BIOS is asked for memory', 'BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff]' in said, True)
        m.wait_for('# ', 30)
        m.send('echo "=en""d="\n')
        m.wait_for('=end=', 30)
    except Failed:
        print(m.log[-4000:])
        raise
    finally:
        m.kill()


def main():
    if not os.path.exists(f'{GUESTS}/nanoalpine-bzImage') or not os.path.exists('/usr/share/seabios/bios-256k.bin'):
        print('no nanoalpine-bzImage, or no SeaBIOS')
        sys.exit(77)
    try:
        check()
    except Failed as e:
        print('failed:', e)
        sys.exit(1)


main()

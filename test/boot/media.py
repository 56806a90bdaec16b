"""Generation 1: another floppy by genvisor floppy, and what cannot be put in leaves the drive as it was."""
import os
import subprocess
import sys
import tempfile

from machine import Failed, Machine, expect

GENVISOR = os.path.abspath(sys.argv[1])
HERE = os.path.dirname(os.path.abspath(__file__))


def image(path, word, size=1474560):
    subprocess.run(['nasm', '-f', 'bin', '-o', path, f'{HERE}/media.asm'], check=True)
    with open(path, 'ab') as f:
        f.write(word)
        f.truncate(size)
    return path


def check(scratch):
    where = f'unix:{scratch}/control'

    def command(*args):
        r = subprocess.run([GENVISOR, *args, '--control', where], capture_output=True, text=True, timeout=60)
        return r.returncode, r.stderr.strip()

    m = Machine(GENVISOR, 'run', '--generation', '1', '--memory', '32M', '--vga', 'off', '--com1', 'stdio', '--boot-order', 'floppy',
                '--floppy', image(f'{scratch}/one', b'one!'), '--control', where)
    try:
        m.wait_for('media: one!', 60)
        expect('another disk', command('floppy', image(f'{scratch}/two', b'two!')), (0, ''))
        m.wait_for('media: two!', 30)
        image(f'{scratch}/odd', b'odd!', 512000)
        for args, words in ((('floppy', f'{scratch}/odd'), '512000 bytes, expected a floppy image of'),
                            (('floppy', f'{scratch}/nothing'), 'No such file'),
                            (('floppy', '--drive', 'B', f'{scratch}/one'), 'no floppy drive B'),
                            (('dvd', f'{scratch}/one'), 'not an ISO image'),
                            (('dvd', '--drive', '1', '--eject'), 'no DVD drive 1'),
                            (('floppy',), 'expected a file or --eject')):
            status, said = command(*args)
            expect(f'{args}: {said}', (status != 0, words in said), (True, True))
        expect('an empty drive', command('floppy', '--eject'), (0, ''))
        m.wait_for('media: none', 30)
        expect('the first one again', command('floppy', '--readonly', f'{scratch}/one'), (0, ''))
        m.wait_for('media: one!', 30)
        expect('an empty DVD drive stays so', command('dvd', '--eject'), (0, ''))
    except Failed:
        print(m.log[-4000:])
        raise
    finally:
        m.kill()


def main():
    if not os.path.exists('/usr/share/seabios/bios-256k.bin'):
        print('no SeaBIOS: install the package seabios')
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix='genvisor-test.') as scratch:
        try:
            check(scratch)
        except Failed as e:
            print('failed:', e)
            sys.exit(1)


main()

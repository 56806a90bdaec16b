"""Generation 1 boots from floppies: a sector of our own in three formats, and FreeDOS, which also writes."""
import os
import shutil
import subprocess
import sys
import tempfile

from machine import Failed, Machine

GENVISOR = os.path.abspath(sys.argv[1])
HERE = os.path.dirname(os.path.abspath(__file__))
GUESTS = os.environ.get('GUESTS', os.path.join(HERE, '../../../shared/guests'))
FREEDOS = f'{GUESTS}/freedos-boot-1440.img'
FORMATS = [(80, 18, 1474560), (80, 9, 737280), (80, 36, 2949120)]


def machine(image, *args):
    return Machine(GENVISOR, 'run', '--generation', '1', '--memory', '64M', '--vga', 'off', '--com1', 'stdio',
                   '--floppy', image, '--boot-order', 'floppy', *args)


def own_sector(scratch, cylinders, sectors, size, engine):
    image = f'{scratch}/own.img'
    subprocess.run(['nasm', '-f', 'bin', f'-DCYLS={cylinders}', f'-DSPT={sectors}', '-o', image,
                    f'{HERE}/floppy.asm'], check=True)
    with open(image, 'r+b') as f:
        f.truncate(size)
        f.seek(size - 512)
        f.write(b'last')
    m = machine(image, '--engine', engine)
    m.wait_for('floppy: begun', 60)
    m.wait_for('floppy: good', 60)
    m.kill()
    with open(image, 'rb') as f:
        f.seek(size - 512)
        if f.read(4) != b'LAST':
            raise Failed(f'{size}: what the guest wrote is not in the image')
    # Without the right to write it says so, and nothing changes.
    m = machine(f'{image},readonly', '--engine', engine)
    m.wait_for('floppy: bad', 60)
    m.kill()


def type_slowly(m, text):
    """A BIOS keeps fifteen keys, and DOS fetches them when it likes."""
    for c in text:
        m.send(c)
        m.wait_for(c, 30)
    m.send('\r')


def freedos(scratch):
    image = f'{scratch}/freedos.img'
    shutil.copyfile(FREEDOS, image)
    m = machine(image)
    m.wait_for('ECHO OFF', 100)
    m.wait_for('A:\\>', 60)
    type_slowly(m, 'echo genvisor was here>g.txt')
    m.wait_for('A:\\>', 60)
    type_slowly(m, 'type g.txt')
    m.wait_for('genvisor was here', 60)
    m.wait_for('A:\\>', 60)
    m.kill()
    out = subprocess.run(['mtype', '-i', image, '::g.txt'], capture_output=True, text=True).stdout
    if out.strip() != 'genvisor was here':
        raise Failed(f'the file on the floppy is {out!r}')


def main():
    if not os.path.exists('/usr/share/seabios/bios-256k.bin'):
        print('no SeaBIOS: install the package seabios')
        sys.exit(77)
    scratch = tempfile.mkdtemp(prefix='genvisor-test.')
    try:
        for engine in 'interpret', 'translate':
            for f in FORMATS:
                own_sector(scratch, *f, engine)
        print('a sector of our own: three formats, two engines')
        if os.path.exists(FREEDOS) and shutil.which('mtype'):
            freedos(scratch)
            print('FreeDOS wrote a file')
    except Failed as e:
        print('failed:', e)
        sys.exit(1)
    finally:
        shutil.rmtree(scratch)


main()

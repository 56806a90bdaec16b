"""test386.asm as Generation 1's BIOS: what it prints is what its reference says, with both engines.

It is not part of this project. Build it with POST_PORT 0x80 and COM_PORT 1, and say TEST386=its folder."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../boot'))
from machine import Failed, Machine  # noqa: E402

GENVISOR = os.path.abspath(sys.argv[1])
FOLDER = os.environ.get('TEST386', '')


def check(engine, want):
    m = Machine(GENVISOR, 'run', '--generation', '1', '--memory', '32M', '--vga', 'off', '--com1', 'stdio',
                '--firmware', f'{FOLDER}/test386.bin', '--engine', engine)
    try:
        m.wait_for(want[-1], 300)
        got = m.log.splitlines()
        for n, line in enumerate(want):
            if n >= len(got) or got[n].rstrip() != line.rstrip():
                raise Failed(f'line {n + 1}: {got[n:n + 1]}, expected {line!r}')
    except Failed:
        print(m.log[-1000:])
        raise
    finally:
        m.kill()
    print(f'{engine}: {len(want)} lines', flush=True)


def main():
    if not FOLDER:
        print('no test386.asm: say TEST386=FOLDER')
        sys.exit(77)
    with open(f'{FOLDER}/test386-EE-reference.txt') as f:
        want = f.read().splitlines()
    try:
        for engine in 'interpret', 'translate':
            check(engine, want)
    except Failed as e:
        print('failed:', e)
        sys.exit(1)


main()

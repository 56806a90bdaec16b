"""Generation 1 boots other people's floppies to what they end with: FreeDOS in 720 KiB, MikeOS."""
import os
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../boot'))
from machine import Failed, Machine  # noqa: E402

GENVISOR = os.path.abspath(sys.argv[1])
GUESTS = os.environ.get('GUESTS', os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../../shared/guests'))
FLOPPIES = [('freedos722.img', 'A:\\>'), ('mikeos-4.6.1.flp', 'Thanks for trying out MikeOS!')]


def main():
    if not os.path.exists(f'{GUESTS}/{FLOPPIES[0][0]}') or not os.path.exists('/usr/share/seabios/bios-256k.bin'):
        print('no guests, or no SeaBIOS')
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix='genvisor-test.') as scratch:
        for name, words in FLOPPIES:
            image = shutil.copy(f'{GUESTS}/{name}', scratch)
            m = Machine(GENVISOR, 'run', '--generation', '1', '--memory', '64M', '--vga', 'off', '--com1', 'stdio',
                        '--floppy', image, '--boot-order', 'floppy')
            try:
                m.wait_for(words, 120)
                print(f'{name}: {words}', flush=True)
            except Failed as e:
                print(m.log[-4000:])
                print(f'failed: {name}: {e}')
                sys.exit(1)
            finally:
                m.kill()


main()

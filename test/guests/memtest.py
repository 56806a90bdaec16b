"""memtest86+ (Debian's package of that name) passes over 64 MiB without an error, on Generation 1."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../boot'))
from machine import Failed, Machine  # noqa: E402

GENVISOR = os.path.abspath(sys.argv[1])
IMAGE = os.environ.get('MEMTEST', '/boot/memtest86+x64.bin')


def main():
    if not os.path.exists(IMAGE):
        print('no memtest86+: install the package memtest86+, or say MEMTEST=FILE')
        sys.exit(77)
    m = Machine(GENVISOR, 'run', '--generation', '1', '--memory', '64M', '--com1', 'stdio',
                '--kernel', IMAGE, '--append', 'console=ttyS0,115200')
    try:
        m.wait_for(re.compile(r'Pass:\s+1\s+Errors:\s+\d'), 3000)
        if (errors := [e for e in re.findall(r'Errors:\s+(\d+)', m.log) if e != '0']):
            raise Failed(f'memtest86+ counted {errors[-1]} errors')
        print(f'a pass in {re.findall(r"Time:  ([0-9:]+)", m.log)[-1]}')
    except Failed as e:
        print(m.log[-3000:])
        print('failed:', e)
        sys.exit(1)
    finally:
        m.kill()


main()

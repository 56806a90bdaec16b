"""Power on with the legacy adapter and no disk: the ROM, iPXE's driver of the 21140, a kernel by TFTP, and one by HTTP."""
import functools
import http.server
import os
import re
import shutil
import sys
import threading
import time

from machine import Failed, Machine, main

IMAGE = '/usr/lib/ipxe/ipxe.lkrn'


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def boot(genvisor, folder, url):
    """Until the shell of the initial RAM disk that came from URL."""
    with open(f'{folder}/boot.ipxe', 'w') as f:
        f.write(f'#!ipxe\nkernel {url}/vmlinuz console=ttyS0 quiet gv.shell panic=-1\ninitrd {url}/initrd.img\nboot\n')
    start = time.monotonic()
    m = Machine(genvisor, 'run', '--generation', '1', '--memory', '512M', '--vga', 'off', '--com1', 'stdio',
                '--net', f'nat,adapter=legacy,mac=00:15:5d:0a:0b:0c,hostloopback=on,tftp={folder},bootfile=boot.ipxe')
    m.wait_for('Booting from ROM')
    m.wait_for(re.compile(r'net0: 00:15:5d:0a:0b:0c using ds21140 on 0000:00:0a.0'))
    m.wait_for('net0: 10.0.2.15/255.255.255.0')
    m.wait_for(re.compile(r'initrd\.img\.\.\.[^\n]* ok\n'))
    loaded = time.monotonic() - start
    m.wait_for('a shell, as gv.shell asked')
    m.wait_for('# ')
    if 'Microsoft Hyper-V' not in m.run('dmesg; echo done'):
        raise Failed('the kernel that came does not find Hyper-V')
    ids = m.run('cd /sys/bus/pci/devices/0000:00:0a.0; cat vendor device subsystem_vendor subsystem_device revision class')
    if ids.split()[-6:] != ['0x1011', '0x0009', '0x0a00', '0x2114', '0x20', '0x020000']:
        raise Failed(f'the adapter is {ids}')
    print(f'{url}: kernel and initial RAM disk loaded {loaded:.1f} s after the start', flush=True)
    m.kill()


def other_order(genvisor):
    """With a floppy drive and DVDs before it, and nothing from the network: the BIOS goes on to its end."""
    m = Machine(genvisor, 'run', '--generation', '1', '--memory', '64M', '--vga', 'off', '--com1', 'stdio',
                '--boot-order', 'LegacyNetworkAdapter,cd,floppy,ide', '--net', 'private,adapter=legacy')
    m.wait_for('Booting from ROM')
    m.wait_for('using ds21140')
    m.wait_for('No bootable device.')
    m.kill()


def test(genvisor, guest, scratch):
    if not os.path.exists(IMAGE):
        print(f'{IMAGE} is not there (package ipxe)')
        sys.exit(77)
    for f in ('vmlinuz', 'initrd.img'):
        shutil.copy(f'{guest}/{f}', scratch)
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Quiet, directory=scratch))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    boot(genvisor, scratch, 'tftp://10.0.2.2')
    boot(genvisor, scratch, f'http://10.0.2.2:{server.server_address[1]}')
    server.shutdown()
    other_order(genvisor)


main(test)

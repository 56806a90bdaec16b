"""iPXE's own Hyper-V driver, started by the BIOS from its CD: a lease, then a kernel by TFTP, and one by HTTP, over netvsc."""
import functools
import http.server
import os
import re
import shutil
import sys
import threading

from machine import Failed, Machine, Quiet, main

ISO = '/usr/lib/ipxe/ipxe.iso'


def boot(genvisor, folder, url):
    """Until the shell of the initial RAM disk that came from URL."""
    with open(f'{folder}/boot.ipxe', 'w') as f:
        f.write(f'#!ipxe\nkernel {url}/vmlinuz console=ttyS0 quiet gv.shell panic=-1\ninitrd {url}/initrd.img\nboot\n')
    m = Machine(genvisor, 'run', '--generation', '1', '--memory', '512M', '--dvd', ISO, '--vga', 'off', '--com1', 'stdio',
                '--net', f'nat,hostloopback=on,tftp={folder},bootfile=boot.ipxe')
    m.wait_for(re.compile(r'net0: 00:15:5d:\S+ using netvsc'))
    m.wait_for('net0: 10.0.2.15/255.255.255.0')
    m.wait_for('a shell, as gv.shell asked')
    m.wait_for('# ')
    if 'Microsoft Hyper-V' not in m.run('dmesg; echo done'):
        raise Failed('the kernel that came does not find Hyper-V')
    m.kill()


def test(genvisor, guest, scratch):
    if not os.path.exists(ISO):
        print(f'{ISO} is not there (package ipxe)')
        sys.exit(77)
    for f in ('vmlinuz', 'initrd.img'):
        shutil.copy(f'{guest}/{f}', scratch)
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Quiet, directory=scratch))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    boot(genvisor, scratch, 'tftp://10.0.2.2')
    boot(genvisor, scratch, f'http://10.0.2.2:{server.server_address[1]}')
    server.shutdown()


main(test)

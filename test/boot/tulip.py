"""Linux's own driver of the 21140: started from the network by that adapter, it carries data both ways, unharmed.

Debian's kernel for clouds has no such driver, so this is its kernel for all machines (linux-image-amd64), fetched once.
"""
import functools
import hashlib
import http.server
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time

from machine import Failed, Machine, main

IMAGE = '/usr/lib/ipxe/ipxe.lkrn'
MIB = int(sys.argv[3]) if len(sys.argv) > 3 else 32
HERE = os.path.dirname(os.path.abspath(__file__))


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.began = time.monotonic()
        super().do_GET()


class Sink(threading.Thread):
    """Takes one connection's bytes: their hash, and the seconds from the first to the last."""
    def __init__(self):
        super().__init__(daemon=True)
        self.socket = socket.create_server(('127.0.0.1', 0))
        self.port = self.socket.getsockname()[1]
        self.hash, self.seconds = hashlib.sha256(), 0.0
        self.start()

    def run(self):
        c, _ = self.socket.accept()
        start = None
        while (data := c.recv(1 << 20)):
            start = start or time.monotonic()
            self.hash.update(data)
        self.seconds = time.monotonic() - (start or 0)
        c.close()


def kernel(folder):
    """The kernel and an initial RAM disk with the driver, in FOLDER."""
    out = f'{folder}/amd64'
    if not os.path.exists(f'{out}/initrd.img'):
        deps = subprocess.run(['apt-cache', 'depends', 'linux-image-amd64'], capture_output=True, text=True).stdout
        name = re.search(r'Depends: (linux-image-\S+)', deps)
        work = f'{out}.making'
        shutil.rmtree(work, ignore_errors=True)
        os.makedirs(work)
        got = name and subprocess.run(['apt-get', 'download', '-q', '-o', 'APT::Sandbox::User=root', name.group(1)],
                                      cwd=work, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
        if not got:
            shutil.rmtree(work)
            print('linux-image-amd64 cannot be fetched (apt-get update?)')
            sys.exit(77)
        deb = [f for f in os.listdir(work) if f.endswith('.deb')][0]
        subprocess.check_call(['dpkg-deb', '-x', f'{work}/{deb}', f'{work}/x'])
        version = os.listdir(f'{work}/x/lib/modules')[0]
        subprocess.check_call([f'{HERE}/../../tool/mkinitrd.sh', f'{work}/x/lib/modules/{version}', f'{work}/initrd.img'],
                              env=dict(os.environ, MODULES='tulip'))
        os.rename(f'{work}/x/boot/vmlinuz-{version}', f'{work}/vmlinuz')
        shutil.rmtree(f'{work}/x')
        os.remove(f'{work}/{deb}')
        shutil.rmtree(out, ignore_errors=True)
        os.rename(work, out)
    return out


def start(genvisor, folder):
    with open(f'{folder}/boot.ipxe', 'w') as f:
        f.write('#!ipxe\nkernel tftp://10.0.2.2/vmlinuz console=ttyS0 quiet gv.shell panic=-1\n'
                'initrd tftp://10.0.2.2/initrd.img\nboot\n')
    m = Machine(genvisor, 'run', '--generation', '1', '--memory', '512M', '--vga', 'off', '--com1', 'stdio', '--net',
                f'nat,adapter=legacy,mac=00:15:5d:0a:0b:0c,hostloopback=on,tftp={folder},bootfile=boot.ipxe')
    m.wait_for('a shell, as gv.shell asked')
    m.wait_for('# ')
    said = m.run('dmesg | grep -i tulip')
    for words in 'Digital DS21140 Tulip rev 32', '00:15:5d:0a:0b:0c', 'MII transceiver #1 config 3100 status 782d':
        if words not in said.replace('\n', ''):
            raise Failed(f'the driver never said {words!r}:\n{said}')
    m.run('ip addr add 10.0.2.15/24 dev eth0 && ip link set eth0 up && sleep 3 && ping -c 3 10.0.2.2')
    return m


def rates(m, server, folder):
    """Mbit/s to the guest, and from it."""
    want = hashlib.sha256(open(f'{folder}/big', 'rb').read()).hexdigest()
    m.run(f'wget -q -O /big http://10.0.2.2:{server.server_address[1]}/big', 600)
    down = time.monotonic() - server.began
    if want not in m.run('sha256sum /big'):
        raise Failed('what came is not what was sent')
    sink = Sink()
    m.run(f'nc 10.0.2.2 {sink.port} < /big', 600)
    sink.join(60)
    if sink.hash.hexdigest() != want:
        raise Failed('what the guest sent did not come')
    return MIB * 8 * 1.048576 / down, MIB * 8 * 1.048576 / sink.seconds


def counters(m):
    """What the driver and TCP call errors."""
    names = 'rx_errors tx_errors rx_dropped tx_dropped rx_crc_errors rx_length_errors rx_missed_errors tx_aborted_errors'.split()
    got = m.run('cd /sys/class/net/eth0/statistics; cat ' + ' '.join(names) + '; cd /').split()[-len(names):]
    tcp = [line.split() for line in m.run('grep ^Tcp: /proc/net/snmp').splitlines() if line.startswith('Tcp:')]
    both = dict(zip(*tcp))
    return dict(zip(names, got), InErrs=both['InErrs'], InCsumErrors=both['InCsumErrors'])


def test(genvisor, guest, scratch):
    if not os.path.exists(IMAGE):
        print(f'{IMAGE} is not there (package ipxe)')
        sys.exit(77)
    out = kernel(os.path.dirname(guest))
    for f in 'vmlinuz', 'initrd.img':
        shutil.copy(f'{out}/{f}', scratch)
    with open(f'{scratch}/big', 'wb') as f:
        f.write(os.urandom(MIB << 20))
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Quiet, directory=scratch))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    m = start(genvisor, scratch)
    # The driver counts its own stop, when the link turned out to be full duplex, as an error.
    before = counters(m)
    down, up = rates(m, server, scratch)
    if (after := counters(m)) != before:
        raise Failed(f'errors: {before}, then {after}')
    # Down and up again, with a group joined: setup frames, new lists.
    m.run('ip link set eth0 down; ip link set eth0 up; ip maddr add 01:00:5e:00:00:fb dev eth0; sleep 3; ping -c 2 10.0.2.2')
    server.shutdown()
    m.kill()
    print(f'{MIB} MiB by TCP, checksums right: {down:.0f} Mbit/s to the guest, {up:.0f} Mbit/s from it', flush=True)


main(test)

"""The demo guest on NAT, as make run starts it: lease, IPv6, ping, DNS, offloads, ssh, apt, files both ways.

A third argument says how many MiB go each way (48)."""
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

from machine import PROMPT, Machine, Quiet, expect, free_port, guest_args, main

MIB = int(sys.argv[3]) if len(sys.argv) > 3 else 48
CPUS = 2


class Files(Quiet):
    """A folder to read, and a count and hash of what is put."""
    put = {}

    def do_PUT(self):
        h, left = hashlib.sha256(), int(self.headers['Content-Length'])
        while left and (piece := self.rfile.read(min(left, 1 << 20))):
            h.update(piece)
            left -= len(piece)
        self.put[self.path] = h.hexdigest()
        self.send_response(200)
        self.end_headers()


def repository(web):
    """A mirror with one package."""
    tree = f'{web}/tree'
    os.makedirs(f'{tree}/DEBIAN')
    os.makedirs(f'{tree}/usr/share/genvisor-test')
    with open(f'{tree}/DEBIAN/control', 'w') as f:
        f.write('Package: genvisor-test\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\n'
                'Description: a package for a test\n')
    with open(f'{tree}/usr/share/genvisor-test/here', 'w') as f:
        f.write('it came by apt\n')
    deb = f'{web}/genvisor-test_1_all.deb'
    subprocess.check_call(['dpkg-deb', '--root-owner-group', '-b', tree, deb], stdout=subprocess.DEVNULL)
    with open(deb, 'rb') as f:
        data = f.read()
    control = open(f'{tree}/DEBIAN/control').read()
    with open(f'{web}/Packages', 'w') as f:
        f.write(f'{control}Filename: ./{os.path.basename(deb)}\nSize: {len(data)}\n'
                f'SHA256: {hashlib.sha256(data).hexdigest()}\n')


def wait_for_lease(m):
    """Until ssh listens, which is the last thing that comes up; the IPv6 address a router's answer later."""
    m.run('for i in $(seq 300); do pgrep dropbear > /dev/null && break; sleep 0.1; done; pgrep dropbear')
    m.run('for i in $(seq 100); do ip -6 addr show eth0 | grep -q "scope site" && break; sleep 0.1; done')
    text = m.run('ip addr show eth0; ip route; cat /etc/resolv.conf')
    for words in ('inet 10.0.2.15/24', 'inet6 fec0::', 'default via 10.0.2.2', 'nameserver 10.0.2.3'):
        expect(f'{words} in {text}', words in text, True)


def names(m):
    try:
        socket.gethostbyname('deb.debian.org')
    except OSError:
        print('names: this host finds none itself: skipped')
        return
    text = m.run('busybox nslookup deb.debian.org')
    expect(f'an address in {text}', bool(re.search(r'Name:\s+\S+\nAddress', text)), True)


def offloads(m):
    """All on, as many queues as processors."""
    text = m.run('ethtool -k eth0')
    for f in ('rx-checksumming', 'tx-checksum-ipv4', 'tx-checksum-ipv6', 'tx-tcp-segmentation', 'tx-tcp6-segmentation',
              'large-receive-offload', 'receive-hashing', 'rx-vlan-offload'):
        expect(f, re.search(rf'{f}: (\S+)', text).group(1), 'on')
    expect('channels', re.findall(r'Combined:\s+(\d+)', m.run('ethtool -l eth0')), [str(CPUS)] * 2)


def statistics(m):
    return {k: int(v) for k, v in re.findall(r'(\S+): (\d+)', m.run('ethtool -S eth0'))}


def files(m, web, port):
    """MIB each way, with checksums; packets of both directions are large ones."""
    h = hashlib.sha256()
    with open(f'{web}/big', 'wb') as f:
        for _ in range(MIB):
            piece = os.urandom(1 << 20)
            h.update(piece)
            f.write(piece)
    before = statistics(m)
    got = m.run(f'busybox wget -q -O - http://10.0.2.2:{port}/big | sha256sum', 1200).split()[0]
    expect('what came', got, h.hexdigest())
    # The same again to the host: nothing else in the guest is as large.
    m.run(f'busybox wget -q -O /dev/shm/big http://10.0.2.2:{port}/big' if MIB <= 128 else
          f'busybox wget -q -O /root/big http://10.0.2.2:{port}/big; ln -s /root/big /dev/shm/big', 1200)
    m.run('exec 3<>/dev/tcp/10.0.2.2/%d; (printf "PUT /big HTTP/1.0\\r\\nContent-Length: %d\\r\\n\\r\\n"; '
          'cat /dev/shm/big) >&3; grep -q 200 <&3; r=$?; exec 3<&-; rm -f /root/big /dev/shm/big; [ $r = 0 ]'
          % (port, MIB << 20), 1200)
    expect('what went', Files.put['/big'], h.hexdigest())
    after = statistics(m)
    for way in ('tx', 'rx'):
        n, size = (sum(after[k] - before[k] for k in after if re.fullmatch(rf'{way}_queue_\d+_{what}', k))
                   for what in ('packets', 'bytes'))
        expect(f'{way}: {size} bytes in {n} packets', size > MIB << 20, True)
    sums = m.run("sed -n '/^Tcp: [0-9]/s/.* //p' /proc/net/snmp").strip()
    expect('wrong checksums', sums, '0')


def apt(m, port):
    m.run('mkdir /tmp/apt && echo "deb [trusted=yes] http://10.0.2.2:%d ./" > /tmp/apt/list' % port)
    o = '-o Dir::Etc::SourceList=/tmp/apt/list -o Dir::Etc::SourceParts=/dev/null'
    m.run(f'apt-get {o} update && DEBIAN_FRONTEND=noninteractive apt-get {o} install -y genvisor-test')
    expect('the package', m.run('cat /usr/share/genvisor-test/here').strip(), 'it came by apt')


def ssh(port):
    r = subprocess.run(['ssh', '-p', str(port), '-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null',
                        '-o', 'BatchMode=yes', 'root@127.0.0.1', 'cat /etc/hostname; sha256sum'],
                       input=b'x' * 3000000, capture_output=True, timeout=120)
    expect('ssh', r.stdout.decode().split(), ['genvisor', hashlib.sha256(b'x' * 3000000).hexdigest(), '-'])


def test(genvisor, guest, scratch):
    disk, web, forwarded = f'{scratch}/root.vhdx', f'{scratch}/web', free_port()
    shutil.copy(f'{guest}/root.vhdx', disk)
    os.mkdir(web)
    repository(web)
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Files, directory=web))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    m = Machine(genvisor, *guest_args(guest, disk, cpus=CPUS),
                '--net', f'nat,hostloopback=on,hostfwd=tcp::{forwarded}-:22')
    m.wait_for(PROMPT)
    m.run('dmesg -n 1')
    wait_for_lease(m)
    m.run('busybox ping -c 2 10.0.2.2')
    m.run('busybox ping6 -c 2 fec0::2')
    names(m)
    offloads(m)
    start = time.monotonic()
    files(m, web, port)
    print(f'{MIB} MiB in twice and out once: {time.monotonic() - start:.1f} s')
    if shutil.which('ssh'):
        ssh(forwarded)
    else:
        print('ssh: this host has no client: skipped')
    apt(m, port)
    m.send('poweroff\n')
    expect('status', m.end(), 0)
    server.shutdown()


main(test)

"""Linux's hv_netvsc: two adapters on a private switch (addresses, carrier, queues, traffic, MTU, reload, reboot), one on NAT."""
import functools
import hashlib
import http.server
import json
import os
import re
import shutil
import subprocess
import threading
import urllib.request

from machine import PROMPT, Machine, Quiet, expect, free_port, guest_args, main

MAC = ['00:15:5d:0a:0b:01', '00:15:5d:0a:0b:02']
SIZE = 30000000


def up(m, mtu=1500):
    """The adapters in namespaces a and b, so that what one sends to the other passes the wire."""
    m.run('dmesg -n 1; pkill rc.net; pkill busybox; modprobe hv_netvsc; sleep 1')    # what the guest does by itself
    for ns, dev, mac in zip('ab', ('eth0', 'eth1'), MAC):
        link = m.run(f'ip link show {dev}')
        expect(f'{dev} has the address', mac in link, True)
        m.run(f'ip netns del {ns} 2>/dev/null; ip netns add {ns} && ip link set {dev} netns {ns}')
        n = 1 + (ns == 'b')
        m.run(f'ip netns exec {ns} sh -c "ip link set {dev} mtu {mtu} && ip addr add 10.9.0.{n}/24 dev {dev} && '
              f'ip -6 addr add fd09::{n}/64 dev {dev} nodad && ip link set {dev} up"')
    for ns, dev in zip('ab', ('eth0', 'eth1')):
        m.run(f'for i in $(seq 100); do [ "$(ip netns exec {ns} cat /sys/class/net/{dev}/carrier)" = 1 ] && break; '
              'sleep 0.1; done')
        expect('carrier', m.run(f'ip netns exec {ns} cat /sys/class/net/{dev}/carrier').strip(), '1')


def traffic(m, size=SIZE):
    m.run('ip netns exec a busybox ping -c 3 10.9.0.2')
    m.run('ip netns exec a busybox ping -c 2 -s 20000 10.9.0.2')
    m.run('ip netns exec b busybox ping6 -c 2 fd09::1')
    m.run(f'mkdir -p /tmp/w && cd /tmp/w && head -c {size} /dev/urandom > x && sha256sum x > sum && '
          'for n in a b; do ip netns exec $n busybox httpd -f -p 80 -h /tmp/w & echo $! >> pids; done; sleep 0.3')
    for ns, url in (('a', '10.9.0.2'), ('b', '10.9.0.1'), ('a', '[fd09::2]'), ('b', '[fd09::1]')):
        m.run(f'mkdir -p in && cd in && rm -f x && ip netns exec {ns} busybox wget -q http://{url}/x && '
              'sha256sum -c ../sum; r=$?; cd ..; [ $r = 0 ]')
    m.run('kill $(cat pids); wait; cd; rm -r /tmp/w')


def counters(m, ns, dev):
    return [int(m.run(f'ip netns exec {ns} cat /sys/class/net/{dev}/statistics/{c}'))
            for c in ('tx_packets', 'tx_bytes', 'rx_packets', 'rx_bytes', 'rx_errors', 'tx_errors')]


def nat(m, scratch, forwarded):
    """DHCP, then the host's web server from the guest, then the guest's from the host."""
    data = os.urandom(SIZE)
    os.mkdir(f'{scratch}/web')
    with open(f'{scratch}/web/x', 'wb') as f:
        f.write(data)
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Quiet, directory=f'{scratch}/web'))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    m.run('ip link set eth2 up')
    lease = m.run('busybox udhcpc -i eth2 -n -q -s /bin/true 2>&1')
    expect('a lease', 'lease of 10.0.2.15 obtained from 10.0.2.2' in lease, True)
    m.run('ip addr replace 10.0.2.15/24 dev eth2 && ip route replace default via 10.0.2.2')
    m.run('busybox ping -c 1 10.0.2.2')
    m.run(f'mkdir /tmp/n && busybox wget -q -O /tmp/n/x http://10.0.2.2:{server.server_address[1]}/x')
    expect('what came', m.run('sha256sum < /tmp/n/x').split()[0], hashlib.sha256(data).hexdigest())
    m.run('busybox httpd -p 80 -h /tmp/n')
    with urllib.request.urlopen(f'http://127.0.0.1:{forwarded}/x', timeout=60) as r:
        expect('what went', hashlib.sha256(r.read()).hexdigest(), hashlib.sha256(data).hexdigest())
    server.shutdown()


def shown(genvisor, m, scratch):
    """What the machine's own switches say of themselves."""
    out = subprocess.run([genvisor, 'net', 'show', '--json', '--machine', str(m.proc.pid)], capture_output=True, text=True)
    switches = {s['name']: s for s in json.loads(out.stdout)['switches']}
    expect('its switches', {n: [p['name'] for p in s['ports']] for n, s in switches.items()},
           {'private': ['net0', 'net1'], 'nat2': ['net2', 'nat']})
    expect('addresses', [p['mac'] for p in switches['private']['ports']], MAC)
    expect('what passed', min(p['sent_bytes'] for p in switches['private']['ports']) > 2 * SIZE, True)
    owners = {p['name']: p['owner'] for s in switches.values() for p in s['ports']}
    expect('who counts', {n: o['kind'] for n, o in owners.items()}, {'net0': 'netvsc', 'net1': 'netvsc', 'net2': 'netvsc', 'nat': 'nat'})
    expect('what it counts', min(owners['net0'][f'{way}-guest-bytes'] for way in ('from', 'to')) > SIZE, True)
    return owners


def test(genvisor, guest, scratch):
    os.environ['XDG_RUNTIME_DIR'] = scratch
    disk = f'{scratch}/root.vhdx'
    shutil.copy(f'{guest}/root.vhdx', disk)
    forwarded = free_port()
    m = Machine(genvisor, *guest_args(guest, disk), '--verbose',
                *[a for mac in MAC for a in ('--net', f'private,mac={mac}')],
                '--net', f'nat,hostloopback=on,hostfwd=tcp::{forwarded}-:80')
    m.wait_for(PROMPT)
    up(m)
    expect('NVSP', len(re.findall(r'the guest speaks NVSP 6\.1', m.log)), 3)
    expect('speed', m.run('ip netns exec a cat /sys/class/net/eth0/speed').strip(), '10000')
    expect('queues, one a processor', m.run('ip netns exec a ls /sys/class/net/eth0/queues').split(),
           ['rx-0', 'rx-1', 'tx-0', 'tx-1'])
    traffic(m)
    for ns, dev in zip('ab', ('eth0', 'eth1')):
        tx, tx_bytes, rx, rx_bytes, rx_errors, tx_errors = counters(m, ns, dev)
        expect('errors', (rx_errors, tx_errors), (0, 0))
        # A packet of the wire is at most 1514 bytes; large sends are many in one.
        expect('large sends are used', tx_bytes / tx > 2000, True)
        expect('and arrive coalesced', rx_bytes / rx > 2000, True)
        sums = m.run(f"ip netns exec {ns} sed -n '/^Tcp: [0-9]/s/.* //p' /proc/net/snmp").strip()
        expect('wrong checksums', sums, '0')

    shown(genvisor, m, scratch)
    nat(m, scratch, forwarded)
    owners = shown(genvisor, m, scratch)
    expect('what the NAT counts', min(owners['nat'][f'{way}-guests-bytes'] for way in ('from', 'to')) > SIZE, True)

    # Another MTU: the driver closes the channel and begins again.
    m.run('for n in "a eth0" "b eth1"; do set -- $n; ip netns exec $1 ip link set $2 mtu 9000; done; sleep 1')
    m.run('ip netns exec a busybox ping -c 2 -s 8900 10.9.0.2')
    traffic(m, 5000000)
    m.run('rmmod hv_netvsc; for n in a b; do ip netns del $n; done')
    up(m)
    traffic(m, 5000000)
    m.send('reboot\n')
    m.wait_for('Linux version')
    m.wait_for(PROMPT)
    up(m)
    traffic(m, 1000000)
    errors = [l for l in m.run('dmesg --level=emerg,alert,crit,err').splitlines()
              if 'PCI: Fatal: No config space' not in l]      # a Generation 2 machine has none
    expect('errors in the log', errors, [])
    m.send('poweroff\n')
    expect('status', m.end(), 0)


main(test)

"""Two machines on one shared switch: traffic, each policy both ways, captures, and the sudden death of either side."""
import os
import re
import shutil
import signal
import struct
import subprocess
import time

from machine import PROMPT, Machine, Net, expect, guest_args, main

MAC = ['00:15:5d:0c:00:01', '00:15:5d:0c:00:02']
OTHER_MAC = '02:00:00:00:00:02'
SIZE = 100 * 1000 * 1000


def up(m, n):
    m.run('dmesg -n 1; modprobe hv_netvsc; modprobe 8021q 2>/dev/null; for i in $(seq 50); do [ -e /sys/class/net/eth0 ] && break; sleep 0.1; done')
    m.run(f'ip addr add 10.9.0.{n}/24 dev eth0; ip -6 addr add fd09::{n}/64 dev eth0 nodad; ip link set eth0 up; '
          'for i in $(seq 50); do [ "$(cat /sys/class/net/eth0/carrier)" = 1 ] && break; sleep 0.1; done')


def boot(genvisor, guest, scratch, n, *words, more=()):
    disk = f'{scratch}/root{n}.vhdx'
    if not os.path.exists(disk):
        shutil.copy(f'{guest}/root.vhdx', disk)
    return Machine(genvisor, *guest_args(guest, disk, cpus=1, memory='256M'), '--net',
                   ','.join(['switch=lan', f'mac={MAC[n - 1]}', f'port=vm{n}', *words]),
                   *[a for net in more for a in ('--net', net)])


def reaches(m, what='busybox ping -c 3 -w 6 10.9.0.{}', to=2):
    m.send(what.format(to) + ' > /dev/null 2>&1; echo "=re""ach $?="\n')
    m.wait_for(re.compile(r'=reach \d+=\n'))
    status = re.search(r'=reach (\d+)=\n$', m.log[:m.at]).group(1)
    m.wait_for('# ')
    return status == '0'


def traffic(a, b, size):
    """SIZE bytes from B to A by TCP, whole; bytes a second."""
    b.run(f'mkdir -p /tmp/w; head -c {size} /dev/urandom > /tmp/w/x; '
          'busybox httpd -p 80 -h /tmp/w 2> /dev/null; true')
    want = b.run('sha256sum < /tmp/w/x').split()[0]
    t0 = time.monotonic()
    a.run('busybox wget -q -O /tmp/y http://10.9.0.2/x')
    took = time.monotonic() - t0
    expect('what came', a.run('sha256sum < /tmp/y; rm /tmp/y').split()[0], want)
    return size / took


def takes_address(m, mac):
    out = m.run(f'ip link set eth0 down; ip link set eth0 address {mac} > /dev/null 2>&1; echo "said $?"; ip link set eth0 up; '
                'for i in $(seq 50); do [ "$(cat /sys/class/net/eth0/carrier)" = 1 ] && break; sleep 0.1; done')
    return 'said 0' in out


def policies(net, a, b):
    """Each as the administrator sets it while both run: what it must pass, what it must stop, and who counts it."""
    def b_is(words):
        net('switch', 'port', 'lan', 'vm2', words)

    def drops(port, why):
        return net.port('lan', port)['drops'].get(why, 0)

    net('switch', 'port', 'lan', 'vm1', 'vlan=5')
    expect('another VLAN', reaches(a), False)
    b_is('vlan=5')
    expect('the same VLAN', reaches(a), True)
    expect('another VLAN is counted', drops('vm1', 'vlan') + drops('vm1', 'no-destination') > 0, True)
    net('switch', 'port', 'lan', 'vm1', '--clear')
    net('switch', 'port', 'lan', 'vm2', '--clear')
    expect('without VLANs', reaches(a), True)

    get = 'busybox timeout 5 busybox wget -q -O /dev/null http://10.9.0.{}/small'
    b.run('echo small > /tmp/w/small')
    b_is('acl=deny in tcp local-port 80')
    expect('what the rule does not name', reaches(a), True)
    expect('what it names', reaches(a, get), False)
    rule, = net.port('lan', 'vm2')['rules']
    expect('the rule', rule['rule'], 'deny in ip tcp local-port 80')
    expect('met', 0 < rule['frames'] <= drops('vm2', 'acl-in'), True)
    b_is('acl=deny in tcp local-port 80,acl=allow in ip4 tcp remote 10.9.0.1 weight 5')
    expect('a heavier rule', reaches(a, get), True)
    b_is('acl=deny in ip,acl=allow out ip stateful')
    expect('in, with nobody asked', reaches(a), False)
    expect('answers to what went out', reaches(b, to=1), True)
    b_is('acl=deny out udp')
    before = drops('vm2', 'acl-out')
    b.run('bash -c "echo x > /dev/udp/10.9.0.1/9"')
    expect('out', drops('vm2', 'acl-out') > before, True)

    b_is('dhcp-guard')
    b.run('bash -c "echo x > /dev/udp/10.9.0.1/68"')
    expect('a DHCP server', drops('vm2', 'dhcp-guard') > 0, True)
    expect('no DHCP', reaches(a), True)
    b_is('addr-guard=10.9.0.2+fd09::2+fe80::/10')
    expect('its own address', reaches(a), True)
    b.run('ip addr add 10.9.0.77/32 dev eth0')
    a.run('ip neigh flush dev eth0')
    expect('another address', reaches(a, to=77), False)
    expect('is counted', drops('vm2', 'address-spoofing') > 0, True)
    b_is('spoof=off')
    expect('another address, without the guard', reaches(a, to=77), True)
    b.run('ip addr del 10.9.0.77/32 dev eth0')

    b_is('storm=5')
    before = drops('vm2', 'storm-limit')
    b.run('for i in $(seq 100 160); do busybox ping -c 1 -w 1 10.9.0.$i > /dev/null 2>&1 & done; wait; true')
    expect('broadcasts above the limit', drops('vm2', 'storm-limit') > before, True)
    expect('and others', reaches(b, to=1), True)
    for words in ('max-out=40M', 'max-in=40M'):
        net('switch', 'port', 'lan', 'vm2' if words.startswith('max-out') else 'vm1', words)
        rate = traffic(a, b, 10000000) * 8 / 1e6
        print(f'{words}: {rate:.1f} Mbit/s')
        expect(words, 15 < rate < 42, True)
    net('switch', 'port', 'lan', 'vm1', '--clear')
    net('switch', 'port', 'lan', 'vm2', '--clear')

    # Another address than the one the switch knows: its adapter takes none, until it may.
    expect('another station address', takes_address(b, OTHER_MAC), False)
    b_is('spoof=on')
    expect('where it may', [takes_address(b, OTHER_MAC), reaches(b, to=1)], [True, True])
    expect('learned', [e['port'] for e in net.show('lan')['learned'] if e['mac'] == OTHER_MAC], ['vm2'])
    net('switch', 'port', 'lan', 'vm2', '--clear')
    expect('no more', reaches(b, to=1), False)
    expect('is counted', drops('vm2', 'mac-spoofing') > 0, True)
    expect('its own', [takes_address(b, MAC[1]), reaches(b, to=1)], [True, True])
    expect('after all that', reaches(a), True)


def packets(path):
    """How many packets a pcapng file has."""
    with open(path, 'rb') as f:
        data = f.read()
    at = n = 0
    while at + 12 <= len(data):
        kind, size = struct.unpack_from('<II', data, at)
        n += kind == 6
        at += size
    expect('the file ends with a block', at, len(data))
    return n


def capture(net, genvisor, scratch, a):
    path = f'{scratch}/live.pcapng'
    p = subprocess.Popen([genvisor, 'switch', 'capture', 'lan', path], stderr=subprocess.PIPE, text=True)
    expect('ports', '2 ports into' in p.stderr.readline(), True)
    expect('while it is captured', reaches(a), True)
    expect('it is seen', net.port('lan', 'vm1')['captured'], True)
    p.send_signal(signal.SIGINT)
    said = p.stderr.read()
    expect('status', p.wait(30), 0)
    n = int(re.search(r'(\d+) frames, 0 lost', said).group(1))
    expect('frames', (packets(path), n >= 12), (n, True))


class Host:
    """An internal switch whose host is a network namespace of its own, where root may make one."""
    def __init__(self, net, genvisor):
        self.proc = None
        if os.geteuid() != 0 or not os.path.exists('/dev/net/tun') or not shutil.which('ip'):
            return
        net('switch', 'new', '--kind', 'internal', '--host', 'gv-host', 'inside')
        self.proc = subprocess.Popen(['unshare', '-n', genvisor, 'switch', 'run', '--foreground', 'inside'])
        for _ in range(100):
            if self('ip', 'link', 'show', 'gv-host').returncode == 0:
                break
            time.sleep(0.1)
        expect('the host', self('ip', 'addr', 'add', '10.8.0.254/24', 'dev', 'gv-host').returncode, 0)

    def __call__(self, *args):
        return subprocess.run(['nsenter', '-t', str(self.proc.pid), '-n', *args], capture_output=True, timeout=30)

    def close(self):
        if self.proc and self.proc.poll() is None:
            self.proc.terminate()
            self.proc.wait()


def ways_out(net, host, b):
    """Of B, on switches with a gateway and with the host."""
    b.run('ip link set eth1 up')
    lease = b.run('busybox udhcpc -i eth1 -n -q -s /bin/true 2>&1')
    expect('a lease from the NAT of a shared switch', 'lease of 10.0.2.15 obtained from 10.0.2.2' in lease, True)
    b.run('ip addr add 10.0.2.15/24 dev eth1; busybox ping -c 1 10.0.2.2')
    expect('ports', [p['name'] for p in net.show('out')['ports']], ['nat', 'uses-nat'])
    if host.proc is None:
        print('no namespace: the host is not tried')
        return
    b.run('ip addr add 10.8.0.2/24 dev eth2; ip link set eth2 up')
    expect('the host', reaches(b, 'busybox ping -c 3 -w 6 10.8.0.{}', 254), True)
    expect('from the host', host('busybox', 'ping', '-c', '2', '-w', '5', '10.8.0.2').returncode, 0)
    learned = [e['port'] for e in net.show('inside')['learned']]
    expect('the host is learned', learned, ['host'])
    net('switch', 'port', 'inside', 'host', 'acl=deny out icmp')
    expect('the host is held to what is said of it', reaches(b, 'busybox ping -c 2 -w 3 10.8.0.{}', 254), False)


def test(genvisor, guest, scratch):
    host = None
    try:
        net = Net(genvisor, scratch)
        host = Host(net, genvisor)
        story(genvisor, guest, scratch, net, host)
    finally:
        if host is not None:
            host.close()


def story(genvisor, guest, scratch, net, host):
    net('switch', 'new', 'lan')
    a = boot(genvisor, guest, scratch, 1, f'capture={scratch}/vm1.pcapng')
    b = boot(genvisor, guest, scratch, 2)
    a.wait_for(PROMPT)
    b.wait_for(PROMPT)
    up(a, 1)
    up(b, 2)
    expect('ping', reaches(a), True)
    expect('ping6', reaches(a, 'busybox ping6 -c 2 -w 6 fd09::{}'), True)
    print(f'{traffic(a, b, SIZE) / 1e6:.0f} MB/s')
    print(net('net', 'show'))
    capture(net, genvisor, scratch, a)
    policies(net, a, b)

    # A machine dies: the other goes on, and the port is free for its successor.
    b.kill()
    net('switch', 'new', '--kind', 'nat', '--policy', 'dhcp-guard,router-guard', 'out')
    b = boot(genvisor, guest, scratch, 2, more=['switch=out,port=uses-nat'] + ['switch=inside,port=in'] * bool(host.proc))
    expect('a dead machine', reaches(a), False)
    b.wait_for(PROMPT)
    up(b, 2)
    expect('its successor', reaches(a), True)
    ways_out(net, host, b)

    # The switch dies: the cable is out, then in again, at another process.
    process = net.show('lan')['process']
    os.kill(process, signal.SIGKILL)
    a.wait_for('switch lan is there again')
    b.wait_for('switch lan is there again')
    expect('another switch', net.show('lan')['process'] != process, True)
    expect('after the switch died', reaches(a), True)
    print(f'{traffic(a, b, 10000000) / 1e6:.0f} MB/s')
    process = net.show('lan')['process']
    for m in (a, b):
        m.send('poweroff\n')
        expect('status', m.end(), 0)
    for _ in range(150):
        if not os.path.exists(f'/proc/{process}'):
            break
        time.sleep(0.1)
    expect('the switch is gone when nobody needs it', os.path.exists(f'/proc/{process}'), False)
    net('switch', 'remove', 'lan')
    expect('the capture of an adapter', packets(f'{scratch}/vm1.pcapng') > 1000, True)


main(test)

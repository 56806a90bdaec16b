"""Crafted frames between the ports of two machines on a shared switch: what each policy must pass, and what it must stop."""
import os
import re
import shutil
import socket
import struct
import time

from machine import PROMPT, Failed, Machine, Net, expect, guest_args, main, program_disk

HERE = os.path.dirname(os.path.abspath(__file__))
ADAPTERS = {'a': 2, 'b': 3}             # machines and how many they have: a0, a1, b0, b1, b2
MAC = {f'{m}{i}': f'00:15:5d:0d:0{"ab".index(m)}:0{i}' for m, nr in ADAPTERS.items() for i in range(nr)}
ALL = 'ff:ff:ff:ff:ff:ff'
OTHER = '02:00:00:00:00:99'
LONG = 14                               # frames in one line of the guest's terminal


# ---- frames ----------------------------------------------------------------

def mac(text):
    return bytes.fromhex(text.replace(':', ''))


def checksum(data):
    data += bytes(len(data) % 2)
    n = sum(struct.unpack(f'>{len(data) // 2}H', data))
    while n >> 16:
        n = (n & 0xffff) + (n >> 16)
    return struct.pack('>H', ~n & 0xffff)


def eth(src, dst, kind, payload=b'', tag=None):
    tags = b'' if tag is None else struct.pack('>HH', 0x8100, tag)
    return mac(MAC.get(dst, dst)) + mac(MAC.get(src, src)) + tags + struct.pack('>H', kind) + payload


def plain(src, dst=ALL, tag=None):
    return eth(src, dst, 0x88b5, b'', tag)


def ip4(src, dst, proto, payload):
    h = struct.pack('>BBHHHBB', 0x45, 0, 20 + len(payload), 1, 0, 64, proto) + bytes(2) + socket.inet_aton(src) + socket.inet_aton(dst)
    return h[:10] + checksum(h) + h[12:] + payload


def pseudo(src, dst, proto, n):
    return socket.inet_pton(socket.AF_INET6, src) + socket.inet_pton(socket.AF_INET6, dst) + struct.pack('>II', n, proto)


def ip6(src, dst, proto, payload, hops=255):
    return struct.pack('>IHBB', 6 << 28, len(payload), proto, hops) + socket.inet_pton(socket.AF_INET6, src) + \
        socket.inet_pton(socket.AF_INET6, dst) + payload


def udp(sport, dport, payload=b'x' * 40):
    return struct.pack('>HHHH', sport, dport, 8 + len(payload), 0) + payload


def udp6(src, dst, sport, dport, payload=b'x' * 40):
    d = udp(sport, dport, payload)
    return ip6(src, dst, 17, d[:6] + checksum(pseudo(src, dst, 17, len(d)) + d) + d[8:])


def icmp4(kind, code=0, rest=bytes(32)):
    d = struct.pack('>BBH', kind, code, 0) + rest
    return d[:2] + checksum(d) + d[4:]


def icmp6(src, dst, kind, rest):
    d = struct.pack('>BBH', kind, 0, 0) + rest
    return ip6(src, dst, 58, d[:2] + checksum(pseudo(src, dst, 58, len(d)) + d) + d[4:])


def arp(op, sender_mac, sender, target_mac, target):
    return struct.pack('>HHBBH', 1, 0x0800, 6, 4, op) + mac(MAC.get(sender_mac, sender_mac)) + socket.inet_aton(sender) + \
        mac(MAC.get(target_mac, target_mac)) + socket.inet_aton(target)


def option(kind, port):
    return struct.pack('>BB', kind, 1) + mac(MAC.get(port, port))


def advert(port, router, lifetime=1800):
    """A router advertisement."""
    return eth(port, '33:33:00:00:00:01', 0x86dd,
               icmp6(router, 'ff02::1', 134, struct.pack('>BBHII', 64, 0, lifetime, 0, 0) + option(1, port)))


def neighbor(port, target, source=None, owner=None):
    """A neighbour advertisement: TARGET is at OWNER."""
    return eth(port, '33:33:00:00:00:01', 0x86dd,
               icmp6(source or target, 'ff02::1', 136, struct.pack('>I', 0x20000000) + socket.inet_pton(socket.AF_INET6, target) +
                     option(2, owner or port)))


# ---- the laboratory --------------------------------------------------------

class Lab:
    def __init__(self, genvisor, guest, scratch):
        self.net = Net(genvisor, scratch)
        self.net('switch', 'new', 'lab')
        raw, size = program_disk(scratch, [f'{HERE}/frames.c'])
        self.machines = {}
        for m, nr in ADAPTERS.items():
            disk = f'{scratch}/{m}.vhdx'
            shutil.copy(f'{guest}/root.vhdx', disk)
            shutil.copy(raw, f'{scratch}/{m}.raw')
            nets = [a for i in range(nr) for a in ('--net', f'switch=lab,port={m}{i},mac={MAC[f"{m}{i}"]}')]
            self.machines[m] = Machine(genvisor, *guest_args(guest, disk, cpus=1, memory='256M', root='LABEL=genvisor-root'),
                                       '--disk', f'{scratch}/{m}.raw', *nets)
        self.dev, self.said, self.marks, self.heard, self.queue = {}, set(), 0, {}, {}
        for m, machine in self.machines.items():
            machine.wait_for(PROMPT)
            self.prepare(m, machine, size)

    def prepare(self, m, machine, size):
        machine.run('dmesg -n 1; pkill rc.net; pkill busybox; modprobe hv_netvsc; '
                    f'head -c {size} /dev/$(ls /sys/bus/scsi/devices/0:0:0:1/block)1 > /bin/frames && chmod +x /bin/frames')
        nr = ADAPTERS[m]
        machine.run(f'for i in $(seq 50); do [ -e /sys/class/net/eth{nr - 1} ] && break; sleep 0.1; done')
        for line in machine.run('for i in /sys/class/net/eth*; do echo $i $(cat $i/address); done').splitlines():
            path, address = line.split()
            self.dev[next(p for p, a in MAC.items() if a == address)] = os.path.basename(path)
        devs = [self.dev[f'{m}{i}'] for i in range(nr)]
        for dev in devs:
            machine.run(f'sysctl -qw net.ipv6.conf.{dev}.accept_dad=0; ip link set {dev} up; '
                        f'for i in $(seq 50); do [ "$(cat /sys/class/net/{dev}/carrier)" = 1 ] && break; sleep 0.1; done')
        machine.run(f'(setsid frames hear {" ".join(devs)} >> /dev/shm/heard 2>&1 &); sleep 0.3; cat /dev/shm/heard')

    def policy(self, **words):
        """What counts for the ports from now on; of those that are not named, nothing."""
        for port in MAC:
            if port in words:
                self.net('switch', 'port', 'lab', port, words[port])
                self.said.add(port)
            elif port in self.said:
                self.net('switch', 'port', 'lab', port, '--clear')
                self.said.remove(port)
        self.before = self.all_drops()

    def all_drops(self):
        return {p['name']: p['drops'] for p in self.net.show('lab')['ports']}

    def drops(self, port, why):
        return self.all_drops()[port].get(why, 0) - self.before[port].get(why, 0)

    def send(self, port, frame, *to, times=1):
        """FRAME by PORT, with the next round; it is for each of TO, 'port' or 'port@vlan'."""
        self.marks += 1
        frame += bytes(max(0, 56 - len(frame))) + b'gvpf' + struct.pack('>I', self.marks)
        self.queue.setdefault(port, []).append((self.marks, times, frame, sorted(to)))
        return self.marks

    def listen(self):
        for m, machine in self.machines.items():
            for line in machine.run('cat /dev/shm/heard; : > /dev/shm/heard').splitlines():
                if not (f := re.fullmatch(r'(eth\d+) (\d+) (\d+) (\d+)', line.strip())):
                    raise Failed(f'heard {line!r}')
                port = next(p for p, d in self.dev.items() if d == f[1] and p[0] == m)
                self.heard.setdefault(int(f[2]), []).append(port + (f'@{f[3]}' if f[3] != '0' else ''))

    def send_queue(self):
        for port, frames in self.queue.items():
            for i in range(0, len(frames), LONG):
                words = ' '.join(f'{times} {frame.hex()}' for _, times, frame, _ in frames[i:i + LONG])
                self.machines[port[0]].run(f'frames send {self.dev[port]} {words}')
        sent = [f for frames in self.queue.values() for f in frames]
        self.queue = {}
        return sent

    def round(self, what, stopped=()):
        """Sends what is queued; each came where it was to and nowhere else.  STOPPED: (port, reason, how many)."""
        sent = self.send_queue()
        end = time.monotonic() + 5
        while time.monotonic() < end and any(to and sorted(self.heard.get(mark, [])) != to for mark, _, _, to in sent):
            self.listen()
        time.sleep(0.2)
        self.listen()
        if any(sorted(self.heard.get(mark, [])) != to for mark, _, _, to in sent):
            print(self.net('net', 'show'))
        for mark, _, frame, to in sent:
            expect(f'{what}: {frame[:-8].hex()} came to', sorted(self.heard.get(mark, [])), to)
        for port, why, n in stopped:
            got = self.drops(port, why)         # and what the guest says by itself
            expect(f'{what}: {got} frames of {port} were stopped as {why}, of at least {n}', got >= n, True)
        print(f'{what}: {sum(bool(f[3]) for f in sent)} frames passed, {sum(not f[3] for f in sent)} stopped', flush=True)


# ---- the policies ----------------------------------------------------------

def trunk(lab):
    lab.policy(a0='trunk=5+10-20,native=7', b0='vlan=5', b1='vlan=7', b2='trunk=1-100')
    lab.send('a0', plain('a0', tag=5), 'b0', 'b2@5')
    lab.send('a0', plain('a0', 'b0', tag=5), 'b0')
    lab.send('a0', plain('a0', tag=20), 'b2@20')
    lab.send('a0', plain('a0'), 'b1', 'b2@7')                   # without a tag: the native one
    lab.send('a0', plain('a0', tag=0), 'b1', 'b2@7')            # a priority, no VLAN
    lab.send('a0', plain('a0', tag=7), 'b1', 'b2@7')
    lab.send('a0', plain('a0', tag=6))
    lab.send('a0', plain('a0', tag=21))
    lab.send('a0', plain('a0', tag=4095))
    lab.send('b0', plain('b0'), 'a0@5', 'b2@5')
    lab.send('b0', plain('b0', tag=5))                          # access ports have no business with tags
    lab.send('b1', plain('b1'), 'a0', 'b2@7')
    lab.send('b2', plain('b2', tag=12), 'a0@12')
    lab.send('b2', plain('b2', tag=30))
    lab.send('b2', plain('b2', tag=101))
    lab.send('a1', plain('a1'), 'b2')                           # a trunk without native has the untagged network
    lab.round('trunk', [('a0', 'vlan', 3), ('b0', 'vlan', 1), ('b2', 'vlan', 1)])


def private_vlan(lab):
    lab.policy(a0='pvlan=isolated:100:101', b0='pvlan=isolated:100:101', a1='pvlan=community:100:102', b1='pvlan=community:100:102',
               b2='pvlan=promiscuous:100:101+102')
    lab.send('a0', plain('a0'), 'b2')
    lab.send('b0', plain('b0'), 'b2')
    lab.send('a0', plain('a0', 'b0'))
    lab.send('a0', plain('a0', 'a1'))
    lab.send('a0', plain('a0', 'b2'), 'b2')
    lab.send('a1', plain('a1'), 'b1', 'b2')
    lab.send('a1', plain('a1', 'b1'), 'b1')
    lab.send('a1', plain('a1', 'b0'))
    lab.send('b2', plain('b2'), 'a0', 'a1', 'b0', 'b1')
    lab.send('b2', plain('b2', 'a0'), 'a0')
    lab.send('b2', plain('b2', 'b1'), 'b1')
    lab.round('private VLAN')
    lab.policy(a1='pvlan=community:100:102', b1='pvlan=community:100:103', b2='pvlan=promiscuous:100:102')
    lab.send('a1', plain('a1'), 'b2')
    lab.send('a1', plain('a1', 'b1'))
    lab.send('b1', plain('b1'))
    lab.send('b2', plain('b2'), 'a1', 'b1')
    lab.round('another community')


def router_frames(lab, *to):
    """What only a router says."""
    redirect6 = icmp6('fe80::bad', 'fe80::1', 137, bytes(4) + socket.inet_pton(socket.AF_INET6, 'fe80::bad') +
                      socket.inet_pton(socket.AF_INET6, '2001:db8::1'))
    hop_by_hop = ip6('fe80::bad', 'ff02::1', 0, bytes([58, 0, 1, 4, 0, 0, 0, 0]) + bytes([134, 0, 0, 0]) + bytes(12))
    lab.send('a0', advert('a0', 'fe80::bad', 0), *to)
    lab.send('a0', eth('a0', '33:33:00:00:00:01', 0x86dd, redirect6), *to)
    lab.send('a0', eth('a0', '33:33:00:00:00:01', 0x86dd, hop_by_hop), *to)     # behind another header
    lab.send('a0', eth('a0', ALL, 0x0800, ip4('10.9.0.1', '10.9.0.2', 1, icmp4(5, 1, socket.inet_aton('10.9.0.66') + bytes(28)))), *to)
    lab.send('a0', eth('a0', ALL, 0x0800, ip4('10.9.0.1', '224.0.0.1', 1, icmp4(9))), *to)


def router_guard(lab):
    others = ['a1', 'b0', 'b1', 'b2']

    def default():
        return 'default' in lab.machines['b'].run(f'sleep 0.3; ip -6 route show dev {lab.dev["b0"]}')
    lab.policy(a0='router-guard')
    router_frames(lab)
    lab.send('a0', advert('a0', 'fe80::bad'))
    lab.send('a0', eth('a0', '33:33:00:00:00:02', 0x86dd, icmp6('fe80::1', 'ff02::2', 133, bytes(4))), *others)    # it may ask for one
    lab.send('a0', neighbor('a0', 'fe80::1'), *others)
    lab.send('a0', eth('a0', ALL, 0x0800, ip4('10.9.0.1', '10.9.0.2', 1, icmp4(8))), *others)
    lab.send('b0', advert('b0', 'fe80::600d', 0), 'a0', 'a1', 'b1', 'b2')         # nothing is said of that port
    lab.round('router guard', [('a0', 'router-guard', 6)])
    expect('the other kernel has a router', default(), False)
    lab.policy()
    router_frames(lab, *others)
    lab.send('a0', advert('a0', 'fe80::bad'), *others)
    lab.round('without router guard')
    expect('the other kernel has a router that is none', default(), True)
    lab.send('a0', advert('a0', 'fe80::bad', 0), *others)
    lab.round('and no more')


def dhcp_guard(lab):
    others = ['a1', 'b0', 'b1', 'b2']
    lab.policy(a0='dhcp-guard')
    lab.send('a0', eth('a0', ALL, 0x0800, ip4('10.9.0.1', '255.255.255.255', 17, udp(67, 68))))
    lab.send('a0', eth('a0', ALL, 0x0800, ip4('10.9.0.1', '255.255.255.255', 17, udp(1067, 68))))
    lab.send('a0', eth('a0', 'b0', 0x0800, ip4('10.9.0.1', '10.9.0.2', 17, udp(67, 67))))
    lab.send('a0', eth('a0', 'b0', 0x86dd, udp6('fe80::1', 'fe80::2', 547, 546)))
    lab.send('a0', eth('a0', ALL, 0x0800, ip4('0.0.0.0', '255.255.255.255', 17, udp(68, 67))), *others)
    lab.send('a0', eth('a0', '33:33:00:01:00:02', 0x86dd, udp6('fe80::1', 'ff02::1:2', 546, 547)), *others)
    lab.send('b0', eth('b0', 'a0', 0x0800, ip4('10.9.0.2', '10.9.0.1', 17, udp(67, 68))), 'a0')
    lab.round('DHCP guard', [('a0', 'dhcp-guard', 4)])


def addr_guard(lab):
    others = ['a1', 'b0', 'b1', 'b2']
    zero = '00:00:00:00:00:00'
    lab.policy(a0='addr-guard=10.9.0.1+fd09::1+fe80::1')
    lab.send('a0', eth('a0', ALL, 0x0806, arp(1, 'a0', '10.9.0.1', zero, '10.9.0.2')), *others)
    lab.send('a0', eth('a0', 'b0', 0x0806, arp(2, 'a0', '10.9.0.1', 'b0', '10.9.0.2')), 'b0')
    lab.send('a0', eth('a0', ALL, 0x0806, arp(1, 'a0', '0.0.0.0', zero, '10.9.0.1')), *others)     # is it taken?
    lab.send('a0', eth('a0', 'b0', 0x0806, arp(2, 'a0', '10.9.0.99', 'b0', '10.9.0.2')))
    lab.send('a0', eth('a0', ALL, 0x0806, arp(1, 'a0', '10.9.0.99', 'a0', '10.9.0.99')))
    lab.send('a0', eth('a0', ALL, 0x0806, arp(1, OTHER, '10.9.0.1', zero, '10.9.0.2')))             # another station
    lab.send('a0', neighbor('a0', 'fd09::1'), *others)
    lab.send('a0', neighbor('a0', 'fd09::99'))
    lab.send('a0', neighbor('a0', 'fd09::99', 'fd09::1'))
    lab.send('a0', neighbor('a0', 'fd09::1', 'fd09::99'))
    lab.send('a0', neighbor('a0', 'fd09::1', owner='b1'))
    lab.send('a0', eth('a0', '33:33:ff:00:00:02', 0x86dd, icmp6('fe80::1', 'ff02::1:ff00:2', 135, bytes(4) +
                                                               socket.inet_pton(socket.AF_INET6, 'fe80::2') + option(1, 'a0'))), *others)
    lab.send('b0', neighbor('b0', 'fd09::99'), 'a0', 'a1', 'b1', 'b2')
    lab.round('ARP and ND guard', [('a0', 'address-spoofing', 7)])
    lab.policy(a0='addr-guard')
    lab.send('a0', eth('a0', ALL, 0x0806, arp(1, 'a0', '10.9.0.99', zero, '10.9.0.2')), *others)
    lab.send('a0', eth('a0', ALL, 0x0806, arp(1, OTHER, '10.9.0.99', zero, '10.9.0.2')))
    lab.round('ARP guard without addresses', [('a0', 'address-spoofing', 1)])
    lab.policy()
    lab.send('a0', eth(OTHER, ALL, 0x88b5))
    lab.round('another station address', [('a0', 'mac-spoofing', 1)])
    lab.policy(a0='spoof=on')
    lab.send('a0', eth(OTHER, ALL, 0x88b5), *others)
    lab.send('b0', eth('b0', OTHER, 0x88b5), 'a0')              # learned a moment ago
    lab.round('where it may')


def tcp(sport, dport):
    return struct.pack('>HHIIBBHHH', sport, dport, 1, 0, 0x50, 2, 8192, 0, 0)


def acl_rules(lab, port):
    """How many frames met each rule of PORT, in order of its words."""
    return {r['rule']: r['frames'] for r in lab.net.port('lab', port)['rules']}


def acl(lab):
    def four(payload, proto, src='10.9.0.1', dst='10.9.0.2', frm='a0', to='b0'):
        return eth(frm, to, 0x0800, ip4(src, dst, proto, payload))
    tcp_to, udp_to = (lambda p, **k: four(tcp(4000, p), 6, **k)), (lambda s, d, **k: four(udp(s, d), 17, **k))
    rules = ['deny in tcp local-port 22', 'deny in udp remote-port 1000-1999', 'deny in ip4 remote 10.9.1.0/24', 'deny in ip4 local 10.9.0.77',
             'deny in icmp', 'deny in proto 47', 'deny in ip6 remote fd09:1::/32', f'deny in remote-mac {MAC["a1"]}', 'deny out udp local-port 53',
             'meter in udp local-port 7']
    lab.policy(b0=','.join('acl=' + r for r in rules))
    lab.send('a0', tcp_to(22))
    lab.send('a0', tcp_to(23), 'b0')
    lab.send('a0', four(tcp(22, 4000), 6), 'b0')
    lab.send('a0', udp_to(22, 22), 'b0')
    lab.send('a0', udp_to(1000, 9))
    lab.send('a0', udp_to(1999, 9))
    lab.send('a0', udp_to(2000, 9), 'b0')
    lab.send('a0', udp_to(9, 1500), 'b0')
    lab.send('a0', udp_to(9, 9, src='10.9.1.5'))
    lab.send('a0', udp_to(9, 9, src='10.9.2.5'), 'b0')
    lab.send('a0', udp_to(9, 9, dst='10.9.0.77'))
    lab.send('a0', udp_to(9, 9, dst='10.9.0.78'), 'b0')
    lab.send('a0', four(icmp4(8), 1))
    lab.send('a0', four(bytes(40), 47))
    lab.send('a0', four(bytes(40), 50), 'b0')
    lab.send('a0', eth('a0', 'b0', 0x86dd, udp6('fd09:1::5', 'fd09::2', 9, 9)))
    lab.send('a0', eth('a0', 'b0', 0x86dd, udp6('fd09::5', 'fd09::2', 9, 9)), 'b0')
    lab.send('a1', udp_to(9, 9, frm='a1'))
    lab.send('a0', udp_to(9, 7), 'b0')
    lab.send('b0', udp_to(53, 9, frm='b0', to='a0'))
    lab.send('b0', udp_to(9, 53, frm='b0', to='a0'), 'a0')
    lab.send('a0', udp_to(9, 53), 'b0')                         # the other direction
    lab.send('a0', plain('a0', 'b0'), 'b0')                     # nothing that a rule is about
    lab.round('ACL by address, protocol, port and direction', [('b0', 'acl-in', 9), ('b0', 'acl-out', 1)])
    met = acl_rules(lab, 'b0')
    expect('rules', len(met), len(rules))
    expect('each was met', [r for r, n in met.items() if n == 0], [])
    lab.policy(b0='acl=deny in ip,acl=allow in tcp weight 5,acl=deny in tcp local-port 80 weight 9')
    lab.send('a0', udp_to(9, 9))
    lab.send('a0', tcp_to(443), 'b0')
    lab.send('a0', tcp_to(80))
    lab.round('ACL by weight')
    lab.policy(b0='acl=deny in ip,acl=allow out udp stateful')
    lab.send('a0', udp_to(6000, 5000))                          # nobody has asked
    lab.round('ACL with state, before')
    lab.send('b0', udp_to(5000, 6000, src='10.9.0.2', dst='10.9.0.1', frm='b0', to='a0'), 'a0')
    lab.round('ACL with state, out')
    lab.send('a0', udp_to(6000, 5000), 'b0')
    lab.send('a0', udp_to(6001, 5000))
    lab.send('a0', udp_to(6000, 5001))
    lab.send('a0', udp_to(6000, 5000, src='10.9.0.9'))
    lab.round('ACL with state, back')


def mirror(lab):
    lab.policy(a0='mirror=source,vlan=5', b0='vlan=5', b1='vlan=5', b2='mirror=destination,vlan=9', a1='vlan=9')
    lab.send('a0', plain('a0', 'b0'), 'b0', 'b2@5')
    lab.send('b0', plain('b0', 'a0'), 'a0', 'b2@5')
    lab.send('a0', plain('a0'), 'b0', 'b1', 'b2@5')
    lab.send('b0', plain('b0', 'b1'), 'b1')                     # neither from nor to the source
    lab.send('a1', plain('a1', 'b2'), 'b2')                     # its own
    lab.send('a0', plain('a0', tag=6))                          # what is stopped is no traffic
    lab.round('mirror', [('a0', 'vlan', 1)])
    lab.policy(a0='vlan=5', b0='vlan=5', b2='vlan=9')
    lab.send('a0', plain('a0', 'b0'), 'b0')
    lab.round('without mirror')


def storm(lab):
    limit, many = 50, 400
    lab.policy(a0=f'storm={limit}')
    start = time.monotonic()
    marks = [lab.send('a0', f, times=many) for f in (plain('a0'), plain('a0', '33:33:00:00:00:77'), plain('a0', OTHER))]
    lab.send('a0', plain('a0', 'b0'), *['b0'] * many, times=many)
    lab.send('b0', plain('b0'), *[p for p in ('a0', 'a1', 'b1', 'b2') for _ in range(many)], times=many)
    expected = {mark: to for frames in lab.queue.values() for mark, _, _, to in frames}
    lab.send_queue()
    took = time.monotonic() - start
    for _ in range(20):
        time.sleep(0.1)
        lab.listen()
        if all(sorted(lab.heard.get(m, [])) == to for m, to in expected.items() if to):
            break
    for mark, to in expected.items():
        if to:
            expect('storm: frames that are no storm, or of a port without limit', len(lab.heard.get(mark, [])), len(to))
    at = {p: sum(lab.heard.get(m, []).count(p) for m in marks) for p in ('a1', 'b0', 'b1', 'b2')}
    most = limit / 8 + 1 + limit * took
    print(f'storm: of {3 * many} frames {at} came within {took:.2f} s, at most {most:.0f} may')
    expect('storm: within the limit', all(limit / 8 - 1 <= n <= most for n in at.values()), True)
    expect('storm: the rest is counted', 3 * many - most <= lab.drops('a0', 'storm-limit') <= 3 * many, True)


def test(genvisor, guest, scratch):
    lab = Lab(genvisor, guest, scratch)
    lab.policy()
    for port in MAC:
        lab.send(port, plain(port), *[p for p in MAC if p != port])
    lab.round('no policy')
    for policy in (trunk, private_vlan, router_guard, dhcp_guard, addr_guard, acl, mirror, storm):
        policy(lab)
    for m in lab.machines.values():
        m.send('poweroff\n')
        expect('status', m.end(), 0)


main(test)

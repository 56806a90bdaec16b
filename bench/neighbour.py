#!/usr/bin/env python3
"""neighbour.py GENVISOR GUEST [ROUNDS [SECONDS]] - what one bad guest on a shared switch costs the others.

Four machines of the demo guest in the folder GUEST (vmlinuz, initrd.img, root.vhdx: "make guest"), one
processor each, on one private switch.  The first sends TCP to the second, as fast as it goes; the third
floods with datagrams of 64 bytes; the fourth is deaf: its adapter is up and its processor stopped by the
debugger, so that its ring is never drained.  Each round measures the two neighbours with each behaviour
of the third in turn, the first of which is to burn its processor without the network.

Processor time is taken out so: the neighbours and the switch have processor 0 for themselves, the third
machine and the switch's thread that serves it have processor 1, in every case.  What remains is what the
switch itself lets one guest do to another: locks, lanes, and waiting for receivers without room.  ALONE=no
lets everything run anywhere instead.  Needs two processors, and gcc.

Medians of ROUNDS; the share of the first case in the same round.  The second figure is of bytes for each
second of processor 0 that neighbours and switch used, which other load of the host does not change.
"""
import os
import re
import shutil
import socket
import statistics
import sys
import tempfile

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, '../test/boot'))
from machine import PROMPT, Failed, Machine, Net, guest_args, program_disk  # noqa: E402

NAMES = ('from', 'to', 'bad', 'deaf')
IP = {n: f'10.97.0.{i + 1}' for i, n in enumerate(NAMES)}
MAC = {n: f'00:15:5d:97:00:0{i + 1}' for i, n in enumerate(NAMES)}
NOBODY, EVERYBODY = '10.97.0.9', '10.97.0.10'
ALONE = os.environ.get('ALONE', 'yes') == 'yes'
TICK = os.sysconf('SC_CLK_TCK')


def threads(pid):
    return {int(t) for t in os.listdir(f'/proc/{pid}/task')}


def used(pid, tid):
    with open(f'/proc/{pid}/task/{tid}/stat') as f:
        v = f.read().rsplit(') ', 1)[1].split()
    return (int(v[11]) + int(v[12])) / TICK


class Place:
    def __init__(self, genvisor, guest, work):
        self.genvisor, self.guest, self.work = genvisor, guest, work
        self.net = Net(genvisor, work)
        self.m = {}

    def begin(self):
        self.net('switch', 'new', 'bench')
        self.raw, self.size = program_disk(self.work, [f'{here}/netload.c'])
        if ALONE:
            os.sched_setaffinity(0, {0})        # and whatever is started from here on
        self.start('from')
        self.switch = self.net.show('bench')['process']
        for n in ('to', 'deaf'):
            self.start(n)
        before = threads(self.switch)
        self.start('bad', {1})
        new = threads(self.switch) - before
        if len(new) != 1:
            raise Failed(f'the thread of the third machine: {new}')
        self.theirs = new.pop()
        if ALONE:
            os.sched_setaffinity(self.theirs, {1})
        self.deafen()

    def start(self, n, processors=None):
        disk, raw = f'{self.work}/{n}.vhdx', f'{self.work}/{n}.raw'
        shutil.copy(f'{self.guest}/root.vhdx', disk)
        shutil.copy(self.raw, raw)
        more = ['--gdb', f'unix:{self.work}/gdb'] if n == 'deaf' else []
        before = os.sched_getaffinity(0)
        if processors and ALONE:
            os.sched_setaffinity(0, processors)
        m = self.m[n] = Machine(self.genvisor, *guest_args(self.guest, disk, cpus=1, memory='256M', root='LABEL=genvisor-root'),
                                '--disk', raw, '--net', f'switch=bench,port={n},mac={MAC[n]}', *more)
        os.sched_setaffinity(0, before)
        m.wait_for(PROMPT)
        m.run('dmesg -n 1; pkill rc.net; pkill busybox; modprobe hv_netvsc; '
              f'head -c {self.size} /dev/$(ls /sys/bus/scsi/devices/0:0:0:1/block)1 > /bin/netload && chmod +x /bin/netload')
        m.run(f'for i in $(seq 50); do [ -e /sys/class/net/eth0 ] && break; sleep 0.1; done; ip addr add {IP[n]}/24 dev eth0; ip link set eth0 up')
        for o in NAMES:
            if o != n:
                m.run(f'ip neigh replace {IP[o]} lladdr {MAC[o]} dev eth0 nud permanent')
        m.run(f'ip neigh replace {NOBODY} lladdr 00:15:5d:97:00:09 dev eth0 nud permanent; '
              f'ip neigh replace {EVERYBODY} lladdr ff:ff:ff:ff:ff:ff dev eth0 nud permanent')

    def deafen(self):
        self.gdb = socket.socket(socket.AF_UNIX)
        self.gdb.settimeout(10)
        self.gdb.connect(f'{self.work}/gdb')
        self.gdb.sendall(b'$?#3f')
        answer = b''
        while b'#' not in answer:
            answer += self.gdb.recv(4096)
        if answer[1:3] not in (b'$T', b'$S'):
            raise Failed(f'the debugger says {answer!r}')

    def processor(self):
        """Seconds that neighbours and switch used, without the third machine's thread."""
        return sum(used(p, t) for p in (self.m['from'].proc.pid, self.m['to'].proc.pid, self.switch)
                   for t in threads(p) if t != self.theirs)

    def received(self, port):
        return self.net.port('bench', port)['received']

    def stream(self, seconds):
        """Bytes a second from the first to the second; the same for a second of processor."""
        a, b = self.m['from'], self.m['to']
        b.run('netload rx 5000 > /dev/shm/rx & sleep 0.3')
        before = self.processor()
        m = re.search(r'netload tx (\d+) bytes \d+ count ([\d.]+) seconds', a.run(f'netload tx {IP["to"]} 5000 {seconds}'))
        spent = self.processor() - before
        return int(m[1]) / float(m[2]), int(m[1]) / spent

    def case(self, bad, also, seconds):
        """With the third machine doing BAD, and the first ALSO."""
        self.m['bad'].run(f'({bad}) > /dev/shm/said 2>&1 & sleep 0.5')
        self.m['from'].run(f'({also}) > /dev/null 2>&1 & sleep 0.5' if also else 'sleep 0.5')
        out = self.stream(seconds)
        self.m['from'].run('wait')
        said = self.m['bad'].run('wait; cat /dev/shm/said')
        sent = re.search(r'netload utx \d+ bytes (\d+) count ([\d.]+)', said)
        return (*out, int(sent[1]) / float(sent[2]) if sent else 0)


def cases(seconds):
    long = seconds + 2              # it ends by itself and says what it sent
    burn = f'busybox timeout {round(long)} busybox sh -c "while :; do :; done"'

    def flood(to, size=64):
        return f'netload utx {to} 9 {size} {long}'
    slow_ping = f'busybox timeout {round(long)} busybox ping -i 0.005 -s 1000 {{}}'
    return [
        ('it burns its processor', burn, None, ''),
        ('it floods an address that nobody has', flood(NOBODY), None, ''),
        ('it floods the deaf one', flood(IP['deaf']), None, ''),
        ('it floods the deaf one with long datagrams', flood(IP['deaf'], 1400), None, ''),
        ('it broadcasts, with storm=100', flood(EVERYBODY), None, 'storm=100'),
        ('the sender pings nobody, 200 times a second', burn, slow_ping.format(NOBODY), ''),
        ('the sender pings the deaf one as often', burn, slow_ping.format(IP['deaf']), ''),
    ]


def main():
    genvisor, guest = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    seconds = float(sys.argv[4]) if len(sys.argv) > 4 else 3
    work = tempfile.mkdtemp()
    print(f'load {os.getloadavg()[0]:.1f}, {os.cpu_count()} processors, bad guest {"on its own processor" if ALONE else "anywhere"}')
    results, place = {}, Place(genvisor, guest, work)
    try:
        place.begin()
        for _ in range(rounds):
            for name, bad, also, words in cases(seconds):
                place.net('switch', 'port', 'bench', 'bad', words or 'storm=0')
                results.setdefault(name, []).append(place.case(bad, also, seconds))
        print(place.net('net', 'show', 'bench'))
    finally:
        for m in place.m.values():
            m.kill()
        shutil.rmtree(work)
    first, pinged = list(results)[0], list(results)[-2]
    print(f'{"":46}{"MiB/s":>8}{"of alone":>10}{"by processor":>14}{"sent a second":>15}')
    for name, rows in results.items():
        base = results[pinged if name.startswith('the sender') else first]
        rate = statistics.median(r[0] / 2**20 for r in rows)
        share, cost = (statistics.median(r[i] / b[i] for r, b in zip(rows, base)) for i in (0, 1))
        print(f'{name:46}{rate:8.0f}{share:10.2f}{cost:14.2f}{statistics.median(r[2] for r in rows):15.0f}')


main()

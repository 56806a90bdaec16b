"""Traffic all the time while everything under it comes and goes: adapters, cables, MTU, driver, the shared switch.

A third argument says for how many minutes (once through all of it). After each blow every flow must go on within RETURN
seconds; at the end there are as many descriptors and threads as before, and no more memory of our own than MEMORY."""
import http.server
import json
import os
import random
import re
import shutil
import signal
import socket
import sys
import threading
import time

from machine import PROMPT, Failed, Machine, Net, Quiet, expect, guest_args, main

MINUTES = float(sys.argv[3]) if len(sys.argv) > 3 else 0
RETURN = 30.0           # seconds, with two machines on two processors
MEMORY = 16 << 20       # of a machine beside its guest's memory and translated code; a quarter of it for a switch
QUIET = 3 if MINUTES else 0
MAC = {'nat': '00:15:5d:0e:00:01', 'lan': '00:15:5d:0e:00:02'}
SPEC = {'nat': 'nat,hostloopback=on', 'lan': 'switch=lan,port=a'}
BLOB = os.urandom(1 << 20)
BAD = 'BUG:|WARNING:|Oops|hung_task|blocked for more than|Call Trace'

# What the guests run: who is where, and a loop for each flow that counts what went through.
# (A line of one byte: bash reads a datagram's first, and no more.)
SCRIPT = r'''dev() { for d in /sys/class/net/eth*; do [ "$(cat $d/address 2>/dev/null)" = $1 ] && echo ${d##*/}; done; }
conf() { for i in $(seq 100); do d=$(dev $1); [ -n "$d" ] && break; sleep 0.1; done; [ -n "$d" ] || return 1
  ip link set $d up; ip addr replace $2/24 dev $d; [ -z "$3" ] || ip route replace default via $3 dev $d; }
gone() { for i in $(seq 100); do [ -z "$(dev $1)" ] && return 0; sleep 0.1; done; return 1; }
flow() { name=$1; shift; ( n=0; while :; do if "$@"; then n=$((n + 1)); echo $n > /run/soak/$name; else sleep 0.2; fi; done
  ) > /dev/null 2>&1 < /dev/null & }
get() { timeout 5 busybox wget -q -O /dev/null $1; }
put() { timeout 5 bash -c 'exec 3<>/dev/tcp/$0/$1; (printf "PUT / HTTP/1.0\r\nContent-Length: 1048576\r\n\r\n"; cat /run/w/x) >&3
  grep -q 200 <&3' $1 $2; }
echoed() { timeout 5 bash -c 'exec 3<>/dev/udp/$0/$1; echo >&3; read -t 2 -u 3' $1 $2 && sleep 0.3; }
refused() { sleep 1; bash -c 'exec 3<>/dev/udp/$0/9; echo >&3; sleep 0.3; ! echo >&3' $1; }
pinged() { busybox ping -c 1 -W 1 $1 && sleep 0.1; }
mkdir -p /run/soak /run/w; [ -s /run/w/x ] || head -c 1048576 /dev/urandom > /run/w/x
'''


class Server(Quiet):
    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Length', str(len(BLOB)))
        self.end_headers()
        self.wfile.write(BLOB)

    def do_PUT(self):
        left = int(self.headers['Content-Length'])
        while left and (piece := self.rfile.read(min(left, 1 << 20))):
            left -= len(piece)
        if left == 0:
            self.send_response(200)
            self.end_headers()


class Listening(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass        # the guest's end of it was taken away: that is what this is about


def serve():
    """HTTP and an echo of UDP on this host; their ports."""
    web = Listening(('127.0.0.1', 0), Server)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(('127.0.0.1', 0))

    def echo():
        while True:
            data, who = udp.recvfrom(2048)
            udp.sendto(data, who)
    threading.Thread(target=echo, daemon=True).start()
    return web.server_address[1], udp.getsockname()[1]


def measure(pid):
    """Descriptors, threads, and bytes of its own: not the guest's memory nor translated code, which are large and fill up."""
    own = 0
    skip = False
    for line in open(f'/proc/{pid}/smaps'):
        if area := re.match(r'([0-9a-f]+)-([0-9a-f]+) ', line):
            size = int(area.group(2), 16) - int(area.group(1), 16)
            skip = 'memfd' in line or (size >= 64 << 20 and '[heap]' not in line)
        elif line.startswith('Pss:') and not skip:
            own += int(line.split()[1]) << 10
    return {'fds': len(os.listdir(f'/proc/{pid}/fd')), 'threads': len(os.listdir(f'/proc/{pid}/task')), 'own': own}


def text(m):
    return f"{m['fds']} descriptors, {m['threads']} threads, {m['own'] / (1 << 20):.1f} MiB"


def compare(what, first, last):
    print(f'{what}: first {text(first)}; last {text(last)}')
    for k in ('fds', 'threads'):
        expect(f'{k} of {what}', last[k], first[k])
    expect(f'memory of {what} within {MEMORY >> 20} MiB', last['own'] <= first['own'] + MEMORY, True)


class Soak:
    def __init__(self, genvisor, guest, scratch):
        self.scratch, self.net = scratch, Net(genvisor, scratch)
        self.control = f'unix:{scratch}/a.control'
        self.slowest, self.blows = {}, 0
        self.bare = []          # what machine a is without its NAT, which has a socket for each connection of late
        self.mtu = 1500
        self.switch_first = None
        self.switch_said = []
        self.net('switch', 'new', 'lan')
        web, udp = serve()
        for n in 'ab':
            shutil.copy(f'{guest}/root.vhdx', f'{scratch}/{n}.vhdx')
        self.a = Machine(genvisor, *guest_args(guest, f'{scratch}/a.vhdx', memory='256M'), '--control', self.control,
                         *[x for k in ('nat', 'lan') for x in ('--net', f'{SPEC[k]},mac={MAC[k]}')])
        self.b = Machine(genvisor, *guest_args(guest, f'{scratch}/b.vhdx', cpus=1, memory='256M'), '--control', 'none',
                         '--net', 'switch=lan,port=b,mac=00:15:5d:0e:00:03')
        for m in (self.a, self.b):
            m.wait_for(PROMPT)
            m.run('dmesg -n 1; modprobe hv_netvsc; while pgrep rc.net > /dev/null; do sleep 0.1; done')
            m.run("cat > /root/s << 'EOS'\n" + SCRIPT + 'EOS\n. /root/s')
            m.run('busybox httpd -p 80 -h /run/w')
        self.configure('nat', 'lan')
        self.b.run('conf 00:15:5d:0e:00:03 10.9.0.2')
        self.a.run(f'flow nat-get get http://10.0.2.2:{web}/; flow nat-put put 10.0.2.2 {web}; '
                   f'flow nat-udp echoed 10.0.2.2 {udp}; flow nat-ping pinged 10.0.2.2; '
                   'flow lan-get get http://10.9.0.2/x; flow lan-udp refused 10.9.0.2; flow lan-ping pinged 10.9.0.2')
        self.b.run('flow lan-put get http://10.9.0.1/x')

    def adapter(self, verb, *words):
        return self.net('net', verb, '--control', self.control, *words)

    def configure(self, *which):
        for k in which:
            self.a.run(f"conf {MAC[k]} {'10.0.2.15' if k == 'nat' else '10.9.0.1'} {'10.0.2.2' if k == 'nat' else ''}")

    def counts(self):
        said = self.a.run('grep -H . /run/soak/*; true') + self.b.run('grep -H . /run/soak/*; true')
        return {k: int(v) for k, v in re.findall(r'/run/soak/(\S+?):(\d+)\n', said)}

    def stacks(self):
        """Where the guest's own threads wait that have to do with us."""
        return self.a.run('for p in /proc/[0-9]*; do s=$(cat $p/stack 2> /dev/null); case $s in *netvsc*|*vmbus*|*rndis*) '
                          'echo "== $(cat $p/comm)"; echo "$s";; esac; done; dmesg | tail -20', 60)

    def all_flow(self, after):
        start, before = time.monotonic(), self.counts()
        stood = self.a.stood
        while True:
            now = self.counts()
            stuck = [k for k in ('nat-get', 'nat-put', 'nat-udp', 'nat-ping', 'lan-get', 'lan-put', 'lan-udp', 'lan-ping')
                     if now.get(k, 0) <= before.get(k, 0)]
            took = time.monotonic() - start - (self.a.stood - stood)
            if not stuck:
                break
            if took > RETURN:
                raise Failed(f'{stuck} did not go on within {RETURN:.0f} s after {after}:\n' +
                             self.a.run('ip addr; ip route; dmesg | tail -20') + self.adapter('list'))
            time.sleep(0.2)
        self.slowest[after] = max(self.slowest.get(after, 0), took)
        return now

    # ---- blows; each ends when the guest is configured as before ------------

    def remove_and_add(self, k):
        self.adapter('remove', MAC[k])
        try:
            self.a.run(f'gone {MAC[k]}')
        except Failed as e:
            raise Failed(f'{k} is still there: {e}\n{self.stacks()}')
        if k == 'nat':
            self.bare.append(measure(self.a.proc.pid))
        self.adapter('add', f'{SPEC[k]},mac={MAC[k]}')
        self.configure(k)

    def hot_lan(self):
        self.remove_and_add('lan')

    def hot_nat(self):
        self.remove_and_add('nat')

    def come_and_go(self):
        """Taken away in the middle of its setup, several times."""
        self.adapter('remove', MAC['lan'])
        for i in range(4):
            self.adapter('add', f"{SPEC['lan']},mac={MAC['lan']}")
            time.sleep(i * 0.03)
            self.adapter('remove', MAC['lan'])
        self.adapter('add', f"{SPEC['lan']},mac={MAC['lan']}")
        self.configure('lan')

    def cable(self):
        self.adapter('set', MAC['lan'], 'link=down')
        self.a.run(f"for i in $(seq 100); do [ $(cat /sys/class/net/$(dev {MAC['lan']})/carrier) = 0 ] && break; sleep 0.1; done")
        self.adapter('set', MAC['lan'], 'link=up')

    def another_switch(self):
        self.adapter('set', MAC['lan'], 'private')
        time.sleep(0.5)
        self.adapter('set', MAC['lan'], SPEC['lan'])

    def mtu_changes(self):
        self.mtu = {1500: 9000, 9000: 1400, 1400: 1500}[self.mtu]
        self.a.run(f"ip link set $(dev {MAC['lan']}) mtu {self.mtu}")

    def driver(self):
        self.a.run('modprobe -r hv_netvsc && modprobe hv_netvsc')
        self.configure('nat', 'lan')

    def driver_and_adapter(self):
        """The driver goes while its adapter is taken away."""
        self.a.send('(modprobe -r hv_netvsc; echo "=un""loaded $?=") &\n')
        self.adapter('remove', MAC['lan'])
        try:
            self.a.wait_for('=unloaded 0=', 60)
        except Failed as e:
            raise Failed(f'{e}\n{self.stacks()}')
        self.a.run('modprobe hv_netvsc')
        self.adapter('add', f"{SPEC['lan']},mac={MAC['lan']}")
        self.configure('nat', 'lan')

    def switch_dies(self):
        self.look_at_switch()
        os.kill(self.net.show('lan')['process'], signal.SIGKILL)
        for m in (self.a, self.b):
            m.wait_for('switch lan is there again', 60)
        self.switch_first = None

    # ---- what it costs ------------------------------------------------------

    def look_at_switch(self):
        """Of each process of the switch: when it has served a while, and before its end."""
        now = measure(self.net.show('lan')['process'])
        if self.switch_first is None:
            self.switch_first = now
        self.switch_said.append((self.switch_first, now))
        if now['fds'] > self.switch_first['fds'] or now['own'] > self.switch_first['own'] + MEMORY // 4:
            raise Failed(f'the switch grows: {text(self.switch_first)}, then {text(now)}')

    def blow(self, what):
        getattr(self, what)()
        self.blows += 1
        self.all_flow(what)
        if self.switch_first is None:
            self.switch_first = measure(self.net.show('lan')['process'])
        time.sleep(QUIET)


BLOWS = ['hot_lan', 'hot_nat', 'come_and_go', 'cable', 'another_switch', 'mtu_changes', 'driver', 'driver_and_adapter', 'switch_dies']


def test(genvisor, guest, scratch):
    start = time.monotonic()
    s = Soak(genvisor, guest, scratch)
    begun = s.all_flow('the start')
    print(f'everything flows after {time.monotonic() - start:.1f} s')
    seed = int.from_bytes(os.urandom(4), 'little')
    order = random.Random(seed)
    cycles, first_b = 0, measure(s.b.proc.pid)
    while cycles == 0 or time.monotonic() - start < 60 * MINUTES:
        what = BLOWS[:]
        if cycles:
            order.shuffle(what)
        if cycles % 4:
            what.remove('switch_dies')      # it shall grow old enough to be seen growing
        for w in what:
            s.blow(w)
        cycles += 1
        if cycles == 1:
            s.blow('hot_nat')
            first_b = measure(s.b.proc.pid)
    s.look_at_switch()
    compare('machine a', s.bare[1 if cycles > 1 else 0], s.bare[-1])
    compare('machine b', first_b, measure(s.b.proc.pid))
    print('switch: first {}; last {}'.format(*map(text, s.switch_said[-1])))
    ended = s.all_flow('the end')
    print(f'{s.blows} blows in {cycles} rounds, seed {seed}; traffic returned after at most:',
          ', '.join(f'{k} {v:.1f} s' for k, v in s.slowest.items()))
    print('through:', ', '.join(f'{k} {ended[k] - begun[k]}' for k in sorted(ended)))
    for m in (s.a, s.b):
        said = m.run(f"dmesg | grep -E '{BAD}'; true")
        expect('complaints of the kernel', said.strip(), '')
    rows = json.loads(s.adapter('list', '--json'))['adapters']
    expect('adapters', sorted(r['mac'] for r in rows), sorted(MAC.values()))
    for m in (s.a, s.b):
        m.send('poweroff\n')
        expect('status', m.end(), 0)
    s.net('switch', 'remove', 'lan')
    print(f'{time.monotonic() - start:.0f} s')


main(test)

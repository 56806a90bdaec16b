#!/usr/bin/env python3
"""net.py GENVISOR [ROUNDS [SECONDS]] - the network beside QEMU's virtio-net, in one run.

Needs root (a tap interface in a network namespace of its own), qemu-system-x86_64, gcc, and Debian's
packages for the kernel.  Both machines run Debian's cloud kernel on one processor with 512 MiB, each
with its own adapter and a tap of the host; then two of a kind on a switch that they share (Genvisor's own, a
bridge of the host's for QEMU).  Genvisor --engine translate with hv_netvsc, QEMU -accel tcg -cpu max with
virtio_net.  ENGINE=... chooses another engine, GENVISOR_OPTIONS adds some.

Medians of ROUNDS, the machines taking turns.  Processor time is that of the machines' processes, without
the process of a shared switch.
"""
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, '../test/boot'))
from machine import Machine  # noqa: E402

NET = '10.98.0.'
MODULES = {'genvisor': 'hv_vmbus hv_netvsc', 'qemu': 'virtio_pci virtio_net'}


def kernel(work):
    """Debian's kernel for clouds, fetched once, and its modules."""
    if not os.path.exists(f'{work}/x/boot'):
        deps = subprocess.check_output(['apt-cache', 'depends', 'linux-image-cloud-amd64'], text=True)
        name = re.search(r'Depends: (linux-image-\S+)', deps).group(1)
        subprocess.check_call(['apt-get', 'download', '-q', name], cwd=work, stdout=subprocess.DEVNULL)
        deb = [f for f in os.listdir(work) if f.startswith(name)][0]
        subprocess.check_call(['dpkg', '-x', f'{work}/{deb}', f'{work}/x'])
    version = os.listdir(f'{work}/x/lib/modules')[0]
    return f'{work}/x/boot/vmlinuz-{version}', f'{work}/x/lib/modules/{version}'


def build(work):
    subprocess.check_call(['gcc', '-O2', '-static', '-o', f'{work}/netload', f'{here}/netload.c'])
    vmlinuz, modules = kernel(work)
    for who, names in MODULES.items():
        subprocess.check_call([f'{here}/../tool/mkinitrd.sh', modules, f'{work}/{who}.img'],
                              env=dict(os.environ, MODULES=names, PROGRAMS=f'{work}/netload'))
    return vmlinuz


class Guest:
    """Number N of its kind: address GUEST of the network, whose last digit is N."""
    def __init__(self, who, genvisor, work, vmlinuz, ns, n, net):
        args = 'console=ttyS0 quiet gv.shell panic=-1'
        self.address = f'{NET}{n}'
        common = ['-kernel', vmlinuz, '-initrd', f'{work}/{who}.img', '-append', args]
        mac = f'00:15:5d:98:00:0{n}'
        if who == 'qemu':
            cmd = ['qemu-system-x86_64', '-accel', 'tcg', '-cpu', 'max', '-m', '512', '-nographic', '-no-reboot',
                   '-netdev', f'tap,id=n,ifname={net},script=no,downscript=no',
                   '-device', f'virtio-net-pci,netdev=n,mac={mac}', *common]
        else:
            cmd = [genvisor, 'run', '--generation', '2', '--memory', '512M', '--com1', 'stdio',
                   '--engine', os.environ.get('ENGINE', 'translate'),
                   *os.environ.get('GENVISOR_OPTIONS', '').split(), '--net', f'{net},mac={mac}',
                   *['-' + a if a in ('-kernel', '-initrd', '-append') else a for a in common]]
        self.m = Machine('ip', 'netns', 'exec', ns, *cmd)      # becomes the machine
        self.m.wait_for('a shell, as')
        self.m.wait_for('# ')
        self.m.run(f'for i in 1 2 3 4 5 6 7 8 9; do [ -e /sys/class/net/eth0 ] && break; sleep 0.3; done; '
                   f'ip addr add {self.address}/24 dev eth0 && ip link set eth0 up; sleep 1')

    def cpu(self):
        with open(f'/proc/{self.m.proc.pid}/stat') as f:
            v = f.read().rsplit(') ', 1)[1].split()
        return (int(v[11]) + int(v[12])) / os.sysconf('SC_CLK_TCK')

    def netload(self, *a):
        """Runs here; the line of its result."""
        return self.m.run('sleep 0.3; netload ' + ' '.join(a))

    def start(self, *a):
        """Runs beside; the result by finish."""
        self.m.run('netload ' + ' '.join(a) + ' > /out & sleep 0.5')

    def finish(self):
        return self.m.run('wait; cat /out')


class Host:
    """The host's end in the namespace, with the same functions."""
    address = f'{NET}1'

    def __init__(self, ns, netload):
        self.cmd = ['ip', 'netns', 'exec', ns, netload]

    def cpu(self):
        return 0.0

    def netload(self, *a):
        return subprocess.check_output([*self.cmd, *a], text=True)

    def start(self, *a):
        self.proc = subprocess.Popen([*self.cmd, *a], stdout=subprocess.PIPE, text=True)

    def finish(self):
        return self.proc.communicate()[0]


def words(text):
    m = re.search(r'netload \S+ (\d+) bytes (\d+) count ([\d.]+) seconds', text)
    return int(m.group(1)), int(m.group(2)), float(m.group(3))


def measure(a, b, name, seconds, out, port):
    """From A to B: bytes and processor seconds of the machines for a GiB, datagrams; rounds."""
    before = a.cpu() + b.cpu()
    b.start('rx', str(port))
    n, _, t = words(a.netload('tx', b.address, str(port), str(seconds)))
    b.finish()
    out[f'TCP {name}, MiB/s'] = n / t / 2**20
    out[f'TCP {name}, processor'] = (a.cpu() + b.cpu() - before) / (n / 2**30)
    b.start('urx', str(port + 1))
    a.netload('utx', b.address, str(port + 1), '64', str(seconds))
    _, n, t = words(b.finish())
    out[f'64-byte datagrams {name}, a second'] = n / t
    b.start('echo', str(port + 2))
    _, n, t = words(a.netload('rr', b.address, str(port + 2), str(seconds)))
    b.finish()
    out[f'TCP rounds of one byte {name}, a second'] = n / t


class Place:
    """A namespace with a tap for the host's end and one for each of two guests on a bridge, or a switch."""
    def __init__(self, ns, genvisor, work):
        self.ns, self.genvisor = ns, genvisor
        os.environ['XDG_CONFIG_HOME'] = os.environ['XDG_RUNTIME_DIR'] = f'{work}/switch'
        os.makedirs(f'{work}/switch', mode=0o700, exist_ok=True)
        subprocess.call(['ip', 'netns', 'del', ns], stderr=subprocess.DEVNULL)
        subprocess.check_call(['ip', 'netns', 'add', ns])
        for c in ('tuntap add tap1 mode tap', f'addr add {NET}1/24 dev tap1', 'link set tap1 up', 'link add bridge1 type bridge',
                  'link set bridge1 up', 'tuntap add tap2 mode tap', 'tuntap add tap3 mode tap', 'link set tap2 master bridge1 up',
                  'link set tap3 master bridge1 up'):
            subprocess.check_call(['ip', 'netns', 'exec', ns, 'ip', *c.split()])
        subprocess.call([genvisor, 'switch', 'remove', 'bench'], stderr=subprocess.DEVNULL)
        subprocess.check_call([genvisor, 'switch', 'new', 'bench'])

    def net(self, who, guest):
        """What guest 2 or 3 is plugged into; 0: the host's tap."""
        if guest == 0:
            return 'tap1' if who == 'qemu' else 'tap=tap1'
        return f'tap{guest}' if who == 'qemu' else 'switch=bench'

    def close(self):
        subprocess.call(['ip', 'netns', 'del', self.ns], stderr=subprocess.DEVNULL)


def main():
    genvisor = os.path.abspath(sys.argv[1])
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 4
    if os.geteuid() != 0 or not shutil.which('qemu-system-x86_64'):
        sys.exit('net.py: needs root and qemu-system-x86_64')
    keep = os.environ.get('BENCH_WORK')
    work = keep or tempfile.mkdtemp()
    os.makedirs(work, exist_ok=True)
    vmlinuz = build(work)
    print(f'load {os.getloadavg()[0]:.1f}, {os.cpu_count()} processors')
    results = {w: [] for w in MODULES}
    place = Place(f'gvb{os.getpid()}', genvisor, work)
    try:
        for _ in range(rounds):
            for who in MODULES:
                out = {}
                host = Host(place.ns, f'{work}/netload')
                g = Guest(who, genvisor, work, vmlinuz, place.ns, 2, place.net(who, 0))
                measure(g, host, 'guest to host', seconds, out, 5000)
                measure(host, g, 'host to guest', seconds, out, 5010)
                g.m.kill()
                two = [Guest(who, genvisor, work, vmlinuz, place.ns, n, place.net(who, n)) for n in (2, 3)]
                measure(*two, 'guest to guest', seconds, out, 5020)
                for g in two:
                    g.m.kill()
                results[who].append(out)
    finally:
        place.close()
        if not keep:
            shutil.rmtree(work)
    print(f'{"":50}{"Genvisor":>12}{"QEMU":>12}{"times":>8}')
    for name in results['qemu'][0]:
        a, b = (statistics.median(r[name] for r in results[w]) for w in MODULES)
        if name.endswith('processor'):
            print(f'{"  processor seconds for a GiB":50}{a:12.2f}{b:12.2f}{b / a:8.2f}')
        else:
            print(f'{name:50}{a:12.0f}{b:12.0f}{a / b:8.2f}')


main()

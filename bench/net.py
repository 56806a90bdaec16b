#!/usr/bin/env python3
"""net.py GENVISOR [ROUNDS [SECONDS]] - the network beside QEMU's virtio-net, in one run.

Needs root (a tap interface in a network namespace of its own), qemu-system-x86_64, gcc, and Debian's
packages for the kernel.  Both machines run Debian's cloud kernel on one processor with 512 MiB, each
with its own adapter and a tap of the host: Genvisor --engine translate with hv_netvsc, QEMU -accel tcg
-cpu max with virtio_net.  ENGINE=... chooses another engine.

Medians of ROUNDS, the machines taking turns.  Processor time is the machine process's own.
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

HOST, GUEST = '10.98.0.1', '10.98.0.2'
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
    def __init__(self, who, genvisor, work, vmlinuz, ns):
        args, tap = 'console=ttyS0 quiet gv.shell panic=-1', ns
        common = ['-kernel', vmlinuz, '-initrd', f'{work}/{who}.img', '-append', args]
        if who == 'qemu':
            cmd = ['qemu-system-x86_64', '-accel', 'tcg', '-cpu', 'max', '-m', '512', '-nographic', '-no-reboot',
                   '-netdev', f'tap,id=n,ifname={tap},script=no,downscript=no', '-device', 'virtio-net-pci,netdev=n',
                   *common]
        else:
            cmd = [genvisor, 'run', '--generation', '2', '--memory', '512M', '--com1', 'stdio',
                   '--engine', os.environ.get('ENGINE', 'translate'), *os.environ.get('GENVISOR_OPTIONS', '').split(), '--net', f'tap={tap}',
                   *['-' + a if a in ('-kernel', '-initrd', '-append') else a for a in common]]
        self.m = Machine('ip', 'netns', 'exec', ns, *cmd)      # becomes the machine
        self.m.wait_for('a shell, as')
        self.m.wait_for('# ')
        self.m.run(f'for i in 1 2 3 4 5 6 7 8 9; do [ -e /sys/class/net/eth0 ] && break; sleep 0.3; done; '
                   f'ip addr add {GUEST}/24 dev eth0 && ip link set eth0 up; sleep 1; ping -c 2 {HOST}')

    def cpu(self):
        with open(f'/proc/{self.m.proc.pid}/stat') as f:
            v = f.read().rsplit(') ', 1)[1].split()
        return (int(v[11]) + int(v[12])) / os.sysconf('SC_CLK_TCK')


def words(text):
    m = re.search(r'netload \S+ (\d+) bytes (\d+) count ([\d.]+) seconds', text)
    return int(m.group(1)), int(m.group(2)), float(m.group(3))


def measure(g, ns, netload, seconds):
    """One value for each test, and processor seconds for each GiB of the TCP ones."""
    host = ['ip', 'netns', 'exec', ns, netload]
    out = {}

    def listen(*a):
        return subprocess.Popen([*host, *a], stdout=subprocess.PIPE, text=True)

    def speak(*a):
        return subprocess.check_output([*host, *a], text=True)

    def tcp(name, run):
        before = g.cpu()
        n, _, t = words(run())
        out[name] = n / t / 2**20
        out[name + ', processor'] = (g.cpu() - before) / (n / 2**30)

    far = listen('rx', '5001')
    tcp('TCP guest to host, MiB/s', lambda: g.m.run(f'sleep 0.3; netload tx {HOST} 5001 {seconds}'))
    far.wait()
    g.m.run('netload rx 5002 > /rx & sleep 0.5')
    tcp('TCP host to guest, MiB/s', lambda: speak('tx', GUEST, '5002', str(seconds)))
    far = listen('urx', '5003')
    g.m.run(f'sleep 0.3; netload utx {HOST} 5003 64 {seconds}')
    _, n, t = words(far.communicate()[0])
    out['64-byte datagrams guest to host, a second'] = n / t
    g.m.run('netload urx 5004 > /urx & sleep 0.5')
    speak('utx', GUEST, '5004', '64', str(seconds))
    _, n, t = words(g.m.run('wait; cat /urx'))
    out['64-byte datagrams host to guest, a second'] = n / t
    far = listen('echo', '5005')
    _, n, t = words(g.m.run(f'sleep 0.3; netload rr {HOST} 5005 {seconds}'))
    out['TCP rounds of one byte, a second'] = n / t
    far.wait()
    return out


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
    ns = f'gvb{os.getpid()}'           # the namespace, and the tap in it
    print(f'load {os.getloadavg()[0]:.1f}, {os.cpu_count()} processors')
    results = {w: [] for w in MODULES}
    try:
        for _ in range(rounds):
            for who in MODULES:
                subprocess.call(['ip', 'netns', 'del', ns], stderr=subprocess.DEVNULL)
                subprocess.check_call(['ip', 'netns', 'add', ns])
                in_ns = ['ip', 'netns', 'exec', ns]
                for c in (['tuntap', 'add', ns, 'mode', 'tap'], ['addr', 'add', f'{HOST}/24', 'dev', ns],
                          ['link', 'set', ns, 'up']):
                    subprocess.check_call([*in_ns, 'ip', *c])
                g = Guest(who, genvisor, work, vmlinuz, ns)
                results[who].append(measure(g, ns, f'{work}/netload', seconds))
                g.m.kill()
    finally:
        subprocess.call(['ip', 'netns', 'del', ns], stderr=subprocess.DEVNULL)
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

"""A machine under test: starts genvisor, talks to its serial port, waits for words."""
import http.server
import json
import os
import re
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

PROMPT = 'root@genvisor:~# '
MIB = 1 << 20


class Failed(Exception):
    pass


class Machine:
    def __init__(self, genvisor, *args, stdin=subprocess.PIPE):
        self.log = ''
        self.at = 0          # what was before is already looked at
        self.stood = 0.0     # seconds for which this host ran nothing of ours
        self.proc = subprocess.Popen([genvisor, *args], stdin=stdin, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT)

    def pump(self, timeout):
        """Reads what there is; False at the end of the output."""
        start = time.monotonic()
        ready, _, _ = select.select([self.proc.stdout], [], [], timeout)
        if (late := time.monotonic() - start - timeout) > 3:
            self.stood += late
        if not ready:
            return True
        data = os.read(self.proc.stdout.fileno(), 65536)
        self.log += data.decode('utf-8', 'replace').replace('\r', '')
        return bool(data)

    def wait_for(self, words, timeout=240):
        """Waits for WORDS (a string, or a compiled pattern) after the last match; the text up to them."""
        end = time.monotonic() + timeout
        while True:
            if isinstance(words, str):
                i = self.log.find(words, self.at)
                j = i + len(words)
            else:
                m = words.search(self.log, self.at)
                i, j = (m.start(), m.end()) if m else (-1, -1)
            if i >= 0:
                text = self.log[self.at:i]
                self.at = j
                return text
            if time.monotonic() > end:
                raise Failed(f'no {words!r} within {timeout} s')
            if not self.pump(1):
                raise Failed(f'ended (status {self.proc.wait()}) before {words!r}')

    def send(self, text):
        self.proc.stdin.write(text.encode())
        self.proc.stdin.flush()

    def run(self, command, timeout=240):
        """A shell command in the guest: its output; Failed when its status is not 0."""
        self.send(command + '; echo "=st""atus $?="\n')
        out = self.wait_for(re.compile(r'=status (\d+)=\n'), timeout)
        status = re.search(r'=status (\d+)=\n$', self.log[:self.at]).group(1)
        self.wait_for('# ', timeout)
        out = out.split('\n', 1)[1] if '\n' in out else ''
        if status != '0':
            raise Failed(f'{command!r} gave status {status}:\n{out}')
        return out

    def end(self, timeout=120):
        """Waits for the process; its status."""
        end = time.monotonic() + timeout
        while self.pump(0.2):
            if time.monotonic() > end:
                raise Failed(f'still running after {timeout} s')
        return self.proc.wait(timeout=30)

    def kill(self):
        if self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()


def guest_args(guest, disk, *, cpus=2, append='', memory='512M', root='/dev/sda'):
    return ['run', '--generation', '2', '--memory', memory, '--cpus', str(cpus), '--disk', disk,
            '--kernel', f'{guest}/vmlinuz', '--initrd', f'{guest}/initrd.img',
            '--append', f'root={root} console=ttyS0 panic=-1 {append}', '--com1', 'stdio']


def expect(what, got, want):
    if got != want:
        raise Failed(f'{what}: {got!r}, expected {want!r}')


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def program_disk(scratch, sources, *flags):
    """A static program of C files, as the content of a disk; its size in bytes."""
    out = f'{scratch}/program'
    r = subprocess.run([os.environ.get('CC', 'cc'), '-O2', '-static', *flags, '-o', out, *sources],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if r.returncode != 0:
        raise Failed(f'the program for the guest does not compile:\n{r.stdout}')
    with open(out, 'rb') as f:
        content = f.read()
    sectors = (len(content) + MIB - 1) // MIB * MIB // 512
    with open(f'{out}.raw', 'wb') as f:
        # One partition from 1 MiB on: a disk as others know it.
        f.write(bytes(446) + struct.pack('<8sII', bytes([0, 0, 2, 0, 0x83, 0, 2, 0]), MIB // 512, sectors) + bytes(48) + b'\x55\xaa')
        f.seek(MIB)
        f.write(content)
        f.truncate(MIB + sectors * 512)
    return f'{out}.raw', len(content)


class Net:
    """The command line of the networks, in folders of our own."""
    def __init__(self, genvisor, scratch):
        self.genvisor = genvisor
        for name in ('config', 'runtime'):
            os.mkdir(f'{scratch}/{name}', 0o700)
        os.environ['XDG_CONFIG_HOME'] = f'{scratch}/config'
        os.environ['XDG_RUNTIME_DIR'] = f'{scratch}/runtime'

    def __call__(self, *args):
        r = subprocess.run([self.genvisor, *args], capture_output=True, text=True, timeout=30)
        if r.returncode != 0:
            raise Failed(f'{args} gave status {r.returncode}: {r.stderr}')
        return r.stdout

    def show(self, name):
        return json.loads(self('net', 'show', '--json', name))['switches'][0]

    def port(self, name, port):
        return next(p for p in self.show(name)['ports'] if p['name'] == port)


def main(test):
    """Runs TEST(genvisor, guest folder, scratch folder) and turns its outcome into our status."""
    genvisor, guest = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    if not os.path.exists(f'{guest}/root.vhdx'):
        print('no demo guest: make guest makes it')
        sys.exit(77)
    scratch = tempfile.mkdtemp(prefix='genvisor-test.')
    machines = []
    real = Machine.__init__

    def remember(self, *a, **k):
        machines.append(self)
        real(self, *a, **k)
    Machine.__init__ = remember
    try:
        test(genvisor, guest, scratch)
    except Failed as e:
        for m in machines:
            print(m.log[-6000:])
        print('failed:', e)
        sys.exit(1)
    finally:
        for m in machines:
            m.kill()
        shutil.rmtree(scratch)

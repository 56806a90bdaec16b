#!/bin/bash
# Standard input, output and error in every state a shell can leave them in; signals; a terminal.
# The guest is a multiboot image of a few instructions: it writes 3,000 letters to COM1, then does as it is told.
exec python3 - "$1" <<'EOP'
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

g = os.path.abspath(sys.argv[1])
bad = 0
scratch = tempfile.TemporaryDirectory(prefix='genvisor-test.')
d = scratch.name
TEXT = b'genvisor' * 375


def check(ok, words):
    global bad
    if not ok:
        print(words)
        bad = 1


def image(path, end):
    """A guest that writes TEXT by a loop over its own bytes, then runs END."""
    code = (b'\xbe\x40\x00\x10\x00'                     # esi = TEXT, at 1 MiB + 64
            b'\xb9' + struct.pack('<I', len(TEXT)) +
            b'\x66\xba\xf8\x03'                         # dx = COM1
            b'\xac\xee\xe2\xfc') + end                  # lodsb; out; loop
    body = struct.pack('<III', 0x1badb002, 0, -0x1badb002 & 0xffffffff).ljust(16, b'\0') + code
    body = body.ljust(64, b'\0') + TEXT
    head = b'\x7fELF\1\1\1'.ljust(16, b'\0') + struct.pack('<HHIIIIIHHHHHH', 2, 3, 1, 0x100010, 52, 0, 0, 52, 32, 1,
                                                          0, 0, 0)
    head += struct.pack('<IIIIIIII', 1, 0x60, 0x100000, 0x100000, len(body), len(body), 7, 4096)
    with open(path, 'wb') as f:
        f.write(head.ljust(0x60, b'\0') + body)
    return path


OFF = image(f'{d}/off', b'\x66\xba\x04\x04\x66\xb8\x00\x20\x66\xef')    # S5 by the PM control register
HANG = image(f'{d}/hang', b'\xfa\xf4\xeb\xfd')
FAULT = image(f'{d}/fault', b'\x0f\x01\x1d\x00\x00\x20\x00\xcc')        # an empty IDT: a warning on standard error
disk = f'{d}/d.vhdx'
subprocess.run([g, 'disk', 'new', '--size', '4M', disk], check=True)


def args(kernel, com1='stdio'):
    return [g, 'run', '--memory', '32M', '--engine', 'interpret', '--disk', disk, '--kernel', kernel, '--com1', com1,
            '--no-reboot']


def shell(command):
    r = subprocess.run(['bash', '-c', f'run() {{ {" ".join(args(OFF))}; }}; {command}'], stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    return r.returncode, r.stdout


# What was closed must not come to be a disk image.
status, out = shell('run')
check(status == 0 and out == TEXT, f'plain: status {status}, {len(out)} bytes')
for streams in '<&-', '>&-', '2>&-', '<&- >&- 2>&-':
    status, out = shell(f'run {streams}')
    check(status == 0, f'{streams}: status {status}')
    check(out == (b'' if '>&- ' in streams or streams == '>&-' else TEXT), f'{streams}: {len(out)} bytes of output')
    with open(disk, 'rb') as f:
        check(b'genvisorgenvisor' not in f.read(), f'{streams}: the console went into the disk')
status, _ = shell(' '.join(args(FAULT, com1='none')) + ' 2>&-')
with open(disk, 'rb') as f:
    check(status == 3 and f.read(8) == b'vhdxfile', f'warnings went into the disk, status {status}')
status, out = shell('run > /dev/full')
check(status == 0, f'/dev/full: status {status}')
status, out = shell('run | (sleep 1; cat)')
check(out == TEXT, f'a slow pipe: {len(out)} bytes')
status, out = shell('run | head -c 10; exit ${PIPESTATUS[0]}')
check(status == 0 and out == TEXT[:10], f'a reader that goes away: status {status}, {out[:40]}')
status, out = shell(f'{g} --help > /dev/full')
check(status == 1 and b'cannot write' in out, f'help into a full device: status {status}, {out}')
status, out = shell(f'{g} --help | head -1; exit ${{PIPESTATUS[0]}}')
check(b'cannot write' not in out, f'help with a short reader: {out}')

# A warning that nobody reads holds nobody up.
r, w = os.pipe()
os.set_blocking(w, False)
try:
    while True:
        os.write(w, b'x' * 4096)
except BlockingIOError:
    os.set_blocking(w, True)
p = subprocess.Popen(args(FAULT, com1='none'), stdin=subprocess.DEVNULL, stderr=w)
try:
    status = p.wait(10)
except subprocess.TimeoutExpired:
    p.kill()
    status = 'nothing'
check(status == 3, f'standard error is stuck: {status}')

# Signals, without a terminal and without a driver in the guest.
for first, second, want in ((signal.SIGINT, None, 130), (signal.SIGTERM, None, 143), (signal.SIGHUP, None, 129),
                            (signal.SIGQUIT, None, 131), (signal.SIGUSR2, signal.SIGTERM, 143)):
    p = subprocess.Popen(args(HANG), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    p.stdout.read(len(TEXT))
    p.send_signal(first)
    if second:
        time.sleep(0.2)
        p.send_signal(second)
    try:
        status = p.wait(20)
        status = 128 - status if status < 0 else status
    except subprocess.TimeoutExpired:
        p.kill()
        status = 'nothing'
    check(status == want, f'{first.name}: {status}, wanted {want}')


def on_terminal(command, feed, settle):
    """Runs COMMAND on a terminal, types FEED after the guest spoke; status, and whether the terminal is as before."""
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    p = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave)
    os.set_blocking(master, False)
    seen = b''
    while TEXT[-100:] not in seen and p.poll() is None:
        select.select([master], [], [], 1)
        try:
            seen += os.read(master, 65536)
        except OSError:     # nothing yet, or its end
            pass
    raw = termios.tcgetattr(slave)[3] & termios.ICANON == 0
    for part in feed:
        try:
            os.write(master, part)
        except BlockingIOError:     # it does not read
            pass
        time.sleep(settle)
    try:
        status = p.wait(20)
    except subprocess.TimeoutExpired:
        p.kill()
        status = 'nothing'
    after = termios.tcgetattr(slave)
    os.close(master)
    os.close(slave)
    return status, raw, after == before


# A guest that hangs, its serial line full: Ctrl-A X is still heard.
status, raw, same = on_terminal(args(HANG), [b'y' * 1000] * 80 + [b'\x01', b'X'], 0.01)
check(status == 0 and raw and same, f'Ctrl-A X: status {status}, raw {raw}, restored {same}')
status, raw, same = on_terminal(args(OFF), [], 0)
check(status == 0 and same, f'power off on a terminal: status {status}, restored {same}')
# What cannot be built never makes the terminal raw.
master, slave = pty.openpty()
before = termios.tcgetattr(slave)
p = subprocess.Popen(args(f'{d}/absent'), stdin=slave, stdout=slave, stderr=slave)
status = p.wait(20)
check(status == 2 and termios.tcgetattr(slave) == before and os.read(master, 4096).endswith(b'\r\n'),
      f'a missing kernel on a terminal: status {status}')

if not bad:
    print('all as expected')
sys.exit(bad)
EOP

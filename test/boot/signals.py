"""SIGTERM asks the guest to shut down; a machine runs with standard input closed, /dev/null or a pipe."""
import shutil
import signal
import subprocess
import time

from machine import PROMPT, Failed, Machine, guest_args, main


def test(genvisor, guest, scratch):
    disk = f'{scratch}/root.vhdx'
    shutil.copy(f'{guest}/root.vhdx', disk)
    m = Machine(genvisor, *guest_args(guest, disk, cpus=1), stdin=subprocess.DEVNULL)
    m.wait_for(PROMPT)
    second = subprocess.run([genvisor, *guest_args(guest, disk, cpus=1)], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if second.returncode != 2 or second.stdout.count('\n') != 1 or 'root.vhdx' not in second.stdout:
        raise Failed(f'a second machine on the same disk: status {second.returncode}, {second.stdout!r}')
    time.sleep(2)
    m.proc.send_signal(signal.SIGTERM)
    if (status := m.end()) != 0:
        raise Failed(f'SIGTERM: status {status}, expected the guest to power off')
    # Too early for the guest to obey: SIGTERM ends the machine itself.
    m = Machine(genvisor, *guest_args(guest, disk, cpus=1), stdin=subprocess.DEVNULL)
    m.wait_for('Linux version')
    m.proc.send_signal(signal.SIGTERM)
    if (status := m.end(20)) != 128 + signal.SIGTERM:
        raise Failed(f'SIGTERM at boot: status {status}')


main(test)

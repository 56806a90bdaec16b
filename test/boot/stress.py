"""Four processors under fork, mmap, futexes, signals, changing code, traps and modules for MINUTES: all results right, no kernel message."""
import glob
import os
import shutil
import sys

from machine import PROMPT, Failed, Machine, guest_args, main, program_disk

MINUTES = float(sys.argv[3]) if len(sys.argv) > 3 else 1 / 3
CPUS = int(sys.argv[4]) if len(sys.argv) > 4 else 4
MORE = sys.argv[5:]         # options of genvisor run
HERE = os.path.dirname(os.path.abspath(__file__))

# They load without a word.  With each round the kernel patches its own code, for static keys too.
MODULES = 'crc7 crc_itu_t ts_kmp ts_bm sha3_generic wp512 serpent_generic fat lz4hc'
MODULE_LOOP = f'''n=0
while [ -e /dev/shm/go ]; do
    for m in {MODULES}; do
        modprobe $m && modprobe -r $m || {{ echo $m > /dev/shm/bad; exit 1; }}
    done
    echo 1 > /proc/sys/kernel/sched_schedstats
    echo 0 > /proc/sys/kernel/sched_schedstats
    n=$((n + 1))
done
echo $n > /dev/shm/loads
'''


def test(genvisor, guest, scratch):
    disk = f'{scratch}/root.vhdx'
    shutil.copy(f'{guest}/root.vhdx', disk)
    raw, size = program_disk(scratch, glob.glob(f'{HERE}/stress*.c'), '-pthread')
    m = Machine(genvisor, *guest_args(guest, disk, cpus=CPUS, memory='1G', root='LABEL=genvisor-root'), '--disk', raw, *MORE)
    m.wait_for(PROMPT)
    if m.run('nproc').strip() != str(CPUS):
        raise Failed('not all processors are up')
    m.run(f'head -c {size} /dev/$(ls /sys/bus/scsi/devices/0:0:0:1/block)1 > stress && chmod +x stress')
    m.run('touch /dev/shm/go; dmesg -C')
    for line in MODULE_LOOP.splitlines():
        m.run(f"echo '{line}' >> modules")
    m.run('(setsid sh modules > /dev/null 2>&1 &)')
    seconds = max(1, round(MINUTES * 60))
    try:
        print(m.run(f'./stress {seconds}', seconds + 300).strip())
    finally:
        # A guest whose clock goes on while it stands still is right to complain.
        if m.stood > 0:
            print(f'this host stood still for {m.stood:.0f} s: no verdict', flush=True)
            m.kill()
            shutil.rmtree(scratch)
            os._exit(77)
    m.run('rm /dev/shm/go')
    m.run('for i in $(seq 60); do [ -e /dev/shm/loads -o -e /dev/shm/bad ] && break; sleep 1; done')
    print('modules loaded in', m.run('cat /dev/shm/loads').strip(), 'rounds')
    # Four processors on fewer of the host's: that an interrupt took long is no fault.
    said = [x for x in m.run('dmesg').splitlines() if x.strip() and 'hrtimer: interrupt took' not in x]
    if said:
        raise Failed('the kernel said:\n' + '\n'.join(said))
    m.send('poweroff\n')
    if (status := m.end()) != 0:
        raise Failed(f'poweroff gave status {status}')


main(test)

"""N boots in a row with random numbers of processors, 1 to 8: all reach the prompt, and no kernel complains."""
import random
import shutil
import sys
import time

from machine import PROMPT, Failed, Machine, guest_args, main

N = int(sys.argv[3]) if len(sys.argv) > 3 else 5
SEED = int(sys.argv[4]) if len(sys.argv) > 4 else 1
MORE = sys.argv[5:]         # options of genvisor run
BAD = ['BUG:', 'Oops', 'WARNING:', 'Call Trace', 'soft lockup', 'rcu_sched', 'rcu_preempt', 'segfault', 'traps:']


def test(genvisor, guest, scratch):
    rng = random.Random(SEED)
    times = []
    i = again = 0
    while i < N:
        cpus = rng.randint(1, 8)
        disk = f'{scratch}/root.vhdx'
        shutil.copy(f'{guest}/root.vhdx', disk)
        start = time.monotonic()
        m = Machine(genvisor, *guest_args(guest, disk, cpus=cpus), *MORE)
        try:
            m.wait_for(PROMPT, 120)
            times.append(time.monotonic() - start)
            if (bad := [x for x in m.log.splitlines() if any(b in x for b in BAD)]):
                raise Failed('\n'.join(bad))
            if m.run('nproc').strip() != str(cpus):
                raise Failed('not all processors are up')
            i += 1
            print(f'{i}: {cpus} processors, {times[-1]:.1f} s', flush=True)
        except Failed as e:
            # A fault of ours comes back; a host that always stands still can be no judge.
            again += 1
            if m.stood == 0 or again > 3 + N // 10:
                raise Failed(f'boot {i + 1} of {N}, with {cpus} processors: {e}')
            print(f'the host stood still for {m.stood:.0f} s: once more', flush=True)
        finally:
            m.kill()
    times.sort()
    print(f'{N} boots, seed {SEED}: {times[0]:.1f} to {times[-1]:.1f} s, median {times[N // 2]:.1f} s')


main(test)

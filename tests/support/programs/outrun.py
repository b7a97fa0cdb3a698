"""Process 1 of its own pid namespace ends a leftover that forks faster than all pids can be read.

Pids have just wrapped around: the kernel lists processes by pid, so the leftover comes first and
has exited when the rest has been read. Prints for each round whether it is gone.
"""

import os
import select
import subprocess
import sys

from procsup.host import leftovers, marks

ROUNDS = 3
LONG_S = 20
RUN_ON = f"""
import os, time
until = time.monotonic() + {LONG_S}
while time.monotonic() < until:
    if os.fork():
        os._exit(0)
    os.setsid()
"""


def give_next(number):
    with open("/proc/sys/kernel/ns_last_pid", "w") as file:
        file.write(str(number - 1))


def is_ended():
    base = marks.draw_base()
    marker = marks.Marker(base)
    reading, writing = os.pipe()
    give_next(300)
    marker.put_on()
    first = subprocess.Popen([sys.executable, "-S", "-c", RUN_ON], pass_fds=[writing])
    marker.take_off()
    os.close(writing)
    first.wait()
    leftovers.end_leftovers(leftovers.RecordedProcesses(mark_base=base), limit_s=LONG_S)
    return bool(select.select([reading], [], [], 0.5)[0])  # closed by the leftover's end


give_next(20000)
crowd = [subprocess.Popen(["sleep", "60"]) for _ in range(200)]
print(*[is_ended() for _ in range(ROUNDS)])

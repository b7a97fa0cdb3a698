"""Start argv[2] supervisors at once in the run directory argv[1]; print how each one fared.

The winner holds on until all have tried.
"""

import contextlib
import os
import sys
import time

from procsup.errors import RunBusy
from procsup.store.rundir import RunDir
from procsup.store.sitting import Sitting


def fork_patiently() -> int:
    """Fork, on a machine that may be at its limit of processes for a moment."""
    for _ in range(200):
        with contextlib.suppress(BlockingIOError):
            return os.fork()
        time.sleep(0.05)
    return os.fork()


rundir, starters = RunDir(sys.argv[1]), int(sys.argv[2])
rundir.create()
barrier, gate = os.pipe()
results, result = os.pipe()
finished, finish = os.pipe()
for _ in range(starters):
    if fork_patiently() == 0:
        os.close(gate)
        os.close(finish)
        os.read(barrier, 1)
        try:
            sitting = Sitting.open(rundir, at=time.time())
        except RunBusy as error:
            os.write(result, b"busy\n" if " in use by process " in str(error) else b"nameless\n")
        except Exception as error:  # noqa: BLE001 - the test shall see it
            os.write(result, f"{error!r}\n".encode())
        else:
            sitting.begin(1, "r1", [])
            os.write(result, b"won\n")
            os.read(finished, 1)
        os._exit(0)
os.close(gate)
os.close(result)
fared = b""
while fared.count(b"\n") < starters:
    part = os.read(results, 1 << 16)
    if not part:
        break
    fared += part
os.close(finish)
for _ in range(starters):
    os.wait()
print(fared.decode(), end="")

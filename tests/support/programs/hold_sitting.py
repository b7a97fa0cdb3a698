"""Hold the run directory in argv[1] as sitting 1 of run "r1" with the stages in argv[2:].

Lets go of a stage named on stdin; ends by itself at the end of stdin.
"""

import sys
import time

from procsup.store.rundir import RunDir
from procsup.store.sitting import Sitting

rundir = RunDir(sys.argv[1])
rundir.create()
with Sitting.open(rundir, at=time.time()) as sitting:
    sitting.begin(1, "r1", sys.argv[2:])
    print("begun", flush=True)
    for line in sys.stdin:
        sitting.release_stage(line.strip())
        print("done", flush=True)

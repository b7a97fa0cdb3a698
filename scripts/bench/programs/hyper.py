"""HyperQueue at work: ``python hyper.py UNITS SLOTS COMMAND...``, by its Python package.

Its server and one worker live in this process while the units run, on a loopback address; what
they keep is in the current folder.
"""

import os
import sys
from pathlib import Path

from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig


def main() -> int:
    """Submit one job with a task per unit and wait for it; 1 if a task failed."""
    units, slots, argv = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    folder = Path("hq").absolute()
    folder.mkdir()
    job = Job(default_workdir=os.getcwd(), max_fails=None)
    for number in range(1, units + 1):
        job.program([*argv, str(number)], stdout=None, stderr=None)
    with LocalCluster(str(folder), WorkerConfig(cores=slots)) as cluster:
        client = cluster.client()
        return 0 if client.wait_for_jobs([client.submit(job)], raise_on_error=False) else 1


if __name__ == "__main__":
    sys.exit(main())

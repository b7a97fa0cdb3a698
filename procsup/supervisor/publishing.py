"""Builds what publishes a sitting's manifests."""

import time
from typing import Callable, Optional

from procsup.core.records import Begin
from procsup.core.spec import RunSpec
from procsup.store.journal import JournalWriter
from procsup.store.manifest import ManifestPublisher
from procsup.store.publishing import Manifests, PublishingQueue
from procsup.store.sitting import Sitting
from procsup.supervisor.trimmer import Trimmer


def open_queue(
    spec: RunSpec,
    begin: Begin,
    sitting: Sitting,
    journal: JournalWriter,
    *,
    started: Optional[float],
    wake: Callable[[], None],
) -> PublishingQueue:
    """Return the queue that withdraws and publishes manifests; the caller closes it.

    `started` is when the run (not this sitting) began; `wake` is called after each step.
    """
    manifests: Manifests = ManifestPublisher(
        sitting.rundir, spec, begin, journal, sitting, started=started, wall=time.time
    )
    if spec.keep_logs == "failed":
        manifests = Trimmer(manifests, sitting.folder)
    return PublishingQueue(manifests, journal, wake=wake)

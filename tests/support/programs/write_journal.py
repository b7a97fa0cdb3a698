"""Append to the journal in argv[1] for ever; print each number that is known to be on disk."""

import os
import sys

from procsup.core.outcome import Exited, Verdict
from procsup.core.records import End, Launch
from procsup.store.journal import JournalWriter


def tell() -> None:
    for fact in writer.drain():
        os.write(1, b"%d\n" % fact.seq)


writer = JournalWriter.open(sys.argv[1], on_synced=lambda: None)
unit = 0
while True:
    unit += 1
    writer.append([Launch(f"s/{unit}", 1, 1.0, "f")])
    writer.append([End(f"s/{unit}", 1, Verdict.SUCCEEDED, 2.0, exit=Exited(0))])
    tell()

"""How soon a sample gets through: ``python scripts/bench/stream.py [--samples N]``.

N samples in three stages that follow each other with `for-each`. What is said is read from the
journal, where every start stands before it happens: when the last stage began, and whether the
first one was still running then. Nothing here is a matter of time.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Iterable, NamedTuple

import _bench
import _setup

STAGES = """
[stage.trim]
command = ["{true}"]
matrix.reads.glob = "raw/{{sample:*}}.fastq"
[stage.align]
for-each = "trim"
command = ["{true}"]
[stage.call]
for-each = "align"
command = ["{true}"]
"""


class Story(NamedTuple):
    """When the last stage's first unit was started, and how the first stage stood then."""

    position: int  # among all starts, from 1
    starts: int  # in all
    first_started: int
    first_ended: int
    first_in_all: int

    @property
    def overlaps(self) -> bool:
        """The first stage was not over."""
        return self.first_ended < self.first_in_all


def main() -> int:
    """Run and print; 1 if the stages did not overlap."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=1_000)
    options = parser.parse_args()
    with _bench.workshop() as bench:
        print("\n".join(_bench.describe(bench)))
        room = bench.room()
        make_samples(room, options.samples)
        bench.run_file(room, STAGES.format(true=_bench.program("true")))
        cost = bench.cost([*bench.procsup, "run", "--quiet"], room)
        story = story_of(room / ".procsup" / "bench" / "journal.jsonl", "trim", "call")
    print(f"run:      {story.starts:,} units in three for-each stages, {cost.wall_s:.1f} s")
    print(f"the last stage's first start: number {story.position} of {story.starts:,}")
    print(
        f"the first stage at that moment: {story.first_started} of {story.first_in_all:,} started,"
        f" {story.first_ended} ended: {'still running' if story.overlaps else 'over'}"
    )
    return 0 if story.overlaps else 1


def make_samples(room: Path, count: int) -> None:
    """Make so many files that stand for samples."""
    (room / "raw").mkdir()
    for number in range(1, count + 1):
        (room / "raw" / f"S{number:04d}.fastq").write_text("@\n", encoding="utf-8")


def story_of(journal: Path, first: str, last: str) -> Story:
    """Read the story of two stages from the journal of a run that had one sitting."""
    with journal.open(encoding="utf-8") as lines:
        return told(lines, first, last)


def told(lines: Iterable[str], first: str, last: str) -> Story:
    """Return the story; each line is a checksum, a number and a record."""
    position = starts = first_started = first_ended = first_in_all = 0
    for line in lines:
        record = json.loads(line.split(" ", 2)[2])
        stage = record.get("unit", "").partition("/")[0]
        if record["t"] == "start":
            starts += 1
            first_in_all += stage == first
            if stage == last and not position:
                position, first_started = starts, first_in_all
        elif record["t"] == "end" and stage == first and not position:
            first_ended += 1
    return Story(position, starts, first_started, first_ended, first_in_all)


if __name__ == "__main__":
    sys.exit(_setup.guarded(main))

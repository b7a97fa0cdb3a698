"""How soon a sample gets through three stages that follow each other with `for-each`.

What is said is read from the journal, where every start stands before it happens: when the last
stage began, and whether the first one was still running then. Nothing here is a matter of time.
"""

import json
from pathlib import Path
from typing import Any, Dict, Iterable, NamedTuple

import _setup

from bench.measure import Command, Workshop, program

SAMPLES = {"quick": 100}
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


def measure(bench: Workshop, form: str) -> Dict[str, Any]:
    """Return the story of a run of so many samples, and what it took."""
    room, samples = bench.room(), SAMPLES.get(form, 1000)
    make_samples(room, samples)
    bench.run_file(room, STAGES.format(true=program("true")))
    cost = bench.cost(Command([*bench.procsup, "run", "--quiet"], room))
    story = story_of(bench.run_folder(room) / "journal.jsonl", "trim", "call")
    _setup.say(f"stream: the last stage began at start {story.position} of {story.starts}")
    return {"samples": samples, "wall_s": cost.wall_s, **story._asdict()}


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

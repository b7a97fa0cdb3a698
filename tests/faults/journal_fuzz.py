"""A journal harmed in every way we know: no false record, no unnoticed loss, no crash.

The truth is a journal of our own making, so that for every harmed copy a few plain lines here
say which records may be believed, and must be. Each case is named by its kind and number, which
seed its harm: ``--case "flip 12"`` does one again.
"""

import hashlib
import json
import random
import re
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Sequence, Set, Tuple

import msgspec

from procsup.core.events import UnitResult
from procsup.core.manifest import JournalMark, make_unit_record
from procsup.core.plan.outlook import Outlook, format_first_line
from procsup.core.records import Begin, End, Planned, Record, encode_line
from procsup.core.replay import UnitHistory
from procsup.core.spec import RunSpec, StageSpec, UnitSpec
from procsup.errors import ProcsupError, RecordError
from procsup.queries.events import read_events
from procsup.queries.listing import look_at
from procsup.queries.logs import Choice, Log, list_logs
from procsup.queries.selection import SelectedUnits
from procsup.queries.session_end import explain_end
from procsup.queries.status import read_status
from procsup.queries.view import RunView
from procsup.store.journal import JournalWriter, follow, read_journal
from procsup.store.mark import mark_problem
from procsup.store.reader import ReadJournal, read_begins
from procsup.store.rundir import RunDir
from procsup.store.sitting import Owner
from procsup.supervisor.previous_run import PreviousRun, make_lost_ends
from tests.faults.hostile import hostile_lines
from tests.faults.trial import Trial
from tests.store.builders import begin, end, every_record, records

WHAT = "a journal harmed in seven ways, cut at every byte, with hostile content in good lines"

_MISSING = re.compile(r"records (\d+) to (\d+) are missing")
_LISTED = 100  # so many sentences of damage are kept
_QUIET = Outlook(0, {}, {}, 0, [])


class Truth:
    """A whole journal, and what may be believed of a harmed copy of it."""

    def __init__(self, written: Sequence[Record]) -> None:
        self.lines = [encode_line(seq, record) for seq, record in enumerate(written, 1)]
        self.whole = b"".join(self.lines)
        self.records = {seq: repr(record) for seq, record in enumerate(written, 1)}
        self.begins = {repr(record) for record in written if isinstance(record, Begin)}
        self.mark = JournalMark(len(self.whole), hashlib.sha256(self.whole).hexdigest())
        self._numbers = {line: seq for seq, line in enumerate(self.lines, 1)}

    def believable(self, data: bytes) -> List[int]:
        """The numbers of the lines that are whole, and higher than all before them."""
        found, last = [], 0
        for line in data.splitlines(keepends=True) if b"\r" not in data else _lines(data):
            seq = self._numbers.get(line, 0)
            if seq > last:
                found.append(seq)
                last = seq
        return found


def _lines(data: bytes) -> List[bytes]:
    """Split at newlines only: garbage holds carriage returns, too."""
    return [part + b"\n" for part in data.split(b"\n")[:-1]] + data.split(b"\n")[-1:]


def attack(trial: Trial) -> None:
    """Harm copies of two journals, and look at what is made of each."""
    truths = [Truth([*every_record(), begin("r2", 2), end("s/x=9")]), Truth(records(5))]
    bench = Bench(trial.folder / "fuzz")
    for number, truth in enumerate(truths):
        _cut_everywhere(trial, bench, truth, number, step=trial.choose(53, 1, 1))
    for kind in HARMS:
        for number in range(trial.choose(12, 600, 20_000)):
            name = f"{kind} {number}"
            if not trial.wants(name):
                continue
            dice = random.Random(f"{trial.seed} {name}")
            truth = truths[number % 2]
            data = HARMS[kind](truth.whole, dice)
            if number % 3 == 0:
                data = HARMS[dice.choice(sorted(HARMS))](data or b"\n", dice)
            with trial.case(name):
                bench.harm(truth, data, writes=number % trial.choose(4, 5, 2) == 0)
    _put_hostile_lines(trial, bench)


def _cut_everywhere(trial: Trial, bench: "Bench", truth: Truth, number: int, step: int) -> None:
    for length in range(0, len(truth.whole) + 1, step):
        if not trial.wants(f"cut {number} at {length}"):
            continue
        with trial.case(f"cut {number} at {length}"):
            journal = bench.harm(truth, truth.whole[:length], writes=length % 40 == 0)
            assert not journal.damage, "a cut is torn, not damaged"
            assert journal.torn == length - journal.good_length


def _put_hostile_lines(trial: Trial, bench: "Bench") -> None:
    names = sorted({record.unit for record in every_record() if isinstance(record, End)})
    truth = Truth([begin(), Planned("s", [*names, "s/0"]), *records(2)[2:]])
    lines = list(hostile_lines(seq=3))
    chosen = _sample(trial, lines, trial.choose(40, 3000, len(lines)))
    for name, line in chosen:
        if not trial.wants(f"hostile {name}"):
            continue
        with trial.case(f"hostile {name}"):
            bench.hostile(truth, line, jumps=name.startswith("a jump"))
    trial.figure("hostile lines", f"{len(chosen)} of {len(lines)}")


def _sample(trial: Trial, lines: List[Tuple[str, bytes]], most: int) -> List[Tuple[str, bytes]]:
    if trial.only is not None or most >= len(lines):
        return lines
    return sorted(trial.random.sample(lines, most))


# --- seven ways to harm ------------------------------------------------------------------------


def flip(data: bytes, dice: random.Random) -> bytes:
    """Turn one bit over, or a few."""
    harmed = bytearray(data)
    for _ in range(dice.choice([1, 1, 1, 2, 8])):
        harmed[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    return bytes(harmed)


def zero(data: bytes, dice: random.Random) -> bytes:
    """Fill a range with zeros: where a sector begins, or anywhere."""
    length = dice.choice([1, 8, 64, 512, 1024])
    at = dice.randrange(len(data))
    at -= at % dice.choice([1, 512])
    return data[:at] + b"\x00" * min(length, len(data) - at) + data[at + length :]


def garbage(data: bytes, dice: random.Random) -> bytes:
    """Write something else over a range."""
    at, length = dice.randrange(len(data)), dice.choice([1, 3, 20, 600])
    return data[:at] + _rubbish(dice, length) + data[at + length :]


def insert(data: bytes, dice: random.Random) -> bytes:
    """Put something between, and now and then a whole line of the same journal."""
    at = dice.randrange(len(data) + 1)
    strange = dice.choice([_rubbish(dice, 9), b"\n", b"\r\n", b"\x00", dice.choice(_parts(data))])
    return data[:at] + strange + data[at:]


def lose(data: bytes, dice: random.Random) -> bytes:
    """Take a range out: some bytes, or some lines."""
    if dice.random() < 0.5:
        at = dice.randrange(len(data))
        return data[:at] + data[at + dice.choice([1, 2, 100, 512]) :]
    parts = _parts(data)
    at = dice.randrange(len(parts))
    return b"".join(parts[:at] + parts[at + dice.choice([1, 1, 2, 5]) :])


def repeat(data: bytes, dice: random.Random) -> bytes:
    """Have some lines stand there twice."""
    parts = _parts(data)
    at, to = dice.randrange(len(parts)), dice.randrange(len(parts) + 1)
    parts[to:to] = parts[at : at + dice.choice([1, 1, 2, 5])]
    return b"".join(parts)


def swap(data: bytes, dice: random.Random) -> bytes:
    """Let two lines change places, or two ranges."""
    parts = _parts(data)
    if dice.random() < 0.3:
        parts = [data[at : at + 512] for at in range(0, len(data), 512)]
    one, other = dice.randrange(len(parts)), dice.randrange(len(parts))
    parts[one], parts[other] = parts[other], parts[one]
    return b"".join(parts)


HARMS: Dict[str, Callable[[bytes, random.Random], bytes]] = {
    harm.__name__: harm for harm in (flip, zero, garbage, insert, lose, repeat, swap)
}


def _parts(data: bytes) -> List[bytes]:
    return _lines(data) or [data]


def _rubbish(dice: random.Random, length: int) -> bytes:
    return bytes(dice.randrange(256) for _ in range(length))


# --- what is made of it ------------------------------------------------------------------------


class Bench:
    """One run directory; each journal is put there, read by all who read, and written on."""

    def __init__(self, folder: Path) -> None:
        self.rundir = RunDir(folder)
        self.rundir.create()
        self.path = self.rundir.journal

    def harm(self, truth: Truth, data: bytes, *, writes: bool) -> ReadJournal:
        """Judge what is read of a harmed journal and, with `writes`, how the next one goes on."""
        self._put(data)
        believed = truth.believable(data)
        journal = read_journal(self.path)
        entries = [(entry.seq, repr(entry.record)) for entry in journal]
        assert entries == [(seq, truth.records[seq]) for seq in believed]
        _check_losses(journal, believed, len(truth.lines), data)
        self._check_onlookers(truth, data)
        if writes:
            self._go_on([seq for seq, _ in entries], data, damaged=bool(journal.damage))
        return journal

    def hostile(self, truth: Truth, line: bytes, *, jumps: bool) -> None:
        """Put a line of good checksum and wild content into a journal; nobody trips over it."""
        self._put(b"".join([*truth.lines[:2], line, *truth.lines[3:]]))
        journal = read_journal(self.path)
        entries = [(entry.seq, entry.record) for entry in journal]
        others = [(seq, repr(record)) for seq, record in entries if record != dict(entries).get(3)]
        wanted = [(seq, text) for seq, text in truth.records.items() if seq != 3]
        assert others == wanted or (jumps and journal.damage), "the others are not believed"
        assert journal.damage or journal.unknown or (3 in dict(entries)), "lost without a word"
        assert {repr(one) for one in read_begins(self.path) if one.run_id == "r1"} == truth.begins
        self._consult()
        try:
            self._go_on([seq for seq, _ in entries], None, damaged=bool(journal.damage))
        except RecordError:
            assert journal.unknown or journal.newer_version is not None
            assert not list(self.path.parent.glob("*.damaged*")), "refused, and touched"

    def _put(self, data: bytes) -> None:
        for old in self.path.parent.glob("journal.jsonl*"):
            old.unlink()
        self.path.write_bytes(data)

    def _check_onlookers(self, truth: Truth, data: bytes) -> None:
        seen = [(entry.seq, repr(entry.record)) for entry in follow(self.path).read()]
        assert set(seen) <= set(truth.records.items()), "a follower believed something false"
        assert {repr(one) for one in read_begins(self.path)} <= truth.begins
        same = data[: len(truth.whole)] == truth.whole
        assert (mark_problem(self.path, truth.mark) == "") == same

    def _consult(self) -> None:
        """Ask everything that reads a journal; only an error of ours may be the answer."""
        where = str(self.rundir.path)
        spec = RunSpec("demo", None, where, where, (StageSpec("s"),))
        owner = Owner("h", 1, "b", 0.0, 1, "r1", ("s",), ended=1.0)
        for ask in (
            lambda: list(read_events(self.rundir, owner)),
            lambda: explain_end(self.rundir, owner),
            lambda: list(map(_line_of, PreviousRun(self.rundir, spec).history.units.values())),
            self._logs,
            lambda: [json.dumps(row) for row in read_status(RunView(self.rundir)).rows()],
            lambda: read_status(RunView(self.rundir)).sentence,
            lambda: make_lost_ends(PreviousRun(self.rundir, spec).history, 0.0),
            lambda: look_at(self.rundir),
            lambda: format_first_line(_QUIET, PreviousRun(self.rundir, spec).before, fresh=False),
        ):
            _only_our_errors(ask)

    def _logs(self) -> List[Log]:
        history = read_status(RunView(self.rundir)).history
        return list_logs(
            history, self.rundir, Choice(SelectedUnits((), self.rundir, history, live=False))
        )

    def _go_on(self, numbers: List[int], data: Any, *, damaged: bool) -> None:
        """Open it for writing: what was believed stays, what is written is believed, too."""
        said = begin("r9", 9)
        journal = read_journal(self.path).read()
        with JournalWriter.open(
            self.path, journal, on_synced=lambda: None, durable=False
        ) as writer:
            written = writer.append([said])
        assert written > journal.last_seq - 1
        after = read_journal(self.path)
        entries = [(entry.seq, entry.record) for entry in after]
        assert [seq for seq, _ in entries[:-1]] == numbers, "what was believed is lost"
        assert entries[-1] == (written, said), "what was written is not believed"
        assert not after.damage
        assert not after.torn
        aside = list(self.path.parent.glob("journal.jsonl.damaged-*"))
        assert len(aside) == damaged, "the damaged journal is not kept aside"
        if aside and data is not None:
            assert aside[0].read_bytes() == data


def _line_of(unit: UnitHistory) -> bytes:
    """Return what the next manifest would say of a unit that is kept."""
    if not unit.packed:
        return b""
    spec = UnitSpec(unit.unit, "s", 0, ("true",), "/w", "f00")
    return msgspec.json.encode(make_unit_record(UnitResult(spec, unit.ends, kept=True)))


def _only_our_errors(ask: Callable[[], Any]) -> None:
    try:
        ask()
    except (ProcsupError, UnicodeEncodeError):
        pass  # said in words; what is not UTF-8 is armoured by whoever writes it


def _check_losses(journal: ReadJournal, believed: List[int], count: int, data: bytes) -> None:
    """Whatever was lost is told of; only a cut between two lines looks like an earlier time."""
    last = believed[-1] if believed else 0
    gaps = set(range(1, last)) - set(believed)
    if len(journal.damage) < _LISTED:
        assert gaps == _named(journal.damage), "the gaps are not those that are named"
    assert not gaps or journal.damage
    assert journal.last_seq == last
    kept = journal.good_length == len(data)
    assert last == count or kept or journal.torn or journal.damage, "the lost end is not told of"
    assert hashlib.sha256(data[: journal.good_length]).hexdigest() == journal.sha256
    if journal.good_length < len(data):
        assert journal.torn == len(data) - journal.good_length


def _named(damage: Sequence[str]) -> Set[int]:
    return set(_numbers(damage))


def _numbers(damage: Sequence[str]) -> Iterator[int]:
    for sentence in damage:
        found = _MISSING.match(sentence)
        if found is not None:
            yield from range(int(found.group(1)), int(found.group(2)) + 1)

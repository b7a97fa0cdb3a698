"""The fuzz of the journal sees what it is there to see: faults of a reader, put in one by one."""

import zlib

import pytest

from procsup.core import records
from procsup.core.records import encode_line
from procsup.store import journal, reader
from tests.faults import journal_fuzz
from tests.faults.trial import Trial
from tests.store.builders import begin


def believes_any_checksum(monkeypatch):
    def decode(line):
        return records.decode_line(b"%08x %s" % (zlib.crc32(line[9:]), line[9:]))

    monkeypatch.setattr(reader, "decode_line", decode)


def believes_the_last_line_without_its_end(monkeypatch):
    lines = reader._lines
    monkeypatch.setattr(
        reader, "_lines", lambda file: (((line + b"\n", True)) for line, _ in lines(file))
    )


def believes_any_order(monkeypatch):
    def believe(self, line, seq, start):
        self.last_seq = seq - 1
        return true(self, line, seq, start)

    true = reader.ReadJournal._believe
    monkeypatch.setattr(reader.ReadJournal, "_believe", believe)


def names_no_damage(monkeypatch):
    monkeypatch.setattr(reader.ReadJournal, "_note", lambda self, sentence: None)


def stops_at_the_first_bad_line(monkeypatch):
    def entries(self, file):
        for entry in true(self, file):
            if self.damage:
                return
            yield entry

    true = reader.ReadJournal._entries
    monkeypatch.setattr(reader.ReadJournal, "_entries", entries)


def throws_the_damaged_one_away(monkeypatch):
    true = journal.write_atomically

    def write(path, chunks, **more):
        if ".damaged" not in str(path):
            true(path, chunks, **more)

    monkeypatch.setattr(journal, "write_atomically", write)


def writes_behind_a_torn_tail(monkeypatch):
    monkeypatch.setattr(journal.os, "ftruncate", lambda fd, length: None)


def trips_over_deep_content(monkeypatch):
    def decode(line):
        if line.count(b"[") > 1000:
            raise RecursionError
        return records.decode_line(line)

    monkeypatch.setattr(reader, "decode_line", decode)


FAULTS = (
    believes_any_checksum,
    believes_the_last_line_without_its_end,
    believes_any_order,
    names_no_damage,
    stops_at_the_first_bad_line,
    throws_the_damaged_one_away,
    writes_behind_a_torn_tail,
    trips_over_deep_content,
)


@pytest.mark.parametrize("put_in", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_of_the_reader_is_seen(put_in, monkeypatch, tmp_path):
    put_in(monkeypatch)
    only = "hostile deep" if put_in is trips_over_deep_content else None
    trial = Trial("journal_fuzz", "smoke", tmp_path, only=only)

    journal_fuzz.attack(trial)

    assert trial.failures


def test_what_may_be_believed_is_every_whole_line_in_rising_order():
    truth = journal_fuzz.Truth([begin("r1"), begin("r2", 2), begin("r3", 3)])
    one, two, three = truth.lines

    assert truth.believable(truth.whole) == [1, 2, 3]
    assert truth.believable(one + three + two) == [1, 3]
    assert truth.believable(one[:-1]) == []
    assert truth.believable(b"\r" + one + two) == [2]
    assert encode_line(2, begin("r2", 2)) == two

"""The fuzz of the journal sees what it is there to see: faults of a reader, put in one by one."""

import os
import zlib

import pytest

from procsup.core import records
from procsup.core.records import encode_line
from procsup.host import files
from tests.faults import journal_fuzz
from tests.faults.seams import nothing, plant, planted
from tests.faults.trial import Trial
from tests.store.builders import begin


def believes_any_checksum(put):
    def decode(true):
        return lambda line: true(b"%08x %s" % (zlib.crc32(line[9:]), line[9:]))

    plant(records.decode_line, decode, put)


def believes_the_last_line_without_its_end(put):
    def lines(true):
        return lambda file: ((line + b"\n", True) for line, _ in true(file))

    plant("read lines", lines, put)


def believes_any_order(put):
    def make(true):
        def believe(self, line, seq, start):
            self.last_seq = seq - 1
            return true(self, line, seq, start)

        return believe

    plant("believe a line", make, put)


def names_no_damage(put):
    plant("note damage", nothing, put)


def stops_at_the_first_bad_line(put):
    def make(true):
        def entries(self, file):
            for entry in true(self, file):
                if self.damage:
                    return
                yield entry

        return entries

    plant("read entries", make, put)


def throws_the_damaged_one_away(put):
    def make(true):
        def write(path, chunks, **more):
            if ".damaged" not in str(path):
                true(path, chunks, **more)

        return write

    plant(files.write_atomically, make, put)


def writes_behind_a_torn_tail(put):
    put(os, "ftruncate", lambda fd, length: None)


def trips_over_deep_content(put):
    def make(true):
        def decode(line):
            if line.count(b"[") > 1000:
                raise RecursionError
            return true(line)

        return decode

    plant(records.decode_line, make, put)


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
def test_a_fault_of_the_reader_is_seen(put_in, tmp_path):
    only = "hostile deep" if put_in is trips_over_deep_content else None
    trial = Trial("journal_fuzz", "smoke", tmp_path, only=only)

    with planted(put_in):
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

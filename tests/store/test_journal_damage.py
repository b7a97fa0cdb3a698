"""Whatever happens to a journal's bytes: no false record, no unnoticed loss in it, no crash."""

import random
import zlib

import pytest

from procsup.core.records import encode_line
from procsup.errors import RecordError
from procsup.store import reader
from procsup.store.journal import JournalWriter, follow, read_journal
from tests.store.builders import begin, end, read, records

LINES = [encode_line(seq, record) for seq, record in enumerate(records(8), 1)]
WHOLE = b"".join(LINES)
TRUE = set(map(repr, records(8)))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.jsonl"


def reopen(path):
    """Open for writing what was damaged, write on, and read all of it."""
    with JournalWriter.open(path, on_synced=lambda: None, durable=False) as writer:
        writer.append([begin("r2", 2)])
    return read(path)


@pytest.mark.survives("F36")
def test_cut_at_every_byte_it_ends_with_the_last_whole_record(path):
    for length in range(len(WHOLE) + 1):
        path.write_bytes(WHOLE[:length])
        whole = WHOLE[:length].count(b"\n")

        found, journal = read(path)

        assert found == records(8)[:whole]
        assert journal.damage == []
        assert journal.good_length == sum(map(len, LINES[:whole]))
        assert journal.torn == length - journal.good_length


@pytest.mark.survives("F36")
def test_a_torn_tail_is_cut_off_before_anything_is_written(path):
    for length in range(0, len(WHOLE), 37):
        path.write_bytes(WHOLE[:length])
        whole = WHOLE[:length].count(b"\n")

        found, journal = reopen(path)

        assert found == [*records(8)[:whole], begin("r2", 2)]
        assert (journal.torn, journal.damage) == (0, [])
    assert len(list(path.parent.iterdir())) == 1


@pytest.mark.parametrize("tail", [b"\x00" * 5000, b"\n", b"garbage\n", b"\xff" * 9, LINES[3]])
def test_one_bad_last_line_is_a_torn_tail(path, tail):
    path.write_bytes(WHOLE + tail)

    found, journal = read(path)

    assert found == records(8)
    assert journal.torn == len(tail)
    assert journal.damage == []


def test_more_than_one_bad_line_at_the_end_is_damage(path):
    path.write_bytes(WHOLE + b"garbage\ngarbage\n")

    found, journal = read(path)

    assert found == records(8)
    assert len(journal.damage) == 2
    assert journal.good_length == len(WHOLE)
    assert reopen(path)[0] == [*records(8), begin("r2", 2)]


@pytest.mark.survives("F37")
def test_damage_in_the_middle_is_named_and_what_is_behind_it_is_believed(path):
    bad = WHOLE.replace(LINES[4], b"\x00" * len(LINES[4]))
    path.write_bytes(bad)

    found, journal = read(path)

    assert found == [record for number, record in enumerate(records(8)) if number not in (4, 5)]
    at = sum(map(len, LINES[:4]))
    assert journal.damage == [
        f"bytes {at} to {at + len(LINES[4]) + len(LINES[5])} are damaged: checksum does not match",
        f"records 5 to 6 are missing at byte {at + len(LINES[4]) + len(LINES[5])}",
    ]


@pytest.mark.survives("F37")
def test_a_damaged_journal_is_kept_aside_and_what_can_be_believed_goes_on(path):
    bad = b"".join([*LINES[:4], b"garbage\n", *LINES[6:]])
    path.write_bytes(bad)

    journal = read_journal(path).read()
    with JournalWriter.open(path, journal, on_synced=lambda: None) as writer:
        writer.append([begin("r2", 2)])

    aside = path.with_name("journal.jsonl.damaged-1")
    assert aside.read_bytes() == bad
    assert str(aside) in journal.damage[-1]
    found, after = read(path)
    assert found == [*records(8)[:4], *records(8)[6:], begin("r2", 2)]
    assert after.damage == []
    reopen(path)
    assert len(list(path.parent.iterdir())) == 2


def test_numbers_stay_what_they_were_through_a_repair(path):
    path.write_bytes(b"".join([LINES[2], *LINES[4:6], b"garbage\n", *LINES[9:]]))
    before = read_journal(path).read()

    with JournalWriter.open(path, before, on_synced=lambda: None) as writer:
        assert writer.append([begin("r2", 2)]) == before.last_seq + 1

    entries = [(entry.seq, entry.record) for entry in read_journal(path)]
    assert [seq for seq, _ in entries] == [3, 5, 6, *range(10, len(LINES) + 2)]
    assert entries[1] == (5, records(8)[4])


def test_a_follower_passes_over_what_is_missing(path):
    path.write_bytes(LINES[0] + LINES[5])
    reopen(path)

    assert [entry.record for entry in follow(path).read()] == [*read(path)[0]]


def test_each_damage_is_kept_under_a_name_of_its_own(path):
    for number in (1, 2):
        path.write_bytes(WHOLE.replace(LINES[number], b"\n"))
        reopen(path)

    assert len(list(path.parent.glob("journal.jsonl.damaged-*"))) == 2


def zero(data, dice):
    at, length = dice.randrange(len(data)), dice.choice([1, 8, 512])
    return data[:at] + b"\x00" * min(length, len(data) - at) + data[at + length :]


def flip(data, dice):
    at = dice.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << dice.randrange(8))]) + data[at + 1 :]


def duplicate(data, dice):
    parts = data.splitlines(keepends=True)
    parts.insert(dice.randrange(len(parts)), dice.choice(parts))
    return b"".join(parts)


def swap(data, dice):
    parts = data.splitlines(keepends=True)
    one, other = dice.sample(range(len(parts)), 2)
    parts[one], parts[other] = parts[other], parts[one]
    return b"".join(parts)


def drop(data, dice):
    parts = data.splitlines(keepends=True)
    del parts[dice.randrange(len(parts))]
    return b"".join(parts)


def garbage(data, dice):
    at = dice.randrange(len(data))
    length = dice.choice([1, 3, 20, 600])
    rubbish = bytes(dice.randrange(256) for _ in range(length))
    return data[:at] + rubbish + data[at + length :]


def insert(data, dice):
    at = dice.randrange(len(data))
    return data[:at] + bytes(dice.randrange(256) for _ in range(dice.choice([1, 9]))) + data[at:]


def cut(data, dice):
    return data[: dice.randrange(len(data))]


@pytest.mark.parametrize("harm", [zero, flip, duplicate, swap, drop, garbage, insert, cut])
def test_harm_of_any_kind_makes_no_false_record_and_no_unnoticed_loss(path, harm):
    for seed in range(600):
        dice = random.Random(seed)
        harmed = harm(WHOLE, dice)
        if seed % 3 == 0:
            harmed = harm(harmed, dice)
        path.write_bytes(harmed)

        found, journal = read(path)

        shown = [repr(record) for record in found]
        assert set(shown) <= TRUE, seed
        assert len(set(shown)) == len(shown), seed
        order = [records(8).index(record) for record in found]
        assert order == sorted(order), seed
        gaps = order != list(range(len(order)))
        assert not gaps or journal.damage, seed
        # What is cut at the end of a line is seen by nobody but a manifest's mark.
        lost_tail = order == list(range(len(order))) and len(order) < len(LINES)
        complete = journal.good_length == len(harmed)
        assert not lost_tail or journal.damage or journal.torn or complete, seed


@pytest.mark.parametrize("harm", [zero, flip, duplicate, swap, drop, garbage, insert, cut])
def test_after_harm_of_any_kind_a_sitting_can_go_on(path, harm):
    for seed in range(25):
        path.write_bytes(harm(WHOLE, random.Random(seed)))
        before, _journal = read(path)

        found, journal = reopen(path)

        assert found == [*before, begin("r2", 2)], seed
        assert (journal.damage, journal.torn) == ([], 0), seed


def framed(body):
    return b"%08x %s\n" % (zlib.crc32(body), body)


HOSTILE = {
    "deep": b"2 " + b"[" * 200_000,
    "deep in a field": b'2 {"t":"begin","variables":' + b'{"a":' * 200_000,
    "huge number": b'2 {"t":"end","at":' + b"9" * 100_000 + b"}",
    "huge sequence number": b"9" * 100_000 + b" {}",
    "number that leaves no room for more": b"9" * 20 + b' {"t":"closed","at":1,"reason":""}',
    "gap that leaves no room for more": b'2 {"t":"missing","last":' + b"9" * 20 + b"}",
    "no sequence number": b"{}",
    "negative sequence number": b"-2 {}",
    "not a number": b'2 {"t":"end","at":NaN}',
    "not utf-8": b'2 {"t":"\xff"}',
    "lone surrogate": b'2 {"t":"\\ud800"}',
    "bad packing": b'2 {"t":"\\u0000zzzz"}',
    "nothing": b"",
    "only a number": b"2",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_content_with_a_right_checksum_is_no_crash_and_no_record(path, name):
    path.write_bytes(LINES[0] + framed(HOSTILE[name]) + LINES[2])

    found, journal = read(path)

    assert found == [records(8)[0], records(8)[2]]
    assert journal.damage or journal.unknown
    try:
        reopen(path)
    except RecordError:
        assert journal.unknown


def test_a_line_that_is_too_long_is_damage_and_is_never_held_in_memory(path, monkeypatch):
    monkeypatch.setattr(reader, "LONGEST_LINE_BYTES", 2048)
    long = framed(b'2 {"t":"begin","name":"' + b"x" * 9000 + b'"}')
    path.write_bytes(LINES[0] + long + LINES[1] + LINES[2])

    found, journal = read(path)

    assert found == records(8)[:3]
    assert journal.damage
    assert "has no end" in journal.damage[0]


def test_a_whole_line_inside_of_one_that_is_too_long_is_not_believed(path, monkeypatch):
    monkeypatch.setattr(reader, "LONGEST_LINE_BYTES", 2048)
    path.write_bytes(LINES[0] + b"x" * 2048 + LINES[1] + LINES[2])

    found, journal = read(path)

    assert found == [records(8)[0], records(8)[2]]
    assert journal.damage


def test_a_wholly_strange_file_is_damage_not_a_crash(path):
    path.write_bytes(random.Random(1).getrandbits(8 * 100_000).to_bytes(100_000, "big"))

    found, journal = read(path)

    assert found == []
    assert journal.damage
    assert len(journal.damage) <= 101
    assert reopen(path)[0] == [begin("r2", 2)]


def test_what_is_read_late_costs_no_memory(path):
    tracemalloc = pytest.importorskip("tracemalloc")
    path.write_bytes(b"".join(encode_line(seq, end(f"s/{seq}")) for seq in range(1, 20_001)))
    tracemalloc.start()
    try:
        count = sum(1 for _entry in read_journal(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert count == 20_000
    assert peak < 1_000_000

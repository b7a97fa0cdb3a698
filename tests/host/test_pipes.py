"""Lines between two processes: whole, in order, and neither side waits for the other."""

import os
import threading
import time
from typing import IO, Iterator, List, NamedTuple

import pytest

from procsup.host.pipes import Wire

LIMIT_S = 20.0


class Ends(NamedTuple):
    """A wire, and the other process' ends of its pipes."""

    wire: Wire
    reader: IO[bytes]
    writer: IO[bytes]
    rang: threading.Event


@pytest.fixture
def ends() -> Iterator[Ends]:
    (ours, theirs), (their_reading, our_writing) = os.pipe(), os.pipe()
    with os.fdopen(their_reading, "rb") as reader, os.fdopen(theirs, "wb", 0) as writer:
        made = Ends(Wire(ours, our_writing), reader, writer, threading.Event())
        yield made
        made.wire.finish()
    made.wire.close(timeout_s=LIMIT_S)


def lines_of(ends: Ends, count: int) -> List[bytes]:
    """Wait until so many lines came, as a loop does that is woken."""
    found = ends.wire.take()
    deadline = time.monotonic() + LIMIT_S
    while len(found) < count:
        assert ends.rang.wait(deadline - time.monotonic()), found
        ends.rang.clear()
        found += ends.wire.take()
    return found


def wait_until_over(ends: Ends) -> None:
    while not ends.wire.is_over:
        assert ends.rang.wait(LIMIT_S)
        ends.rang.clear()


def test_lines_come_whole_and_in_order_however_they_were_written(ends: Ends) -> None:
    ends.wire.listen(ends.rang.set)
    for piece in (b"a\nb", b"", b"c\n", b"\n", b"d" * 200_000, b"d\ne\n"):
        ends.writer.write(piece)

    assert lines_of(ends, 5) == [b"a", b"bc", b"", b"d" * 200_001, b"e"]


def test_the_first_line_takes_none_of_the_others(ends: Ends) -> None:
    ends.writer.write(b"first\nsecond\nth")

    assert ends.wire.wait_for_first_line() == b"first"

    ends.wire.listen(ends.rang.set)
    ends.writer.write(b"ird\n")
    assert lines_of(ends, 2) == [b"second", b"third"]


def test_what_was_not_said_to_its_end_was_not_said(ends: Ends) -> None:
    ends.wire.listen(ends.rang.set)
    ends.writer.write(b"whole\ntorn")
    ends.writer.close()
    wait_until_over(ends)

    assert ends.wire.take() == [b"whole"]


def test_without_a_first_line_there_is_none(ends: Ends) -> None:
    ends.writer.write(b"torn")
    ends.writer.close()

    assert ends.wire.wait_for_first_line() == b""

    ends.wire.listen(ends.rang.set)
    wait_until_over(ends)


def test_who_tells_does_not_wait_and_all_is_written_before_the_end(ends: Ends) -> None:
    ends.wire.listen(ends.rang.set)
    whole = b"x" * 999_999 + b"\n"
    for _ in range(3):
        ends.wire.tell(whole)
    ends.wire.finish()

    assert ends.reader.read() == 3 * whole


def test_a_reader_that_is_gone_is_noticed(ends: Ends) -> None:
    ends.wire.listen(ends.rang.set)
    ends.reader.close()
    ends.wire.tell(b"x\n")
    while not ends.wire.is_broken:
        assert ends.rang.wait(LIMIT_S)
        ends.rang.clear()

    ends.wire.tell(b"y\n")
    ends.wire.wait_until_told()

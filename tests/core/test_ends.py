import sys
from typing import Tuple

import pytest

from procsup.core.ends import NO_ENDS, add, pack, unpack
from procsup.core.outcome import (
    Affinity,
    Exit,
    Exited,
    LeftoverFiles,
    NotStarted,
    Reading,
    Signaled,
    StopReason,
    Usage,
    Vanished,
    Verdict,
)
from procsup.core.records import End

WELL = Exited(0)


def end(attempt: int = 1, *, exit: Exit = WELL, cause: str = "") -> End:
    return End(
        "s/a",
        attempt,
        Verdict.SUCCEEDED,
        1795404000.123456,
        exit=exit,
        cause=cause,
        started=1795404000.5,
        wall_s=0.25,
        pid=1234,
        host="here",
        cpus=2.0,
        usage=Usage(
            cpu_user_s=0.5,
            peak_memory_bytes=1 << 40,
            peak_memory_source="rusage",
            affinity=Affinity(observed=[0, 1], drift=((0.5, [1]), (0.75, [0]))),
        ),
        stdout_path="logs/s/a.1.out",
        stdout_part=(7, 1 << 40),
        outputs=(Reading("/x/a", 1, 2, "ab"), Reading("/x/b", 0, 3)),
        inputs=(Reading("/x/in", 9, 8),),
        fingerprint="f" * 32,
        program="p" * 64,
        same_as=77,
        leftover_files=LeftoverFiles(9, ("out/a", "/x/\u00e9")),
    )


def test_packed_ends_come_back_as_they_were() -> None:
    ends = (end(1), end(2))

    assert unpack(pack(ends), "s/a") == ends


@pytest.mark.parametrize(
    "exit", [Exited(0), Exited(2**32 - 1), Signaled(9), NotStarted("no", True), Vanished("gone")]
)
def test_every_exit_comes_back(exit: Exit) -> None:
    assert unpack(pack((end(exit=exit),)), "s/a") == (end(exit=exit),)


def test_an_end_that_tells_almost_nothing_comes_back() -> None:
    ends = (End("s/a", 0, Verdict.SKIPPED, 1.0, stopped_for=StopReason.USER),)

    assert unpack(pack(ends), "s/a") == ends


def test_text_that_is_not_utf_8_comes_back() -> None:
    ends: Tuple[End, ...] = (end(cause="caf\udce9"),)

    assert unpack(pack(ends), "s/a") == ends
    assert unpack(add(pack(ends), end(2)), "s/a") == (*ends, end(2))


def test_an_end_replaces_one_of_the_same_attempt() -> None:
    packed = add(add(NO_ENDS, end(1)), end(2))

    assert unpack(add(packed, end(2, cause="why")), "s/a") == (end(1), end(2, cause="why"))


def test_no_ends_come_back_as_none() -> None:
    assert unpack(NO_ENDS, "s/a") == ()


def test_a_packed_end_takes_little_space() -> None:
    plain = End(
        "work/i=12345",
        1,
        Verdict.SUCCEEDED,
        1795404000.123456,
        exit=Exited(0),
        started=1795404000.12,
        wall_s=0.00123,
        pid=123456,
        host="a-host-with-a-long-name.example.org",
        cpus=1.0,
        usage=Usage(0.1, 0.2, 1234567, "rusage", affinity=Affinity(observed=[0, 1])),
        stdout_path="logs/work/i=12345.1.out",
        stderr_path="logs/work/i=12345.1.err",
        fingerprint="a" * 32,
    )

    assert sys.getsizeof(pack((plain,))) < 260


def test_numbers_that_no_64_bits_hold_stay_what_they_are() -> None:
    wild = End("s/a", 10**30, Verdict.FAILED, 1.0, pid=-(10**30))

    assert unpack(pack((wild,)), "s/a") == (wild,)
    assert unpack(add(pack((end(),)), wild), "s/a") == (end(), wild)

"""Single values: durations, sizes, CPUs, retries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procsup.core.outcome import Verdict
from procsup.core.spec import RETRY_ON, OnFailure, Retry
from procsup.runfile import values
from procsup.runfile.problems import Wrong
from procsup.runfile.reading import parse


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (90, 90),
        (0.5, 0.5),
        ("90", 90),
        ("10m", 600),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("1.5h", 5400),
        ("500ms", 0.5),
        ("2d", 172800),
        ("1m500ms", 60.5),
        ("0", 0),
    ],
)
def test_durations(written, seconds):
    assert values.duration_s(written) == seconds


@pytest.mark.parametrize(
    "written", ["", " ", "m", "1x", "-1", -1, "30m1h", "1h1h", "1 000", True, None, [1], "inf", "²"]
)
def test_what_is_no_duration(written):
    with pytest.raises(Wrong, match="expected seconds or a duration"):
        values.duration_s(written)


@given(st.integers(0, 99), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_durations_add_up(days, hours, minutes, seconds):
    written = f"{days}d{hours}h{minutes}m{seconds}s"

    assert values.duration_s(written) == ((days * 24 + hours) * 60 + minutes) * 60 + seconds


@pytest.mark.parametrize(
    ("written", "size"),
    [
        (1, 1),
        ("2G", 2 << 30),
        ("1.5M", 3 << 19),
        ("3 k", 3072),
        ("1T", 1 << 40),
        ("77", 77),
        (2.0, 2),
    ],
)
def test_sizes(written, size):
    assert values.size_bytes(written) == size


@pytest.mark.parametrize("written", ["", "2X", "G", "2GB", "-1", 0, "0G", 1.5, True, [1]])
def test_what_is_no_size(written):
    with pytest.raises(Wrong, match="expected bytes or a size"):
        values.size_bytes(written)


@pytest.mark.parametrize(
    ("written", "cpus"), [(1, 1), (0.5, 0.5), ("2", 2), ("0.25", 0.25), ("all", None)]
)
def test_cpus(written, cpus):
    assert values.cpus(written) == cpus


@pytest.mark.parametrize("written", [0, -1, "", "some", True, float("inf"), float("nan"), [1]])
def test_what_are_no_cpus(written):
    with pytest.raises(Wrong, match="expected a number of CPUs above 0"):
        values.cpus(written)


def test_retries():
    table = {"times": 2, "on": ["lost", "failed"], "delay": "5s", "memory": "x1.5"}

    assert values.retries(3) == Retry(3, RETRY_ON)
    assert values.retries(table) == Retry(2, (Verdict.LOST, Verdict.FAILED), 5.0, 1.5)


def test_on_failure():
    assert values.on_failure("stop") == OnFailure("stop", 1, None)
    assert values.on_failure({"do": "drain", "at": 3}) == OnFailure("drain", 3, None)
    assert values.on_failure({"do": "drain", "at": "12.5%"}) == OnFailure("drain", None, 0.125)


@pytest.mark.parametrize(
    ("convert", "value"),
    [
        (values.duration_s, 1e300),
        (values.duration_s, "99999d"),
        (values.size_bytes, "9999T"),
        (values.size_bytes, 10**30),
        (values.whole(1), 10**30),
        (values.scalar, 10**30),
        (values.scalar, -(1 << 63)),
    ],
)
def test_what_no_machine_can_hold_is_refused(convert, value):
    with pytest.raises(Wrong, match="expected"):
        convert(value)


def test_success_codes_may_be_one():
    assert values.codes(3) == (3,)
    assert values.codes([0, 99]) == (0, 99)


def test_values_appear_as_they_were_written():
    table = parse("x = [0.10, 1e-3, true, 7, 'a']")["x"]

    assert [values.written(value) for value in table] == ["0.10", "1e-3", "true", "7", "a"]


def test_records_hold_plain_numbers():
    plain = values.plain(tuple(parse("x = [0.10, 1]")["x"]))

    assert plain == [0.1, 1]
    assert type(plain[0]) is float

import datetime

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from procsup.cli.options import convert_duration
from procsup.core.quantities import (
    NoQuantity,
    count_jobs,
    parse_duration_s,
    parse_limit_s,
    parse_size_bytes,
    show_bytes,
    show_duration,
    show_time,
)
from procsup.errors import UsageError
from procsup.lib.timing import convert_seconds as of_the_library
from procsup.runfile.syntax import values
from procsup.runfile.syntax.problems import Wrong
from tests.support.schemas import problems_of

DURATIONS = [
    (90, 90.0),
    (0, 0.0),
    (1.5, 1.5),
    ("90", 90.0),
    ("0", 0.0),
    ("90s", 90.0),
    ("10m", 600.0),
    ("10min", 600.0),
    ("10 min", 600.0),
    ("1H", 3600.0),
    ("10 MIN", 600.0),
    (".5s", 0.5),
    ("1.h", 3600.0),
    ("1.5h", 5400.0),
    ("1h30m", 5400.0),
    ("30m 1h", 5400.0),
    (" 1h 30m 5s ", 5405.0),
    ("1m500ms", 60.5),
    ("2d", 172800.0),
    ("1w", 604800.0),
    ("1w2d", 777600.0),
    ("250ms", 0.25),
]
NO_DURATIONS = [
    "",
    " ",
    "m",
    "soon",
    "1x",
    "-1",
    -1,
    "10 y",
    "1h 30",
    "1h1h",
    "1m1min1m",
    "1 2",
    "1 000",
    "1e3",
    "1hm",
    "nan",
    "inf",
    float("nan"),
    float("inf"),
    10**400,
    1e300,
    "99999d",
    True,
    [1],
    b"1",
    datetime.timedelta(1),
    "\u00b2",
    "\u0661s",
]


@pytest.mark.parametrize(("written", "seconds"), DURATIONS)
def test_a_duration_means_the_same_in_the_run_file_on_the_command_line_and_in_the_library(
    written, seconds
):
    assert parse_duration_s(written) == seconds
    assert values.duration_s(written) == seconds
    assert of_the_library("timeout", written) == seconds
    assert convert_duration(None, None, str(written)) == seconds
    quoted = repr(written)
    assert problems_of(f"[stage.a]\nmodule = 'm'\ngrace = {quoted}") == []


@pytest.mark.parametrize("written", NO_DURATIONS)
def test_what_is_no_duration_is_refused_everywhere_with_what_was_expected(written):
    with pytest.raises(NoQuantity, match=r"expected .*duration"):
        parse_duration_s(written)
    with pytest.raises(Wrong, match=r"expected .*duration"):
        values.duration_s(written)
    if not isinstance(written, datetime.timedelta):  # in Python that is a duration
        with pytest.raises(UsageError, match=r"timeout: expected .*duration"):
            of_the_library("timeout", written)
    if isinstance(written, str):
        with pytest.raises(click.BadParameter, match=r"expected .*duration"):
            convert_duration(None, None, written)


def test_a_limit_is_longer_than_nothing():
    assert parse_limit_s("1ms") == 0.001
    with pytest.raises(NoQuantity, match="more than 0, not '0 s'"):
        parse_limit_s("0 s")


@given(st.permutations(["1w", "2d", "3h", "4m", "5s", "6ms"]))
def test_the_order_of_units_is_free(parts):
    assert parse_duration_s(" ".join(parts)) == parse_duration_s("1w2d3h4m5s6ms")


@pytest.mark.parametrize(
    ("written", "size"),
    [
        (1, 1),
        ("2G", 2 << 30),
        ("1.5M", 3 << 19),
        (".5k", 512),
        ("3 k", 3072),
        (" 1T ", 1 << 40),
        ("77", 77),
        (2.0, 2),
    ],
)
def test_a_size_is_bytes_or_a_number_with_a_unit(written, size):
    assert parse_size_bytes(written) == size
    assert values.size_bytes(written) == size


@pytest.mark.parametrize(
    "written",
    ["", "2X", "G", "2GB", "2G 1M", "-1", 0, "0G", 1.5, "1.5", True, [1], "9999T", 10**30, 10**400],
)
def test_what_is_no_size_is_refused_with_what_was_expected(written):
    with pytest.raises(NoQuantity, match="expected bytes or a size"):
        parse_size_bytes(written)
    with pytest.raises(Wrong, match="expected bytes or a size"):
        values.size_bytes(written)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.004, "4 ms"),
        (0.0994, "99 ms"),
        (0.0996, "0.1 s"),
        (1.23, "1.2 s"),
        (9.96, "10 s"),
        (59.7, "1m 00s"),
        (245, "4m 05s"),
        (7400, "2h 03m"),
        (273600, "3d 04h"),
        (-1, "0 ms"),
    ],
)
def test_durations_are_short_to_read(seconds, shown):
    assert show_duration(seconds) == shown


def test_sizes_are_short_to_read():
    assert [show_bytes(n) for n in (0, 1023, 1536, 20 << 30, 3 << 40)] == [
        "0 B",
        "1023 B",
        "1.5 KB",
        "20 GB",
        "3.0 TB",
    ]


def test_a_time_beyond_the_calendar_is_shown_as_it_is():
    assert show_time(1_700_000_000.0)[:8] == "2023-11-"
    assert show_time(1e308) == "1e+308 s after 1970"
    assert show_time(-1e308) == "-1e+308 s after 1970"


@pytest.mark.parametrize(
    ("text", "cpus", "count"),
    [
        ("4", 2, 4),
        ("0", 2, 0),
        ("+2", 4, 6),
        ("-1", 4, 3),
        ("-9", 4, 1),
        ("200%", 4, 8),
        ("50%", 3, 1),
        ("1%", 4, 1),
    ],
)
def test_a_number_of_jobs_may_go_by_the_cpus(text, cpus, count):
    assert count_jobs(text, cpus) == count


@pytest.mark.parametrize("text", ["", "x", "1.5", "+200%", "--1", "4 5", "%", "file"])
def test_what_is_no_number_of_jobs_is_refused(text):
    with pytest.raises(NoQuantity, match="a number such as 4, 200%"):
        count_jobs(text, 4)

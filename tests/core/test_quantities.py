import pytest

from procsup.core.quantities import duration_s, show_bytes, show_duration, show_time


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (90, 90.0),
        (0, 0.0),
        (1.5, 1.5),
        ("90", 90.0),
        ("90s", 90.0),
        ("10m", 600.0),
        ("10 min", 600.0),
        ("1.5h", 5400.0),
        ("1h30m", 5400.0),
        (" 1h 30m 5s ", 5405.0),
        ("2d", 172800.0),
        ("250ms", 0.25),
    ],
)
def test_a_duration_is_seconds_or_parts_with_units(written, seconds):
    assert duration_s(written) == seconds


@pytest.mark.parametrize(
    "written",
    [
        "",
        " ",
        "soon",
        "-1",
        -1,
        "10 y",
        "1h 30",
        "1 2",
        "1e3",
        "nan",
        float("nan"),
        float("inf"),
        True,
    ],
)
def test_what_is_no_duration_is_refused_with_what_was_expected(written):
    with pytest.raises(ValueError, match="expected seconds or a text"):
        duration_s(written)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.04, "0.0 s"),
        (1.23, "1.2 s"),
        (9.96, "10 s"),
        (59.7, "1m 00s"),
        (245, "4m 05s"),
        (7400, "2h 03m"),
        (273600, "3d 04h"),
        (-1, "0.0 s"),
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

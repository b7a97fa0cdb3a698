import io
import os
import threading

import pytest

from procsup.console import terminal
from procsup.console.bar import BarWatcher
from procsup.console.choose import NullWatcher, make_watcher
from procsup.console.plain import PlainWatcher
from procsup.console.side import SideThread
from procsup.console.terminal import DirectText
from procsup.core.events import Settled
from procsup.core.outcome import Verdict
from procsup.core.plan.summary import EarlyEnd, StageStatus, Summary
from procsup.core.records import End

posix = pytest.mark.skipif(os.name == "nt", reason="pipes without blocking and terminals of POSIX")


def summary(planned=4, kept=1):
    made = Summary(["s"])
    stage = made.stages["s"]
    stage.planned, stage.kept, stage.status = planned, kept, StageStatus.OPEN
    for _ in range(kept):
        stage.count(Verdict.SUCCEEDED)
    return made


def settled(unit="s/x=1", verdict=Verdict.SUCCEEDED, attempt=1, **more):
    more.setdefault("wall_s", 1.25)
    return Settled(End(unit, attempt, verdict, 0.0, **more))


def lines_of(watcher, stream, *orders):
    for order in orders:
        watcher.note_end(order)
    watcher.close()
    return stream.getvalue().splitlines()


# --- one line per unit -----------------------------------------------------------------------


def test_each_finished_unit_is_a_line_with_its_place_among_all():
    stream = io.StringIO()

    assert lines_of(
        PlainWatcher(summary(), stream),
        stream,
        settled("s/x=1"),
        settled("s/x=2", Verdict.FAILED, cause="exit 7", final=False),
        settled("s/x=2", Verdict.FAILED, attempt=2, cause="exit 7"),
    ) == [
        "[2/4] s/x=1 succeeded in 1.2 s",
        "[2/4] s/x=2 failed in 1.2 s: exit 7; tries again",
        "[3/4] s/x=2 failed in 1.2 s: exit 7",
    ]


def test_units_that_were_never_tried_are_counted_and_not_shown():
    stream = io.StringIO()

    assert lines_of(
        PlainWatcher(summary(), stream),
        stream,
        settled("s/x=1", Verdict.SKIPPED, attempt=0, wall_s=None),
        settled("s/x=2", Verdict.CANCELLED, cause="stopped by the user"),
    ) == ["[3/4] s/x=2 cancelled in 1.2 s: stopped by the user"]


def test_a_total_that_is_not_known_yet_says_so():
    stream = io.StringIO()
    numbers = Summary(["s", "t"])
    numbers.stages["s"].planned = 2

    assert lines_of(PlainWatcher(numbers, stream), stream, settled()) == [
        "[1/2+] s/x=1 succeeded in 1.2 s"
    ]


@pytest.mark.survives("F51")
def test_ids_and_causes_cannot_act_on_a_terminal():
    stream = io.StringIO()

    (line,) = lines_of(
        PlainWatcher(summary(), stream),
        stream,
        settled("s/\x1b[2J\udcff", Verdict.FAILED, cause="a\nb\u202e"),
    )

    assert line == "[2/4] s/\\e[2J\\xff failed in 1.2 s: a\\nb\\u202e"


def test_it_is_said_once_when_nothing_more_is_started():
    stream = io.StringIO()
    numbers = summary()
    watcher = PlainWatcher(numbers, stream)
    numbers.ending, numbers.running = EarlyEnd.INTERRUPTED, 2
    watcher.show(numbers)
    watcher.show(numbers)
    watcher.close()

    assert stream.getvalue() == (
        "procsup: interrupted: 2 units asked to end; once more ends them at once\n"
    )


def test_the_watcher_is_chosen_by_a_word(monkeypatch):
    monkeypatch.setattr("sys.stderr", io.StringIO())

    assert type(make_watcher("none", summary())) is NullWatcher
    assert type(make_watcher("plain", summary())) is PlainWatcher
    assert type(make_watcher("bar", summary())) is BarWatcher
    assert type(make_watcher("auto", summary())) is PlainWatcher
    monkeypatch.setattr("procsup.console.choose.is_terminal", lambda stream: True)
    monkeypatch.setenv("TERM", "xterm")
    assert type(make_watcher("auto", summary())) is BarWatcher
    monkeypatch.setenv("TERM", "dumb")
    assert type(make_watcher("auto", summary())) is PlainWatcher


# --- a reader that stalls or goes ------------------------------------------------------------


@pytest.mark.survives("F21")
def test_a_reader_that_stalls_costs_lines_and_never_blocks():
    begun, release = threading.Event(), threading.Event()
    batches = []

    def work(items, dropped, last):
        batches.append((items, dropped))
        begun.set()
        release.wait(30)

    side = SideThread(work, limit=3)
    side.put(["first"])
    assert begun.wait(30)
    for number in range(10):
        side.put([number])
    assert side.close(timeout_s=0.01) is False
    release.set()
    assert side.close(timeout_s=30)

    assert batches == [(["first"], 0), ([7, 8, 9], 7)]


def test_lines_that_were_dropped_are_counted():
    stream = io.StringIO()
    watcher = PlainWatcher(summary(), stream)
    watcher._write([settled()], 2, True)

    assert stream.getvalue().splitlines() == [
        "... 2 lines left out",
        "[4/4] s/x=1 succeeded in 1.2 s",
    ]


def test_without_threads_nothing_is_shown_and_nothing_breaks(monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    watcher = PlainWatcher(summary(), io.StringIO())
    watcher.note_end(settled())
    watcher.note_end(settled())
    watcher.close()


@posix
def test_a_reader_that_has_gone_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    stream = DirectText(writer, "utf-8")

    assert stream.write("lost") == 4
    assert stream.gone
    os.close(writer)


@pytest.mark.survives("F22")
@posix
def test_a_terminal_that_was_switched_to_non_blocking_is_written_in_full(monkeypatch):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    received = bytearray()

    def read_some(seconds):
        received.extend(os.read(reader, 1 << 20))

    monkeypatch.setattr(terminal.time, "sleep", read_some)
    DirectText(writer, "ascii").write("é" + "x" * (1 << 18))
    os.close(writer)
    with os.fdopen(reader, "rb") as rest:
        received.extend(rest.read())

    assert bytes(received) == b"\\xe9" + b"x" * (1 << 18)


# --- bars ------------------------------------------------------------------------------------


@posix
def test_bars_show_the_numbers_and_failures_and_never_hide_the_cursor():
    from procsup.console.drawing import Drawing

    shown, tty = os.openpty()
    received = bytearray()
    reading = threading.Thread(target=read_to_end, args=(shown, received), daemon=True)
    reading.start()
    numbers = summary(planned=10, kept=3)
    stage = numbers.stages["s"]
    stage.running = numbers.running = 2
    stage.count(Verdict.FAILED)
    drawing = Drawing(terminal.cast("terminal.IO[str]", DirectText(tty, "utf-8")))
    drawing.update(numbers, ["[#1] s/[red]\\e failed"], last=False)
    drawing.update(numbers, [], last=True)
    os.close(tty)
    reading.join(30)
    os.close(shown)

    text = received.decode()
    assert "4/10" in text
    assert "2 running, 1 failed, 3 kept" in text
    assert "[#1] s/[red]\\e failed" in text
    assert "\x1b[?25l" not in text


def read_to_end(fd, received):
    try:
        for chunk in iter(lambda: os.read(fd, 4096), b""):
            received.extend(chunk)
    except OSError:
        pass  # Linux: the other side of the terminal is closed


def test_bars_pass_failures_on_and_leave_successes_to_the_numbers():
    drawn = []

    class Drawing:
        def update(self, numbers, lines, last, slowest):
            drawn.append((list(lines), last))

    watcher = BarWatcher(summary(), io.StringIO())
    watcher._drawing = Drawing()
    watcher.note_end(settled("s/x=1"))
    watcher.note_end(settled("s/x=2", Verdict.FAILED, cause="exit 7"))
    watcher.note_end(settled("s/x=3", Verdict.SKIPPED, attempt=0))
    watcher.close()

    assert [line for lines, _ in drawn for line in lines] == [
        "[attempt 1] s/x=2 failed in 1.2 s: exit 7"
    ]
    assert drawn[-1][1] is True

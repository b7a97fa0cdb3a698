"""Units that a generator makes while the first ones run."""

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import procsup
from tests.support.projects import LIMIT_S, PROGRAMS, ROOT

TRUE = [sys.executable, "-S", "-c", ""]
POSIX = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="POSIX signals")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make_gated(gate, name):
    words = [sys.executable, "-S", str(PROGRAMS / "gated.py"), str(gate.port), name]
    return procsup.Unit(words, id=name)


def run_units(units, **options):
    return procsup.run_units(units, progress="none", **options)


def test_the_first_unit_runs_before_the_second_is_made(gate):
    def generate():
        yield make_gated(gate, "a")
        first = gate.meet("a")
        yield make_gated(gate, "b")
        gate.meet("b").exit(0)
        first.exit(0)

    manifest = run_units(generate(), jobs=2, name="n")

    assert [unit.id for unit in manifest.units] == ["units/a", "units/b"]
    assert manifest.ok
    lines = Path(".procsup/n/plan.jsonl").read_text().splitlines()
    assert [json.loads(line).get("id") for line in lines[1:]] == ["a", "b", None]
    assert json.loads(lines[-1]) == {"end": 2}


def test_a_run_of_a_generator_is_repeated_from_its_directory_alone(gate):
    with pytest.raises(procsup.RunFailed):
        run_units(([*TRUE[:-1], f"raise SystemExit({code})"] for code in (0, 1)), name="n")

    again = subprocess.run(
        [sys.executable, "-m", "procsup", "retry", "n"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        timeout=LIMIT_S,
    )

    assert again.returncode == 1
    assert "1 to run" in again.stderr


def test_map_takes_its_inputs_as_they_come(gate):
    gated = [sys.executable, "-S", str(PROGRAMS / "gated.py"), str(gate.port)]

    def generate():
        yield "a"
        gate.meet("a").exit(0)
        yield "b"
        gate.meet("b").exit(0)

    assert procsup.map([*gated, "{}"], generate(), args=[], progress="none").ok


def test_what_a_generator_raises_ends_the_run_and_is_raised(gate):
    def generate():
        yield make_gated(gate, "a")
        units.append(gate.meet("a"))
        raise KeyError("mine")

    units = []
    with pytest.raises(KeyError, match="mine"):
        run_units(generate(), name="n")

    assert units[0].ends_within(LIMIT_S)
    assert procsup.status("n").state == "unfinished"
    # Windows has no SIGTERM: there the supervisor is ended, and its units with it.
    with pytest.raises(procsup.RunUnfinished, match=r"gave up|SIGTERM|died"):
        procsup.wait_for("n", timeout="10s")


@pytest.mark.parametrize("progress", ["none", lambda _event: None])
def test_it_is_raised_with_any_kind_of_progress(progress):
    def generate():
        yield TRUE
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        procsup.run_units(generate(), progress=progress)


def test_a_run_that_was_started_raises_it_where_it_is_awaited(gate):
    def generate():
        yield make_gated(gate, "a")
        units.append(gate.meet("a"))
        raise KeyError("mine")

    units = []
    run = procsup.start_units(generate(), name="n")

    events = list(run.events())
    assert events[-1].status is None
    with pytest.raises(KeyError, match="mine"):
        run.wait(LIMIT_S)
    assert units[0].ends_within(LIMIT_S)


def test_a_started_run_is_told_of_units_while_more_are_made(gate):
    go_on = threading.Event()

    def generate():
        yield TRUE
        assert go_on.wait(LIMIT_S)
        yield make_gated(gate, "b")

    with procsup.start_units(generate(), name="n") as run:
        ended = (one for one in run.events() if isinstance(one, procsup.UnitEnded))
        next(ended)
        assert [(stage.planned, stage.grows) for stage in run.status().stages] == [(1, True)]
        with pytest.raises(procsup.WaitTimeout):
            run.wait("50ms")
        go_on.set()
        gate.meet("b").exit(0)
        assert next(ended).unit == "units/b"


@pytest.mark.parametrize(
    ("second", "problem"),
    [
        (procsup.Unit(TRUE, id="a"), "two units have the id"),
        (procsup.Unit(TRUE, id="b", inputs=["nothing"]), "nothing"),
        (procsup.Unit(["no-such-program"], id="b"), "no-such-program"),
        (procsup.Unit(TRUE, id="b", cpus=10**6), "ask for less"),
    ],
)
def test_a_wrong_unit_ends_the_run_when_the_running_ones_are_done(gate, second, problem):
    def generate():
        yield make_gated(gate, "a")
        first = gate.meet("a")
        yield second
        threading.Timer(0.1, first.exit).start()
        yield from itertools.repeat(procsup.Unit(TRUE))

    with pytest.raises(procsup.UsageError, match=problem):
        run_units(generate(), name="n")

    status = procsup.status("n")
    assert status.state == "unfinished"
    assert [stage.succeeded for stage in status.stages] == [1]


def test_equal_units_are_told_apart_by_their_occurrence():
    manifest = run_units(itertools.repeat(TRUE, 3))
    mapped = procsup.map([*TRUE, "{}"], iter(["x"] * 3), args=[], progress="none")

    last = [unit.id.rpartition(" ")[2] for unit in manifest.units]
    assert last[1:] == ["#2", "#3"]
    assert len(mapped.units) == 3


def test_a_long_answer_comes_before_all_units_are_made(here):
    out = str(here / ("o" * 200) / ("p" * 200))

    def generate():
        yield TRUE
        for number in range(400):  # pairs with one output: a long list of problems
            yield procsup.Unit(TRUE, id=str(number), outputs=[out], inputs=[f"{number}" * 90])
        yield from itertools.repeat(TRUE)

    with pytest.raises(procsup.UsageError):
        run_units(generate(), name="n")


def test_a_run_that_a_policy_ended_is_not_repeated_without_the_units_that_were_not_made():
    def generate():
        yield procsup.Unit([*TRUE[:-1], "raise SystemExit(3)"], id="bad")
        yield from itertools.repeat(TRUE)

    with pytest.raises(procsup.RunFailed):
        run_units(generate(), on_failure="drain", jobs=1, name="n")

    with pytest.raises(procsup.UsageError, match="the plan has no last line: run the program"):
        procsup.retry("n", only=["bad"], progress="none")


def test_a_started_run_that_is_over_is_no_error_of_its_generator(gate):
    go_on = threading.Event()

    def generate():
        yield make_gated(gate, "a")
        assert go_on.wait(LIMIT_S)
        yield from itertools.repeat(TRUE)

    run = procsup.start_units(generate(), name="n")
    gate.meet("a")
    run.stop()
    go_on.set()

    with pytest.raises(procsup.RunUnfinished):
        run.wait(LIMIT_S)


@POSIX
def test_a_program_that_ignores_sigterm_makes_all_units_first(gate):
    seen = []

    def generate():
        for number in range(3):
            seen.append(number)
            yield TRUE

    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        assert run_units(generate()).ok
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [0, 1, 2]


def test_a_policy_ends_a_run_of_endless_units(gate):
    def generate():
        yield TRUE
        for number in itertools.count():
            yield procsup.Unit([*TRUE[:-1], "raise SystemExit(3)"], id=str(number))

    with pytest.raises(procsup.RunFailed) as caught:
        run_units(generate(), on_failure="drain", jobs=1, name="n")

    verdicts = [unit.verdict for unit in caught.value.manifest.units]
    assert verdicts[:2] == ["succeeded", "failed"]
    assert set(verdicts[2:]) <= {"skipped"}


class Enough(Exception):
    """What a generator raises."""


def test_a_second_call_keeps_what_was_done_before_the_program_gave_up(gate):
    write = procsup.Unit([*TRUE[:-1], "open('a', 'a').write('x')"], id="a")

    def generate():
        yield write
        yield make_gated(gate, "b")
        gate.meet("b")  # the one slot is free again: unit a has ended
        raise Enough

    with pytest.raises(Enough):
        run_units(generate(), name="n", keep="unchanged", jobs=1)
    manifest = run_units(iter([write]), name="n", keep="unchanged")

    assert [unit.kept for unit in manifest.units] == [True]
    assert Path("a").read_text() == "x"


def test_a_retry_of_a_run_that_was_given_up_says_what_to_do(gate):
    def generate():
        yield make_gated(gate, "a")
        gate.meet("a")
        raise Enough

    with pytest.raises(Enough):
        run_units(generate(), name="n")
    with pytest.raises(procsup.UsageError, match="run the program again that makes it"):
        procsup.retry("n")


@POSIX
def test_a_run_ends_with_the_program_that_makes_its_units(gate):
    argv = make_gated(gate, "a").argv
    code = (
        "import procsup\n"
        "def generate():\n"
        f"    yield {argv!r}\n"
        "    input()\n"
        "procsup.run_units(generate(), name='n', progress='none')\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
    ) as program:
        unit = gate.meet("a")
        program.kill()
    assert unit.ends_within(LIMIT_S)
    with pytest.raises(procsup.RunUnfinished, match="the program that started the run has ended"):
        procsup.wait_for("n", timeout=LIMIT_S)

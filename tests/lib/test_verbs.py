"""The verbs as functions, for a run that is live, dead or final."""

import os
import threading
from pathlib import Path

import pytest

import procsup
from tests.lib.test_running import make_gated, write_run
from tests.support.projects import LIMIT_S, PYTHON

COUNTS = """
import os, sys
tries = len(open("tries").read()) if os.path.exists("tries") else 0
open("tries", "a").write("x")
print("try", tries)
print("no luck", file=sys.stderr)
sys.exit(tries < 1)
"""


@pytest.fixture
def failed(tmp_path, monkeypatch):
    """A final run whose one unit of two will succeed at its second try."""
    monkeypatch.chdir(tmp_path)
    Path("work.py").write_text(COUNTS)
    Path("run.toml").write_text(
        f"[stage.a]\ncommand = ['{PYTHON}', '-S', 'work.py']\n"
        "[stage.b]\ncommand = ['cp', 'in', 'out']\ninputs = ['in']\noutputs = ['out']\n"
    )
    Path("in").write_text("x")
    return procsup.run("run.toml", progress="none", check=False)


def test_a_live_run_is_asked_and_stopped(gate):
    write_run(gate, "a", "b")
    run = procsup.start("run.toml", jobs=2)
    gate.meet("a")
    unit = gate.meet("b")

    assert (procsup.status(run.dir).state, procsup.status("run").state) == ("running", "running")
    assert {(log.unit, log.stream) for log in procsup.logs("run", only=["a"])} == {
        ("a", "stdout"),
        ("a", "stderr"),
    }
    procsup.stop("run", only=["a"], grace=0)
    assert unit.lives
    procsup.stop("run")
    assert unit.ends_within(0)
    assert procsup.status().state == "unfinished"
    with pytest.raises(procsup.RunUnfinished, match="no supervisor works on"):
        procsup.stop("run")


def test_a_drained_run_starts_nothing_more(gate):
    write_run(gate, "a", "b")
    run = procsup.start("run.toml", jobs=1)
    unit = gate.meet("a")

    procsup.drain("run")
    unit.exit(0)

    with pytest.raises(procsup.RunUnfinished, match="drained"):
        run.wait(LIMIT_S)
    with pytest.raises(procsup.RunUnfinished, match="no supervisor works on"):
        procsup.drain("run")


def test_a_retry_brings_a_final_run_to_another_end(failed):
    assert [unit.id for unit in failed.failed] == ["a"]

    manifest = procsup.retry("run", progress="none")

    assert manifest.ok
    assert [manifest[unit].attempts[-1].attempt for unit in ("a", "b")] == [2, 1]
    assert procsup.retry("run").run_id == manifest.run_id  # there was nothing to do
    again = procsup.retry("run", only=["b"], jobs=1, progress="none")
    assert again["b"].attempts[-1].attempt == 2


def test_a_retry_that_fails_again_is_an_exception(failed):
    os.truncate("tries", 0)

    with pytest.raises(procsup.RunFailed, match=r"a: failed, exit 1\n    no luck"):
        procsup.retry("run", progress="none")
    assert not procsup.retry("run", only=["b"], progress="none", check=False).ok


def test_a_retry_of_a_live_run_is_part_of_it(gate):
    command = make_gated(gate, "{n}")
    Path("run.toml").write_text(f"[stage.s]\nmatrix.n = ['a', 'b']\ncommand = {command}\n")
    run = procsup.start("run.toml", jobs=2)
    other = gate.meet("b")
    gate.meet("a").tell("exit 3")
    assert any(isinstance(event, procsup.UnitEnded) for event in run.events())
    answers = threading.Thread(target=lambda: (gate.meet("a").exit(0), other.exit(0)))
    answers.start()

    assert procsup.retry("run").ok
    answers.join()


def test_logs_are_those_of_the_last_attempt_or_of_another(failed):
    procsup.retry("run", progress="none")

    last = [(log.stream, log.read()) for log in procsup.logs("run", only=["a"])]
    assert last == [("stdout", "try 1\n"), ("stderr", "no luck\n")]
    assert procsup.logs("run", only=["a"], attempt=2) == procsup.logs("run", only=["a"])
    with pytest.raises(procsup.UsageError, match="has an attempt 1"):
        procsup.logs("run", attempt=1, only=["a"])
    assert procsup.logs("run", failed=True) == []
    with pytest.raises(procsup.UsageError, match="nothing"):
        procsup.logs("run", only=["nothing"])


def test_verify_says_what_differs(failed):
    seen = procsup.verify("run")
    assert (seen.units, seen.outputs, seen.differences) == (2, 1, [])

    Path("out").write_text("longer")

    with pytest.raises(procsup.OutputsChanged, match="run: 1 difference"):
        procsup.verify("run")
    (difference,) = procsup.verify("run", check=False).differences
    assert isinstance(difference, procsup.Difference)
    assert (difference.kind, difference.unit) == ("output", "b")
    manifest = Path(".procsup/run/manifest.json")
    manifest.write_text(manifest.read_text().replace('"succeeded":1', '"succeeded":2'))
    with pytest.raises(procsup.RecordError, match="record is damaged"):
        procsup.verify()

import asyncio
import copy
import json
import os
import pickle
import subprocess
import sys
import typing
from datetime import timedelta
from pathlib import Path

import pytest

import procsup
from procsup.host.attached import ProcessResult
from procsup.lib import running
from procsup.lib.answers import make_error
from procsup.supervisor.requests import Display, HostedRequest, Request
from tests.support.projects import PYTHON
from tests.support.sittings import Supervised, result

ROOT = str(Path(procsup.__file__).resolve().parent.parent)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Supervised(tmp_path)


def make_result(exit_code, **body):
    (body.get("error") or body)["exit_code"] = exit_code
    noise = b'{"not": "ours"}\n'
    return ProcessResult(exit_code, noise + json.dumps(body).encode() + b"\n" + noise)


@pytest.fixture
def started(monkeypatch, tmp_path):
    """The requests that `run` would send; the answer is what a test puts into `finished`."""
    (tmp_path / "run.toml").write_text('vars = { a = 1, b = 2 }\n[stage.s]\ncommand = ["true"]\n')
    calls = []

    class Starter:
        finished = None

        def __call__(self, feed, *, cancel_token=None):
            calls.append((feed, HostedRequest.decode(feed.request)))
            return self.finished

    starter = Starter()
    starter.calls = calls
    monkeypatch.setattr(running, "run_attached", starter)
    return starter


# --- the front door ------------------------------------------------------------------------


def test_importing_procsup_loads_nothing_until_a_name_is_asked_for():
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); before = set(sys.modules); import procsup;"
        "assert set(sys.modules) - before == {'procsup'}, set(sys.modules) - before;"
        "procsup.ProcsupError; assert 'msgspec' not in sys.modules"
    )

    done = subprocess.run([sys.executable, "-c", script, ROOT], stderr=subprocess.PIPE)

    assert (done.returncode, done.stderr) == (0, b"")


def test_every_public_name_is_there_and_no_other():
    assert procsup.RunEnded in typing.get_args(procsup.Event)
    for name in set(procsup.__all__) - {"Event"}:
        assert getattr(procsup, name).__name__ == name
    assert set(procsup.__all__) < set(dir(procsup))
    with pytest.raises(AttributeError, match="no attribute 'begin'"):
        procsup.begin  # noqa: B018


# --- read_manifest, wait_for ---------------------------------------------------------------


def test_the_manifest_of_a_final_run_is_read_by_name_id_and_path(run):
    run.begin().publish(result(0))

    for name in ("demo", "r1", run.rundir.path, f"{run.rundir.path}@r1"):
        assert procsup.read_manifest(name).run_id == "r1"


def test_a_manifest_that_is_not_there_is_never_guessed(run):
    run.begin()
    run.publish_stage(result(0))

    assert procsup.read_manifest("demo", stage="s").ok
    with pytest.raises(procsup.RunUnfinished, match="not final"):
        procsup.read_manifest("demo")
    with pytest.raises(procsup.RunUnfinished, match="not final"):
        procsup.read_manifest("demo", stage="t")
    run.leave()


def test_an_old_manifest_is_none_while_another_run_is_under_way(run):
    run.begin("r1").publish(result(0))
    run.begin("r2", 2)

    with pytest.raises(procsup.RunUnfinished, match="run r2 is under way"):
        procsup.read_manifest("demo")
    run.publish(result(0))
    with pytest.raises(procsup.RunUnfinished, match="r1 is superseded by r2"):
        procsup.read_manifest(f"{run.rundir.path}@r1")


def test_a_failed_run_is_waited_for_and_raised_or_returned(run):
    run.begin().publish(result(0, code=7), status="failed")

    with pytest.raises(procsup.RunFailed) as caught:
        procsup.wait_for("demo", timeout="10s")
    assert caught.value.manifest.run_id == "r1"
    assert not procsup.wait_for("demo", timeout=10, check=False).ok
    assert procsup.read_manifest("demo").status == "failed"


def test_waiting_verifies_outputs_if_asked_to(run, tmp_path):
    (tmp_path / "o").write_text("x")
    run.begin().publish(result(0, tmp_path / "o"))
    (tmp_path / "o").write_text("xyz")

    assert procsup.wait_for("demo").ok
    with pytest.raises(procsup.OutputsChanged):
        procsup.wait_for("demo", verify=True)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("soon", "seconds or a duration"),
        (float("nan"), "seconds or a duration"),
        (1e10, "a duration of at most 30 years"),
        (timedelta.max, "a duration of at most 30 years"),
    ],
)
def test_a_duration_that_is_none_is_a_usage_error(wrong, said):
    with pytest.raises(procsup.UsageError, match=f"timeout: expected {said}"):
        procsup.wait_for("demo", timeout=wrong)


@pytest.mark.skipif(os.name == "nt", reason="Windows removes no folder that is in use")
@pytest.mark.parametrize(
    "call",
    [
        procsup.run,
        procsup.load,
        procsup.plan,
        procsup.status,
        lambda: procsup.run_units([["true"]]),
        lambda: procsup.start_units([["true"]]),
        lambda: procsup.map(["true"], [1]),
        lambda: procsup.wait_for("demo"),
        lambda: procsup.read_manifest("demo"),
        lambda: asyncio.run(procsup.aio.run_units([["true"]])),
        lambda: asyncio.run(procsup.aio.wait_for("demo")),
    ],
)
def test_a_current_folder_that_was_removed_is_a_usage_error(tmp_path, monkeypatch, call):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    with pytest.raises(procsup.UsageError, match="the current folder does not exist any more"):
        call()


def test_a_run_that_is_nowhere_is_unfinished(run, monkeypatch):
    monkeypatch.setattr("procsup.queries.waiting.START_TIMEOUT_S", 0.0)
    run.begin().publish(result(0))

    for ask in (procsup.read_manifest, procsup.wait_for):
        with pytest.raises(
            procsup.RunUnfinished, match=r"no run 'nope' in .* holds: demo"
        ) as caught:
            ask("nope")
        assert caught.value.exit_code == 3


# --- run -----------------------------------------------------------------------------------


def test_a_run_is_started_with_what_was_asked_for(run, started, tmp_path):
    run.begin().publish(result(0))
    started.finished = make_result(
        0, run_id="r1", status="succeeded", directory=str(run.rundir.path)
    )

    manifest = procsup.run(
        tmp_path / "run.toml", vars={"a": True, "b": 1}, jobs=3, only=["s"], fresh=True, dir="d"
    )

    assert manifest.run_id == "r1"
    ((feed, sent),) = started.calls
    assert sent.request == Request(
        str(tmp_path / "run.toml"), {"a": "true", "b": "1"}, "d", jobs=3, fresh=True, only=("s",)
    )
    assert sent[1:] == (
        Display("auto", quiet=False, as_json=True),
        False,
        False,
        False,
        False,
        None,
    )
    assert (feed.format_arguments(), list(feed.plan)) == (
        [f"--owner={os.getpid()}", str(tmp_path / "run.toml")],
        [],
    )


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (procsup.RunBusy, 75),
        (procsup.RecordError, 74),
        (procsup.UsageError, 2),
        (procsup.ProcsupError, 70),
    ],
)
def test_errors_of_the_other_process_are_raised_here(run, started, kind, code):
    started.finished = make_result(
        code, error={"type": kind.__name__, "message": "m", "exit_code": code}
    )

    with pytest.raises(kind, match=r"^m$"):
        procsup.run("run.toml")


@pytest.mark.parametrize("jobs", ["many", 0.5, [2], True])
def test_jobs_that_are_no_number_are_named_as_they_were_given(run, started, jobs):
    with pytest.raises(procsup.UsageError, match=r"^jobs=.*: expected a whole number of at least"):
        procsup.run("run.toml", jobs=jobs)
    assert started.calls == []


def test_what_the_request_may_not_say_is_refused_by_the_supervisor(tmp_path):
    (tmp_path / "run.toml").write_text('[stage.s]\ncommand = ["true"]\n')

    with pytest.raises(procsup.UsageError, match=r"^progress='bars': expected one of auto, bar,"):
        procsup.run(tmp_path / "run.toml", progress="bars")
    with pytest.raises(procsup.UsageError, match=r"jobs: expected a whole number of at least 1"):
        procsup.run(tmp_path / "run.toml", jobs=0)
    assert not (tmp_path / ".procsup").exists()


def test_a_request_has_no_limit_of_length_and_may_name_a_file_that_is_no_utf_8():
    request = Request("\udcff.toml", only=("x" * 100_000, "é"), again=())
    sent = HostedRequest(request, Display("plain"), announce=True)
    line = sent.encode()

    assert line.isascii()
    assert line.count(b"\n") == 1
    assert HostedRequest.decode(line) == sent


def test_a_run_without_progress_says_nothing_when_all_goes_well(tmp_path, capfd):
    command = f"[{PYTHON!r}, '-S', '-c', '']"
    (tmp_path / "quiet.toml").write_text(f"[stage.s]\ncommand = {command}\n")

    assert procsup.run(tmp_path / "quiet.toml", progress="none").ok

    assert capfd.readouterr() == ("", "")


def test_a_run_without_progress_leaves_it_to_the_exception_to_name_who_failed(tmp_path, capfd):
    code = "import sys; print('first\\nsecond', file=sys.stderr); sys.exit(3)"
    command = json.dumps([PYTHON, "-S", "-c", code])
    (tmp_path / "bad.toml").write_text(
        f"on-failure = 'finish'\n[stage.s]\nmatrix.n = [1, 2, 3, 4]\ncommand = {command}\n"
        "[stage.later]\nafter = ['s']\ncommand = ['true']\n"
    )

    with pytest.raises(procsup.RunFailed) as failed:
        procsup.run(tmp_path / "bad.toml", progress="none")

    named = [f"s/n={n}: failed, exit 3\n    first\n    second\n" for n in (1, 2, 3)]
    assert (
        str(failed.value) == f"bad failed: 0 of 5 units succeeded\n{''.join(named)}... and 1 more"
    )
    assert capfd.readouterr() == ("", "")


def test_a_selector_that_met_nothing_is_a_warning_where_nothing_is_shown(run, started):
    run.begin().publish(result(0))
    started.finished = make_result(
        0, status="succeeded", run_id="r1", directory=str(run.rundir.path), doubt="--only x: none"
    )

    with pytest.warns(UserWarning, match="--only x: none"):
        assert procsup.run("run.toml", progress="none").ok


def test_a_run_that_was_stopped_is_unfinished(run, started):
    started.finished = make_result(3, status=None, reason="drained by request")
    with pytest.raises(procsup.RunUnfinished, match="drained by request"):
        procsup.run("run.toml")
    started.finished = ProcessResult(-9, b"")
    with pytest.raises(procsup.RunUnfinished, match="ended by signal 9"):
        procsup.run("run.toml")


def test_a_process_that_says_nothing_is_told_by_its_exit_code(run, started):
    started.finished = ProcessResult(74, b"")
    with pytest.raises(procsup.RecordError, match="ended with 74"):
        procsup.run("run.toml")


def test_a_wrong_run_file_is_refused_before_anything_is_started(run, started, tmp_path):
    (tmp_path / "run.toml").write_text("[stage.s]\ncommnd = 1\nargs = 2\n")

    for call in (procsup.run, procsup.load):
        with pytest.raises(procsup.RunFileError) as caught:
            call("run.toml")
        assert len(caught.value.problems) > 1
    with pytest.raises(procsup.RunFileError, match=r"nope\.toml"):
        procsup.load("nope.toml")
    assert started.calls == []


def test_a_run_file_is_loaded_with_its_variables(run, tmp_path):
    (tmp_path / "v.toml").write_text(
        'name = "n-{day}"\nvars = { day = "mon" }\n[stage.s]\ncommand = ["true"]\n'
    )

    assert procsup.load("v.toml").name == "n-mon"
    assert procsup.load(tmp_path / "v.toml", vars={"day": "tue"}).name == "n-tue"


def test_errors_of_the_supervisor_name_arguments_instead_of_options():
    error = make_error({"type": "UsageError", "message": "--only 'x' selects no unit"})

    assert (type(error), str(error)) == (procsup.UsageError, "only='x' selects no unit")


def test_one_selector_as_a_text_is_a_mistake_that_is_explained(run, started, tmp_path):
    with pytest.raises(procsup.UsageError, match="expected a list of selectors"):
        procsup.run("run.toml", only="s")


@pytest.mark.parametrize(
    "error",
    [
        procsup.RunFileError(["1: first", "2: second"]),
        procsup.RunFailed("some failed", {"a": 1}),
        procsup.UsageError("wrong"),
        procsup.WaitTimeout("late"),
    ],
)
def test_errors_pass_between_processes_whole(error):
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (type(other), str(other), vars(other)) == (type(error), str(error), vars(error))


def test_a_timedelta_is_a_duration(run):
    run.begin().publish(result(0))

    assert procsup.wait_for("demo", timeout=timedelta(seconds=5)).ok
    with pytest.raises(procsup.UsageError, match="timeout: expected seconds"):
        procsup.wait_for("demo", timeout=timedelta(seconds=-5))

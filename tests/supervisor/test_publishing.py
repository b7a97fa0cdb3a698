"""The loop goes on while manifests are written and withdrawn: real children, in this process."""

import os
import signal
import sys
import threading

import pytest

from procsup.core.plan.summary import EarlyEnd
from procsup.errors import RecordError
from procsup.store.manifest import ManifestPublisher
from procsup.store.rundir import RunDir
from procsup.supervisor.requests import Request
from procsup.supervisor.session import bring_to_completion
from tests.faults.laws import until
from tests.support.projects import Project

LIMIT_S = 20.0
PRESS_EVERY_S = 0.05
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and programs of POSIX")
RUN = """
[stage.quick]
command = ["true"]
[stage.slow]
command = ["sh", "-c", "trap '' TERM; echo $$ > pid; sleep 1000 & wait; wait"]
grace = "1000s"
"""


class Watcher:
    """Tells by events what it has seen."""

    def __init__(self):
        self.settled_units, self.was_interrupted = {}, threading.Event()
        self.slow_is_over = threading.Event()
        self.running = 0

    def note_start(self, order):
        pass

    def note_end(self, order):
        self.settled_units[order.end.unit] = order.end.verdict.value
        if order.end.unit == "slow":
            self.slow_is_over.set()

    def show(self, summary):
        if summary.ending is EarlyEnd.INTERRUPTED:
            self.was_interrupted.set()
        if self.was_interrupted.is_set() and not summary.running:
            self.slow_is_over.set()

    def close(self):
        pass


@pytest.fixture
def watcher():
    return Watcher()


def bring(tmp_path, text, watcher):
    project = Project(tmp_path, text)
    request = Request(file=str(tmp_path / "run.toml"), jobs=2)
    return project, bring_to_completion(request, watchers=lambda _opening: watcher)


def pid_of_slow(tmp_path):
    """Wait until the slow unit has said its pid."""
    pid = tmp_path / "pid"
    until(lambda: pid.exists() and pid.read_text().endswith("\n"), "it did not start", LIMIT_S)
    return int(pid.read_text())


def while_published(monkeypatch, stage, act):
    """Have this done on the publishing thread before it writes the manifest of a stage."""
    real = ManifestPublisher.publish_stage

    def publish(self, name, counts, results):
        if name == stage:
            act()
        real(self, name, counts, results)

    monkeypatch.setattr(ManifestPublisher, "publish_stage", publish)


def test_a_deadline_is_met_while_a_manifest_is_written(tmp_path, monkeypatch, watcher):
    def hold():
        assert watcher.slow_is_over.wait(LIMIT_S)

    while_published(monkeypatch, "quick", hold)
    slow = '[stage.slow]\ncommand = ["sleep", "1000"]\ntimeout = "100ms"\n'

    project, ending = bring(tmp_path, f'[stage.quick]\ncommand = ["true"]\n{slow}', watcher)

    assert ending.status == "failed"
    assert project.verdicts == {"quick": "succeeded", "slow": "timed-out"}


def test_two_presses_kill_while_a_manifest_is_written(tmp_path, monkeypatch, watcher):
    def press():
        pid_of_slow(tmp_path)
        os.kill(os.getpid(), signal.SIGINT)
        assert watcher.was_interrupted.wait(LIMIT_S)
        while not watcher.slow_is_over.wait(PRESS_EVERY_S):
            os.kill(os.getpid(), signal.SIGINT)

    while_published(monkeypatch, "quick", press)

    project, ending = bring(tmp_path, RUN, watcher)

    assert (ending.status, ending.signum) == (None, signal.SIGINT)
    assert ending.reason == "interrupted by SIGINT"
    assert RunDir(project.rundir).get_stage_manifest("quick").exists()
    assert not RunDir(project.rundir).get_stage_manifest("slow").exists()


def test_the_manifest_of_a_stage_stands_before_the_one_after_it_begins(tmp_path, watcher):
    there = tmp_path / ".procsup/run/stages/first.json"
    second = f'[stage.second]\nafter = ["first"]\ncommand = ["test", "-e", "{there}"]\n'

    _, ending = bring(tmp_path, f'[stage.first]\ncommand = ["true"]\n{second}', watcher)

    assert ending.status == "succeeded"


@pytest.mark.survives("F41")
@pytest.mark.parametrize("error", [RecordError("no disk"), RuntimeError("a fault of ours")])
def test_a_manifest_that_cannot_be_written_ends_all_trees(tmp_path, monkeypatch, watcher, error):
    def fail():
        pid_of_slow(tmp_path)
        raise error

    while_published(monkeypatch, "quick", fail)

    with pytest.raises(type(error), match=str(error)):
        bring(tmp_path, RUN, watcher)

    with pytest.raises(ProcessLookupError):
        os.kill(pid_of_slow(tmp_path), 0)
    assert not (tmp_path / ".procsup/run/manifest.json").exists()


def test_nothing_starts_if_older_claims_cannot_be_withdrawn(tmp_path, watcher):
    (tmp_path / "stamp").write_text("my own file")

    with pytest.raises(RecordError, match="is no stamp that procsup has written"):
        bring(tmp_path, 'stamp = "stamp"\n[stage.s]\ncommand = ["touch", "made"]\n', watcher)

    assert not (tmp_path / "made").exists()


def test_a_run_that_is_final_ends_by_its_outcome_whatever_is_pressed(
    tmp_path, monkeypatch, watcher
):
    real = ManifestPublisher.publish_run

    def publish(self, *rest):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        real(self, *rest)

    monkeypatch.setattr(ManifestPublisher, "publish_run", publish)

    _, ending = bring(tmp_path, '[stage.s]\ncommand = ["true"]\n', watcher)

    assert (ending.status, ending.signum) == ("succeeded", None)
    assert not watcher.was_interrupted.is_set()

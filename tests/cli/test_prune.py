"""`procsup prune`: what goes, what stays, and what a kill in the middle leaves."""

import json
import os
import time

import pytest

from procsup.cli.main import main
from procsup.core.outcome import AttemptId
from procsup.core.records import RunFinal, StageFinal
from procsup.host.locks import FileLock
from procsup.store import removal
from procsup.store.journal import JournalWriter
from procsup.store.rundir import RunDir
from tests.support.sittings import Supervised, end, plan, result, started

DAY_S = 86400.0


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".procsup"


@pytest.fixture
def made(tmp_path):
    """Make a final run of that name, so many days old."""

    def make(name, days=0.0, live=False):
        run = Supervised(tmp_path)
        run.rundir = RunDir(tmp_path / ".procsup" / name)
        run.begin(at=time.time() - days * DAY_S)
        run.write(plan("s/a", "s/b"), *started("s/a"), end("s/a"), *started("s/b"))
        run.write(end("s/b", code=7), StageFinal("s", "failed", {}))
        for unit in ("s/a", "s/b"):
            for path in run.rundir.make_log_paths(AttemptId(unit, 1), "s"):
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "wb") as file:
                    file.write(b"said\n")
        return run if live else run.publish(result(0), result(1, code=7), status="failed")

    return make


def there(home):
    return sorted(os.listdir(home))


def test_runs_that_meet_all_criteria_go(home, made, capsys):
    for name, days in (("new", 0), ("older", 40), ("oldest", 50)):
        made(name, days)

    assert main(["prune", "--older-than", "30d", "--keep", "2", "--yes"]) == 0

    assert there(home) == ["new", "older"]
    assert "\nremoved 1 run directory, " in capsys.readouterr().err
    assert main(["prune", "--older-than", "30d", "-y", "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert [one["state"] for one in body["doomed"]] == ["failed"]
    assert there(home) == ["new"]


def test_nothing_goes_without_a_criterion_a_yes_or_in_a_dry_run(home, made, capsys, monkeypatch):
    made("run")
    monkeypatch.setattr("sys.stdin", None)

    assert main(["prune"]) == 2
    assert "nothing is selected: name a RUN" in capsys.readouterr().err
    assert main(["prune", "run"]) == 2
    assert "give --yes" in capsys.readouterr().err
    assert main(["prune", "--keep", "0", "--dry-run"]) == 0
    said = capsys.readouterr().err
    assert f"  {home / 'run'}: failed, " in said
    assert "\nwould remove 1 run directory, " in said
    assert there(home) == ["run"]
    assert main(["prune", "nope", "--yes"]) == 2


@pytest.mark.parametrize(("answer", "left"), [("n\n", ["run"]), ("\n", ["run"]), ("y\n", [])])
def test_on_a_terminal_it_asks(home, made, monkeypatch, answer, left):
    made("run")
    monkeypatch.setattr("procsup.cli.prune.is_terminal", lambda _stream: True)
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _text: answer.strip())

    assert main(["prune", "run"]) == (1 if left else 0)
    assert there(home) == left


def test_a_live_run_is_left_alone(home, made, capsys):
    live = made("live", days=40, live=True)
    made("over", days=40)

    assert main(["prune", "--older-than", "1d", "--yes"]) == 0
    assert there(home) == ["live"]
    assert main(["prune", "live", "--yes"]) == 75
    assert "is left alone: it is in use by process" in capsys.readouterr().err
    assert there(home) == ["live"]
    live.leave()


def test_a_dead_run_goes_unless_units_of_it_still_live(home, made, capsys):
    made("dead", live=True).die()
    units = FileLock(home / "dead" / "units.lock")
    assert units.try_exclusive()

    assert main(["prune", "dead", "--yes"]) == 75
    assert "units of it still run" in capsys.readouterr().err
    units.close()
    assert main(["prune", "dead", "--yes"]) == 0
    assert there(home) == []


def test_a_run_that_is_taken_up_meanwhile_is_left_alone(home, made, capsys, monkeypatch):
    made("run")
    taken = FileLock(home / "run" / "run.lock")
    plan_before = removal.make_target

    def target(rundir):
        answer = plan_before(rundir)
        assert taken.try_exclusive()
        return answer

    monkeypatch.setattr("procsup.store.removal.make_target", target)

    assert main(["prune", "run", "--yes"]) == 75
    assert "is left alone: it is in use" in capsys.readouterr().err
    assert there(home) == ["run"]
    taken.close()


def test_a_folder_that_holds_what_is_not_procsup_s_is_refused(home, made, capsys):
    made("run")
    (home / "run" / "thesis.tex").write_text("years")

    assert main(["prune", "run", "--yes"]) == 75

    assert "it holds thesis.tex, which is not procsup's" in capsys.readouterr().err
    assert (home / "run" / "manifest.json").exists()


@pytest.mark.skipif(os.name == "nt", reason="not everybody may make links on Windows")
def test_links_are_not_followed(home, made, tmp_path, capsys):
    made("run")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "precious").write_text("x")
    (home / "run" / "logs" / "away").symlink_to(tmp_path / "results")
    (home / "link").symlink_to(home / "run")

    assert main(["prune", "link", "--yes"]) == 75
    assert there(home) == ["link", "run"]
    assert main(["prune", "run", "--yes"]) == 0
    assert there(home) == ["link"]
    assert (tmp_path / "results" / "precious").exists()


def test_what_a_killed_removal_left_is_no_run_and_goes_the_next_time(
    home, made, capsys, monkeypatch
):
    made("run")

    def killed(_folder, _name):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("procsup.store.removal._remove", killed)
        with pytest.raises(KeyboardInterrupt):
            removal.remove_run(RunDir(home / "run"), removal.make_target(RunDir(home / "run")))
    (rest,) = there(home)
    assert rest.startswith(".procsup-")

    assert main(["list"]) == 0
    assert "no runs in" in capsys.readouterr().err
    assert main(["status", "last"]) == 2
    assert main(["prune", "--older-than", "30d", "--yes"]) == 0
    assert "the rest of an interrupted removal" in capsys.readouterr().err
    assert there(home) == []


def test_a_removal_that_goes_on_elsewhere_is_not_disturbed(home, made):
    made("run")
    os.rename(home / "run", home / ".procsup-1-1-run.part")
    busy = FileLock(home / ".procsup-1-1-run.part" / "run.lock")
    assert busy.try_exclusive()

    assert removal.list_half_removed(home) == []
    busy.close()
    assert len(removal.list_half_removed(home)) == 1


def test_logs_of_what_succeeded_go_and_the_rest_stays(home, made, capsys):
    run = made("run")
    before = (home / "run" / "manifest.json").read_bytes()

    assert main(["prune", "run", "--logs", "--yes"]) == 0

    assert "2 logs of " in capsys.readouterr().err
    out, err = run.rundir.make_log_paths(AttemptId("s/a", 1), "s")
    assert not os.path.exists(out)
    assert not os.path.exists(err)
    assert os.path.exists(run.rundir.make_log_paths(AttemptId("s/b", 1), "s")[0])
    assert (home / "run" / "manifest.json").read_bytes() == before
    assert main(["logs", "run"]) == 0
    assert main(["prune", "run", "--logs", "--yes"]) == 0
    assert "nothing is to be removed" in capsys.readouterr().err


def test_logs_of_units_that_left_the_plan_go_too_once_the_run_is_final(home, made, capsys):
    run = made("run", live=True)
    run.write(plan("s/a"))  # as if s/b was removed from the run file
    run.close("stopped")
    log = run.rundir.make_log_paths(AttemptId("s/b", 1), "s")[0]

    assert main(["prune", "run", "--logs", "--yes"]) == 0
    assert os.path.exists(log)

    with JournalWriter.open(run.rundir.journal, on_synced=lambda: None, durable=False) as journal:
        journal.append([RunFinal("r1", "succeeded", time.time())])
    assert main(["prune", "run", "--logs", "--yes"]) == 0
    assert not os.path.exists(log)

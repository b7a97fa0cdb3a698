"""`procsup list`, over run directories whose supervisors are played by the test."""

import json
import os
import time

import pytest

from procsup.cli.main import main
from procsup.queries import listing
from procsup.store.rundir import RunDir
from tests.support.sittings import WALL, Supervised, end, plan, result, started


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".procsup"


def make_run(tmp_path, name, *, at=WALL, **ending):
    """A run of that name, which ends as it is told."""
    run = Supervised(tmp_path)
    run.rundir = RunDir(tmp_path / ".procsup" / name)
    run.begin(at=at).write(plan("s/a", "s/b"), *started("s/a"), end("s/a"))
    if "status" in ending:
        run.publish(result(0), result(1, code=ending["code"]), status=ending["status"])
    elif "reason" in ending:
        run.close(ending["reason"])
    return run


def list_json(capsys, *arguments):
    assert main(["list", "--json", *arguments]) == 0
    whole = json.loads(capsys.readouterr().out)
    return {run["directory"].rpartition(os.sep)[2]: run for run in whole["runs"]}, whole


def test_runs_are_listed_newest_first_with_what_is_known_of_them(home, tmp_path, capsys):
    now = time.time()
    make_run(tmp_path, "old", at=now - 90030, status="failed", code=7)
    make_run(tmp_path, "new", at=now - 3630, status="succeeded", code=0)

    assert main(["list"]) == 0

    header, new, old = (line.split() for line in capsys.readouterr().out.splitlines())
    assert header == ["name", "state", "units", "when", "age", "size", "run"]
    assert (new[1:3], old[1:3]) == (["succeeded", "2/2"], ["failed", "2/2"])
    assert (new[5], old[5:7]) == ("59m", ["1d", "00h"])


def test_every_state_has_its_word(home, tmp_path, capsys):
    live = make_run(tmp_path, "live")
    make_run(tmp_path, "dead").die()
    make_run(tmp_path, "stopped", reason="stopped by request")
    RunDir(home / "nothing").create()
    (home / "nothing" / "run.lock").touch()
    make_run(tmp_path, "broken", status="succeeded", code=0)
    (home / "broken" / "manifest.json").write_text("garbage")

    runs, whole = list_json(capsys)

    assert {name: run["state"] for name, run in runs.items()} == {
        "live": "running",
        "dead": "unfinished",
        "stopped": "unfinished",
        "nothing": "empty",
        "broken": "unreadable",
    }
    assert runs["stopped"]["message"].endswith("stopped by request")
    assert runs["dead"]["message"].startswith("the supervisor died")
    counts = ("done", "planned", "succeeded")
    assert [runs["dead"][key] for key in counts] == [1, 2, 1]
    assert [runs["live"][key] for key in counts] == [1, 2, 1]
    assert [runs["broken"][key] for key in counts] == [None, None, None]
    assert whole["complete"]
    live.leave()


def test_the_size_is_that_of_all_files_and_links_are_not_followed(home, tmp_path, capsys):
    make_run(tmp_path, "run", status="succeeded", code=0)
    before = list_json(capsys)[0]["run"]["size_bytes"]
    (home / "run" / "logs" / "deep").mkdir()
    (home / "run" / "logs" / "deep" / "log").write_bytes(b"x" * 5000)
    try:
        (home / "run" / "logs" / "away").symlink_to(tmp_path, target_is_directory=True)
    except OSError:
        pass  # not everybody may make links on Windows

    after = list_json(capsys)[0]["run"]["size_bytes"]

    assert 5000 <= after - before < 6000


def test_what_would_take_long_is_unknown_unless_it_is_asked_for(
    home, tmp_path, capsys, monkeypatch
):
    make_run(tmp_path, "run", reason="stopped by request")
    monkeypatch.setattr(listing, "JOURNALS_BYTES", 10)
    monkeypatch.setattr(listing, "FILES_MOST", 1)

    runs, whole = list_json(capsys)
    assert (runs["run"]["planned"], runs["run"]["size_bytes"], whole["complete"]) == (
        None,
        None,
        False,
    )
    assert main(["list"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[1].split()[:3] == ["run", "unfinished", "-"]
    assert "the units of 1 and the sizes of 1 (--whole does)" in err
    runs, whole = list_json(capsys, "--whole")
    assert (runs["run"]["planned"], whole["complete"]) == (2, True)
    assert runs["run"]["size_bytes"] > 0


def test_a_final_run_is_listed_without_its_journal(home, tmp_path, capsys):
    make_run(tmp_path, "run", status="succeeded", code=0)
    (home / "run" / "journal.jsonl").write_bytes(b"garbage\n" * 1000)

    runs, _ = list_json(capsys)

    assert (runs["run"]["state"], runs["run"]["planned"]) == ("succeeded", 2)


def test_another_folder_may_be_given(home, tmp_path, capsys, monkeypatch):
    make_run(tmp_path, "run", status="succeeded", code=0)
    elsewhere = tmp_path / "else" / "where"
    elsewhere.mkdir(parents=True)
    monkeypatch.chdir(elsewhere)

    assert list(list_json(capsys)[0]) == ["run"]
    assert list(list_json(capsys, "--dir", str(tmp_path))[0]) == ["run"]
    assert list(list_json(capsys, "--dir", str(home))[0]) == ["run"]
    assert main(["list", "--dir", "."]) == 0
    assert capsys.readouterr().err == f"no runs in {elsewhere}\n"
    assert main(["list", "--dir", "nowhere"]) == 2


def test_without_any_home_it_says_so(home, capsys):
    if listing.find_nearest_home(home.parent.parent) is not None:
        pytest.skip("the folder for temporary files lies below a .procsup")
    assert main(["list"]) == 2
    assert "there is no .procsup folder in" in capsys.readouterr().err


def test_what_is_being_removed_is_no_run_any_more(home, tmp_path, capsys):
    make_run(tmp_path, "run", status="succeeded", code=0)
    os.rename(home / "run", home / ".procsup-1-1.part")

    assert list_json(capsys)[0] == {}
    assert main(["status", "last"]) == 2

"""`procsup verify`, over manifests of played supervisors, and once over real ones."""

import json
import os
import sys
import time

import pytest

from procsup.cli.main import main
from procsup.queries import verification
from procsup.queries.view import RunView
from procsup.store.mark import mark_problem
from tests.support.projects import Project
from tests.support.sittings import Supervised, end, plan, result, started


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Supervised(tmp_path)


@pytest.fixture
def final(run, tmp_path):
    """A final run of two units, each with an output."""
    outputs = [tmp_path / "a.out", tmp_path / "b.out"]
    for path in outputs:
        path.write_bytes(b"made\n")
    run.begin().write(plan("s/x=0", "s/x=1"), *started("s/x=0"), end("s/x=0"))
    return run.publish(result(0, outputs[0]), result(1, outputs[1]))


def checked(capsys, *arguments):
    code = main(["verify", "demo", "--json", *arguments])
    out, err = capsys.readouterr()
    return code, json.loads(out) if out else None, err


def test_a_run_that_is_as_recorded_is_said_to_be(final, capsys):
    code, seen, err = checked(capsys)

    assert (code, seen["ok"], seen["units"], seen["outputs"]) == (0, True, 2, 2)
    assert (seen["damage"], seen["differences"]) == ([], [])
    assert err.startswith("demo: as recorded (2 units, 2 outputs)\n")
    assert main(["verify"]) == 0


@pytest.mark.survives("F55")
def test_every_output_that_differs_is_named(final, tmp_path, capsys):
    (tmp_path / "a.out").write_bytes(b"longer than before\n")
    (tmp_path / "b.out").unlink()

    code, seen, err = checked(capsys)

    assert code == 4
    assert [(one["unit"], one["what"]) for one in seen["differences"]] == [
        ("s/x=0", "size 5 → 19"),
        ("s/x=1", "missing"),
    ]
    assert f"  output {tmp_path / 'b.out'} of s/x=1: missing\n" in err


@pytest.mark.survives("F38")
def test_the_manifest_must_be_of_the_journal_beside_it(final, capsys):
    journal = final.rundir.journal
    whole = journal.read_bytes()
    for text, said in (
        (whole.replace(b"s/x=1", b"s/x=2"), "is not the one that the manifest was made from"),
        (whole[:-100], "is shorter than"),
        (None, "is gone"),
    ):
        if text is None:
            journal.unlink()
        else:
            journal.write_bytes(text)
        code, seen, _err = checked(capsys)
        assert (code, said in seen["damage"][0]) == (74, True)
        assert main(["wait", "demo", "--verify"]) == 74
        assert said in capsys.readouterr().err
    journal.write_bytes(whole + b"what came later\n")
    assert checked(capsys)[0] == 0


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (b'"planned":2', b'"planned":3', "counts 3 planned, and has 2 units"),
        (b'"succeeded":2', b'"succeeded":1', "counts 1 succeeded, and has 2"),
        (b'"kept":0', b'"kept":1', "counts 1 kept, and has 0"),
        (b'"verdict":"succeeded"', b'"verdict":"failed"', "is called succeeded, and 2 of its"),
        (b'"id":"s/x=1"', b'"id":"s/x=0"', "stands in the manifest twice"),
        (b'"stage":"s"', b'"stage":"z"', "stage z has units, but no counts"),
    ],
)
def test_counts_that_do_not_add_up_are_damage(final, capsys, before, after, said):
    text = final.rundir.manifest.read_bytes()
    assert before in text
    final.rundir.manifest.write_bytes(text.replace(before, after))

    code, seen, _err = checked(capsys)

    assert code == 74
    assert any(said in sentence for sentence in seen["damage"]), seen["damage"]


def test_a_manifest_that_was_cut_is_damage(final, capsys):
    text = final.rundir.manifest.read_bytes()
    final.rundir.manifest.write_bytes(text[:-3])

    code, seen, err = checked(capsys)

    assert (code, seen["error"]["exit_code"]) == (74, 74)
    assert "cannot be read" in err


def test_what_is_not_final_cannot_be_verified(run, capsys):
    run.begin()
    assert checked(capsys)[0] == 3
    run.die()
    code, _seen, err = checked(capsys)
    assert (code, "the supervisor died" in err) == (3, True)
    assert main(["verify", "nope"]) == 2


def test_a_stage_can_be_verified_while_the_run_goes_on(run, tmp_path, capsys):
    (tmp_path / "a.out").write_text("made\n")
    run.begin().publish_stage(result(0, tmp_path / "a.out"))

    assert checked(capsys, "--stage", "s")[0] == 0
    assert checked(capsys, "--stage", "t")[0] == 3
    assert checked(capsys, "--stage", "zz")[0] == 2
    (tmp_path / "a.out").unlink()
    assert checked(capsys, "--stage", "s")[0] == 4
    run.leave()


def test_of_several_the_worst_decides(final, tmp_path, capsys):
    assert main(["verify", "demo", "demo"]) == 0
    (tmp_path / "a.out").unlink()
    assert main(["verify", "demo", "demo"]) == 4
    assert main(["verify", "demo", f"{final.rundir.path}@other"]) == 3


def test_progress_is_told_when_it_takes_long(final, capsys, monkeypatch):
    monkeypatch.setattr(verification, "FIRST_WORD_S", -1.0)

    assert "verified 0 of 2 units so far\n" in checked(capsys)[2]


def test_a_journal_of_another_user_is_not_compared(final, monkeypatch):
    def refused(_path, *_owner):
        raise PermissionError(13, "not yours")

    head = RunView(final.rundir).head()
    monkeypatch.setattr("procsup.store.mark.open_record", refused)

    assert mark_problem(final.rundir.journal, head.journal) == ""


# --- over a real run ---------------------------------------------------------------------------

RUN = """
[stage.s]
script = "worker.py"
matrix.n.glob = "in/{name:*}.txt"
inputs = ["{n}"]
args = ["{n}", "{outputs[0]}"]
outputs = ["out/{name}.txt"]
"""
WORKER = "import shutil, sys; shutil.copy(sys.argv[1], sys.argv[2])\n"


@pytest.fixture
def made(tmp_path):
    project = Project(tmp_path, RUN)
    project.write("worker.py", WORKER)
    for name in "ab":
        project.write(f"in/{name}.txt", f"{name}\n")
    project.run("-q")
    return project


def seen_by(project, *arguments):
    done = project.call("verify", "run", "--json", *arguments)
    return done.returncode, json.loads(done.stdout)


def test_a_real_run_is_as_recorded(made):
    code, seen = seen_by(made, "--checksum")
    assert (code, seen["differences"], seen["notes"]) == (0, [], [])


@pytest.mark.survives("F55")
def test_content_that_was_changed_behind_size_and_time_is_found_by_checksum(made):
    path = made.folder / "out" / "a.txt"
    status = path.stat()
    path.write_text("X\n")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    if sys.platform != "win32":  # the ctime shows the change at once
        assert seen_by(made)[0] == 4
    code, seen = seen_by(made, "--checksum")
    assert (code, [one["what"] for one in seen["differences"]]) == (4, ["content differs"])
    later = time.time_ns() + 10**9
    os.utime(path, ns=(later, later))
    assert seen_by(made)[0] == 4


def test_an_input_that_changed_is_a_note_and_another_plan_is_a_difference(made):
    made.write("in/a.txt", "changed\n")

    code, seen = seen_by(made)
    assert code == 0
    assert [(one["kind"], one["unit"]) for one in seen["notes"]] == [("input", "s/name=a")]

    made.write("in/c.txt", "c\n")
    (made.folder / "in" / "b.txt").unlink()
    code, seen = seen_by(made)
    assert code == 4
    assert {(one["unit"], one["what"]) for one in seen["differences"]} == {
        ("s/name=c", "would be planned now, and is not in the manifest"),
        ("s/name=b", "is in the manifest, and not planned any more"),
    }


def test_a_run_file_that_is_gone_is_a_note(made):
    (made.folder / "run.toml").unlink()

    code, seen = seen_by(made)

    assert code == 0
    assert "the plan could not be compared" in seen["notes"][0]["what"]

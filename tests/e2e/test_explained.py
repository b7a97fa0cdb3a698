"""`explain`: what became of units, why they wait, and what a run would do with them now."""

import json
import os
import re
import shutil
import sys

import pytest

import procsup
from procsup import UsageError
from procsup.cli.main import main
from procsup.core.records import Launch, Planned
from procsup.report.explanation import make_explanation_data
from tests.e2e.test_forms import UNITS, old  # noqa: F401 - a fixture
from tests.e2e.test_selected import late  # noqa: F401 - a fixture
from tests.support.permissions import closed
from tests.support.projects import PYTHON, Project
from tests.support.sittings import WALL, Supervised

RUN = """
name = "run"
vars = { rate = "0.1" }
[stage.make]
script = "make.py"
args = ["{source}", "{outputs[0]}", "{rate}"]
matrix.source.glob = "raw/{s:*}.txt"
id = "{s}"
outputs = ["out/{s}"]
env = { LANG = "C" }
[stage.use]
script = "make.py"
for-each = "make"
args = ["{make.outputs[0]}", "{outputs[0]}", "-"]
inputs = ["{make.outputs[0]}"]
outputs = ["used/{s}"]
"""
MAKE = """
import sys
text = open(sys.argv[1]).read()
if text.startswith("bad"):
    print("first line\\nthe last line", file=sys.stderr)
    sys.exit(3)
open(sys.argv[2], "w").write(text + sys.argv[3])
"""


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A project whose run has ended: ``a`` has succeeded, ``b`` has failed."""
    monkeypatch.chdir(tmp_path)
    project = Project(tmp_path, RUN)
    project.write("make.py", MAKE)
    project.write("raw/a.txt", "A")
    project.write("raw/b.txt", "bad")
    project.run(expect=1)
    return project


def told(*words):
    return procsup.explain("run", only=words)


def text(*words):
    (one,) = told(*words)
    return str(one)


def edit(project, old_text, new_text):
    project.write("run.toml", (project.folder / "run.toml").read_text().replace(old_text, new_text))


# --- what became of it -----------------------------------------------------------------------


def test_a_success_and_a_failure_are_told_in_a_paragraph_each(made, capsys):
    assert main(["explain", "run", "make"]) == 0

    good, bad, *tail = capsys.readouterr().out.splitlines()
    logs = re.escape(os.path.join(".procsup", "run", "logs", "make", "a.1.out"))
    assert re.fullmatch(
        rf"make/a: succeeded, exit 0 \(attempt 1, [\d.]+ m?s\), \d{{4}}-\S+ \S+\."
        rf" Logs: {logs}, \S+\. A run would keep it now\.",
        good,
    )
    assert bad.startswith("make/b: failed, exit 3 (attempt 1, ")
    assert bad.endswith(" A run would start it now: failed before.")
    assert tail == ["  end of stderr:", "    first line", "    the last line"]


def test_without_units_those_that_have_not_succeeded_are_told_or_all(made, capsys):
    assert main(["explain", "run"]) == 0
    said = capsys.readouterr().out
    assert [line.partition(":")[0] for line in said.splitlines() if line[0] != " "] == [
        "make/b",
        "use/b",
    ]
    made.write("raw/b.txt", "B")
    made.run()

    assert main(["explain", "run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["units"]
    assert [unit["id"] for unit in told] == ["make/a", "make/b", "use/a", "use/b"]


WAITING = """
name = "run"
jobs = 1
on-failure = "stop"
[stage.first]
command = ["{python}", "-c", "import sys; sys.exit({n})"]
matrix.n = [1, 0, 0, 0, 0]
id = "{n}-{index}"
[stage.second]
command = ["{python}", "-c", "pass"]
after = ["first"]
matrix.k = [1]
""".replace("{python}", PYTHON)


def test_a_unit_whose_producers_have_not_run_starts_after_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project = Project(tmp_path, WAITING)
    project.run(expect=None)

    assert " A run would start it after first: " in text("second")
    (one,) = told("second")
    assert make_explanation_data([one])[0]["after"] == ["first"]


def test_in_a_copy_it_is_said_that_a_run_is_refused_as_it_is(made, monkeypatch):
    there = made.folder.parent / (made.folder.name + "-copy")
    shutil.copytree(made.folder, there)
    monkeypatch.chdir(there)

    said = text("make/a")

    assert " A run would keep it now. But the run would be refused: run directory " in said
    assert "--adopt" in said
    assert "refused as it is: " in Project(there).call("run", "run.toml", "--dry-run").stderr


def test_what_was_skipped_names_the_failure_that_held_it(made):
    told_of = text("use/b")

    assert "use/b: skipped, unit make/b did not succeed, " in told_of
    assert "A run would start it after make/b: skipped before." in told_of


def test_all_attempts_are_told(made):
    edit(made, 'id = "{s}"', 'id = "{s}"\nretries = 1')
    made.run(expect=1)

    (bad,) = told("make/b")

    assert [end.attempt for end in bad.ends] == [2, 3]
    assert "failed, exit 3 (attempt 3, " in str(bad)
    assert "Before that: failed, exit 3 (attempt 2, " in str(bad)


def test_a_time_limit_is_named(made):
    waits = "import threading; threading.Event().wait()"
    slow = f"[stage.slow]\ncommand = ['{PYTHON}', '-c', '{waits}']"
    edit(made, "[stage.use]", f'{slow}\ntimeout = "0.2s"\ngrace = 0\n[stage.use]')
    made.run(expect=1)

    assert "timed-out, ran longer than its timeout of 0.2 s" in text("slow")


def test_what_is_kept_says_since_when(made):
    made.run(expect=1)

    (good,) = told("make/a")

    assert good.kept
    assert ", kept since." in str(good)


# --- why it would run again ------------------------------------------------------------------


RAW, OUT, ZZ = (os.path.join(*path.split("/")) for path in ("raw/a.txt", "out/a", "zz/a"))
MORE = "input new: make.py and 1 more"


def add_line(project, line):
    edit(project, "env = {", f"{line}\nenv = {{")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda p: p.write("raw/a.txt", "Aaa"), f"input changed: {RAW} (size 1 → 3)"),
        (lambda p: edit(p, 'rate = "0.1"', 'rate = "0.2"'), None),
        (lambda p: edit(p, '"{rate}"]', '"{rate}2"]'), "argument 3 changed: 0.1 → 0.12"),
        (lambda p: edit(p, 'LANG = "C"', 'LANG = "de"'), "env LANG changed"),
        (lambda p: add_line(p, 'cwd = "raw"'), "cwd changed: . → raw"),
        (lambda p: (p.folder / "out/a").unlink(), f"output deleted: {OUT}"),
        (lambda p: add_line(p, 'stdout = "{s}.log"'), "output new: a.log"),
        (lambda p: edit(p, '["out/{s}"]', '["out/{s}", "zz/{s}"]'), f"output new: {ZZ}"),
        (lambda p: add_line(p, 'inputs = ["{source}", "make.py"]'), "input new: make.py"),
        (lambda p: add_line(p, 'depends = ["make.py", "run.toml"]'), MORE),
        (lambda p: add_line(p, 'stdin = "make.py"'), "input new: make.py"),
        (lambda p: p.write("out/a", "longer"), f"output changed: {OUT} (size 4 → 6)"),
    ],
)
def test_a_reason_names_the_thing_as_the_dry_run_does(made, change, why):
    change(made)

    (one,) = told("make/a")

    (planned,) = [unit for unit in procsup.plan("run.toml").units if unit.id == "make/a"]
    if why is None:  # the run's own variables are taken, as `retry` takes them
        assert one.keep
        return
    assert one.detail == why == planned.detail
    assert (one.keep, one.reason) == (False, planned.reason)
    assert f"A run would start it now: {why}." in str(one)


@pytest.mark.skipif(sys.platform == "win32", reason="a line for bash")
def test_a_changed_shell_text_is_named(made):
    edit(made, "[stage.use]", SHELL_STAGE)
    made.run(expect=1)
    edit(made, "# 1", "# 2")

    (one,) = told("copy")
    assert one.detail.startswith("shell changed: cp ")
    assert one.detail.count("# ") == 2
    assert one.reason == "command changed"

    edit(made, "[1]", "[1, 2]")
    assert "; the command changed: 1 argument → 2." in text("copy")


SHELL_STAGE = """[stage.copy]
shell = '''
cp raw/a.txt {outputs[0]} # 1
'''
args = [1]
outputs = ["copied"]
[stage.use]"""


def test_inputs_that_are_declared_no_longer_are_named(made):
    add_line(made, 'inputs = ["{source}", "make.py", "run.toml"]')
    made.run(expect=1)
    edit(made, ', "make.py", "run.toml"]', ', "make.py"]')

    assert "A run would start it now: input removed: run.toml." in text("make/a")

    edit(made, ', "make.py"]', ', "raw/b.txt"]')
    b = os.path.join("raw", "b.txt")
    assert f"input new: {b}; input removed: make.py and 1 more." in text("make/a")


def test_an_input_that_is_an_argument_as_well_is_named_beside_it(made):
    edit(made, '["{source}", ', '["{inputs}", ')
    add_line(made, 'inputs = ["{source}"]')
    made.run(expect=1)
    edit(made, 'inputs = ["{source}"]', 'inputs = ["{source}", "make.py"]')

    (one,) = told("make/a")

    assert one.reason == "command changed"
    assert one.detail.endswith("; input new: make.py")


def test_what_depends_on_a_unit_that_would_run_says_so(made):
    made.write("raw/a.txt", "Aaa")

    assert text("use/a").endswith("A run would start it after make/a, which runs.")


def test_a_unit_beyond_the_first_thousand_is_told_its_reason_as_well(tmp_path, monkeypatch):
    monkeypatch.setattr("procsup.supervisor.expansion._EXPLAINED_MOST", 1)
    monkeypatch.chdir(tmp_path)
    text_of = (
        'name = "run"\n[stage.s]\ncommand = ["{}", "-c", "pass", "0.1"]\nmatrix.n = [1, 2, 3]\n'
    )
    project = Project(tmp_path, text_of.format(PYTHON))
    project.run()
    edit(project, "0.1", "0.2")

    assert [unit.detail for unit in told("n=2", "n=3")] == ["argument 3 changed: 0.1 → 0.2"] * 2


def test_a_stale_unit_is_kept_and_it_is_said(made):
    made.write("make.py", MAKE + "\n# mended\n")

    assert "A run would keep it now, although its program has changed since." in text("make/a")


# --- what cannot be known ---------------------------------------------------------------------


def test_without_its_run_file_the_record_still_answers(made):
    (made.folder / "run.toml").unlink()

    (good,) = told("make/a")

    assert (good.state, good.keep) == ("succeeded", None)
    assert "What a run would do with it now is not known: the run file of " in str(good)


def test_a_run_file_that_is_wrong_by_now_is_said(made):
    (made.folder / "raw/a.txt").unlink()
    edit(made, "[stage.use]", "[stage.use]\ncolour = 1")

    assert "is not known: " in text("make/a")
    assert "colour" in text("make/a")


def test_a_unit_that_the_run_file_does_not_have_any_more(made):
    (made.folder / "raw/a.txt").unlink()

    assert text("make/a").endswith("not known: the run file has no such unit any more.")


def test_an_unknown_unit_is_a_mistake_with_what_is_near(made, capsys):
    assert main(["explain", "run", "make/aa"]) == 2
    assert "'make/aa' selects no unit (did you mean 'make/a'?)" in capsys.readouterr().err
    with pytest.raises(UsageError, match="selects no unit"):
        told("nothing")
    with pytest.raises(UsageError, match="no run 'other'"):
        procsup.explain("other")


def test_units_of_a_stage_that_is_known_late(late, monkeypatch):  # noqa: F811
    monkeypatch.chdir(late.folder)
    late.write("first.py", "raise SystemExit(3)")
    late.run("--only", "first", expect=None)

    assert [str(one) for one in told("later/name=a")] == [
        "later/name=a: the units of stage later are known when first has run."
    ]


def test_a_dead_run_foretells_the_units_of_a_stage_that_it_never_came_to(late, monkeypatch):  # noqa: F811
    monkeypatch.chdir(late.folder)
    late.run()
    (late.rundir / "manifest.json").unlink()
    journal = late.rundir / "journal.jsonl"
    text, _, rest = journal.read_text().partition('"t":"stage-final","stage":"first"')
    journal.write_text(text + '"t":"stage-final","stage":"first"' + rest.partition("\n")[0] + "\n")

    for words in (["later"], ["name=a", "name=b"], ["lat*"], ["name=?"], ["later,@waiting"]):
        assert [one.id for one in told(*words)] == ["later/name=a", "later/name=b"]
    for word in ("later/name=b", "name=b", "later/*b", "*,!first,!other,!name=a"):
        (one,) = told(word)
        assert (one.id, one.state, one.keep, one.reason) == (
            "later/name=b",
            "waiting",
            False,
            "new",
        )
    for word in ("later/name=c", "name=c"):
        with pytest.raises(UsageError, match=f"'{word}' selects no unit"):
            told(word)


# --- of every kind of run ----------------------------------------------------------------------


def test_a_moved_project_is_explained_where_it_is_now(made, monkeypatch, tmp_path_factory):
    place = tmp_path_factory.mktemp("elsewhere") / "moved"
    monkeypatch.chdir("/")
    shutil.move(str(made.folder), str(place))
    monkeypatch.chdir(place)

    (good, bad) = told("make")

    assert good.keep
    assert str(place) in good.logs["stdout"]
    assert "    the last line" in str(bad)


def test_a_run_of_the_library_is_explained_from_its_plan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-c", "import sys; sys.exit(int(sys.argv[1]))"]
    units = [procsup.Unit([*command, code], id=code) for code in "03"]
    procsup.run_units(units, name="listed", check=False)

    good, bad = procsup.explain("listed")

    assert (good.state, good.keep, good.reason) == ("succeeded", True, "")
    assert (bad.state, bad.reason) == ("failed", "failed before")


def test_records_of_each_form_are_explained(old, monkeypatch):  # noqa: F811
    monkeypatch.chdir(old.folder)
    old.write("raw/b.txt", "another\n")

    found = {one.id: one for one in told()}

    assert sorted(found) == UNITS
    assert found["copy/name=a"].keep
    assert found["copy/name=b"].reason == "input changed"
    assert (found["join"].keep, found["join"].detail) == (None, "known when copy has run")


def test_nothing_is_written_and_a_read_only_folder_is_enough(made):
    before = {path: path.stat().st_mtime_ns for path in made.folder.rglob("*")}
    with closed(made.rundir, 0o500), closed(made.folder, 0o500):
        assert text("make/a").endswith("A run would keep it now.")

    assert {path: path.stat().st_mtime_ns for path in made.folder.rglob("*")} == before


def test_an_attempt_whose_supervisor_died_has_no_end_on_record(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = Supervised(tmp_path).begin()
    run.write(Planned("s", ["s/a", "s/b"]), Launch("s/a", 1, WALL, "f")).die()

    begun, waiting, other = procsup.explain("demo")

    assert begun.state == waiting.state == "waiting"
    assert "s/a: attempt 1 began " in str(begun)
    assert "its end is not on record. The supervisor died (" in str(begun)
    assert "s/b: not started yet: the supervisor died (" in str(waiting)
    assert "made by a program, without a run file" in str(waiting)
    assert str(other).startswith("t: the units of stage t are not known: ")


def test_of_a_live_run_without_a_run_file_it_is_said_what_is_not_known(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = Supervised(tmp_path).begin()
    run.write(Planned("s", ["s/a", "s/b"]), Launch("s/a", 1, WALL, "f"))

    running, waiting, other = procsup.explain("demo")

    run.leave()
    assert str(running).startswith("s/a: attempt 1 runs, for ")
    assert "s/b: not started yet: what holds it is not known: " in str(waiting)
    assert str(other).startswith("t: the units of stage t are not known: ")


# --- as data, and many at once -----------------------------------------------------------------


def test_as_data_it_has_everything(made, capsys):
    assert main(["explain", "run", "make/b", "--json"]) == 0

    seen = json.loads(capsys.readouterr().out)
    assert (seen["name"], seen["state"]) == ("run", "failed")
    (unit,) = seen["units"]
    assert (unit["id"], unit["stage"], unit["state"]) == ("make/b", "make", "failed")
    assert (unit["keep"], unit["reason"], unit["held"]) == (False, "failed before", None)
    (attempt,) = unit["attempts"]
    assert (attempt["attempt"], attempt["verdict"], attempt["exit_code"]) == (1, "failed", 3)
    assert set(unit["logs"]) == {"stdout", "stderr"}


def test_of_many_units_the_first_are_told_and_the_number_of_the_others(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    run = Supervised(tmp_path).begin()
    run.write(Planned("s", [f"s/{n}" for n in range(25)])).die()

    assert main(["explain", "demo", "s"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert (len(lines), lines[-1]) == (21, "... and 5 more (--all)")

    assert main(["explain", "demo", "s", "--all"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 25
    assert main(["explain", "demo", "s", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["units"]) == 25

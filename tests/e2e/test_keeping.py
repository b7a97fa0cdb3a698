"""What is kept: exactly what changed, and what hangs on it, runs again."""

import json
import os

import pytest

from tests.support.files import needs_links
from tests.support.projects import PYTHON, Project, finish, kill, wait_for

WORKER = """
import sys
source, target = sys.argv[1:]
text = open(source).read()
open(target, "w").write(text.upper())
"""

MERGE = """
import sys
*sources, target = sys.argv[1:]
open(target, "w").write("".join(open(source).read() for source in sources))
"""

RUN = """
[stage.shout]
script = "worker.py"
matrix.source.glob = "in/{name:*}.txt"
args = ["{source}", "{outputs[0]}"]
outputs = ["out/{name}.txt"]

[stage.merge]
script = "merge.py"
inputs = { from = "shout" }
args = ["{inputs}", "{outputs[0]}"]
outputs = ["all.txt"]
"""


@pytest.fixture
def made(tmp_path):
    project = Project(tmp_path, RUN)
    project.write("worker.py", WORKER)
    project.write("merge.py", MERGE)
    for name in ("a", "b", "c"):
        project.write(f"in/{name}.txt", f"{name}1\n")
    project.run()
    assert (tmp_path / "all.txt").read_text() == "A1\nB1\nC1\n"
    return project


def ran(project):
    """What the last run started."""
    begins = [n for n, record in enumerate(all_records(project)) if record["t"] == "begin"]
    latest = all_records(project)[begins[-1] :]
    return sorted(record["unit"] for record in latest if record["t"] == "start")


def all_records(project):
    lines = (project.rundir / "journal.jsonl").read_text().splitlines()
    return [json.loads(line.split(" ", 2)[2]) for line in lines]


def test_a_second_run_keeps_everything_and_says_so(made):
    first = made.manifest["run_id"]

    done = made.run()

    assert ran(made) == []
    assert "kept 3 of 3" in done.stderr
    assert sum(unit["kept"] for unit in made.manifest["units"]) == 4
    assert first != made.manifest["run_id"]


@pytest.mark.survives("F55")
def test_a_deleted_output_is_made_again_and_moves_nothing_if_it_is_what_it_was(made):
    os.unlink(made.folder / "out/b.txt")

    done = made.run()

    assert ran(made) == ["shout/name=b"]
    assert "1 output deleted" in done.stderr


def test_a_changed_input_runs_its_unit_again_and_what_depends_on_it(made):
    made.write("in/c.txt", "c2\n")

    done = made.run()

    assert ran(made) == ["merge", "shout/name=c"]
    assert "1 input changed" in done.stderr
    assert (made.folder / "all.txt").read_text() == "A1\nB1\nC2\n"


def test_a_new_file_is_a_new_unit_and_moves_what_depends_on_the_stage(made):
    made.write("in/d.txt", "d1\n")

    done = made.run()

    assert ran(made) == ["merge", "shout/name=d"]
    assert "1 new" in done.stderr
    assert (made.folder / "all.txt").read_text() == "A1\nB1\nC1\nD1\n"


def test_a_removed_file_moves_what_depends_on_the_stage_alone(made):
    os.unlink(made.folder / "in/a.txt")

    made.run()

    assert ran(made) == ["merge"]
    assert (made.folder / "all.txt").read_text() == "B1\nC1\n"


def test_a_touched_input_of_the_same_content_changes_nothing(made):
    os.utime(made.folder / "in/a.txt", (1, 1))

    made.run()

    assert ran(made) == []


def replace(path, text):
    """Replace a file by one of the same size and times but other content, as `cp -p` may."""
    status = path.stat()
    path.with_suffix(".new").write_text(text)
    assert path.with_suffix(".new").stat().st_size == status.st_size
    os.utime(path.with_suffix(".new"), ns=(status.st_atime_ns, status.st_mtime_ns))
    os.replace(path.with_suffix(".new"), path)


def test_an_input_replaced_by_one_of_the_same_size_and_time_is_another_one(made):
    replace(made.folder / "in/a.txt", "a2\n")

    done = made.run()

    assert ran(made) == ["merge", "shout/name=a"]
    assert "1 input changed" in done.stderr


def test_an_output_replaced_by_one_of_the_same_size_and_time_is_made_again(made):
    replace(made.folder / "out/a.txt", "XX\n")
    assert made.call("verify", "run").returncode == 4
    assert made.call("wait", "run", "--verify").returncode == 4

    made.run()

    assert (made.folder / "all.txt").read_text() == "A1\nB1\nC1\n"
    assert ran(made) == ["shout/name=a"]


def test_what_was_replaced_by_the_same_is_read_once_and_then_believed(made):
    replace(made.folder / "in/a.txt", "a1\n")
    replace(made.folder / "out/b.txt", "B1\n")

    made.run()
    assert ran(made) == []
    seen = [(one["unit"], len(one["readings"])) for one in made.records("seen")]
    assert sorted(seen) == [("merge", 1), ("shout/name=a", 1), ("shout/name=b", 1)]
    assert made.call("verify", "run").returncode == 0
    made.run()
    assert ran(made) == []
    assert len(made.records("seen")) == 3


@needs_links
def test_a_link_that_is_made_again_with_the_same_target_is_an_output(tmp_path):
    text = """
        [stage.link]
        command = ["ln", "-sfn", "../raw/x", "o/x"]
        outputs = ["o/x"]
    """
    project = Project(tmp_path, text)
    project.write("raw/x", "data")
    (tmp_path / "o").mkdir()

    for _ in range(2):
        project.run("--fresh")

    assert project.verdicts == {"link": "succeeded"}
    assert project.manifest["units"][0]["outputs"][0]["link"] == "../raw/x"


def test_an_edited_worker_leaves_kept_units_kept_and_says_that_they_are_stale(made):
    made.write("worker.py", WORKER + "# mended\n")

    done = made.run()

    assert ran(made) == []
    assert (
        "worker.py changed since 3 kept units ran (--fresh runs all, --only picks)" in done.stderr
    )
    assert sum(unit["stale"] for unit in made.manifest["units"]) == 3
    assert made.run("--quiet").stderr.split(" since ")[0] == "worker.py changed"


def test_of_a_changed_argument_it_is_said_what_it_was_and_is(made):
    made.run()  # which keeps everything
    made.write("run.toml", RUN.replace('args = ["{source}",', 'args = ["./{source}",'))

    done = made.call("run", "run.toml", "--dry-run")

    assert "argument 1 changed: in/a.txt " in done.stdout  # the arrow is not in every encoding
    assert " ./in/a.txt)  shout/name=a" in done.stdout


def test_a_changed_argument_runs_the_stage_again(made):
    made.write("run.toml", RUN.replace('args = ["{source}",', 'args = ["./{source}",'))

    done = made.run()

    assert ran(made) == ["shout/name=a", "shout/name=b", "shout/name=c"]
    assert ", 3 to run: 3 command changed\n" in done.stderr


def test_kinds_of_change_are_told_apart_in_the_first_line_and_the_dry_run(tmp_path):
    text = (
        '[stage.s]\nscript = "s.py"\nargs = ["{outputs[0]}", "-v"]\nzip.k = [1, 2]\n'
        'zip.n = [3, 4]\nid = "{k}"\noutputs = ["out{k}"]\nenv = { A = "a" }\n'
    )
    project = Project(tmp_path, text)
    project.write("s.py", "import sys; open(sys.argv[1], 'w').write('x')")
    project.run()
    for before, after, said in [
        ('"-v"', '"-f"', "2 to run: 2 command changed"),
        ("[3, 4]", "[3, 5]", "1 to run: 1 parameter changed"),
        ('A = "a"', 'A = "b"', "2 to run: 2 env changed"),
        ("n = [3, 5]", 'n = [6, 5]\nstdin = "s.py"', "2 to run: 1 input new, 1 parameter changed"),
    ]:
        text = text.replace(before, after)
        project.write("run.toml", text)
        assert said in project.call("run", "run.toml", "--dry-run").stderr
        assert said in project.run(expect=None).stderr


def test_fresh_runs_all_and_goes_on_counting_attempts(made):
    made.run("--fresh")

    assert len(ran(made)) == 4
    assert [unit["attempts"][0]["attempt"] for unit in made.manifest["units"]] == [2] * 4


def test_only_runs_what_is_selected(made):
    made.write("in/a.txt", "a2\n")
    made.write("in/b.txt", "b2\n")

    made.run("--only", "shout/name=a", expect=3)  # what hangs on it has not run

    assert ran(made) == ["shout/name=a"]

    made.run()

    assert ran(made) == ["merge", "shout/name=b"]


def test_what_depends_on_what_only_ran_is_not_said_to_be_kept(tmp_path):
    project = Project(
        tmp_path,
        RUN.replace("merge]", "tell]\nafter = ['shout']").replace(
            'inputs = { from = "shout" }\nargs = ["{inputs}", "{outputs[0]}"]',
            'args = ["in/a.txt", "{outputs[0]}"]',
        ),
    )
    project.write("worker.py", WORKER)
    project.write("merge.py", MERGE)
    for name in ("a", "b", "c"):
        project.write(f"in/{name}.txt", f"{name}1\n")
    project.run()
    project.write("in/a.txt", "a2\n")
    project.run("--only", "shout/name=a", expect=3)

    done = project.run()

    assert ran(project) == ["tell"]
    assert "kept 3 of 4" in done.stderr
    assert "1 to run: 1 after shout;" in done.stderr


def test_only_that_selects_nothing_is_an_error(made):
    done = made.run("--only", "shuot", expect=2)

    assert "did you mean 'shout'?" in done.stderr


def test_needs_beyond_the_capacity_are_refused_before_anything_starts(tmp_path):
    project = Project(tmp_path, '[stage.s]\ncommand = ["true"]\ncpus = 64000\n')

    assert "needs 64000 cpus" in project.run(expect=2).stderr
    assert "needs 64000 cpus" in project.run("--dry-run", expect=2).stderr


def test_only_without_the_others_makes_no_manifest_and_wait_says_3(tmp_path):
    project = Project(tmp_path, RUN)
    project.write("worker.py", WORKER)
    project.write("merge.py", MERGE)
    project.write("in/a.txt", "a")
    project.write("in/b.txt", "b")

    done = project.run("--only", "shout/name=a", expect=3)

    assert ran(project) == ["shout/name=a"]
    assert not (project.rundir / "manifest.json").exists()
    assert "selected" in done.stderr
    assert project.call("wait", "run", "--start-timeout", "0").returncode == 3


def test_a_dry_run_says_what_would_run_and_why_and_writes_nothing(made):
    os.unlink(made.folder / "out/b.txt")
    before = snapshot(made.folder)

    done = made.run("--dry-run")

    deleted = os.path.join("out", "b.txt")
    assert f"  run (output deleted: {deleted})  shout/name=b\n" in done.stdout
    assert "shout/name=a" not in done.stdout  # kept units are only counted
    assert "merge: known when shout has run\n" in done.stdout
    assert before == snapshot(made.folder)


def test_a_dry_run_of_a_run_that_never_was_makes_no_directory(tmp_path):
    project = Project(tmp_path, RUN)
    project.write("worker.py", WORKER)
    project.write("merge.py", MERGE)
    project.write("in/a.txt", "a")
    before = snapshot(tmp_path)

    project.run("--dry-run")

    assert before == snapshot(tmp_path)


def test_another_run_file_under_the_same_name_is_refused(made):
    made.write("other.toml", 'name = "run"\n' + RUN)

    done = made.call("run", "other.toml")

    assert done.returncode == 2
    assert "belongs to" in done.stderr


def test_units_without_outputs_run_again_after_a_run_that_succeeded_only(tmp_path):
    text = f"""
[stage.s]
command = ['{PYTHON}', '-c', 'import sys; sys.exit(int(sys.argv[1]))', '{{n}}']
matrix.n = [0, 1]
"""
    project = Project(tmp_path, text)

    project.run(expect=1)

    assert project.verdicts == {"s/n=0": "succeeded", "s/n=1": "failed"}

    done = project.run(expect=1)

    assert ran(project) == ["s/n=1"]
    assert "1 to run: 1 failed before; kept 1 without outputs from the unsuccessful" in done.stderr
    assert "; --fresh repeats them" in done.stderr

    project.write("run.toml", text.replace("int(sys.argv[1])", "0"))
    project.run()  # the unit runs because it was changed
    assert ran(project) == ["s/n=0", "s/n=1"]

    done = project.run()

    assert ran(project) == ["s/n=0", "s/n=1"]
    assert "2 no outputs to keep" in done.stderr


def test_the_advice_after_a_failed_run_repeats_nothing_that_succeeded(tmp_path):
    text = f"""
[stage.mail]
command = ['{PYTHON}', '-c', 'import sys; sys.exit(int(sys.argv[1]))', '{{n}}']
matrix.n = [0, 1]
keep = "never"
"""
    project = Project(tmp_path, text)
    done = project.run(expect=1)
    advice = done.stderr.splitlines()[-1].partition("#")[0].split()
    assert advice == ["procsup", "retry", "run"]

    project.call(*advice[1:])

    assert ran(project) == ["mail/n=1"]


def snapshot(folder):
    found = {}
    for path, folders, files in os.walk(str(folder)):
        folders.sort()
        for name in sorted((*files, *folders)):
            status = os.stat(os.path.join(path, name))
            found[os.path.join(path, name)] = (status.st_ino, status.st_mtime_ns, status.st_size)
    return found


CHAIN = """
[stage.shout]
script = "worker.py"
matrix.name = ["a", "b"]
inputs = ["in/{name}.txt"]
args = ["{inputs[0]}", "{outputs[0]}"]
stdout = "log/{name}.txt"
outputs = ["out/{name}.txt"]

[stage.again]
for-each = "shout"
script = "worker.py"
args = ["{shout.outputs[0]}", "{outputs[0]}"]
inputs = ["{shout.outputs[0]}"]
outputs = ["again/{name}.txt"]

[stage.merge]
script = "merge.py"
inputs = { from = "again" }
args = ["{inputs}", "{outputs[0]}"]
outputs = ["all.txt"]
"""


@pytest.mark.parametrize("how", ["an input of other letters", "a deleted output", "both"])
def test_an_output_that_is_made_again_with_the_same_content_moves_nothing(tmp_path, how):
    project = Project(tmp_path, CHAIN)
    project.write("worker.py", WORKER)
    project.write("merge.py", MERGE)
    for name in ("a", "b"):
        project.write(f"in/{name}.txt", f"{name}1\n")
    project.run()
    if how != "a deleted output":
        project.write("in/a.txt", "A1\n")  # its upper case is the same
    if how != "an input of other letters":
        os.unlink(tmp_path / "out/a.txt")

    project.run()

    assert ran(project) == ["shout/name=a"]
    assert project.run().stderr.startswith("kept 4 of 4")

    project.write("in/a.txt", "a2\n")
    project.run()

    assert ran(project) == ["again/name=a", "merge", "shout/name=a"]
    assert (tmp_path / "all.txt").read_text() == "A2\nB1\n"


@pytest.mark.parametrize(
    ("program", "file"),
    [
        ('script = "worker.py"', "worker.py"),
        ('module = "worker"', "worker.py"),
        ('module = "tools.worker"', "tools/worker.py"),
        ('module = "tools"\npythonpath = ["lib"]', "lib/tools/__main__.py"),
    ],
)
def test_a_program_that_its_own_run_edits_makes_those_stale_that_ran_the_old_one(
    tmp_path, program, file
):
    project = Project(
        tmp_path,
        f"[stage.s]\n{program}\nmatrix.n = [1, 2, 3]\n"
        'args = ["{outputs[0]}"]\noutputs = ["out/{n}.txt"]\njobs = 1\n',
    )
    text = "import sys\nopen(sys.argv[1], 'w').write('x')\n"
    edit = "if '1.txt' in sys.argv[1]:\n    open(__file__, 'a').write('# edited\\n')\n"
    project.write(file, text + edit)
    project.run()

    done = project.run()

    assert "changed since 1 kept unit ran" in done.stderr
    assert [unit["stale"] for unit in project.manifest["units"]] == [True, False, False]


BROKEN = """
[stage.first]
command = [{python!r}, "-c", "import os, sys; print(1); sys.exit(os.path.exists('broken'))"]
stdout = "first.txt"
keep = "never"

[stage.shout]
script = "worker.py"
after = ["first"]
matrix.name = ["a", "b"]
depends = ["switch/{{name}}"]
args = ["{{name}}", "{{outputs[0]}}"]
outputs = ["out/{{name}}.txt"]
stdout = "log/{{name}}.txt"

[stage.again]
for-each = "shout"
script = "copy.py"
inputs = ["{{shout.outputs[0]}}", "log/{{name}}.txt"]
args = ["{{inputs}}", "{{outputs[0]}}"]
outputs = ["again/{{name}}.txt"]

[stage.merge]
script = "copy.py"
inputs = {{ from = "again" }}
args = ["{{inputs}}", "{{outputs[0]}}"]
outputs = ["all.txt"]
"""
SWITCHED = """
import sys
name, target = sys.argv[1:]
print("made", name)
switch = open("switch/" + name).read().strip()
open(target, "w").write(name if switch != "half" else "ha")
sys.exit(switch in ("fail", "half"))
"""


def broken(tmp_path):
    project = Project(tmp_path, BROKEN.format(python=PYTHON))
    project.write("worker.py", SWITCHED)
    project.write("copy.py", MERGE)
    for name in ("a", "b"):
        project.write(f"switch/{name}", "on")
    project.run()
    return project


@pytest.mark.parametrize("how", ["fail", "half"])
@pytest.mark.parametrize("mend", ["run", "retry"])
def test_what_is_the_same_again_after_a_failure_moves_nothing(tmp_path, how, mend):
    project = broken(tmp_path)
    project.write("switch/a", how)
    project.run(expect=1)
    assert project.verdicts["again/name=a"] == "skipped"
    project.write("switch/a", "on again")

    project.call(mend, "run" if mend == "retry" else "run.toml")

    assert [one for one in ran(project) if one != "first"] == ["shout/name=a"]
    assert set(project.verdicts.values()) == {"succeeded"}
    assert project.call("verify", "run").returncode == 0
    project.run()
    assert ran(project) == ["first"]


def test_what_was_skipped_since_it_succeeded_is_kept(tmp_path):
    project = broken(tmp_path)
    project.write("broken", "")
    project.run(expect=1)
    assert set(project.verdicts.values()) == {"failed", "skipped"}
    os.unlink(tmp_path / "broken")

    project.run()

    assert ran(project) == ["first"]
    assert set(project.verdicts.values()) == {"succeeded"}


def test_what_was_skipped_since_it_succeeded_and_has_changed_runs(tmp_path):
    project = broken(tmp_path)
    project.write("broken", "")
    project.run(expect=1)
    os.unlink(tmp_path / "broken")
    os.unlink(tmp_path / "again/b.txt")
    os.unlink(tmp_path / "log/a.txt")

    project.run()

    assert ran(project) == ["again/name=b", "first", "shout/name=a"]


NEVER = """
[stage.mail]
script = "mail.py"
matrix.n = [1, 2]
args = ["{n}"]
jobs = 1
keep = "never"
"""
MAIL = """
import os, socket, sys
open("sent", "a").write(sys.argv[1])
if sys.argv[1] == "2" and not os.path.exists("go"):
    open("ready", "w").close()
    socket.create_server(("127.0.0.1", 0)).accept()
"""


def test_a_resumed_run_repeats_nothing_that_succeeded_in_it_though_it_is_never_kept(tmp_path):
    project = Project(tmp_path, NEVER)
    project.write("mail.py", MAIL)
    child = project.start("run", "run.toml")
    wait_for(project, "ready")
    kill(project.supervisor_pid)
    finish(child)
    project.write("go", "")

    project.run()
    assert (tmp_path / "sent").read_text() == "122"
    project.run()
    assert (tmp_path / "sent").read_text() == "12212"

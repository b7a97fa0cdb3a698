"""Runs that share a lock, dates that are given, and run files whose runs are elsewhere."""

import json
import os
import sys

import procsup
from tests.support.gate import Gate
from tests.support.projects import PROGRAMS, Project, finish


def nightly(tmp_path, gate):
    program = json.dumps([sys.executable, str(PROGRAMS / "gated.py"), str(gate.port), "{date}"])
    text = f'name = "nightly-{{date}}"\nlock = "nightly"\n[stage.s]\ncommand = {program}\n'
    return Project(tmp_path, text)


def test_runs_of_other_names_are_kept_from_each_other_by_a_lock(tmp_path):
    with Gate() as gate:
        project = nightly(tmp_path, gate)
        first = project.start("run", "run.toml", "-q", "--var", "date=monday")
        unit = gate.meet("monday")

        refused = project.run("--var", "date=tuesday", expect=75)
        same = project.run("--var", "date=monday", expect=75)
        made = sorted(path.name for path in (tmp_path / ".procsup").iterdir() if path.is_dir())

        unit.exit(0)
        finish(first)
        after = project.start("run", "run.toml", "-q", "--var", "date=tuesday")
        gate.meet("tuesday").exit(0)
        finish(after)

    project.rundir = tmp_path / ".procsup" / "nightly-monday"
    holder = f"is held by run nightly-monday (process {project.supervisor_pid} on "
    assert holder in refused.stderr
    assert "lock 'nightly'" not in same.stderr  # it is the same run
    assert made == ["nightly-monday"]  # the refused run leaves no folder
    assert (first.returncode, after.returncode) == (0, 0)
    listed = project.call("list", "--json").stdout
    assert "nightly-tuesday" in listed
    assert ".lock" not in listed


def test_a_lock_needs_a_name_that_a_file_can_have(tmp_path):
    project = Project(tmp_path, 'lock = "a/b"\n[stage.s]\nmodule = "m"\n')

    assert "run.toml:1: lock: expected a name of letters, digits" in project.run(expect=2).stderr


def test_a_date_that_was_given_stays_that_of_the_run(tmp_path):
    text = 'name = "n-{date}"\n[stage.s]\nscript = "w.py"\nargs = ["{date}"]\n'
    project = Project(tmp_path, text)
    project.write("w.py", "import os, sys\nprint(sys.argv[1])\nsys.exit(os.path.exists('bad'))\n")
    project.write("bad", "")
    project.run("--var", "date=2020-02-29", expect=1)
    (tmp_path / "bad").unlink()

    again = project.call("retry", "n-2020-02-29")

    assert again.returncode == 0, again.stderr
    manifest = tmp_path / ".procsup" / "n-2020-02-29" / "manifest.json"
    assert json.loads(manifest.read_text())["variables"] == {"date": "2020-02-29"}
    assert project.call("logs", "n-2020-02-29").stdout == "2020-02-29\n"


def test_the_run_of_a_file_is_found_where_the_file_puts_it(tmp_path, monkeypatch):
    text = (
        'dir = "{state}/runs"\nname = "n-{date}"\nvars.state = "st"\n[stage.s]\nscript = "w.py"\n'
    )
    project = Project(tmp_path, text)
    project.write("w.py", "print(7)")
    project.run("--var", "date=d1")

    for verb in (["status"], ["logs"], ["verify"], ["wait", "--start-timeout", "0"]):
        done = project.call(verb[0], "run.toml", *verb[1:])
        assert done.returncode == 0, done.stderr
    monkeypatch.chdir(tmp_path)
    assert procsup.read_manifest("run.toml").ok
    again = project.call("retry", "run.toml", "s", "-q")
    assert again.returncode == 0, again.stderr


def test_a_file_whose_run_is_nowhere_says_where_it_was_looked_for(tmp_path):
    project = Project(tmp_path, 'dir = "st"\n[stage.s]\nscript = "w.py"\n')
    project.write("w.py", "")
    project.run("--dir", "elsewhere")

    done = project.call("status", "run.toml")

    assert done.returncode == 2
    assert f"{tmp_path / 'st'} holds no run of it; if it was run with --dir DIR" in done.stderr
    assert "name its run directory, DIR/run\n" in done.stderr
    done = project.call("status", "elsewhere")
    inside = os.path.join("elsewhere", "run")
    assert f"elsewhere is no run directory, but holds some: {inside}\n" in done.stderr
    assert project.call("status", "elsewhere/run").returncode == 0

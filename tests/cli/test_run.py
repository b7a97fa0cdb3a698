"""`procsup run` for real: what it prints, what it ends with, and the library's `run`."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest

import procsup
from procsup.queries.waiting import Limits, await_final
from tests.support.gate import Gate
from tests.support.projects import LIMIT_S, PROGRAMS, ROOT, Project, finish

posix = pytest.mark.skipif(os.name == "nt", reason="signals and detached sessions of POSIX")

WRITE = "import sys; open(sys.argv[1], 'w').write('x'); print('hello', sys.argv[2])"
FAIL = "import sys; sys.exit('no \\x1b[2J luck') if sys.argv[2] == '2' else 0"
SLOW = "import threading; print('begun', flush=True); threading.Event().wait(600)"


def words(*parts):
    return json.dumps(list(parts))


def two_stages(tail=""):
    return f"""
[stage.make]
command = {words(sys.executable, "-c", WRITE + "; " + tail, "{outputs[0]}", "{n}")}
matrix.n = [1, 2, 3]
outputs = ["out/{{n}}.txt"]

[stage.after]
after = ["make"]
command = {words(sys.executable, "-c", "pass")}
"""


SLOW_RUN = f"""
jobs = 1
[stage.s]
command = {words(sys.executable, "-c", SLOW)}
matrix.n = [1, 2]
grace = 5
"""


def test_a_run_says_what_it_keeps_what_ends_and_how_it_ended(tmp_path):
    project = Project(tmp_path, two_stages())
    first = project.run()
    again = project.run()

    lines = first.stderr.splitlines()
    assert first.stdout == ""
    assert lines[0] == "kept 0 of 4, 4 to run: 4 new"
    assert sum(bool(re.search(r"succeeded in .* m?s$", line)) for line in lines) == 4
    assert re.search(r"^run succeeded: 4 succeeded, in ", first.stderr, re.MULTILINE)
    assert "manifest: " + os.path.join(".procsup", "run", "manifest.json") in lines
    assert again.stderr.startswith("kept 3 of 4 (finished ")


@pytest.mark.survives("F17", "F63")
def test_a_failed_run_shows_the_end_of_stderr_and_the_next_commands(tmp_path):
    project = Project(tmp_path, two_stages(FAIL))
    done = project.run("--progress", "none", expect=1)

    assert "make/n=2: failed, exit 1 (attempt 1, " in done.stderr
    assert "    no \\e[2J luck\n" in done.stderr
    assert done.stderr.endswith(
        "next:\n  procsup logs run --failed\n"
        "  procsup retry run    # tries what did not succeed again\n"
    )
    assert re.search(r"^  after  skipped +1 ", done.stderr, re.MULTILINE)


def test_json_is_one_object_on_stdout_and_quiet_says_nothing(tmp_path):
    project = Project(tmp_path, two_stages())
    done = project.run("--json", "--quiet")

    body = json.loads(done.stdout)
    assert done.stderr == ""
    assert (body["status"], body["exit_code"], body["failed_total"]) == ("succeeded", 0, 0)
    assert body["run_id"] == project.manifest["run_id"]
    assert body["stages"]["make"]["succeeded"] == 3
    assert body["manifest_path"] == str(project.rundir / "manifest.json")


def test_a_dry_run_gives_reasons_and_writes_nothing(tmp_path):
    project = Project(tmp_path, two_stages())

    plan = project.run("--dry-run")
    assert "make: 3 units: 0 kept, 3 to run\n  run (new)  make/n=1\n" in plan.stdout
    assert not (tmp_path / ".procsup").exists()
    project.run()
    (tmp_path / "out" / "2.txt").unlink()
    body = json.loads(project.run("--dry-run", "--json").stdout)
    assert [unit["keep"] for unit in body["stages"]["make"]] == [True, False, True]
    assert body["stages"]["make"][1]["reason"] == "output deleted"
    assert body["stages"]["make"][1]["detail"] == "output deleted: out/2.txt"


def test_all_problems_of_a_run_file_come_at_once(tmp_path):
    project = Project(tmp_path, "[stage.s]\ncommnd = 1\njobs = 0\n")
    done = project.run("--json", expect=2)

    error = json.loads(done.stdout)["error"]
    assert error["type"] == "RunFileError"
    assert len(error["problems"]) == len(done.stderr.splitlines()) > 1


@posix
def test_a_detached_run_prints_what_wait_takes(tmp_path):
    project = Project(tmp_path, two_stages())
    started = project.run("--detach", "--quiet")

    waited = project.call("wait", started.stdout.strip())
    assert (waited.returncode, started.stderr) == (0, "")
    assert started.stdout == f"{project.rundir}@{project.manifest['run_id']}\n"


@posix
def test_a_detached_run_with_a_planted_log_says_so_here(tmp_path):
    project = Project(tmp_path, two_stages())
    project.rundir.mkdir(parents=True)
    os.mkfifo(project.rundir / "supervisor.log")
    done = project.run("--detach", expect=74)

    assert "supervisor.log is no regular file: refused" in done.stderr
    assert done.stdout == ""
    (project.rundir / "supervisor.log").unlink()
    assert project.run("--json").stdout


@pytest.mark.survives("F13")
@posix
def test_the_working_folder_may_go_away_during_a_run(tmp_path):
    here = tmp_path / "here"
    here.mkdir()
    remove = words(sys.executable, "-c", "import os, sys; os.rmdir(sys.argv[1])", str(here))
    (tmp_path / "run.toml").write_text(f"[stage.s]\ncommand = {remove}\n")
    done = Project(here).call("run", str(tmp_path / "run.toml"))

    assert (done.returncode, here.exists()) == (0, False), done.stderr
    assert "run succeeded" in done.stderr


@posix
def test_a_planted_folder_of_logs_ends_the_run_once_with_its_name(tmp_path):
    project = Project(tmp_path, two_stages())
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (project.rundir / "logs").mkdir(parents=True)
    (project.rundir / "logs" / "make").symlink_to(elsewhere)
    done = project.run(expect=74)

    assert done.stderr.count("make is a symbolic link: refused") == 1
    assert list(elsewhere.iterdir()) == []


@posix
def test_a_detached_run_that_cannot_begin_says_why_here(tmp_path):
    project = Project(tmp_path, "[stage.s]\ncommnd = 1\n")
    done = project.run("--detach", expect=2)
    assert "commnd" in done.stderr
    assert done.stdout == ""

    as_json = project.run("--detach", "--json", expect=2)
    assert json.loads(as_json.stdout)["error"]["exit_code"] == 2


@posix
def test_a_live_run_is_drained_then_stopped_from_elsewhere(tmp_path):
    project = Project(tmp_path, SLOW_RUN)
    run = project.run("--detach", "--quiet").stdout.strip()
    follower = project.start("logs", run, "-f")
    assert follower.stdout.readline().startswith("==> s/n=1 ")
    assert follower.stdout.readline() == "begun\n"

    busy = project.call("run", "run.toml")
    drained = project.call("drain", run, "--json")
    waiter = project.start("wait", run)
    stopped = project.call("stop", run)

    assert (busy.returncode, drained.returncode, stopped.returncode) == (75, 0, 0)
    assert "1 running unit left to finish" in json.loads(drained.stdout)["message"]
    _, said = finish(waiter)
    assert (waiter.returncode, "stopped by request" in said) == (3, True)
    finish(follower)
    assert follower.returncode == 0
    assert project.call("stop", run).returncode == 3


@posix
def test_ended_by_a_signal_it_dies_by_that_signal_and_says_how_to_go_on(tmp_path):
    with Gate() as gate:
        unit = words(sys.executable, str(PROGRAMS / "gated.py"), str(gate.port), "{n}")
        project = Project(tmp_path, f"[stage.s]\ncommand = {unit}\nmatrix.n = ['a', 'b']\n")
        child = project.start("run", "run.toml", "--jobs", "1")
        visitor = gate.meet("a")
        child.send_signal(signal.SIGTERM)
        _, said = finish(child)
        assert visitor.ends_within(5)

    assert child.returncode == -signal.SIGTERM
    assert said.startswith("kept 0 of 2, 2 to run: 2 new\n")
    assert "procsup: interrupted: 1 unit asked to end; once more ends them at once\n" in said
    assert "run is not finished: interrupted by SIGTERM" in said
    assert "procsup run run.toml    # goes on where this ended" in said


@pytest.mark.survives("F21")
@posix
@pytest.mark.parametrize("redirection", [">&- 2>&-", ">/dev/full 2>/dev/full", "2>&1 | true"])
def test_nothing_that_happens_to_its_output_hurts_a_run(tmp_path, redirection):
    project = Project(tmp_path, two_stages())
    command = f'"{sys.executable}" -m procsup run run.toml --json {redirection}'

    subprocess.run(
        ["sh", "-c", command],
        cwd=str(tmp_path),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=LIMIT_S,
    )

    assert await_final(str(project.rundir), limits=Limits(timeout_s=60)).head.status == "succeeded"


@posix
@pytest.mark.parametrize(
    ("redirection", "said"),
    [(">/dev/full", "stdout: No space left"), (">&-", "stdout"), ("| true", "")],
)
@pytest.mark.parametrize(
    "words", ["run run.toml --json", "map --json --name m true ::: 1", "map --name m echo ::: 1"]
)
def test_a_payload_that_was_lost_is_no_success(tmp_path, words, redirection, said):
    Project(tmp_path, '[stage.s]\ncommand = ["true"]\n')
    command = f'"{sys.executable}" -m procsup {words.replace(" ", " -q ", 1)} {redirection}'

    done = subprocess.run(
        ["bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}"],
        cwd=str(tmp_path),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        timeout=LIMIT_S,
    )

    assert said in done.stderr
    by_reader = 128 + signal.SIGPIPE if "echo" in words else 0  # the run goes on without a reader
    assert done.returncode == (74 if said else by_reader)
    name = "run" if words.startswith("run") else "m"
    assert json.loads((tmp_path / ".procsup" / name / "manifest.json").read_text())


@pytest.mark.survives("F22", "F80")
@posix
@pytest.mark.parametrize("options", [[], ["-u"]], ids=["buffered", "python -u"])
@pytest.mark.parametrize("verb", ["logs", "map"])
def test_a_pipe_that_does_not_block_loses_nothing(tmp_path, verb, options):
    Project(tmp_path, '[stage.s]\ncommand = ["seq", "200000"]\n').run()
    words = {"logs": ["logs", "run"], "map": ["map", "-q", "seq", ":::", "200000"]}[verb]
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONUNBUFFERED", None)
    child = subprocess.Popen(
        [sys.executable, *options, "-m", "procsup", *words],
        cwd=str(tmp_path),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=writer,
    )
    os.close(writer)
    with open(reader, "rb", 0) as file:
        seen = b"".join(iter(lambda: file.read(4096), b""))

    assert child.wait(LIMIT_S) == 0
    assert seen == "".join(f"{n}\n" for n in range(1, 200001)).encode()


# --- the library -----------------------------------------------------------------------------


def test_the_library_runs_and_returns_the_manifest(tmp_path, capfd):
    project = Project(tmp_path, two_stages())
    before = signal.getsignal(signal.SIGINT)

    manifest = procsup.run(tmp_path / "run.toml", progress="none")

    assert manifest.ok
    assert [path.name for path in manifest.outputs("make")] == ["1.txt", "2.txt", "3.txt"]
    assert [row["verdict"] for row in manifest.rows()] == ["succeeded"] * 4
    assert capfd.readouterr() == ("", "")
    assert signal.getsignal(signal.SIGINT) is before
    assert procsup.wait_for(project.rundir).run_id == manifest.run_id


def test_the_library_raises_for_a_failed_run_with_its_manifest(tmp_path, capfd):
    Project(tmp_path, two_stages(FAIL))

    with pytest.raises(procsup.RunFailed, match="run failed: 2 of 4 units succeeded") as caught:
        procsup.run(tmp_path / "run.toml", progress="none")
    failed = [unit for unit in caught.value.manifest.units if unit.verdict == "failed"]
    assert [unit.id for unit in failed] == ["make/n=2"]
    assert not procsup.run(tmp_path / "run.toml", progress="none", check=False).ok


@posix
def test_the_library_raises_when_another_supervisor_works_on_it(tmp_path, capfd):
    project = Project(tmp_path, SLOW_RUN)
    run = project.run("--detach", "--quiet").stdout.strip()

    with pytest.raises(procsup.RunBusy, match="is in use by process"):
        procsup.run(tmp_path / "run.toml", progress="none")
    with pytest.raises(procsup.RunUnfinished, match="not final"):
        procsup.read_manifest(run)
    assert project.call("stop", run).returncode == 0
    with pytest.raises(procsup.RunUnfinished, match="stopped by request"):
        procsup.wait_for(run)


def test_two_forms_of_the_plan_at_once_are_refused(tmp_path):
    project = Project(tmp_path, two_stages())

    done = project.call("run", "run.toml", "--dry-run", "--graph", "dot", "--json")

    assert done.returncode == 2
    message = json.loads(done.stdout)["error"]["message"]
    assert message.startswith("--graph and --json are two forms of the plan: leave one out")
    for one in ("--json", "--graph=dot"):
        assert project.call("run", "run.toml", "--dry-run", one).stdout


def test_what_a_refused_file_misses_is_told_with_its_other_mistakes(tmp_path):
    project = Project(
        tmp_path,
        """
        [stage.a]
        module = "json.tool"
        matrix.x.glob = "none/*"
        [stage.b]
        script = "none.py"
        inputs = ["none.txt"]
        """,
    )

    said = project.run(expect=2).stderr

    assert "stage.a.matrix.x: `none/*` matches nothing" in said
    assert f"stage b: 1 input is missing: {tmp_path / 'none.txt'}" in said
    assert f"stage b: script {tmp_path / 'none.py'} does not exist" in said


def test_a_script_that_a_later_stage_misses_is_told_before_the_start(tmp_path):
    text = '[stage.a]\nmodule = "this"\n[stage.b]\nscript = "late.py"\nafter = ["a"]\n'
    project = Project(tmp_path, text)
    note = f"stage b: script {tmp_path / 'late.py'} does not exist yet; unless it is made"

    assert note in project.call("run", "run.toml", "--dry-run").stderr
    assert note in project.run(expect=1).stderr
    project.write("late.py", "")
    assert "late.py" not in project.run().stderr

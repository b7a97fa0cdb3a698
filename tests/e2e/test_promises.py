"""P1, P2, P5, P6, P8 end to end: outputs, durability of what was told, manifests, waiters."""

import json
import os
import sys

import msgspec
import pytest

from procsup.core.records import decode_line, encode_line
from tests.support.gate import Gate
from tests.support.projects import PROGRAMS, PYTHON, Project, finish, kill, slashed

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="kills by signals")


def python_stage(code, **keys):
    lines = [f"command = ['{PYTHON}', '-c', '''{code}''']"]
    lines += [f"{key.replace('_', '-')} = {value}" for key, value in keys.items()]
    return "[stage.s]\n" + "\n".join(lines) + "\n"


def verdict_of(tmp_path, text, **files):
    project = Project(tmp_path, text)
    for name, content in files.items():
        project.write(name, content)
    project.run(expect=None)
    (unit,) = project.manifest["units"]
    return unit["verdict"], unit["cause"]


# --- P1 ------------------------------------------------------------------------------------


@pytest.mark.survives("F54")
def test_exit_0_without_the_declared_output_is_bad_output(tmp_path):
    verdict, cause = verdict_of(tmp_path, python_stage("pass", outputs='["x"]'))

    assert verdict == "bad-output"
    assert "x" in cause


@pytest.mark.survives("F54")
def test_an_output_of_an_earlier_time_is_no_output(tmp_path):
    verdict, cause = verdict_of(tmp_path, python_stage("pass", outputs='["x"]'), x="old")

    assert verdict == "bad-output"
    assert "not written" in cause


@pytest.mark.survives("F54")
def test_an_empty_output_is_bad_unless_it_may_be_empty(tmp_path):
    code = 'open("x", "w").close()'
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()

    strict, _ = verdict_of(tmp_path / "1", python_stage(code, outputs='["x"]'))
    lenient, _ = verdict_of(
        tmp_path / "2", python_stage(code, outputs='[{ path = "x", empty = true }]')
    )

    assert (strict, lenient) == ("bad-output", "succeeded")


def test_a_nonzero_exit_is_failed_whatever_it_wrote(tmp_path):
    code = 'open("x", "w").write("1"); raise SystemExit(7)'

    verdict, cause = verdict_of(tmp_path, python_stage(code, outputs='["x"]'))

    assert (verdict, cause) == ("failed", "exit 7")


def test_a_timeout_is_timed_out_and_its_stacks_are_in_its_log(tmp_path):
    project = Project(tmp_path, '[stage.s]\nscript = "hang.py"\ntimeout = "300ms"\n')
    project.write("hang.py", "import time\ntime.sleep(600)\n")

    project.run(expect=1)

    (unit,) = project.manifest["units"]
    assert unit["verdict"] == "timed-out"
    if sys.platform != "win32":
        assert "hang.py" in (project.rundir / unit["stderr_path"]).read_text()


def test_a_published_stdout_is_there_only_after_success(tmp_path):
    project = Project(tmp_path, python_stage('print("hello")', stdout='"out.txt"'))
    project.write("out.txt", "older\n")

    project.run()

    assert (tmp_path / "out.txt").read_text() == "hello\n"

    project.write("run.toml", python_stage('print("no"); raise SystemExit(1)', stdout='"out.txt"'))
    project.run(expect=1)

    assert (tmp_path / "out.txt").read_text() == "hello\n"


# --- P5, P6: manifests, stamps and waiters ---------------------------------------------------

GATED = """
stamp = "done"
manifest = "visible.json"

[stage.s]
command = ["{python}", "{program}", "{port}", "s"]

[stage.t]
after = ["s"]
command = ["{python}", "{program}", "{port}", "t"]
"""


@pytest.fixture
def gate():
    with Gate() as gate:
        yield gate


@pytest.fixture
def gated(tmp_path, gate):
    text = GATED.format(python=PYTHON, program=slashed(PROGRAMS / "gated.py"), port=gate.port)
    return Project(tmp_path, text.replace("\\", "/"))


def detach(project):
    done = project.run("--detach")
    return done.stdout.strip()


@pytest.mark.survives("F57")
@posix_only
def test_waiters_before_during_and_after_a_run_and_across_a_resume(gated, gate):
    early = gated.start("wait", "run", "--start-timeout", "30")
    address = detach(gated)
    s = gate.meet("s")
    during = gated.start("wait", address)
    for_s = gated.start("wait", address, "--stage", "s")
    s.exit(0)
    t = gate.meet("t")

    finish(for_s, 5)
    assert for_s.returncode == 0
    head = json.loads((gated.rundir / "stages/s.json").read_text())
    assert head["status"] == "succeeded"

    kill(gated.supervisor_pid)
    assert t.ends_within(1.0)
    for waiter in (early, during):
        _, said = finish(waiter, 5)
        assert waiter.returncode == 3, said
        assert "died" in said

    again = detach(gated)
    assert address == again  # a resume keeps the id
    across = gated.start("wait", address)
    gate.meet("t").exit(0)
    finish(across, 5)
    assert across.returncode == 0

    assert gated.call("wait", address).returncode == 0
    assert gated.call("wait", "run").returncode == 0
    assert gated.starts() == ["s#1", "t#1", "t#2"]

    newer = detach(gated)
    old = gated.call("wait", address)
    assert old.returncode == 3
    assert newer != address
    gate.meet("s").exit(0)
    gate.meet("t").exit(0)
    assert gated.call("wait", newer).returncode == 0
    assert gated.call("wait", address).returncode == 3


@posix_only
def test_manifests_and_stamps_are_withdrawn_before_units_start_again(gated, gate):
    address = detach(gated)
    gate.meet("s").exit(0)
    gate.meet("t").exit(0)
    assert gated.call("wait", address).returncode == 0
    made = ["done", "visible.json", ".procsup/run/manifest.json", ".procsup/run/stages/s.json"]
    assert [(gated.folder / name).exists() for name in made] == [True] * 4

    detach(gated)
    s = gate.meet("s")

    assert [(gated.folder / name).exists() for name in made] == [False] * 4

    s.exit(0)
    gate.meet("t").exit(1)
    assert gated.call("wait", "run").returncode == 1
    assert [(gated.folder / name).exists() for name in made[:2]] == [False, True]


@posix_only
def test_wait_answers_124_when_its_time_is_over_and_the_run_goes_on(gated, gate):
    address = detach(gated)
    s = gate.meet("s")

    assert gated.call("wait", address, "--timeout", "200ms").returncode == 124

    s.exit(0)
    gate.meet("t").exit(0)
    assert gated.call("wait", address).returncode == 0


@posix_only
def test_drain_lets_the_running_finish_and_wait_says_3(gated, gate):
    address = detach(gated)
    s = gate.meet("s")

    drained = gated.call("drain", address)

    assert drained.returncode == 0, drained.stderr
    waiter = gated.start("wait", address)
    s.exit(0)
    _, said = finish(waiter, 5)
    assert waiter.returncode == 3
    assert "drained" in said
    assert gate.may_meet("t", 0.2) is None


@posix_only
def test_stop_returns_when_every_tree_is_empty(gated, gate):
    address = detach(gated)
    s = gate.meet("s")

    stopped = gated.call("stop", address)

    assert stopped.returncode == 0, stopped.stderr
    assert not s.lives
    waited = gated.call("wait", address)
    assert waited.returncode == 3
    assert "stopped" in waited.stderr


@pytest.mark.survives("F55")
def test_verify_says_4_when_an_output_is_no_longer_what_was_vouched_for(tmp_path):
    project = Project(tmp_path, python_stage('open("x", "w").write("1")', outputs='["x"]'))
    project.run()
    assert project.call("wait", "run", "--verify").returncode == 0

    project.write("x", "22")

    verified = project.call("wait", "run", "--verify")
    assert verified.returncode == 4
    assert "x" in verified.stderr
    assert project.call("wait", "run").returncode == 0


def test_max_age_refuses_an_old_result(tmp_path):
    project = Project(tmp_path, python_stage("pass"))
    project.run()

    assert project.call("wait", "run", "--max-age", "0s", "--start-timeout", "0").returncode == 3
    assert project.call("wait", "run", "--max-age", "1h").returncode == 0


# --- P8 ------------------------------------------------------------------------------------


@pytest.mark.survives("F52")
def test_secrets_and_inherited_values_are_nowhere_and_nothing_is_written_elsewhere(tmp_path):
    code = 'import os; assert os.environ["TOKEN"]; open("x", "w").write("1")'
    text = python_stage(code, outputs='["x"]', secrets='["TOKEN"]', env='{ MODE = "declared" }')
    project = Project(tmp_path, text)
    sentinel = "s3ntinel-value"

    done = project.call("run", "run.toml", env={"TOKEN": sentinel, "INHERITED": sentinel})

    assert done.returncode == 0, done.stderr
    assert {"run.toml", "x", ".procsup"} == set(os.listdir(tmp_path))
    for path, _folders, files in os.walk(tmp_path):
        for name in files:
            with open(os.path.join(path, name), "rb") as file:
                assert sentinel.encode() not in file.read(), name


def test_a_missing_secret_is_one_clear_error_before_anything_starts(tmp_path):
    project = Project(tmp_path, python_stage("pass", secrets='["PROCSUP_TEST_TOKEN"]'))

    done = project.call("run", "run.toml")

    assert done.returncode == 2
    assert "PROCSUP_TEST_TOKEN" in done.stderr
    assert not (project.rundir / "logs/s").exists()


@pytest.mark.survives("F67")
def test_a_journal_of_a_newer_procsup_is_refused_not_damaged(tmp_path):
    project = Project(tmp_path, python_stage("pass"))
    project.run()
    journal = project.rundir / "journal.jsonl"
    first, *rest = journal.read_bytes().splitlines(keepends=True)
    seq, begin = decode_line(first[:-1])
    journal.write_bytes(
        encode_line(seq, msgspec.structs.replace(begin, version=99)) + b"".join(rest)
    )
    before = journal.read_bytes()

    done = project.call("run", "run.toml")

    assert done.returncode == 74
    assert "newer" in done.stderr
    assert before == journal.read_bytes()


def test_a_crash_between_the_manifest_and_the_stamp_is_made_good_without_a_new_run(tmp_path):
    project = Project(tmp_path, 'stamp = "done"\nmanifest = "copy.json"\n' + python_stage("pass"))
    project.run()
    first = project.manifest["run_id"]
    os.unlink(tmp_path / "done")  # as if procsup had been killed just before it

    project.run()

    assert project.manifest["run_id"] == first
    assert len(project.starts()) == 1
    assert first in (tmp_path / "done").read_text()


def test_a_damaged_manifest_is_made_anew_from_the_journal_and_never_believed(tmp_path):
    project = Project(tmp_path, python_stage("pass"))
    project.run()
    first = project.manifest["run_id"]
    (project.rundir / "manifest.json").write_text("garbage\n")
    assert project.call("wait", "run", "--start-timeout", "0").returncode == 74

    done = project.run()

    assert "made anew" in done.stderr
    assert project.manifest["run_id"] == first
    assert len(project.starts()) == 1

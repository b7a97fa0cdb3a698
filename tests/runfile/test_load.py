"""What the run file says of the run and its stages, as specs."""

import os
import sys

import pytest

from procsup.core.outcome import Verdict
from procsup.core.spec import After, CapacitySpec, OnFailure, Retry, RunSpec, StageSpec
from procsup.host import pythons
from procsup.host.names import find_python_command, get_running_python
from procsup.runfile.load import load
from tests.runfile.builders import CAPACITY, STAGE, early, grow, load_text


def spec(folder, text, **options):
    return load_text(folder, text, **options).spec


def stage(folder, text):
    return spec(folder, text).stages[0]


def test_a_run_of_one_line_has_the_defaults(tmp_path):
    folder = str(tmp_path)
    only = StageSpec("a", is_python=True, module="m", interpreter=(get_running_python(),))

    assert spec(tmp_path, STAGE) == RunSpec(
        name="run",
        file=os.path.join(folder, "run.toml"),
        folder=folder,
        directory=os.path.join(folder, ".procsup", "run"),
        stages=(only,),
    )


def test_everything_that_can_be_said_of_a_run(tmp_path):
    found = spec(
        tmp_path,
        """\
        name = "daily-{date}-{tag}"
        vars = { tag = "x", n = 3, lr = 0.10, on = true, list = ["a", "{tag}b"], path = "d/{tag}" }
        dir = "runs/{tag}"
        capacity = { cpus = 2.5, memory = "1G" }
        jobs = 7
        on-failure = { do = "drain", at = "10%" }
        missing-inputs = "fail-unit"
        stamp = "done/{tag}"
        manifest = "{path}.json"
        checksum = "all"
        sync-outputs = false
        logs = "merged"
        keep-logs = "failed"
        share = "group"
        [stage.a]
        module = "m"
        """,
    )

    assert found.name == "daily-2026-01-02-x"
    assert found.directory == str(tmp_path / "runs" / "x" / "daily-2026-01-02-x")
    assert found.variables == {
        "tag": "x",
        "n": 3,
        "lr": 0.1,
        "on": True,
        "list": ["a", "xb"],
        "path": "d/x",
    }
    assert type(found.variables["lr"]) is float
    assert (found.capacity, found.jobs) == (CapacitySpec(2.5, 1 << 30), 7)
    assert found.on_failure == OnFailure("drain", None, 0.1)
    assert found.missing_inputs == "fail-unit"
    assert (found.stamp, found.manifest) == (
        str(tmp_path / "done" / "x"),
        str(tmp_path / "d" / "x.json"),
    )
    assert (found.checksum, found.sync_outputs) == ("all", False)
    assert (found.logs, found.keep_logs, found.share) == ("merged", "failed", "group")


def test_everything_that_can_be_said_of_a_stage(tmp_path):
    found = stage(
        tmp_path,
        """\
        vars = { limit = "10m" }
        [stage.a]
        script = "x/y.py"
        python = "bin/python"
        jobs = 2
        on-failure = "stop"
        timeout = "{limit}"
        grace = 0
        linger = "1m"
        stop-signal = "SIGINT"
        stop-to = "main"
        retries = { times = 1, on = ["lost"], delay = 1, memory = "x2" }
        success-codes = [0, 3]
        keep = "always"
        pin = "cpus"
        on-drift = "fail"
        secrets = ["TOKEN"]
        pythonpath = ["src", "../lib"]
        scratch = true
        unit-file = true
        stamp = "a.done"
        after = ["b", { stage = "c", when = "finished" }]
        [stage.b]
        command = ["true"]
        [stage.c]
        command = ["/usr/bin/python3.9", "x"]
        """,
    )

    assert found == StageSpec(
        name="a",
        after=(After("b"), After("c", "finished")),
        jobs=2,
        on_failure=OnFailure("stop"),
        timeout_s=600.0,
        grace_s=0.0,
        linger_s=60.0,
        stop_signal="INT",
        stop_to="main",
        retry=Retry(1, (Verdict.LOST,), 1.0, 2.0),
        success_codes=(0, 3),
        keep="always",
        pin="cpus",
        on_drift="fail",
        is_python=True,
        script=str(tmp_path / "x" / "y.py"),
        interpreter=(str(tmp_path / "bin" / "python"),),
        secrets=("TOKEN",),
        pythonpath=(str(tmp_path / "src"), str(tmp_path.parent / "lib")),
        scratch=True,
        unit_file=True,
        stamp=str(tmp_path / "a.done"),
    )


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("", 10.0), ("linger = 0", 0.0), ('linger = "1500ms"', 1.5), ("linger = 2.5", 2.5)],
)
def test_what_is_left_behind_is_waited_for_ten_seconds_or_as_it_says(written, seconds, tmp_path):
    assert stage(tmp_path, written).linger_s == seconds


def test_what_is_left_behind_may_take_as_long_as_the_unit(tmp_path):
    assert stage(tmp_path, 'linger = "timeout"\ntimeout = "1h"').linger_s is None


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "QUIT", "BREAK", "WINCH"])
def test_a_stop_signal_is_written_with_or_without_sig(name, tmp_path, monkeypatch):
    monkeypatch.setattr("procsup.runfile.syntax.values.can_be_sent", lambda name: True)

    assert stage(tmp_path, f'stop-signal = "{name}"').stop_signal == name
    assert stage(tmp_path, f'stop-signal = "SIG{name}"').stop_signal == name


def test_how_a_unit_is_asked_to_end_unless_the_run_file_says_more(tmp_path):
    found = stage(tmp_path, "")

    assert (found.stop_signal, found.stop_to) == ("TERM", "auto")


def test_a_command_that_runs_a_python_is_known_by_its_name(tmp_path):
    text = "".join(
        f'[stage.s{number}]\ncommand = ["{program}"]\n'
        for number, program in enumerate(["python", "/x/python3.12", "pypy3", "pythonic", "ls"])
    )

    assert [s.is_python for s in spec(tmp_path, text).stages] == [True, True, True, False, False]


@pytest.mark.parametrize("written", ['"3.10"', "3.10"])
def test_a_version_of_python_need_not_be_in_quotes(written, tmp_path, monkeypatch):
    monkeypatch.setattr(
        pythons, "search", lambda version, _: pythons.Search(find_python_command(version))
    )
    assert stage(tmp_path, f"python = {written}").interpreter == find_python_command("3.10")


def test_a_name_of_python_is_left_to_the_path(tmp_path):
    assert stage(tmp_path, 'python = "pypy3"').interpreter == ("pypy3",)


def test_defaults_are_for_all_stages_and_a_stage_has_the_last_word(tmp_path):
    text = """\
        [defaults]
        module = "m"
        timeout = 5
        env = { A = "1", B = "1" }
        [stage.a]
        env = { B = "2" }
        [stage.b]
        command = ["true"]
        timeout = "1m"
        """
    loaded = load_text(tmp_path, text)
    units = loaded.expand_early(CAPACITY)
    a, b = loaded.spec.stages

    assert (a.module, a.timeout_s, b.module, b.timeout_s) == ("m", 5.0, None, 60.0)
    assert units["a"][0].env == {"A": "1", "B": "2"}
    assert units["b"][0].env == {"A": "1", "B": "1"}


def test_the_command_line_wins(tmp_path):
    text = """\
        vars = { n = 1, m = "{n}{{}}" }
        jobs = 2
        dir = "x"
        [stage.a]
        module = "m"
        args = ["{n}-{m}"]
        """
    other = str(tmp_path / "other")

    found = load_text(tmp_path, text, variables={"n": "{2}"}, jobs=5, directory=other)

    assert (found.spec.jobs, found.spec.directory) == (5, os.path.join(other, "run"))
    assert found.spec.variables == {"n": "{2}", "m": "{2}{}"}
    assert found.expand_early(CAPACITY)["a"][0].argv[-1] == "{2}-{2}{}"


def test_a_directory_of_the_command_line_is_relative_to_where_one_is(tmp_path, monkeypatch):
    grow(tmp_path, "here/")
    monkeypatch.chdir(tmp_path / "here")

    found = load_text(tmp_path, STAGE, directory="runs").spec

    assert found.directory == str(tmp_path / "here" / "runs" / "run")


def test_a_file_may_be_named_from_where_one_is(tmp_path, monkeypatch):
    grow(tmp_path, "p/")
    (tmp_path / "p" / "x.toml").write_text(STAGE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    found = load("p/x.toml").spec

    assert (found.name, found.folder) == ("x", str(tmp_path / "p"))


def test_jobs_leave_the_capacity_open(tmp_path):
    found = spec(tmp_path, STAGE, jobs=64)

    assert (found.jobs, found.capacity) == (64, CapacitySpec())


LATE = """\
[stage.a]
module = "m"
outputs = ["x"]
[stage.b]
module = "m"
{}
"""


@pytest.mark.parametrize(
    ("text", "late"),
    [
        ("", False),
        ('after = ["a"]', False),
        ('after = ["a"]\nmatrix.x = [1]', False),
        ('after = ["a"]\nmatrix.x.glob = "*.py"', True),
        ('after = ["a"]\nmatrix.x.lines = "x"', True),
        ('after = ["a"]\ninputs = ["*.py"]', True),
        ('after = ["a"]\ndepends = ["*.py"]', True),
        ('after = ["a"]\ninputs = ["y.py"]', False),
        ('matrix.x.glob = "*.toml"', False),
        ('inputs.from = "a"', True),
    ],
)
def test_a_stage_is_late_if_only_the_stages_before_it_can_tell(text, late, tmp_path):
    loaded = load_text(tmp_path, LATE.format(text))

    assert loaded.spec.stage("b").late is late
    assert loaded.list_early_stages() == (["a"] if late else ["a", "b"])


def test_stages_keep_their_order(tmp_path):
    text = "".join(f'[stage.{name}]\nmodule = "m"\n' for name in "zay")

    assert [s.name for s in spec(tmp_path, text).stages] == ["z", "a", "y"]
    assert list(early(tmp_path, text)) == ["z", "a", "y"]


def test_the_day_is_the_local_one_unless_told(tmp_path):
    file = tmp_path / "x.toml"
    file.write_text(f'name = "r{{date}}"\n{STAGE}', encoding="utf-8")

    assert load(file).spec.name.startswith("r20")


@pytest.mark.skipif(sys.platform == "win32", reason="names there are always text")
def test_a_variable_may_hold_bytes_that_are_no_text(tmp_path):
    found = load_text(
        tmp_path, f"vars.x = 1\n{STAGE}args = ['{{x}}']", variables={"x": "\udcff"}
    ).expand_early(CAPACITY)["a"][0]

    assert found.argv[-1] == "\udcff"
    assert len(found.fingerprint) == 32

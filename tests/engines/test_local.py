"""The local engine with real children: exits, environment, files, measurements."""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Tuple

import pytest

from procsup.attempt.outputs import name_temporary_output
from procsup.core.events import Ended, Sampled, Started
from procsup.core.late import SCRATCH
from procsup.core.outcome import Exited, NotStarted, Signaled, Vanished
from procsup.core.spec import OutputSpec
from procsup.host.system import open_log
from tests.support.engines import PROGRAM, Bench

posix_only = pytest.mark.skipif(os.name == "nt", reason="signals and sessions are POSIX")
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux' affinity")


# --- exits ------------------------------------------------------


@pytest.mark.survives("F69")
@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_an_exit_code_is_told_as_it_was(tmp_path: Path, code: int) -> None:
    with Bench(tmp_path) as bench:
        end = bench.wait_for(bench.misbehave("u", "exit_with", str(code)))

    assert Exited(code) == end.exit


@pytest.mark.survives("F60", "F69")
@posix_only
@pytest.mark.parametrize("signum", [signal.SIGTERM, 9, 11])
def test_a_death_by_signal_is_told_as_such(tmp_path: Path, signum: int) -> None:
    with Bench(tmp_path) as bench:
        end = bench.wait_for(bench.misbehave("u", "die_by", str(int(signum))))

    assert Signaled(int(signum)) == end.exit


@pytest.mark.survives("F62")
@posix_only
def test_five_hundred_short_units_at_once_all_tell_their_exit(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        attempts = [
            bench.start(f"u{number}", ("sh", "-c", f"exit {number % 256}")) for number in range(500)
        ]
        codes = [bench.wait_for(attempt).exit for attempt in attempts]

        assert [Exited(number % 256) for number in range(500)] == codes
        assert sum(isinstance(fact, Ended) for fact in bench.facts) == 500


@pytest.mark.survives("F01")
@posix_only
def test_an_inherited_ignored_sigchld_never_makes_a_success(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with Bench(tmp_path) as bench:
            end = bench.wait_for(bench.misbehave("u", "exit_with", "7"))
    finally:
        signal.signal(signal.SIGCHLD, before)

    assert isinstance(end.exit, Vanished)
    assert "exit status" in end.exit.reason


@pytest.mark.survives("F02")
@posix_only
def test_an_exit_status_that_other_code_took_is_unknown(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        attempt = bench.misbehave("u", "exit_with", "0")
        os.waitpid(bench.wait_until(lambda: _pid(bench)), 0)
        end = bench.wait_for(attempt)

    assert isinstance(end.exit, Vanished)


def _pid(bench: Bench) -> int:
    return next((fact.pid for fact in bench.facts if isinstance(fact, Started)), 0)


def test_times_and_pid_are_those_of_the_process(tmp_path: Path) -> None:
    before = time.time()
    with Bench(tmp_path) as bench:
        end = bench.wait_for(bench.start("u", (sys.executable, "-S", "-c", "sum(range(3000000))")))

    assert end.started is not None
    assert end.wall_s is not None
    assert before <= end.started <= end.at <= time.time()
    assert 0 < end.wall_s < 20
    assert end.pid == next(fact.pid for fact in bench.facts if isinstance(fact, Started))
    if os.name != "nt":
        assert end.usage.cpu_user_s is not None
        assert 0 < end.usage.cpu_user_s < 20


# --- environment ------------------------------------------------


def _environment_of(tmp_path: Path, order: Dict[str, Any], **settings: Any) -> Dict[str, str]:
    with Bench(tmp_path, **settings) as bench:
        attempt = bench.misbehave("u", "show_environment", **order)
        assert Exited(0) == bench.wait_for(attempt).exit
        found = json.loads(bench.output(attempt))
    assert isinstance(found, dict)
    return found


def test_a_unit_learns_who_it_is_and_what_it_was_granted(tmp_path: Path) -> None:
    env = _environment_of(
        tmp_path,
        {"number": 3, "index": 5, "cpus": 1.5, "memory_bytes": 1024},
        environment={"PROCSUP_UNIT_FILE": "/of/the/outer/run", "PROCSUP_GPUS": "7"},
        run_id="the-run",
    )

    found = {name: value for name, value in env.items() if name.startswith("PROCSUP_")}
    assert found == {
        "PROCSUP_RUN": "the-run",
        "PROCSUP_STAGE": "s",
        "PROCSUP_UNIT": "u",
        "PROCSUP_INDEX": "5",
        "PROCSUP_ATTEMPT": "3",
        "PROCSUP_CPUS": "1.5",
        "PROCSUP_THREADS": "1",
        "PROCSUP_MEMORY_BYTES": "1024",
    }


def test_declared_variables_win_over_inherited_ones(tmp_path: Path) -> None:
    env = _environment_of(
        tmp_path, {"env": {"A": "declared"}}, environment={"A": "inherited", "B": "inherited"}
    )

    assert (env["A"], env["B"]) == ("declared", "inherited")


def test_units_get_thread_caps_unless_the_user_chose_them(tmp_path: Path) -> None:
    env = _environment_of(
        tmp_path,
        {"cpus": 2.0, "env": {"MKL_NUM_THREADS": "8"}},
        stage={"is_python": True},
        environment={"OMP_NUM_THREADS": "3"},
    )

    assert "2" == env["OPENBLAS_NUM_THREADS"] == env["NUMBA_NUM_THREADS"]
    assert (env["OMP_NUM_THREADS"], env["MKL_NUM_THREADS"]) == ("3", "8")
    assert "1" == env["PYTHONUNBUFFERED"] == env["PYTHONFAULTHANDLER"]


def test_the_stages_python_path_comes_before_the_inherited_one(tmp_path: Path) -> None:
    env = _environment_of(
        tmp_path, {}, stage={"pythonpath": ("/a", "/b")}, environment={"PYTHONPATH": "/c"}
    )

    assert os.pathsep.join(("/a", "/b", "/c")) == env["PYTHONPATH"]


def test_nothing_of_the_inherited_environment_is_written_down(tmp_path: Path) -> None:
    secret = "a-sentinel-that-is-secret"
    with Bench(
        tmp_path,
        stage={"unit_file": True, "scratch": True, "secrets": ("TOKEN",)},
        environment={"TOKEN": secret},
    ) as bench:
        attempts = [bench.misbehave("u", "exit_with", "7"), bench.start("v", ("/no/such",))]
        ends = [bench.wait_for(attempt) for attempt in attempts]

    assert secret not in repr(ends)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if secret.encode() in path.read_bytes()]


# --- files ------------------------------------------------------


def test_streams_go_to_logs_of_their_own_and_stdin_is_empty(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        attempt = bench.misbehave("u", "show_everything")
        end = bench.wait_for(attempt)

    assert bench.output(attempt) == "out\n\n"
    assert bench.errors(attempt) == "err\n"
    assert (end.stdout_path, end.stderr_path) == ("logs/s/u.1.out", "logs/s/u.1.err")
    if os.name != "nt":
        assert os.stat(bench.log_paths(attempt, "s")[0]).st_mode & 0o777 == 0o600


def test_merged_logs_are_one_file(tmp_path: Path) -> None:
    with Bench(tmp_path, spec={"logs": "merged"}) as bench:
        attempt = bench.misbehave("u", "show_everything")
        end = bench.wait_for(attempt)

    assert {"out", "err"} <= set(bench.output(attempt).split())
    assert (end.stdout_path, end.stderr_path) == ("logs/s/u.1.out", None)
    assert not os.path.exists(bench.log_paths(attempt, "s")[1])


def test_stdin_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("from the file")
    with Bench(tmp_path) as bench:
        attempt = bench.misbehave("u", "show_everything", stdin=str(tmp_path / "in.txt"))
        bench.wait_for(attempt)

    assert "from the file" in bench.output(attempt)


def test_a_named_stdout_is_written_beside_its_target_until_it_is_published(tmp_path: Path) -> None:
    target = tmp_path / "made" / "out.txt"
    with Bench(tmp_path) as bench:
        argv = (sys.executable, "-S", "-c", "print('out', flush=True); input()")
        stdin = tmp_path / "go"
        stdin.write_text("go\n")
        attempt = bench.start("u", argv, stdin=str(stdin), stdout=str(target))
        temporary = Path(name_temporary_output(str(target), attempt))
        assert not target.exists()
        end = bench.wait_for(attempt)
        bench.wait_until(lambda: bench.inspection_of(attempt))

    assert target.parent / ".out.txt.procsup-1" == temporary
    assert str(target) == end.stdout_path
    assert target.read_text() == "out\n"
    assert not temporary.exists()


def test_a_failed_attempt_leaves_its_named_stdout_in_the_logs(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"
    with Bench(tmp_path) as bench:
        argv = (sys.executable, "-S", "-c", "print('half'); raise SystemExit(1)")
        attempt = bench.start("u", argv, stdout=str(target))
        end = bench.wait_for(attempt)

    assert end.stdout_path == "logs/s/u.1.out"
    assert bench.output(attempt).strip() == "half"
    assert not Path(name_temporary_output(str(target), attempt)).exists()


def test_folders_of_outputs_and_lists_of_inputs_are_there_at_the_start(tmp_path: Path) -> None:
    names = tmp_path / "run" / "lists" / "u.txt"
    made = tmp_path / "a" / "b" / "made.txt"
    argv = (
        sys.executable,
        "-S",
        "-c",
        f"open({str(made)!r}, 'w').write(open({str(names)!r}).read())",
    )
    outputs = (OutputSpec(str(made)), OutputSpec(str(tmp_path / "g" / "*.csv"), kind="glob"))
    with Bench(tmp_path) as bench:
        attempt = bench.start("u", argv, outputs=outputs, lists={str(names): ("one", "two")})
        assert Exited(0) == bench.wait_for(attempt).exit

    assert made.read_text() == "one\ntwo\n"
    assert (tmp_path / "g").is_dir()


def test_what_was_there_before_the_start_is_noted(tmp_path: Path) -> None:
    old, new = tmp_path / "old.txt", tmp_path / "new.txt"
    old.write_text("old")
    before = old.stat()
    outputs = (OutputSpec(str(old)), OutputSpec(str(new)))
    argv = (sys.executable, "-S", "-c", f"open({str(old)!r}, 'w'); open({str(new)!r}, 'w')")
    with Bench(tmp_path) as bench:
        attempt = bench.start("u", argv, outputs=outputs)
        readings = bench.engine._live[attempt].files.before
        bench.wait_for(attempt)
    stamp = readings[str(old)]
    assert stamp is not None
    assert (before.st_mtime_ns, 3) == stamp[2:4]
    assert readings[str(new)] is None


def test_a_scratch_folder_lasts_until_its_attempt_is_judged(tmp_path: Path) -> None:
    argv = (sys.executable, "-S", "-c", "import sys, os; print(sys.argv[1], os.environ['HERE'])")
    with Bench(tmp_path, stage={"scratch": True}) as bench:
        attempt = bench.start("u", (*argv, f"{SCRATCH}/x"), env={"HERE": SCRATCH})
        assert Exited(0) == bench.wait_for(attempt).exit
        bench.wait_until(lambda: bench.inspection_of(attempt))
        failed = bench.misbehave("v", "exit_with", "1")
        bench.wait_for(failed)

    scratch = str(tmp_path / "run" / "scratch" / "s.u.1")
    assert f"{scratch}/x {scratch}" == bench.output(attempt).strip()
    assert not Path(scratch).exists()
    assert (tmp_path / "run" / "scratch" / "s.v.1").is_dir()


def test_a_unit_file_tells_all_that_is_known_of_the_unit(tmp_path: Path) -> None:
    argv = (
        sys.executable,
        "-S",
        "-c",
        "import os; print(open(os.environ['PROCSUP_UNIT_FILE']).read())",
    )
    outputs = (OutputSpec(str(tmp_path / "x.json"), name="json", optional=True),)
    with Bench(tmp_path, stage={"unit_file": True}) as bench:
        attempt = bench.start("u", argv, parameters={"p": 1}, outputs=outputs, inputs=())
        assert Exited(0) == bench.wait_for(attempt).exit
        found = json.loads(bench.output(attempt))

    assert (found["unit"], found["parameters"], found["attempt"]) == ("u", {"p": 1}, 1)
    assert found["outputs"][0]["name"] == "json"


@pytest.mark.survives("F47")
@posix_only
@pytest.mark.parametrize("kind", ["symlink", "fifo", "hard link"])
def test_a_planted_log_is_refused(tmp_path: Path, kind: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    with Bench(tmp_path) as bench:
        log = Path(bench.log_paths(bench.order("u", ()).attempt, "s")[0])
        log.parent.mkdir(parents=True)
        if kind == "symlink":
            log.symlink_to(victim)
        elif kind == "fifo":
            os.mkfifo(log)
        else:
            os.link(victim, log)
        end = bench.wait_for(bench.start("u", ("true",)))

    assert isinstance(end.exit, NotStarted)
    assert str(log) in end.exit.reason
    assert victim.read_text() == "precious"


@pytest.mark.survives("F87")
@posix_only
@pytest.mark.parametrize("kind", ["link", "foreign"])
def test_a_log_in_an_exchanged_folder_is_refused(tmp_path: Path, kind: str) -> None:
    if kind == "foreign" and os.geteuid() != 0:
        pytest.skip("only root gives folders away")
    log, other = tmp_path / "s" / "u.1.out", tmp_path / "other"
    other.mkdir()
    if kind == "link":
        log.parent.symlink_to(other)
    else:
        log.parent.mkdir()
        os.chown(log.parent, 60001, 60001)

    with pytest.raises(OSError, match=r"Not a directory|another user") as caught:
        open_log(str(log))

    assert caught.value.filename == str(log.parent)
    assert list(other.iterdir()) == []


# --- what cannot be started -------------------------------------


def _make(folder: Path, name: str, content: bytes, mode: int) -> str:
    path = folder / name
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


@pytest.mark.survives("F11", "F12", "F13", "F14", "F48")
@posix_only
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("empty", "the command is empty"),
        ("not on path", "program 'no-such-program' was not found on PATH"),
        ("missing", "program '/no/such' does not exist"),
        ("folder", "is a folder"),
        ("not executable", "is not executable"),
        ("no format", "neither a binary of this system nor a script"),
        ("bad shebang", "asks for an interpreter that cannot run: '/no/such/sh'"),
        ("nul", "contains a NUL character"),
        ("too long", "too long"),
        ("surrogate", "surrogates not allowed"),
        ("cwd missing", "working folder '/no/such' does not exist"),
        ("cwd is a file", "is not a folder"),
        ("empty file", "is empty"),
        ("windows", "has Windows line ends, so that its first line asks for '/bin/sh\\r'"),
        ("windows", "take them out with dos2unix, or sed -i 's/\\r$//' "),
        ("stdin missing", "stdin: '/no/such': No such file"),
        ("stdin is a FIFO", "a FIFO, whose writer may never come"),
    ],
)
def test_what_cannot_be_started_says_what_which_and_why(
    tmp_path: Path, kind: str, words: str
) -> None:
    plain, fifo = _make(tmp_path, "plain", b"x", 0o644), str(tmp_path / "fifo")
    os.mkfifo(fifo)
    argv, settings = {
        "empty": ((), {}),
        "not on path": (("no-such-program",), {}),
        "missing": (("/no/such",), {}),
        "folder": ((str(tmp_path),), {}),
        "not executable": ((plain,), {}),
        "no format": ((_make(tmp_path, "binary", b"\x7fELF\2\1\1\0\n", 0o755),), {}),
        "bad shebang": ((_make(tmp_path, "script", b"#!/no/such/sh\n", 0o755),), {}),
        "nul": (("true", "a\0b"), {}),
        "too long": (("true", "x" * 10_000_000), {}),
        "surrogate": (("true", "\ud800"), {}),
        "cwd missing": (("true",), {"cwd": "/no/such"}),
        "cwd is a file": (("true",), {"cwd": plain}),
        "empty file": ((_make(tmp_path, "empty", b"", 0o755),), {}),
        "windows": ((_make(tmp_path, "crlf", b"#!/bin/sh\r\nexit 5\r\n", 0o755),), {}),
        "stdin missing": (("true",), {"stdin": "/no/such"}),
        "stdin is a FIFO": (("true",), {"stdin": fifo}),
    }[kind]
    with Bench(tmp_path) as bench:
        end = bench.wait_for(bench.start("u", argv, **settings))

        assert isinstance(end.exit, NotStarted)
        assert words in end.exit.reason
        assert not end.exit.passing
        assert not any(os.path.exists(path) for path in bench.log_paths(end.attempt, "s"))


@pytest.mark.survives("F11")
@posix_only
@pytest.mark.parametrize("way", ["path", "relative", "PATH"])
def test_a_script_that_names_no_interpreter_is_run_by_the_shell_as_xargs_does(
    tmp_path: Path, way: str
) -> None:
    path = _make(tmp_path, "-script", b'exit "$(( $# * 10 + $1 ))"\n', 0o755)
    words = {"path": path, "relative": "./-script", "PATH": "-script"}
    asked = [words[way], "5", "a b"]
    with Bench(tmp_path) as bench:
        env = {"PATH": f"{tmp_path}:/bin:/usr/bin"}

        assert Exited(25) == bench.wait_for(bench.start("u", asked, env=env)).exit


@posix_only
def test_a_relative_program_is_looked_for_in_the_units_folder(tmp_path: Path) -> None:
    _make(tmp_path, "prog", b"#!/bin/sh\nexit 5\n", 0o755)
    with Bench(tmp_path) as bench:
        assert Exited(5) == bench.wait_for(bench.start("u", ("./prog",))).exit


@posix_only
def test_a_program_is_looked_for_in_the_units_own_path(tmp_path: Path) -> None:
    _make(tmp_path, "prog", b"#!/bin/sh\nexit 5\n", 0o755)
    with Bench(tmp_path) as bench:
        attempt = bench.start("u", ("prog",), env={"PATH": f"{tmp_path}:/bin:/usr/bin"})

        assert Exited(5) == bench.wait_for(attempt).exit


@pytest.mark.survives("F10")
@posix_only
def test_a_shortage_of_files_passes_and_leaks_nothing(tmp_path: Path) -> None:
    import resource

    with Bench(tmp_path) as bench:
        assert Exited(0) == bench.wait_for(bench.start("first", ("true",))).exit
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        probe = os.dup(0)
        os.close(probe)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (probe + 1, limits[1]))
            ends = [bench.wait_for(bench.start("u", ("true",), number=n)) for n in range(1, 20)]
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)

        reasons = [end.exit for end in ends]
        assert all(isinstance(r, NotStarted) and r.passing for r in reasons), reasons
        again = os.dup(0)
        os.close(again)
        assert probe == again
        assert Exited(0) == bench.wait_for(bench.start("last", ("true",))).exit


# --- affinity and samples ---------------------------------------


@linux_only
def test_a_pinned_unit_has_its_cpus_from_its_first_instruction(tmp_path: Path) -> None:
    own = os.sched_getaffinity(0)
    cpu = max(own)
    with Bench(tmp_path) as bench:
        attempt = bench.misbehave("u", "show_affinity", cpu_ids=(cpu,))
        end = bench.wait_for(attempt)

    assert str(cpu) == bench.output(attempt).strip()
    assert ([cpu], [cpu], ()) == tuple(
        getattr(end.usage.affinity, name) for name in ("granted", "observed", "drift")
    )
    assert own == os.sched_getaffinity(0)


@linux_only
def test_cpus_that_are_not_there_do_not_keep_a_unit_from_running(tmp_path: Path) -> None:
    own = os.sched_getaffinity(0)
    with Bench(tmp_path) as bench:
        end = bench.wait_for(bench.misbehave("u", "show_affinity", cpu_ids=(1000,)))

    assert Exited(0) == end.exit
    assert end.usage.affinity.granted == [1000]
    assert sorted(own) == end.usage.affinity.observed
    assert len(end.usage.affinity.drift) == 1


@linux_only
@pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2 if sys.platform == "linux" else True,
    reason="one CPU cannot drift",
)
@pytest.mark.parametrize("on_drift", ["record", "warn", "restore"])
def test_a_drift_is_noticed_and_reported_if_it_is_asked_for(tmp_path: Path, on_drift: str) -> None:
    first, second = sorted(os.sched_getaffinity(0))[:2]
    with Bench(tmp_path, stage={"on_drift": on_drift}, sampling=True) as bench:
        attempt = bench.misbehave("u", "drift_to", str(second), cpu_ids=(first,))
        live = bench.engine._live[attempt]
        bench.wait_until(lambda: live.observed.drift)
        bench.wait_until(lambda: live.observed.samples > 1)
        now = os.sched_getaffinity(live.child.pid)
        bench.engine.kill(attempt)
        end = bench.wait_for(attempt)

    told = [fact.drifted_to for fact in bench.facts if isinstance(fact, Sampled)]
    assert ([] if on_drift == "record" else [[second]]) == told
    assert {first if on_drift == "restore" else second} == now
    assert [[second]] == [cpus for _, cpus in end.usage.affinity.drift]
    assert [first, second] == end.usage.affinity.observed


@posix_only
def test_a_sample_sees_the_memory_of_the_tree(tmp_path: Path) -> None:
    with Bench(tmp_path, sampling=True) as bench:
        attempt = bench.misbehave("u", "take_memory", "80000000")
        bench.wait_until_it_says(attempt, "ready")
        live = bench.engine._live[attempt]
        seen = live.observed.samples
        bench.wait_until(lambda: live.observed.samples > seen + 1)
        bench.engine.kill(attempt)
        usage = bench.wait_for(attempt).usage

    assert usage.peak_memory_bytes is not None
    assert 80_000_000 < usage.peak_memory_bytes < 200_000_000
    assert (usage.peak_memory_source, usage.peak_processes) == ("sampled", 1)
    assert usage.samples >= 2
    assert usage.sample_interval_s is not None
    assert 0.1 < usage.sample_interval_s < 5


@pytest.mark.survives("F66")
@linux_only
def test_without_psutil_a_unit_runs_on_and_what_was_not_observed_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)  # its import fails
    with Bench(tmp_path, sampling=True) as bench:
        attempt = bench.misbehave("u", "sleep")
        sampler = bench.engine._sampler
        bench.wait_until(lambda: sampler is not None and sampler._has_loaded)
        assert bench.end_of(attempt) is None
        bench.engine.kill(attempt)
        usage = bench.wait_for(attempt).usage

    assert (usage.samples, usage.peak_processes) == (0, None)


@posix_only
def test_the_memory_of_a_short_unit_is_unknown_or_its_own_but_never_ours(tmp_path: Path) -> None:
    import resource

    with Bench(tmp_path) as bench:
        small = bench.wait_for(bench.start("u", ("true",))).usage
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        code = f"bytearray({own} + 50_000_000)"
        big = bench.wait_for(bench.start("v", (sys.executable, "-S", "-c", code))).usage

    assert (small.peak_memory_bytes, small.peak_memory_source) == (None, None)
    assert big.peak_memory_bytes is not None
    assert big.peak_memory_source == "rusage"
    assert own + 50_000_000 < big.peak_memory_bytes < own + 200_000_000


@posix_only
def test_what_is_inherited_is_open_in_the_unit_and_closed_here(tmp_path: Path) -> None:
    code = (
        "import os\n"
        "for fd in range(3, 256):\n"
        "    try: os.write(fd, b'here')\n"
        "    except OSError: pass\n"
    )
    opened: List[int] = []

    def open_inherited() -> Tuple[int, ...]:
        opened.append(os.open(str(tmp_path / "lock"), os.O_CREAT | os.O_RDWR))
        return (opened[-1],)

    with Bench(tmp_path, open_inherited=open_inherited) as bench:
        end = bench.wait_for(bench.start("u", (sys.executable, "-S", "-c", code)))
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(opened[0])

    assert Exited(0) == end.exit
    assert (tmp_path / "lock").read_bytes() == b"here"


@posix_only
def test_a_blocked_signal_mask_is_not_inherited(tmp_path: Path) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))
    try:
        with Bench(tmp_path) as bench:
            attempt = bench.start("u", (sys.executable, "-S", PROGRAM, "sleep"))
            bench.wait_until_it_says(attempt, "ready")
            bench.stop(attempt)
            end = bench.wait_for(attempt)
        assert {signal.SIGTERM} == signal.pthread_sigmask(signal.SIG_BLOCK, ())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    assert Signaled(signal.SIGTERM) == end.exit

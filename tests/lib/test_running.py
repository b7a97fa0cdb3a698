import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import procsup
from tests.support.projects import LIMIT_S, PROGRAMS, ROOT

POSIX = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="POSIX signals")


def make_gated(gate, name, *options):
    words = [sys.executable, "-S", str(PROGRAMS / "gated.py"), str(gate.port), name, *options]
    return "[" + ", ".join(f"'{word}'" for word in words) + "]"


def write_run(gate, *names, more=""):
    """A run file with one stage per unit name, and what else is wanted."""
    stages = [f"[stage.{name}]\ncommand = {make_gated(gate, name)}\n" for name in names]
    Path("run.toml").write_text("\n".join([more, *stages]))


def are_gone(*pids):
    """Whether none of these processes is alive (a zombie of ours would be)."""
    for pid in pids:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            continue
        return False
    return True


# --- start, wait ---------------------------------------------------------------------------


def test_a_run_goes_on_beside_the_program_and_is_waited_for(gate, tmp_path):
    write_run(gate, "a")

    run = procsup.start("run.toml")

    unit = gate.meet("a")
    assert (run.dir, str(run)) == (tmp_path / ".procsup/run", f"{run.dir}@{run.id}")
    assert run.status().state == "running"
    assert repr(run.status()) == "<Status of run: running, 0 of 1 unit done>"
    with pytest.raises(procsup.WaitTimeout):
        run.wait("50ms")
    unit.exit(0)
    manifest = run.wait(LIMIT_S)
    assert (manifest.ok, manifest.run_id) == (True, run.id)
    assert run.status().state == "succeeded"
    run.drain()
    run.stop()  # nothing happens: it is over


def test_a_stage_is_waited_for_alone(gate):
    write_run(gate, "a", "b")
    with procsup.start("run.toml", jobs=2) as run:
        gate.meet("a").exit(0)
        assert run.wait(LIMIT_S, stage="a").ok
        gate.meet("b").exit(0)
        assert run.wait().ok


def test_a_loaded_spec_stands_for_its_file_and_variables(gate):
    write_run(gate, "a", more='vars = { day = "mon", n = 1 }\nname = "n-{day}"')

    with procsup.start(procsup.load("run.toml", vars={"day": "tue"})) as run:
        gate.meet("a").exit(0)

    assert run.dir.name == "n-tue"


def test_what_keeps_a_run_from_beginning_is_raised(gate, capfd):
    write_run(gate, "a")
    with pytest.raises(procsup.RunFileError):
        procsup.start("nowhere.toml")
    with pytest.raises(procsup.UsageError, match="selects no unit"):
        procsup.start("run.toml", only=["x"])
    with procsup.start("run.toml") as run:
        with pytest.raises(procsup.RunBusy):
            procsup.start("run.toml")
        gate.meet("a").exit(0)

    assert run.wait().ok
    assert capfd.readouterr() == ("", "")  # the streams of the program are its own


def test_drain_starts_nothing_more(gate):
    write_run(gate, "a", "b")
    run = procsup.start("run.toml", jobs=1)
    unit = gate.meet("a")

    run.drain()
    unit.exit(0)

    with pytest.raises(procsup.RunUnfinished, match="drained"):
        run.wait(LIMIT_S)


def test_stop_returns_when_no_process_is_left(gate):
    Path("run.toml").write_text(
        f"[stage.a]\ncommand = {make_gated(gate, 'a', '--daemon', '--ignore-term')}\n"
    )
    run = procsup.start("run.toml")
    pids = [gate.meet("a").pid, gate.meet("a-daemon").pid]

    run.stop(grace="100ms")

    assert are_gone(*pids)
    with pytest.raises(procsup.RunUnfinished, match="stopped by request"):
        run.wait()
    with pytest.raises(procsup.UsageError, match="grace: expected seconds or a duration"):
        run.stop("soon")


# --- the context manager -------------------------------------------------------------------


def test_leaving_by_an_exception_stops_the_run_and_leaves_no_process(gate):
    write_run(gate, "a")

    with pytest.raises(KeyError), procsup.start("run.toml") as run:  # noqa: PT012
        unit = gate.meet("a")
        supervisor = run.status().owner.pid
        raise KeyError("mine")

    assert are_gone(unit.pid, supervisor)
    assert run.status().state == "unfinished"


def test_leaving_normally_waits_and_a_failure_is_no_secret(gate):
    write_run(gate, "a")
    with pytest.raises(procsup.RunFailed), procsup.start("run.toml"):
        gate.meet("a").tell("exit 3")

    with procsup.start("run.toml") as run:
        gate.meet("a").tell("exit 3")
        assert not run.wait(check=False).ok  # it was told already


# --- events --------------------------------------------------------------------------------


def test_events_tell_the_run_from_its_beginning_to_its_end(gate):
    write_run(gate, "a", "b", more='[defaults]\nretries = 1\n[stage.c]\ncommand = ["true"]')
    run = procsup.start("run.toml", jobs=3)
    first, second = gate.meet("a"), gate.meet("b")
    first.exit(0)
    second.tell("exit 3")
    gate.meet("b").tell("exit 4")

    events = list(run.events())

    ended = [e for e in events if isinstance(e, procsup.UnitEnded)]
    assert sorted((e.unit, e.stage, e.attempt, e.verdict, e.final) for e in ended) == [
        ("a", "a", 1, "succeeded", True),
        ("b", "b", 1, "failed", False),
        ("b", "b", 2, "failed", True),
        ("c", "c", 1, "succeeded", True),
    ]
    started = [e for e in events if isinstance(e, procsup.UnitStarted)]
    assert {e.pid for e in started} >= {first.pid, second.pid}
    assert sorted((e.unit, e.attempt) for e in started) == sorted(
        (e.unit, e.attempt) for e in ended
    )
    for end in ended:
        begins = [e for e in started if (e.unit, e.attempt) == (end.unit, end.attempt)]
        assert events.index(begins[0]) < events.index(end)
    assert procsup.StagePlanned("a", 1) in events
    assert {(e.stage, e.status) for e in events if isinstance(e, procsup.StageEnded)} == {
        ("a", "succeeded"),
        ("b", "failed"),
        ("c", "succeeded"),
    }
    assert events[-1] == procsup.RunEnded("failed")
    assert procsup.read_manifest(str(run)).run_id == run.id
    assert list(run.events()) == events


def test_events_come_while_the_run_goes_on_and_tell_of_what_is_kept(gate):
    write_run(gate, "a")
    Path("in").write_text("x")
    with open("run.toml", "a") as file:
        file.write('[stage.k]\ncommand = ["cp", "in", "out"]\noutputs = ["out"]\n')
    with pytest.raises(procsup.RunUnfinished), procsup.start("run.toml", jobs=2) as run:  # noqa: PT012
        gate.meet("a")
        run.wait(stage="k")
        run.stop()
        run.wait()

    with procsup.start("run.toml", jobs=2) as run:
        events = run.events()
        for event in events:
            if isinstance(event, procsup.UnitStarted):
                break
        assert event.unit == "a"  # it runs, and we have heard of it
        gate.meet("a").exit(0)
        rest = list(events)

    assert procsup.UnitKept("k", "k", False) in [*run.events()]
    assert rest[-1] == procsup.RunEnded("succeeded")


def test_events_end_with_the_reason_of_a_run_that_is_not_final(gate):
    write_run(gate, "a")
    run = procsup.start("run.toml")
    gate.meet("a")
    run.stop()

    assert list(run.events())[-1] == procsup.RunEnded(None, "stopped by request")


@POSIX
def test_events_end_when_the_supervisor_is_killed(gate):
    write_run(gate, "a")
    run = procsup.start("run.toml")
    unit = gate.meet("a")
    seen = []
    listener = threading.Thread(target=lambda: seen.extend(run.events()))
    listener.start()

    os.kill(run.status().owner.pid, signal.SIGKILL)

    listener.join(LIMIT_S)
    assert seen[-1].status is None
    assert "died" in seen[-1].reason
    assert unit.ends_within(LIMIT_S)


@POSIX
def test_a_run_whose_guard_is_killed_says_so_and_not_that_this_program_has_ended(gate):
    write_run(gate, "a")
    run = procsup.start("run.toml")
    unit = gate.meet("a")

    os.kill(run._supervisor._child.pid, signal.SIGKILL)

    with pytest.raises(procsup.RunUnfinished, match=r"the guard process died$"):
        run.wait(LIMIT_S)
    assert unit.ends_within(LIMIT_S)


def count_ends(events):
    return sorted(event.unit for event in events if isinstance(event, procsup.UnitEnded))


def test_units_are_started_and_told_of_as_they_end(gate):
    words = [sys.executable, "-S", str(PROGRAMS / "gated.py"), str(gate.port)]
    units = (procsup.Unit([*words, name], id=name) for name in ("a", "b"))

    with procsup.start_units(units, name="n", jobs=2) as run:
        ended = (event for event in run.events() if isinstance(event, procsup.UnitEnded))
        gate.meet("b").exit(0)
        assert next(ended).unit == "units/b"
        gate.meet("a").exit(0)
        assert next(ended).unit == "units/a"
    assert procsup.read_manifest("n").run_id == run.id


@pytest.mark.parametrize("detach", [False, True])
def test_units_that_cannot_be_listed_start_nothing(gate, detach):
    def fail():
        raise ZeroDivisionError
        yield ["true"]

    with pytest.raises(ZeroDivisionError), procsup.start_units(fail(), name="n", detach=detach):
        pass
    with pytest.raises(procsup.UsageError, match="timout: unknown setting"):
        procsup.start_units([["true"]], name="n", timout=3, detach=detach)
    with pytest.raises(procsup.RunFileError, match="two units have the id"):
        procsup.start_units([procsup.Unit(["a"], id="x")] * 2, name="n", detach=detach)
    assert procsup.status("n").state == "empty" if Path(".procsup/n").exists() else True


def test_detached_units_go_on_alone(gate):
    run = procsup.start_units(
        [[sys.executable, "-S", str(PROGRAMS / "gated.py"), str(gate.port), "a"]], detach=True
    )
    gate.meet("a").exit(0)

    assert run.wait(LIMIT_S).ok


def test_progress_may_be_a_function_that_is_told_of_each_event(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    Path("run.toml").write_text('[stage.s]\nmatrix.n = [1, 2]\ncommand = ["true"]\n')
    told = []

    assert procsup.run("run.toml", progress=told.append).ok
    assert count_ends(told) == ["s/n=1", "s/n=2"]
    assert told[-1] == procsup.RunEnded("succeeded")
    assert procsup.run_units([["true"]], progress=told.append).ok
    with pytest.raises(procsup.RunFailed):
        procsup.map(["false"], ["x"], progress=told.append)
    assert count_ends(told)[:1] == ["map/x"]
    assert capfd.readouterr() == ("", "")


def test_a_run_ends_with_an_exception_of_its_progress(gate):
    write_run(gate, "a")
    met = []

    def tell(event):
        if isinstance(event, procsup.UnitStarted):
            met.append(gate.meet("a"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        procsup.run("run.toml", progress=tell)

    assert met[0].ends_within(0)


# --- who ends with whom --------------------------------------------------------------------

HOST = """
import os, signal, sys
import procsup
run = procsup.start("run.toml", detach=sys.argv[1] == "detached")
if sys.argv[2:] == ["forks later"] and os.fork() == 0:  # it holds all that this program has open
    sys.stdin.read()
    os._exit(0)
print(run, flush=True)
sys.stdin.readline()
"""


def start_host(*words, script=HOST):
    Path("host.py").write_text(script)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "host.py", *words],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


LEAVES = """
import os, sys
import procsup
with procsup.start("run.toml") as run:
    child = os.fork()
    if child == 0:
        sys.exit()  # out of the block
    os.waitpid(child, 0)
    print("left", flush=True)
    sys.stdin.readline()
"""

WAITS = """
import os
import procsup
run = procsup.start("run.toml")
run._supervisor.wait = None  # only the program itself can wait for its child
child = os.fork()
if child == 0:
    os._exit(0 if run.wait(20).ok else 1)
print(os.waitpid(child, 0)[1], flush=True)
os._exit(0)
"""


@POSIX
def test_a_fork_that_leaves_the_block_leaves_the_run_alone(gate):
    write_run(gate, "a")
    with start_host(script=LEAVES) as host:
        unit = gate.meet("a")
        assert host.stdout.readline() == "left\n"
        assert unit.lives
        host.kill()


@POSIX
def test_a_fork_may_wait_for_the_run(gate):
    write_run(gate, "a")
    with start_host(script=WAITS) as host:
        gate.meet("a").exit(0)
        assert host.stdout.readline() == "0\n"


@pytest.mark.parametrize("how", ["killed", "exits", "killed, its fork lives"])
def test_a_run_ends_with_the_program_that_started_it(gate, how):
    if how.endswith("lives") and sys.platform != "linux":
        pytest.skip("only a pidfd tells then")
    write_run(gate, "a")
    with start_host("tied", *(["forks later"] if how.endswith("lives") else [])) as host:
        unit = gate.meet("a")
        run = host.stdout.readline().strip()
        if how == "exits":
            host.stdin.write("\n")
            host.stdin.flush()
        else:
            host.kill()
        host.wait(LIMIT_S)

        assert unit.ends_within(LIMIT_S)
        with pytest.raises(procsup.RunUnfinished, match="the program that started the run"):
            procsup.wait_for(run, timeout=LIMIT_S)


def test_a_detached_run_goes_on_alone(gate):
    write_run(gate, "a")
    with start_host("detached") as host:
        unit = gate.meet("a")
        run = host.stdout.readline().strip()
        host.kill()
        host.wait(LIMIT_S)

    assert unit.lives
    unit.exit(0)
    assert procsup.wait_for(run, timeout=LIMIT_S).ok


def test_a_detached_run_is_stopped_by_an_exception_too(gate):
    write_run(gate, "a")

    with pytest.raises(KeyError), procsup.start("run.toml", detach=True):  # noqa: PT012
        unit = gate.meet("a")
        raise KeyError

    assert unit.ends_within(0)


# --- plan ----------------------------------------------------------------------------------


def test_a_plan_says_what_would_happen_and_why(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("in").write_text("x")
    Path("run.toml").write_text(
        'vars = { to = "out" }\n'
        '[stage.k]\ncommand = ["cp", "in", "{to}"]\noutputs = ["{to}"]\n'
        '[stage.f]\ncommand = ["false"]\n'
        '[stage.late]\ncommand = ["cat", "{inputs}"]\ninputs = { from = "k" }\n'
    )
    procsup.run("run.toml", progress="none", check=False)
    before = sorted(tmp_path.rglob("*"))

    plan = procsup.plan("run.toml")

    told = {unit.id: (unit.keep, unit.reason) for unit in plan.units}
    assert told == {"k": (True, ""), "f": (False, "failed before"), "late": (True, "")}
    assert [unit.argv for unit in plan.to_run] == [("false",)]
    assert "kept 2 of" in plan.notes[0]
    assert any("run (failed before)  f" in line for line in plan.lines)
    Path("out").unlink()
    plan = procsup.plan("run.toml")
    assert (plan.stages["late"], plan.known_after, plan.live) == (None, {"late": ["k"]}, False)
    assert plan.to_run[0].detail == "output deleted: out"
    assert str(plan).endswith("late: known when k has run")
    Path("out").write_text("x")
    assert procsup.plan("run.toml", fresh=True).units[0].reason == "fresh"
    spec = procsup.load("run.toml", vars={"to": "other"})
    assert procsup.plan(spec).units[0].reason == "command changed"
    assert sorted(tmp_path.rglob("*")) == before
    with pytest.raises(procsup.RunFileError):
        procsup.plan("nowhere.toml")


@POSIX
def test_looking_for_events_costs_no_descriptor_and_no_thread_each_time(gate, monkeypatch):
    monkeypatch.setattr("procsup.queries.events._LOOK_S", 0.005)
    write_run(gate, "a")
    seen = []

    def look():
        seen.append((len(os.listdir("/dev/fd")), threading.active_count()))
        return len(seen) == 240  # those of 12 s

    with procsup.start("run.toml") as run:
        unit = gate.meet("a")
        list(run._read_events(given_up=look))
        unit.exit(0)

    for counts in zip(*seen):
        assert max(counts) - min(counts) < 10

import enum
import json
import os
import signal
import subprocess
import sys
import threading
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

import procsup
from procsup import Unit
from tests.support.projects import LIMIT_S, ROOT, Project

TRUE = [sys.executable, "-S", "-c", ""]
COPY = "import shutil, sys; shutil.copyfile(sys.argv[1], sys.argv[2])"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_units(units, **options):
    return procsup.run_units(units, progress="none", **options)


def run_map(*args, **options):
    return procsup.map(*args, progress="none", **options)


def python(code, *args):
    return [sys.executable, "-S", "-c", code, *args]


def verdicts(manifest):
    return {unit.id: unit.verdict for unit in manifest.units}


# --- run_units -----------------------------------------------------------------------------


def test_patterns_of_a_unit_leave_out_what_has_an_exclamation_mark_before_it(here):
    (here / "d" / "tmp").mkdir(parents=True)
    for name in ("d/a", "d/tmp/b", "c.txt", "x.txt", "!y"):
        (here / name).write_text(name)
    unit = Unit(
        python("open('o.1', 'w').write('1'); open('o.2', 'w').write('2')"),
        inputs=["d/", "*.txt", "!d/tmp", "!x*", "./!y"],
        outputs=["o.*", "!o.2"],
    )

    (record,) = run_units([unit]).units

    names = [sorted(os.path.relpath(one.path, here) for one in found)
             for found in (record.inputs, record.outputs)]  # fmt: skip
    assert names == [["!y", "c.txt", os.path.join("d", "a")], ["o.1"]]
    with pytest.raises(procsup.UsageError, match=r"`\./!y`"):
        run_units([Unit(TRUE, inputs=["!y"])])


def test_units_are_run_and_told_by_their_commands(here):
    manifest = run_units([["echo", "{a}", 1], ["true"], ["true"], [Path("/bin/echo"), 0.5]])

    assert manifest.ok
    assert list(verdicts(manifest)) == [
        "units/echo '{a}' 1",
        "units/true",
        "units/true #2",
        "units/echo 0.5",
    ]
    log = manifest.directory / manifest.units[0].stdout_path
    assert log.read_text() == "{a} 1\n"
    assert manifest.directory.parent == here / ".procsup"
    assert manifest.directory.name.startswith("run-")


def test_a_unit_that_fails_is_data_or_an_exception():
    units = [python("raise SystemExit(3)"), TRUE]

    with pytest.raises(procsup.RunFailed) as caught:
        run_units(units)
    assert caught.value.manifest.units[0].exit_code == 3
    assert not run_units(units, check=False).ok


def test_a_unit_says_what_it_reads_and_makes(here):
    (here / "in.txt").write_text("x")
    unit = Unit(
        python(COPY, "in.txt", "out.txt"),
        id="copy",
        inputs={"text": "in.txt"},
        outputs=[{"path": Path("out.txt")}],
        env={"A": "{}"},
        parameters={"n": 3, "names": ["a", "b"]},
        cpus=0.5,
        memory="1M",
    )

    (record,) = run_units([unit], name="one").units

    assert (record.id, record.parameters) == ("units/copy", {"n": 3, "names": ["a", "b"]})
    assert [Path(output.path) for output in record.outputs] == [here / "out.txt"]
    (attempt,) = record.attempts
    assert (attempt.cpus, attempt.memory_bytes) == (0.5, 1 << 20)


def test_streams_and_the_working_folder_are_as_asked(here):
    (here / "sub").mkdir()
    (here / "in.txt").write_text("x")
    code = "import os, sys; print(sys.stdin.read() + os.path.basename(os.getcwd()))"

    run_units([Unit(python(code), stdin="in.txt", stdout="out.txt", cwd="sub")])

    assert (here / "out.txt").read_text() == "xsub\n"


def test_settings_of_all_units_are_those_of_a_stage():
    hang = python("import signal; signal.pause()")

    manifest = run_units([hang], timeout="0.2s", grace=1, retries=1, check=False)

    assert [a.verdict for a in manifest.units[0].attempts] == ["timed-out", "timed-out"]


def test_with_a_name_a_second_call_keeps_what_is_done(here):
    (here / "in").write_text("x")
    unit = Unit(python(COPY, "in", "out"), inputs=["in"], outputs=["out"])

    assert not run_units([unit], name="n").units[0].kept
    assert run_units([unit], name="n", keep="unchanged").units[0].kept
    more = [Unit(TRUE, outputs=[]), unit]  # its place among the others does not matter
    assert [unit.kept for unit in run_units(more, name="n", keep="unchanged").units] == [
        False,
        True,
    ]
    assert not run_units([unit], name="n").units[0].kept  # never


def test_the_plan_lies_in_the_run_directory_and_is_run_again_from_there(here):
    (here / "in").write_text("x")
    unit = Unit(python(COPY, "in", "o\udce9"), outputs=["o\udce9"])
    assert run_units([unit], name="again", keep="unchanged").ok
    os.unlink("o\udce9")

    done = Project(here).call("run", ".procsup/again/plan.jsonl")

    assert (done.returncode, "1 to run: 1 output deleted" in done.stderr) == (0, True), done
    assert os.path.exists("o\udce9")
    files = {path.name for path in here.iterdir()}
    assert files == {".procsup", "in", "o\udce9"}  # and nothing elsewhere


def test_a_run_that_is_refused_leaves_no_run_directory_behind_and_an_older_one_alone(here):
    with pytest.raises(procsup.RunFileError, match="command nonexistent is not found"):
        run_units([["nonexistent"]], name="refused")

    assert list((here / ".procsup").iterdir()) == []

    run_units([TRUE], name="refused")
    with pytest.raises(procsup.RunFileError, match="command nonexistent is not found"):
        run_units([["nonexistent"]], name="refused")
    assert procsup.read_manifest("refused").ok


def test_a_live_run_of_the_name_is_busy_and_keeps_its_plan(here):
    os.mkfifo("gate")
    unit = python("import sys; open(sys.argv[1]).read()", "gate")
    owner = threading.Thread(target=lambda: run_units([unit], name="n"))
    owner.start()
    gate = open("gate", "w")  # it reads: the run is live  # noqa: SIM115
    plan = (here / ".procsup/n/plan.jsonl").read_bytes()
    try:
        with pytest.raises(procsup.RunBusy):
            run_units([["other"]], name="n")
        assert (here / ".procsup/n/plan.jsonl").read_bytes() == plan
    finally:
        gate.close()
        owner.join()


def test_many_units_come_from_a_generator_one_by_one():
    seen = []

    def units():
        for index in range(2000):
            seen.append(index)
            yield ["true", str(index)]

    manifest = run_units(units(), jobs=2, on_failure="stop", name="many")

    assert (len(manifest.units), len(seen)) == (2000, 2000)


def test_a_generator_that_raises_before_its_first_unit_calls_all_off(here, capfd):
    def units():
        raise KeyError("mine")
        yield ["touch", "made"]

    with pytest.raises(KeyError, match="mine"):
        procsup.run_units(units())

    assert list(here.iterdir()) == []
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", [BrokenPipeError, ConnectionResetError, KeyboardInterrupt])
def test_what_the_generator_raises_is_never_taken_for_the_end_of_the_other_process(kind):
    def units():
        yield TRUE
        raise kind("of the generator's own")

    with pytest.raises(kind, match="of the generator's own"):
        run_units(units(), name="none")


@pytest.mark.skipif(os.name == "nt", reason="finds the other process in /proc, as Linux has it")
@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="there is no /proc here")
def test_what_the_generator_raises_goes_on_also_when_the_other_process_has_died():
    def units():
        yield TRUE
        for pid in children_of_this_process():
            os.kill(pid, signal.SIGKILL)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        run_units(units())


def children_of_this_process():
    found = Path("/proc/self/task").glob("*/children")
    return [int(pid) for file in found for pid in file.read_text().split()]


@pytest.mark.parametrize(
    ("units", "options", "said"),
    [
        ("gzip a", {}, r"units: expected a list of command lines"),
        (["gzip"], {}, r"units\[0\].argv: expected a list of arguments, such as \['gzip'\]"),
        (["echo a"], {}, r"units\[0\].argv: expected a list .*, such as \['echo', 'a'\]$"),
        ([["a", None]], {}, r"units\[0\].argv\[1\]: expected text, a path or a number, not None"),
        ([TRUE, 3], {}, r"units\[1\].argv: expected a list of arguments, not 3"),
        ([Unit(TRUE, outputs=[{3: 4}])], {}, r"units\[0\].outputs\[0\]: expected texts as names"),
        ([TRUE], {"timout": 3}, r"timout: unknown setting \(did you mean `timeout`\?\)"),
        ([TRUE], {"timeout": "soon"}, r"^timeout: expected seconds or a duration"),
        ([TRUE], {"success_codes": "x"}, r"^success_codes: expected a list"),
        ([TRUE], {"matrix": {}}, r"matrix: has no meaning here"),
        ([TRUE], {"outputs": ["x"]}, r"outputs: is each unit's own"),
        ([TRUE], {"env": {1, 2}}, r"env: a set has no order"),
        ([TRUE], {"keep": "all"}, r"keep='all': expected one of never, unchanged, always"),
        ([TRUE], {"name": "a/b"}, r"name: the run's name names a folder"),
        ([TRUE], {"jobs": 0}, r"^jobs: expected a whole number of at least 1"),
        ([Unit(TRUE, cpus=0)], {}, r"^units\[0\].cpus: expected a number of CPUs above 0"),
        ([Unit([])], {}, r"^units\[0\]: `argv` is missing"),
        ([Unit(TRUE, id="a"), Unit(TRUE, id="a")], {}, r"two units have the id `units/a`: give"),
        (
            [Unit(TRUE, outputs=["x"]), Unit(TRUE, outputs=["x"])],
            {},
            r"outputs: the units `units/.*` and `units/.* #2` write the same file, x",
        ),
        ([Unit(TRUE, outputs=[{"path": "x", "emtpy": True}])], {}, r"did you mean `empty`"),
        ([Unit(TRUE, inputs=["nowhere"])], {}, r"1 input is missing: .*nowhere"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_started(here, capfd, units, options, said):
    with pytest.raises(procsup.UsageError, match=said):
        procsup.run_units(units, **{"name": "wrong", **options})

    assert not (here / ".procsup/wrong/plan.jsonl").exists()
    assert capfd.readouterr().err == ""  # the exception says it all


class Colour(enum.Enum):
    RED = "red"


class Numpy:
    """A scalar of an array library: `item` gives the Python value."""

    shape = ()

    def __init__(self, value):
        self.value = value

    def item(self):
        return self.value


@pytest.mark.parametrize(
    ("value", "recorded", "written"),
    [
        (Colour.RED, "red", "red"),
        (timedelta(minutes=2), 120, "120"),
        (timedelta(milliseconds=1500), 1.5, "1.5"),
        (date(2026, 1, 2), "2026-01-02", "2026-01-02"),
        (datetime(2026, 1, 2, 3, 4), "2026-01-02T03:04:00", "2026-01-02T03:04:00"),
        (Decimal("3"), 3, "3"),
        (Decimal("1.50"), 1.5, "1.50"),
        (Numpy(True), True, "true"),
        (Numpy(7), 7, "7"),
    ],
)
def test_usual_scalars_are_values(value, recorded, written):
    (unit,) = run_units([Unit([*TRUE, value], parameters={"v": value})]).units

    assert (unit.parameters, unit.argv[-1]) == ({"v": recorded}, written)
    assert type(unit.parameters["v"]) is type(recorded)


@pytest.mark.parametrize("value", [Decimal("nan"), 1j, Numpy([1])])
def test_a_number_that_no_record_can_hold_is_refused(value):
    with pytest.raises(procsup.UsageError, match=r"units\[0\].argv\[4\]: expected text"):
        run_units([[*TRUE, value]])


def test_settings_take_durations_and_decimals():
    manifest = run_units([TRUE], timeout=timedelta(minutes=5), retries=Decimal(2))

    assert manifest.ok


def test_a_unit_keeps_what_a_generator_gave_and_can_be_a_key():
    unit = Unit((word for word in TRUE), outputs=(name for name in ["x"]))

    assert unit.make_table() == unit.make_table() == {"argv": TRUE, "outputs": ["x"]}
    assert {unit: 1}[Unit(TRUE, outputs=["x"])] == 1


# --- map -----------------------------------------------------------------------------------


def test_a_module_is_run_for_each_input(here):
    (here / "work.py").write_text("import sys; open(sys.argv[1] + '.out', 'w').write('x')")

    manifest = run_map("work", ["a", "b"], outputs=["{}.out"])

    assert verdicts(manifest) == {"map/a": "succeeded", "map/b": "succeeded"}
    assert manifest.outputs() == [here / "a.out", here / "b.out"]
    assert [unit.parameters for unit in manifest.units] == [{"input": "a"}, {"input": "b"}]


def test_a_file_is_run_for_each_input_with_the_arguments_as_written(here):
    (here / "work.py").write_text("import sys; print(sys.argv[1:])")

    manifest = run_map(
        here / "work.py", ["d/a.txt", 3], args=["-o", "{.stem}", "{{}}", "{.parent}"]
    )

    logs = [(manifest.directory / unit.stdout_path).read_text() for unit in manifest.units]
    assert logs == ["['-o', 'a', '{}', 'd']\n", "['-o', '3', '{}', '.']\n"]


def test_a_command_is_run_for_each_input_which_may_stand_anywhere(here):
    (here / "a.txt").write_text("x")

    assert run_map(["cp", "{}", "{.stem}.bak"], ["a.txt"], outputs={"copy": "{.stem}.bak"}).ok
    assert run_map(["cat"], ["a.txt"]).ok  # appended where it stands nowhere


def test_an_input_that_is_a_path_is_watched_for_changes(here):
    (here / "a*b").write_text("x")
    work = [*python(COPY), "{}", "{}.out"]

    def again(path):
        manifest = run_map(work, [path], outputs=["out/../b.out"], keep="unchanged", name="m")
        return manifest.units[0].kept

    work[-1] = "b.out"
    assert not again(Path("a*b"))
    assert again(Path("a*b"))
    (here / "a*b").write_text("longer")
    assert not again(Path("a*b"))


def test_inputs_may_come_twice_and_be_long():
    long = "x" * 100

    ids = [unit.id for unit in run_map(["true"], ["a", "a", long, "", "\n"]).units]

    assert ids[:2] == ["map/a", "map/a #2"]
    assert len(set(ids)) == 5
    assert ids[2].startswith(f"map/{'x' * 60}~")
    assert ids[3:] == ["map/''", "map/\\n"]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there are no signals to die by")
def test_a_killed_worker_is_named_with_its_signal_and_the_others_finish(here):
    (here / "work.py").write_text(
        "import os, signal, sys\nif sys.argv[1] == '3': os.kill(os.getpid(), signal.SIGKILL)\n"
    )

    with pytest.raises(procsup.RunFailed, match="7 of 8 units succeeded") as caught:
        run_map("work", range(8), jobs=2)

    killed = [unit for unit in caught.value.manifest.units if unit.verdict != "succeeded"]
    assert [(unit.id, unit.signal, unit.cause) for unit in killed] == [("map/3", 9, "signal 9")]


@pytest.mark.parametrize(
    ("target", "inputs", "options", "said"),
    [
        ("gzip -9", ["a"], {}, r"target: expected a module such as 'package.module'"),
        ([], ["a"], {}, r"target: expected a module"),
        ("m", "abc", {}, r"inputs: expected a list of inputs, such as \['abc'\]"),
        ("m", [None], {}, r"inputs\[0\]: expected text, a path or a number, not None"),
        ("m", ["a"], {"args": ["{x}"]}, r"args\[0\]: unknown placeholder {x}.*{} is the input"),
        ("m", ["a"], {"args": ["{"]}, r"args\[0\]: a single brace"),
        ("m", ["a"], {"args": "{}"}, r"args: expected a list of arguments, such as \['{}'\]"),
        ("m", ["a"], {"outputs": "{}.x"}, r"outputs: expected a list or a table of outputs"),
        ("m", ["a"], {"outputs": ["{.stm}"]}, r"outputs\[0\]: .*did you mean `stem`"),
        ("nowhere.to.be_found", ["a"], {}, r"nowhere"),
    ],
)
def test_what_map_does_not_take_is_refused_with_what_it_takes(target, inputs, options, said):
    with pytest.raises(procsup.UsageError, match=said):
        run_map(target, inputs, **options)


def test_rows_are_a_table_for_pandas():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    manifest = run_map(["sh", "-c", "exit $1", "x"], [0, 3], check=False)

    frame = pandas.DataFrame(manifest.rows())

    assert list(frame["id"]) == ["map/0", "map/3"]
    assert list(frame[frame.verdict == "failed"]["exit_code"]) == [3]
    assert frame["wall_s"].sum() > 0


# --- who ends with whom --------------------------------------------------------------------

HOST = """
import os, sys
import procsup
hang = [sys.executable, "-S", "-c", "import signal; signal.pause()"]
procsup.run_units([hang], name="n", progress="none")
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows ends a program by its handle")
def test_when_the_program_is_killed_its_run_ends_with_it(here):
    project = Project(here)
    project.rundir = here / ".procsup" / "n"
    project.write("host.py", HOST)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    host = subprocess.Popen([sys.executable, "host.py"], env=environment)
    pid = _first_unit(project)
    host.kill()
    host.wait(LIMIT_S)

    _wait_until_gone(pid)
    with pytest.raises(procsup.RunUnfinished, match="the program that started the run has ended"):
        procsup.wait_for("n", timeout=LIMIT_S)


FORKING_HOST = """
import os, sys
import procsup
def units():
    yield ["true"]
    print("fed", flush=True)
    if os.fork() == 0:  # it holds the pipe by which the plan comes
        os.close(2)
        sys.stdin.read()
        os._exit(0)
    os.wait()
procsup.run_units(units(), progress="none")
"""


@pytest.mark.survives("F68")
@pytest.mark.skipif(sys.platform != "linux", reason="only a pidfd tells then")
def test_a_program_that_is_killed_while_it_lists_units_leaves_no_process_although_it_forked(here):
    (here / "host.py").write_text(FORKING_HOST)
    with subprocess.Popen(
        [sys.executable, "host.py"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as host:
        assert host.stdout.readline() == b"fed\n"
        host.kill()
        alarm = threading.Timer(LIMIT_S, host.stdin.close)
        alarm.start()

        host.stderr.read()  # whoever has this open is of the run: it ends when none is left

        assert alarm.is_alive()
        alarm.cancel()


def _first_unit(project):
    """The pid of the first unit, when it runs."""
    for _look in range(int(LIMIT_S * 100)):
        if (project.rundir / "journal.jsonl").exists():
            spawned = project.records("spawned")
            if spawned:
                return int(spawned[0]["pid"])
        threading.Event().wait(0.01)
    raise AssertionError("no unit was started")


def _wait_until_gone(pid):
    for _look in range(int(LIMIT_S * 100)):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        threading.Event().wait(0.01)
    raise AssertionError(f"process {pid} is alive")


def test_a_plan_reads_as_json(here):
    run_units([["true"]], name="n")

    lines = [json.loads(line) for line in (here / ".procsup/n/plan.jsonl").read_text().splitlines()]

    assert [sorted(line) for line in lines[1:]] == [["argv"], ["end"]]
    assert lines[0]["procsup-plan"] == 1


# --- names that nobody has chosen ------------------------------------------------------------


def test_runs_without_a_name_that_come_to_the_same_one_take_the_next(here, monkeypatch):
    from procsup.lib import units as module

    monkeypatch.setattr(module, "make_own_name", lambda prefix: f"{prefix}-same")
    made, raised = [], []

    def burst():
        try:
            made.append(run_units([["echo", "x"]]))
        except procsup.ProcsupError as error:
            raised.append(error)

    threads = [threading.Thread(target=burst) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)

    assert raised == []
    names = sorted(manifest.directory.name for manifest in made)
    assert names == ["run-same", *(f"run-same-{n}" for n in range(2, 7))]
    assert [manifest.ok for manifest in made] == [True] * 6
    for manifest in made:  # the plan in it is its own: a resume goes on there
        again = procsup.run(manifest.directory / "plan.jsonl", progress="none")
        assert again.directory == manifest.directory


def test_a_name_that_was_chosen_is_taken_again(here):
    first = run_units([["echo", "x"]], name="mine")
    again = run_units([["echo", "x"]], name="mine")

    assert first.directory == again.directory


def test_a_name_that_is_taken_is_not_given_to_a_run(here, monkeypatch):
    from procsup.lib import units as module

    monkeypatch.setattr(module, "make_own_name", lambda prefix: f"{prefix}-same")
    (here / ".procsup").mkdir()
    (here / ".procsup" / "run-same").write_text("a file of somebody's")
    (here / ".procsup" / "run-same-2").symlink_to(here / "nowhere")
    (here / ".procsup" / "run-same-3").mkdir(0o755)

    assert run_units([["true"]]).directory.name == "run-same-4"
    assert list((here / ".procsup" / "run-same-3").iterdir()) == []

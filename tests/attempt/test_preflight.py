import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest

from procsup.attempt import interpreters, output_folders
from procsup.attempt import preflight as module_under_test
from procsup.attempt.preflight import find_unit_program, preflight
from procsup.core.spec import OutputSpec, RunSpec, StageSpec, UnitSpec
from procsup.host import readings
from tests.support.users import EVE, give, root_only

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="no permission bits there")
not_root = pytest.mark.skipif(
    hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write and read everywhere"
)
PYTHON = (sys.executable,)


def _python27() -> Optional[str]:
    found = shutil.which("python2.7")
    if found is None:
        return None
    # A launcher of that name may be there without a Python behind it.
    ran = subprocess.run([found, "-c", "print(27)"], capture_output=True)
    return found if ran.stdout.strip() == b"27" else None


PYTHON27 = _python27()


class Plan:
    """A stage of `units` in a folder; `check` is its preflight."""

    def __init__(self, folder: Path, stage: StageSpec, missing_inputs: str = "refuse") -> None:
        self.folder = folder
        self.stage = stage
        self.units: List[UnitSpec] = []
        self.environment = dict(os.environ)
        self.spec = RunSpec(
            name="r",
            file=None,
            folder=str(folder),
            directory=str(folder / "run"),
            stages=(stage,),
            missing_inputs=missing_inputs,
        )
        (folder / "run").mkdir(exist_ok=True)

    def add(self, *argv: str, **fields: Any) -> None:
        index = len(self.units)
        fields.setdefault("cwd", str(self.folder))
        unit = UnitSpec(f"s/{index}", "s", index, argv or PYTHON, fingerprint="f", **fields)
        self.units.append(unit)

    def unfit(self) -> Dict[str, str]:
        problems, unfit = preflight(self.spec, self.stage, self.units, self.environment)
        assert problems == []
        return unfit

    def problems(self) -> List[str]:
        problems, unfit = preflight(self.spec, self.stage, self.units, self.environment)
        assert unfit == {}
        assert os.listdir(self.spec.directory) == []
        assert all(problem.startswith("stage s: ") for problem in problems)
        return [problem[len("stage s: ") :] for problem in problems]

    def problem(self) -> str:
        (problem,) = self.problems()
        return problem


@pytest.fixture(autouse=True)
def no_memory(monkeypatch):
    monkeypatch.setattr(module_under_test, "_modules", {})


@pytest.fixture
def plan(tmp_path) -> Plan:
    return Plan(tmp_path, StageSpec("s"))


def module_plan(folder: Path, module: str, **fields: Any) -> Plan:
    interpreter = fields.pop("interpreter", PYTHON)
    stage = StageSpec("s", is_python=True, module=module, interpreter=interpreter, **fields)
    plan = Plan(folder, stage)
    plan.add(*interpreter, "-m", module)
    return plan


def written(path: Path, text: str = "") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


@pytest.fixture
def never_asked(monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("an interpreter was started")

    monkeypatch.setattr(interpreters, "_run", refuse)


# --- inputs, secrets ---


def test_a_stage_with_all_it_needs_has_no_problem(tmp_path, plan):
    path = written(tmp_path / "in")
    plan.add(inputs=(path,), depends=(path,), stdin=path, outputs=(OutputSpec(path + ".out"),))

    assert plan.problems() == []


def test_a_stage_without_units_has_no_problem(plan):
    assert plan.problems() == []


def test_missing_inputs_are_one_line_however_many_units_miss_them(tmp_path, plan):
    for number in range(40):
        plan.add(inputs=(str(tmp_path / "shared"), str(tmp_path / f"in{number:02}")))

    problem = plan.problem()

    assert problem.startswith("41 inputs are missing: ")
    assert problem.count(str(tmp_path / "in")) == 4
    assert "and 36 more" in problem
    assert 'missing-inputs = "fail-unit"' in problem


def test_depends_and_stdin_must_be_there_too(tmp_path, plan):
    plan.add(depends=(str(tmp_path / "library"),), stdin=str(tmp_path / "text"))

    problem = plan.problem()

    assert "library" in problem
    assert "text" in problem


def test_units_that_miss_inputs_can_be_left_out(tmp_path):
    plan = Plan(tmp_path, StageSpec("s"), missing_inputs="fail-unit")
    plan.add(inputs=(written(tmp_path / "in"),))
    plan.add("no-such-command-at-all", inputs=(str(tmp_path / "a"), str(tmp_path / "b")))

    assert plan.unfit() == {"s/1": f"input {tmp_path / 'a'} is missing and 1 more"}


@posix_only
@not_root
def test_an_unreadable_input_is_said_to_be_that(tmp_path, plan):
    path = written(tmp_path / "in")
    os.chmod(path, 0)
    plan.add(inputs=(path,))

    assert "1 input is not readable: " in plan.problem()


def test_secrets_must_be_set(tmp_path):
    plan = Plan(tmp_path, StageSpec("s", secrets=("TOKEN", "EMPTY", "OTHER")))
    plan.environment["EMPTY"] = ""
    plan.add()

    assert plan.problem().startswith("secrets TOKEN, OTHER are not set in the environment")


# --- commands, folders to work in ---


def test_a_command_is_looked_for_on_the_units_own_path(tmp_path, plan):
    name = "tool.bat" if sys.platform == "win32" else "tool"
    os.chmod(written(tmp_path / "bin" / name), 0o755)
    plan.add("tool")
    assert plan.problem().startswith("command tool is not found on PATH")
    plan.units = []
    plan.add("tool", env={"PATH": str(tmp_path / "bin")})

    assert plan.problems() == []


@posix_only
def test_a_command_with_a_slash_is_looked_for_from_the_cwd(tmp_path, plan):
    path = written(tmp_path / "work" / "tool")
    plan.add("./tool", cwd=str(tmp_path / "work"))
    assert plan.problem().startswith("command ./tool is not executable; chmod +x")
    os.chmod(path, 0o755)
    assert plan.problems() == []
    plan.add("./tool", cwd=str(tmp_path))

    assert plan.problem().startswith("command ./tool does not exist (looked for from ")


@pytest.mark.survives("F13")
def test_a_cwd_must_be_a_folder(tmp_path, plan):
    plan.add(cwd=str(tmp_path / "none"))
    plan.add(cwd=written(tmp_path / "file"))

    problems = plan.problems()

    assert sorted(problem.partition(";")[0] for problem in problems) == [
        f"cwd {tmp_path / 'file'} is not a folder",
        f"cwd {tmp_path / 'none'} does not exist",
    ]


def test_ten_thousand_units_with_the_same_fault_are_one_line(plan):
    for _ in range(10_000):
        plan.add("no-such-command-at-all")

    assert len(plan.problems()) == 1


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    plan = Plan(tmp_path, StageSpec("s", secrets=("TOKEN_NOT_SET",)))
    plan.add("no-such-command-at-all", inputs=(str(tmp_path / "in"),))
    plan.add(cwd=str(tmp_path / "none"))

    assert len(plan.problems()) == 4


# --- interpreters, modules, scripts ---


def test_a_module_beside_the_run_file_is_found_without_a_start(tmp_path, never_asked):
    written(tmp_path / "worker.py")

    assert module_plan(tmp_path, "worker").problems() == []


@pytest.mark.parametrize("module", ["tools.worker", "tools", "json.tool", "unittest"])
def test_modules_of_all_kinds_are_found_by_asking(tmp_path, module):
    written(tmp_path / "tools/__init__.py", "print('imported')")
    written(tmp_path / "tools/__main__.py", "raise SystemExit('run')")
    written(tmp_path / "tools/worker.py", "raise SystemExit('run')")

    assert module_plan(tmp_path, module).problems() == []
    assert not list(tmp_path.rglob("*.pyc"))


def test_a_module_is_found_by_pythonpath(tmp_path):
    written(tmp_path / "lib/worker.py")

    plan = module_plan(tmp_path, "worker", pythonpath=(str(tmp_path / "lib"),))

    assert plan.problems() == []


@pytest.mark.survives("F63")
@pytest.mark.parametrize("module", ["worker", "tools.worker", "json.worker", "json.tool.worker"])
def test_a_module_that_is_not_found_is_said_with_interpreter_and_cwd(tmp_path, module):
    problem = module_plan(tmp_path, module).problem()

    assert problem.startswith(f"module {module} is not found by {sys.executable} in {tmp_path};")


def test_a_package_without_main_cannot_be_run(tmp_path):
    written(tmp_path / "tools/__init__.py")

    assert "is a package without __main__" in module_plan(tmp_path, "tools").problem()


@pytest.mark.survives("F63")
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import no_such_library", "No module named"),
        ("from json import no_such_name", "cannot import name"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("1 +", "SyntaxError"),
    ],
)
def test_a_package_that_cannot_be_imported_is_no_missing_module(tmp_path, text, reason):
    written(tmp_path / "tools/__init__.py", text)
    written(tmp_path / "tools/worker.py")

    problem = module_plan(tmp_path, "tools.worker").problem()

    assert problem.startswith("module tools.worker cannot be run by ")
    assert reason in problem


@pytest.mark.survives("F53")
def test_files_that_look_like_the_standard_library_are_not_run_by_the_question(tmp_path):
    for name in ("os", "binascii", "importlib", "pkgutil"):
        written(tmp_path / f"{name}.py", "raise SystemExit('run')")
    written(tmp_path / "tools/__init__.py")
    written(tmp_path / "tools/worker.py")

    assert module_plan(tmp_path, "tools.worker").problems() == []


@pytest.mark.survives("F11")
def test_an_interpreter_that_is_none_is_said_with_its_words(tmp_path):
    script = written(tmp_path / "odd.py", "import sys; sys.exit('I am no Python')")
    plan = module_plan(tmp_path, "worker", interpreter=(sys.executable, script))

    assert "does not run as a Python (exit 1: I am no Python)" in plan.problem()


def test_an_interpreter_that_hangs_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(interpreters, "LIMIT_S", 0.2)
    script = written(tmp_path / "odd.py", "import threading; threading.Event().wait(60)")
    plan = module_plan(tmp_path, "worker", interpreter=(sys.executable, script))

    assert "gave no answer within 0.2 s" in plan.problem()


@pytest.mark.survives("F11")
@pytest.mark.skipif(sys.platform == "win32", reason="`py` starts all versions there")
def test_a_missing_interpreter_is_a_missing_command(tmp_path):
    plan = module_plan(tmp_path, "worker", interpreter=("python9.9",))

    assert plan.problem().startswith("command python9.9 is not found (looked on PATH, ")


def test_a_prefix_is_part_of_the_question(tmp_path):
    wrapper = written(
        tmp_path / "wrap.py",
        "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:], cwd='inner'))",
    )
    written(tmp_path / "inner/worker.py")
    plan = module_plan(tmp_path, "worker")
    assert "is not found" in plan.problem()
    plan.units = []
    plan.add(sys.executable, wrapper, *PYTHON, "-m", "worker")

    assert plan.problems() == []


@pytest.fixture
def asked(monkeypatch):
    """The command lines of the interpreters that were run."""
    asked: List[List[str]] = []
    real = interpreters._run

    def counted(argv: List[str], cwd: str, env: Dict[str, str]) -> Any:
        asked.append(argv)
        return real(argv, cwd, env)

    monkeypatch.setattr(interpreters, "_run", counted)
    return asked


def test_an_interpreter_is_asked_once_for_many_units(tmp_path, asked):
    plan = module_plan(tmp_path, "json.tool")
    for number in range(1000):
        plan.add(*PYTHON, "-m", "json.tool", env={"SEED": str(number)})

    assert plan.problems() == []
    assert len(asked) == 1


@pytest.mark.parametrize("module", ["json.tool", "no.such.module", "worker"])
def test_an_interpreter_is_asked_once_for_its_file_and_for_the_preflight(tmp_path, asked, module):
    plan = module_plan(tmp_path, module)
    plan.environment = dict(os.environ)
    missing = find_unit_program(plan.stage, plan.units) is None

    assert bool(plan.problems()) == missing
    assert len(asked) == 1
    plan.problems()  # what is asked for anew is asked
    assert len(asked) == 2 or not missing


@pytest.mark.parametrize("module", ["json.tool", "zipimport"])  # one may have no file
def test_an_interpreter_is_asked_once_for_units_that_come_in_parts(tmp_path, asked, module):
    plan, answers = module_plan(tmp_path, module), {}

    for number in range(5):
        plan.add(*PYTHON, "-m", module, env={"SEED": str(number)})
        parts = plan.units[-1:]
        find_unit_program(plan.stage, parts, answers=answers)
        assert not preflight(plan.spec, plan.stage, parts, plan.environment, answers=answers)[0]

    assert len(asked) == 1


def test_interpreters_are_started_in_so_many_folders_of_units_that_come_in_parts(tmp_path, asked):
    plan, answers = module_plan(tmp_path, "json.tool"), {}

    for number in range(20):
        (tmp_path / str(number)).mkdir()
        plan.add(*PYTHON, "-m", "json.tool", cwd=str(tmp_path / str(number)))
        parts = plan.units[-1:]
        assert not preflight(plan.spec, plan.stage, parts, plan.environment, answers=answers)[0]

    assert len(asked) == len(answers) == 16


def test_a_script_must_be_there(tmp_path):
    stage = StageSpec("s", is_python=True, script=str(tmp_path / "x.py"), interpreter=PYTHON)
    plan = Plan(tmp_path, stage)
    plan.add(*PYTHON, str(tmp_path / "x.py"))

    assert plan.problem() == f"script {tmp_path / 'x.py'} does not exist; mend `script`"


@pytest.mark.skipif(PYTHON27 is None, reason="no python2.7 on PATH")
@pytest.mark.parametrize(
    ("module", "problem"),
    [
        ("worker", ""),
        ("tools.worker", ""),
        ("tools", "is a package without __main__"),
        ("runnable", ""),
        ("json.tool", ""),
        ("nothing", "is not found by"),
        ("tools.nothing", "is not found by"),
        ("nothing.worker", "is not found by"),
        ("broken.worker", "cannot be run by"),
        ("runnable.old.nothing", "No module named old"),
    ],
)
def test_python_2_is_asked_in_its_own_words(tmp_path, module, problem):
    written(tmp_path / "worker.py", "print 'run'")
    written(tmp_path / "tools/__init__.py", "print 'imported'")
    written(tmp_path / "tools/worker.py", "raise SystemExit('run')")
    written(tmp_path / "runnable/__init__.py")
    written(tmp_path / "runnable/__main__.py", "raise SystemExit('run')")
    written(tmp_path / "broken/__init__.py", "import no_such_library")
    written(tmp_path / "broken/worker.py")
    plan = module_plan(tmp_path, module, interpreter=(PYTHON27,))

    problems = plan.problems()

    assert len(problems) == bool(problem)
    assert problem in "".join(problems)


# --- what the program is ---


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_program_is_the_scripts_or_the_modules_file(tmp_path):
    script = written(tmp_path / "x.py", "# script")
    written(tmp_path / "tools/__init__.py")
    written(tmp_path / "tools/worker.py", "# module")
    written(tmp_path / "tools/__main__.py", "# main")

    stage = StageSpec("s", script=script, interpreter=PYTHON)
    assert find_unit_program(stage, []) == (script, sha("# script"))
    for module, text in (("tools.worker", "# module"), ("tools", "# main")):
        plan = module_plan(tmp_path, module)
        program = find_unit_program(plan.stage, plan.units)
        assert program is not None
        assert program.sha256 == sha(Path(program.path).read_text()) == sha(text)


def digest_of(plan):
    program = find_unit_program(plan.stage, plan.units)
    return None if program is None else program.sha256


def test_after_a_preflight_the_program_is_known_without_asking(tmp_path, monkeypatch):
    written(tmp_path / "tools/__init__.py")
    written(tmp_path / "tools/worker.py", "# module")
    plan = module_plan(tmp_path, "tools.worker")
    assert plan.problems() == []
    monkeypatch.setattr(interpreters, "_run", None)

    assert digest_of(plan) == sha("# module")
    written(tmp_path / "tools/worker.py", "# mended")
    assert digest_of(plan) == sha("# mended")


def test_an_unknown_program_is_none(tmp_path):
    plan = module_plan(tmp_path, "no_such_module_at_all")

    assert find_unit_program(plan.stage, plan.units) is None
    assert find_unit_program(plan.stage, []) is None
    gone = str(tmp_path / "none.py")
    assert find_unit_program(StageSpec("s", script=gone), plan.units) == (gone, None)
    assert find_unit_program(StageSpec("s"), plan.units) is None


# --- where things are written ---


def test_folders_of_outputs_are_made(tmp_path, plan):
    plan.add(
        outputs=(
            OutputSpec(f"{tmp_path}/a/b/file"),
            OutputSpec(f"{tmp_path}/folder/made/by/unit/", kind="folder"),
            OutputSpec(f"{tmp_path}/g/*/x.csv", kind="glob"),
        ),
        stdout=f"{tmp_path}/texts/out.txt",
    )

    assert plan.problems() == []

    made = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    assert made == [
        "a", "a/b", "folder", "folder/made", "folder/made/by", "g", "run", "texts"
    ]  # fmt: skip


def test_folders_that_were_made_are_on_disk_for_good(tmp_path, plan, monkeypatch):
    synced: List[str] = []
    monkeypatch.setattr(readings, "sync_folder", synced.append)
    root = str(tmp_path)
    plan.add(outputs=(OutputSpec(os.path.join(root, "a", "b", "file")),))

    assert plan.problems() == []
    assert synced == [os.path.dirname(root), root, os.path.join(root, "a")]


def test_a_folder_that_a_killed_start_has_made_is_put_on_disk_too(tmp_path, plan, monkeypatch):
    synced: List[str] = []
    monkeypatch.setattr(readings, "sync_folder", synced.append)
    root = str(tmp_path)
    os.makedirs(os.path.join(root, "a", "b"))
    plan.add(outputs=(OutputSpec(os.path.join(root, "a", "b", "file")),))

    assert plan.problems() == []
    assert synced == [os.path.join(root, "a")]


def test_no_folder_is_made_for_a_stage_that_is_refused(tmp_path, plan):
    plan.add("no-such-command-at-all", outputs=(OutputSpec(f"{tmp_path}/a/file"),))

    assert len(plan.problems()) == 1
    assert not (tmp_path / "a").exists()


def test_a_file_in_the_place_of_an_output_folder_is_a_problem(tmp_path, plan):
    written(tmp_path / "a")
    plan.add(outputs=(OutputSpec(os.path.join(str(tmp_path), "a", "file")),))
    plan.add(outputs=(OutputSpec(os.path.join(str(tmp_path), "a", "b", "file")),))

    problems = plan.problems()

    assert problems
    assert all("cannot be written" in problem for problem in problems)


@posix_only
@root_only
@pytest.mark.survives("F87")
def test_nothing_is_written_to_another_user_s_folder_that_has_the_run_directory_s_place(
    tmp_path, plan
):
    plan.add()
    give(tmp_path / "run", EVE)

    assert "run cannot be written: it belongs to another user; " in plan.problem()


@not_root
def test_an_output_folder_must_be_writable(tmp_path, plan):
    (tmp_path / "a").mkdir(mode=0o500)
    plan.add(outputs=(OutputSpec(f"{tmp_path}/a/file"),))

    assert "cannot be written: Permission denied" in plan.problem()


@pytest.mark.survives("F46")
def test_a_full_disk_is_known_before_the_start(plan, monkeypatch):
    def full(_fd: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    plan.add()

    assert plan.problem().endswith("cannot be written: No space left on device; make room")


def test_what_a_killed_start_of_our_number_left_is_no_problem(tmp_path, plan, monkeypatch):
    monkeypatch.setattr(output_folders, "make_temporary_name", lambda: ".procsup-7-1.part")
    (tmp_path / "run" / ".procsup-7-1.part").touch()
    plan.add()

    assert preflight(plan.spec, plan.stage, plan.units, plan.environment)[0] == []
    assert list((tmp_path / "run").iterdir()) == []


def test_a_run_directory_that_is_gone_is_a_problem(tmp_path, plan):
    (tmp_path / "run").rmdir()
    plan.add()

    problems, _ = preflight(plan.spec, plan.stage, plan.units, plan.environment)

    assert "the run directory" in problems[0]

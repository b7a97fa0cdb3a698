"""Asks an interpreter, any from Python 2.7 on, whether it runs and where it finds a module."""

import binascii
import os
import subprocess
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from msgspec import Struct

from procsup.core.late import fill_in, list_values
from procsup.core.slots import make_placement
from procsup.core.spec import StageSpec, UnitSpec
from procsup.core.text import make_visible
from procsup.host import pythons
from procsup.host.system import find_program, make_environment_key

LIMIT_S = 30.0

# Runs in the unit's own interpreter. The module is found, as `-m` finds it, but not run. Only its
# parent packages are imported, as `-m` does. They may print: the last marked line is the answer.
_QUESTION = r"""
import sys
path, sys.path = sys.path, [p for p in sys.path if p]  # no file of the user's in place of these
import binascii, os
if sys.version_info[0] == 2:
    import pkgutil
else:
    import importlib.util
sys.path = path

def find(name):
    if sys.version_info[0] == 2:
        loader = pkgutil.find_loader(name)
        if loader is None:
            return None
        get = getattr(loader, "get_filename", None)
        return bool(loader.is_package(name)), get and get(name)
    spec = importlib.util.find_spec(name)
    if spec is None:
        return None
    return spec.submodule_search_locations is not None, spec.origin if spec.has_location else None

def answer(name):
    if not name:
        return "found", ""
    try:
        found = find(name)
        is_package = found is not None and found[0]
        if is_package:
            found = find(name + ".__main__")
        if found is None:
            return "no-main" if is_package else "missing", ""
        return "found", found[1] or ""
    except BaseException:
        error = sys.exc_info()[1]
        text = str(error)
        lacks = getattr(error, "name", None) or text.replace("No module named ", "")
        if isinstance(error, ImportError) and text.startswith(("No module named", "__path__")):
            if (name + ".").startswith(lacks + "."):
                return "missing", ""
        return "broken", "%s: %s" % (type(error).__name__, error)

def coded(text):
    if not isinstance(text, bytes):
        text = os.fsencode(text)
    return binascii.hexlify(text)

answer = answer(sys.argv[1])
sys.stdout.flush()
os.write(1, b"\nprocsup:" + b":".join([coded(part) for part in answer]) + b":\n")
os._exit(0)
"""


class ModuleAnswer(Struct, frozen=True):
    """An interpreter's answer: `problem` may be empty, `file` is the module's if known."""

    problem: str = ""
    file: Optional[str] = None


def make_environment(
    stage: StageSpec, unit: UnitSpec, environment: Mapping[str, str], *, scratch: str
) -> Dict[str, str]:
    """Return a unit's environment, as far as it affects which modules its interpreter finds."""
    env = {**environment, **{make_environment_key(name): value for name, value in unit.env.items()}}
    if stage.pythonpath:
        inherited = [env["PYTHONPATH"]] if env.get("PYTHONPATH") else []
        env["PYTHONPATH"] = os.pathsep.join([*stage.pythonpath, *inherited])
    first = make_placement("", unit.cpus, unit.memory_bytes)
    values = {**list_values(1, first), "scratch": scratch}
    return {name: fill_in(value, values) for name, value in env.items()}


def ask(
    command: Sequence[str], module: Optional[str], *, cwd: str, env: Mapping[str, str]
) -> ModuleAnswer:
    """Ask the interpreter that `command` starts whether it runs, and where it finds the module."""
    called = make_visible(" ".join(command))
    try:
        output, errors, said = _run([*command, "-c", _QUESTION, module or ""], cwd, env)
    except subprocess.TimeoutExpired:
        return ModuleAnswer(f"interpreter {called} gave no answer within {LIMIT_S:g} s")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        looked = _describe_search(command, env)
        return ModuleAnswer(f"interpreter {called} could not be started: {reason}{looked}")
    marked = [line for line in output.splitlines() if line.startswith(b"procsup:")]
    if not marked:
        last = errors.decode("utf-8", "replace").strip().splitlines()[-1:]
        reason = make_visible(": ".join([said, *last]))
        looked = _describe_search(command, env)
        return ModuleAnswer(f"interpreter {called} does not run as a Python ({reason}){looked}")
    return _parse_answer(marked[-1], called, module or "", cwd)


def _describe_search(command: Sequence[str], env: Mapping[str, str]) -> str:
    version = pythons.find_version(tuple(command))
    said = pythons.search(version, env).explained if version is not None else ""
    return f"; {make_visible(said)}" if said else ""


def _parse_answer(line: bytes, called: str, module: str, cwd: str) -> ModuleAnswer:
    verdict, detail = (os.fsdecode(binascii.unhexlify(part)) for part in line.split(b":")[1:3])
    if verdict == "found":
        return ModuleAnswer(file=os.path.join(cwd, detail) if detail else None)
    if verdict == "missing":
        return ModuleAnswer(f"module {module} is not found by {called} in {make_visible(cwd)}")
    if verdict == "no-main":
        return ModuleAnswer(
            f"module {module} is a package without __main__: {called} cannot run it"
        )
    return ModuleAnswer(f"module {module} cannot be run by {called}: {make_visible(detail)}")


def _run(argv: List[str], cwd: str, env: Mapping[str, str]) -> Tuple[bytes, bytes, str]:
    """Run a command, at most `LIMIT_S`; return its stdout, stderr and its exit in words."""
    quiet = {**env, "PYTHONDONTWRITEBYTECODE": "1"}  # nothing is written before the first start
    with subprocess.Popen(
        argv,
        executable=find_program(argv[0], env.get("PATH", os.defpath), cwd),
        cwd=cwd,
        env=quiet,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        try:
            output, errors = child.communicate(timeout=LIMIT_S)
        except BaseException:
            child.kill()
            raise
    return output, errors, f"exit {child.returncode}"

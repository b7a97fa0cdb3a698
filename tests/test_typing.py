"""A program that uses the library is checked as strictly as its author likes."""

import inspect
import os
import re
import subprocess
import sys

import pytest

import procsup
from procsup import aio
from tests.support.projects import ROOT

PROGRAM = """
import asyncio
from pathlib import Path
from typing import Iterator, List

import procsup
import procsup.aio
from procsup import Unit


def units() -> Iterator[Unit]:
    for number in range(3):
        yield Unit(
            ["gzip", Path("a"), number],
            inputs=[Path("a")],
            outputs={"packed": {"path": "a.gz", "empty": True}, "log": "a.log"},
            env={"A": "1"},
            cpus=0.5,
            memory="2G",
            parameters={"n": number},
        )


manifest: procsup.Manifest = procsup.run_units(
    units(), name="n", on_failure={"do": "drain", "at": "10%"}, timeout="10m", retries=2
)
procsup.run_units([["true"], Unit(["false"])], keep="unchanged")
procsup.run_units([["gzip", str(path)] for path in Path().glob("*")])
procsup.map("pkg.mod", ["a", 1, Path("b")], args=["{}", "-o", "{.stem}"], outputs=["{}.json"])
procsup.map(["gzip", "-9"], Path().iterdir(), jobs=3, dir=Path("x"))
paths: List[Path] = manifest.outputs("units")
rows = manifest.rows()
spec: procsup.RunSpec = procsup.load("run.toml", vars={"day": "mon"})
for unit in procsup.plan(spec, fresh=True).to_run:
    print(unit.id, unit.reason)
with procsup.start(spec, jobs=2) as run:
    for event in run.events():
        if isinstance(event, procsup.UnitEnded) and event.verdict != "succeeded":
            run.drain()
    status: procsup.Status = run.status()
    run.stop(grace="1s")
    run.wait("1h", stage="s", check=False)
    text: str = run.id + str(run.dir)


async def main() -> None:
    first, second = await asyncio.gather(
        procsup.aio.run("run.toml"), procsup.aio.map("m", ["a"], timeout=3)
    )
    await procsup.aio.run_units(units())
    found: procsup.Manifest = await procsup.aio.wait_for("n", timeout="1m")
"""
WRONG = """
import procsup

procsup.run_units([["true"]], jobs="many")
procsup.Unit(["true"], cwd=3)
procsup.start("run.toml", progress="auto")
procsup.rnu("run.toml")
"""


def list_attributes(kind):
    """The public names of a class of ours: fields, methods, and what its `__init__` sets."""
    inherited = {*dir(tuple), *dir(Exception)} - {*getattr(kind, "__struct_fields__", ())}
    own = {*dir(kind), *re.findall(r"self\.(\w+)(?::| =)", inspect.getsource(kind))}
    return sorted(name for name in own - inherited if not name.startswith("_"))


def write_all_names():
    """A program with every public name as an expression, and every attribute of each class."""
    lines = ["import json", "import procsup", "import procsup.aio"]
    for module in (procsup, aio):
        for name in module.__all__:
            value = getattr(module, name)
            if not isinstance(value, type):
                lines.append(f"print({module.__name__}.{name})")
                continue
            lines.append(f"def look_at_{len(lines)}(seen: {module.__name__}.{name}) -> None:")
            lines += [f"    print(seen.{each})" for each in [*list_attributes(value), "__doc__"]]
    return "\n".join([*lines, 'print(json.loads("1"))'])


def check_types(folder, *options):
    """What mypy says of the programs there; an older one also complains of procsup's inside."""
    pytest.importorskip("mypy", reason="mypy is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir=cache", *options],
        cwd=str(folder),
        env={**os.environ, "MYPYPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    lines = [line.partition(": error: ") for line in done.stdout.splitlines()]
    return [(where, what) for where, _, what in lines if what and os.sep not in where]


def test_what_is_right_passes_and_what_is_wrong_is_found(tmp_path):
    (tmp_path / "right.py").write_text(PROGRAM)
    (tmp_path / "wrong.py").write_text(WRONG)

    errors = check_types(tmp_path, "right.py", "wrong.py")

    assert [where for where, _ in errors] == [f"wrong.py:{line}" for line in (4, 5, 6, 7)], errors


def test_no_public_name_is_any(tmp_path):
    (tmp_path / "names.py").write_text(write_all_names())
    last = write_all_names().count("\n") + 1  # has an Any, to show that one is found

    errors = check_types(tmp_path, "--disallow-any-expr", "--follow-imports=silent", "names.py")

    assert {where for where, _ in errors} == {f"names.py:{last}"}, errors

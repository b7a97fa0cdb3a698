"""A program that uses the library is checked as strictly as its author likes."""

import os
import subprocess
import sys

import pytest

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
"""


def test_what_is_right_passes_and_what_is_wrong_is_found(tmp_path):
    pytest.importorskip("mypy", reason="mypy is not installed")
    (tmp_path / "right.py").write_text(PROGRAM)
    (tmp_path / "wrong.py").write_text(WRONG)

    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir=cache", "right.py", "wrong.py"],
        cwd=str(tmp_path),
        env={**os.environ, "MYPYPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )

    # An older mypy has its own view of procsup's inside, which an installed package spares one.
    lines = [line for line in done.stdout.splitlines() if line.startswith(("right", "wrong"))]
    errors = [line for line in lines if ": error:" in line]
    assert [line.partition(": error:")[0] for line in errors] == [
        f"wrong.py:{line}" for line in (4, 5, 6)
    ], done.stdout

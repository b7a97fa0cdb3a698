"""A copy of configs/ and scripts/ to run in."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict, List

from procsup import Manifest, read_manifest
from tests.support.projects import ROOT, Project

_LEFT_OUT = shutil.ignore_patterns("out", ".procsup", "__pycache__")


class Copy:
    """configs/ and scripts/ in a folder of their own; results stay there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("configs", "scripts"):
            shutil.copytree(str(ROOT / name), str(folder / name), ignore=_LEFT_OUT)
        self.project = Project(folder)

    def run(self, name: str, *args: str, expect: int = 0) -> "subprocess.CompletedProcess[str]":
        done = self.project.call("run", f"configs/{name}.toml", *args)
        assert done.returncode == expect, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def script(self, name: str, *args: str) -> "subprocess.CompletedProcess[str]":
        """Run one of the scripts as a person does, with procsup installed."""
        return subprocess.run(
            [sys.executable, f"scripts/{name}", *args],
            cwd=str(self.folder),
            env=clean_environ(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def out(self, name: str) -> Path:
        return self.folder / "configs" / "out" / name

    def manifest(self, run: str) -> Manifest:
        return read_manifest(self.folder / "configs" / ".procsup" / run)

    def verdicts(self, run: str) -> Dict[str, str]:
        return {unit.id: unit.verdict for unit in self.manifest(run).units}

    def not_succeeded(self, run: str) -> Dict[str, str]:
        found = self.verdicts(run).items()
        return {unit: verdict for unit, verdict in found if verdict != "succeeded"}

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.folder / path
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path}"
        file.write_text(text.replace(old, new), encoding="utf-8")

    # --- data, as the head of a run file says ------------------------------------------------

    def simulate_samples(self, count: int) -> Path:
        raw = self.out("paired-samples") / "raw"
        self._made("samples/simulate.py", "--out", str(raw), "--samples", str(count))
        return raw

    def deliver(self, day: str) -> Path:
        inbox = self.out("nightly") / "inbox" / day
        sources = str(self.folder / "configs" / "nightly-sources.csv")
        self._made("nightly/deliver.py", "--day", day, "--sources", sources, "--out", str(inbox))
        return inbox

    def texts(self, **texts: str) -> List[str]:
        """Make texts to count, and return the options that name them."""
        folder = self.folder / "texts"
        folder.mkdir()
        for name, text in texts.items():
            (folder / f"{name}.txt").write_text(text, encoding="utf-8")
        return ["--var", "texts=../texts", "--var", "suffix=.txt"]

    def _made(self, *args: str) -> None:
        done = self.script(*args)
        assert done.returncode == 0, done.stderr


def clean_environ() -> Dict[str, str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("PROCSUP_RUN", None)
    return environment

"""The walls of the house, read from the imports: who may lean on whom, and what each may touch.

    errors < core < paths < interfaces < (loop | host < store < attempt < engines)
    < (runfile, console) < supervisor < queries < report < lib < cli

The loop and the edges beside it never import each other. Imports inside functions and those for
type checkers count too. Within runfile the phases (`PHASES`) have an order, too, and so have the
modules of the planner (`PLANNER`), which the rest of core does not import.
"""

import ast
from typing import Iterator, List, NamedTuple, Optional

import pytest

from tests.support.modules import PACKAGE, list_modules

LAYERS = {
    "errors": 0,
    "seams": 0,
    "docs": 0,  # pages
    "schema": 0,  # of files
    "core": 1,
    "paths": 2,
    "interfaces": 3,
    "loop": 4,
    "host": 4,
    "store": 5,
    "attempt": 6,
    "engines": 7,
    "runfile": 8,
    "console": 8,
    "supervisor": 9,
    "queries": 10,
    "report": 11,
    "lib": 12,
    "cli": 13,
    "aio": 13,
    "__main__": 14,
    "__init__": 15,  # the library's names, loaded on first use
}
MAY_IMPORT_LOOP = ("supervisor",)

# From the text of a run file to its units; its doors (`load`, `plan`) come after all of them.
PHASES = ("syntax", "vocabulary", "templates", "parameters", "stages", "checks", "units")

# From what a plan knows to what is done with it; each imports only those before it.
PLANNER = (
    "summary", "news", "units", "pacing", "state", "pace", "leftover_notes", "policies", "reuse",
    "stops", "verdicts", "attempts", "stages", "requests", "reactor", "rehearsal", "outlook",
)  # fmt: skip

# What the pure core may use beyond procsup. Everything else reads a clock, a file or the machine.
CORE_MAY_USE = {
    "__future__",
    "base64",
    "binascii",
    "bisect",
    "codecs",
    "collections",
    "copy",
    "csv",
    "datetime",
    "decimal",
    "enum",
    "fnmatch",
    "fractions",
    "functools",
    "hashlib",
    "difflib",
    "heapq",
    "itertools",
    "json",
    "math",
    "msgspec",
    "operator",
    "re",
    "shlex",
    "string",
    "textwrap",
    "types",
    "typing",
    "typing_extensions",
    "unicodedata",
    "zlib",
}
IMPURE_CALLS = {"open", "print", "input", "exec", "eval", "__import__"}
IMPURE_METHODS = {"now", "utcnow", "today"}  # of datetime

# Which system this is, asked in any of its ways.
SYSTEM_QUESTIONS = {
    ("sys", "platform"),
    ("sys", "getwindowsversion"),
    ("os", "name"),
    ("os", "uname"),
    ("platform", "system"),
    ("platform", "uname"),
}
EMPTY_OF_IMPORTS = ("__init__", "host")  # the guard forks before anything is imported


class Source(NamedTuple):
    """A module of procsup: its dotted name below the package, and its syntax tree."""

    name: str
    tree: ast.Module
    is_package: bool = False

    @property
    def part(self) -> str:
        return self.name.split(".")[0]


class Use(NamedTuple):
    """An imported module, absolute, and the name taken from it (None: the module itself)."""

    module: str
    taken: Optional[str]
    line: int


def source(name: str, text: str) -> Source:
    """Make a module from text, as if it stood in the package under that dotted name."""
    is_package = name.endswith("__init__") or name == "__init__"
    short = name[: -len(".__init__")] if name.endswith(".__init__") else name
    return Source(short, ast.parse(text), is_package)


def sources() -> List[Source]:
    found = []
    for path in list_modules():
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        found.append(source(name, path.read_text(encoding="utf-8")))
    return found


def uses(module: Source) -> Iterator[Use]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Use(alias.name, None, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            origin = _absolute(module, node)
            for alias in node.names:
                yield Use(origin, alias.name, node.lineno)


def _absolute(module: Source, node: ast.ImportFrom) -> str:
    if node.level == 0:
        return node.module or ""
    here = ["procsup", *module.name.split(".")] if module.name != "__init__" else ["procsup"]
    drop = node.level - 1 if module.is_package else node.level
    base = here[: len(here) - drop]
    return ".".join([*base, *(node.module or "").split(".")]).rstrip(".")


def part_used(use: Use) -> Optional[str]:
    """The part of procsup that an import leans on, or None if it is foreign."""
    words = use.module.split(".")
    if words[0] != "procsup":
        return None
    if len(words) > 1:
        return words[1]
    if use.taken in LAYERS:
        return use.taken
    return None  # `from procsup import __version__`: a constant, above nobody


def complaints(module: Source) -> List[str]:
    """All that is wrong with a module, each with its line."""
    found = [
        *_against_the_layers(module),
        *_against_the_phases(module),
        *_against_the_planner(module),
        *_asking_for_the_system(module),
        *_behind_the_doors(module),
        *_impure(module),
        *_heavy_front(module),
    ]
    return [f"{module.name}:{complaint}" for complaint in found]


def _against_the_layers(module: Source) -> Iterator[str]:
    mine = module.part
    if mine not in LAYERS:
        yield f"1: {mine} is no part of the picture: give it a layer here and in architecture.md"
        return
    for use in uses(module):
        other = part_used(use)
        if other is None or other == mine:
            continue
        if other not in LAYERS:
            yield f"{use.line}: imports {other}, which is no part of the picture"
        elif other == "loop" and mine not in MAY_IMPORT_LOOP:
            yield f"{use.line}: imports the loop; only supervisor may"
        elif LAYERS[other] >= LAYERS[mine]:
            yield f"{use.line}: {mine} imports {other}"


def _against_the_phases(module: Source) -> Iterator[str]:
    mine = _phase(module.name.split("."))
    for use in uses(module):
        other = _phase([*use.module.split("."), use.taken or ""][1:])
        if mine is not None and other is not None and other > mine:
            yield f"{use.line}: {PHASES[mine]} imports {use.module} {use.taken or ''}"


def _against_the_planner(module: Source) -> Iterator[str]:
    if module.part != "core":
        return
    mine = _place(module.name.split("."))
    for use in uses(module):
        other = _place(use.module.split(".")[1:])
        if mine is not None and other is not None and other >= max(mine, 0):
            yield f"{use.line}: {module.name} imports {use.module}, which comes later"


def _place(words: List[str]) -> Optional[int]:
    """The place of a module in the planner, -1 for the rest of core; None for its package."""
    if words[:2] != ["core", "plan"]:
        return -1 if words[:1] == ["core"] and words[1:] else None
    return PLANNER.index(words[2]) if words[2:] and words[2] != "__init__" else None


def _phase(words: List[str]) -> Optional[int]:
    """The number of the phase that a module of runfile is in; that of a door is the last."""
    if words[0] != "runfile":
        return None
    return PHASES.index(words[1]) if words[1:] and words[1] in PHASES else len(PHASES)


def _asking_for_the_system(module: Source) -> Iterator[str]:
    if module.part == "host":
        return
    for node in ast.walk(module.tree):
        if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)):
            continue
        if (node.value.id, node.attr) in SYSTEM_QUESTIONS:
            yield f"{node.lineno}: asks {node.value.id}.{node.attr} outside host/"
    for use in uses(module):
        if (use.module, use.taken) in SYSTEM_QUESTIONS:
            yield f"{use.line}: asks {use.module}.{use.taken} outside host/"


def _behind_the_doors(module: Source) -> Iterator[str]:
    for use in uses(module):
        top = use.module.split(".")[0]
        if top == "psutil" and module.name != "host.machine":
            yield f"{use.line}: imports psutil outside host/machine.py"
        if top in ("subprocess", "signal") and module.part not in ("host", "attempt"):
            yield f"{use.line}: imports {top} outside host/ and attempt/"


def _impure(module: Source) -> Iterator[str]:
    if module.part not in ("core", "errors"):
        return
    for use in uses(module):
        top = use.module.split(".")[0]
        if top != "procsup" and top not in CORE_MAY_USE:
            yield f"{use.line}: {module.part} is pure and imports {use.module}"
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS:
            yield f"{node.lineno}: {module.part} is pure and calls {node.func.id}()"
        if isinstance(node.func, ast.Attribute) and node.func.attr in IMPURE_METHODS:
            yield f"{node.lineno}: {module.part} is pure and asks the time: {node.func.attr}()"


def _heavy_front(module: Source) -> Iterator[str]:
    if module.name not in EMPTY_OF_IMPORTS:
        return
    for node in module.tree.body:
        is_future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
        if isinstance(node, (ast.Import, ast.ImportFrom)) and not is_future:
            yield f"{node.lineno}: {module.name} imports at its top, before the guard forks"


# --- the house as it stands --------------------------------------------------------------


@pytest.mark.parametrize("module", sources(), ids=lambda module: module.name)
def test_every_module_keeps_to_its_layer(module):
    assert complaints(module) == []


# --- the checker itself: each wall, with a hole knocked into it --------------------------

HOLES = [
    ("core.plan.reactor", "from procsup.host import procfs", "core imports host"),
    ("core.plan.reactor", "from procsup.interfaces import Clock", "core imports interfaces"),
    ("core.replay", "from ..store import journal", "core imports store"),
    ("core.replay", "from .. import store", "core imports store"),
    ("core.__init__", "from ..store import journal", "core imports store"),
    ("core.plan.state", "from procsup.core.plan.reactor import handle", "which comes later"),
    ("core.records", "from procsup.core.plan.units import Unit", "which comes later"),
    ("errors", "import procsup.core.spec", "errors imports core"),
    ("interfaces", "from procsup import loop", "imports the loop"),
    ("loop", "from procsup.engines.local import LocalEngine", "loop imports engines"),
    ("engines.local", "from procsup.loop import supervise", "imports the loop"),
    ("console.bar", "from procsup.loop import supervise", "imports the loop"),
    ("cli.run", "from procsup.loop import supervise", "imports the loop"),
    ("host.files", "from procsup.store import rundir", "host imports store"),
    ("store.journal", "from procsup.attempt import child", "store imports attempt"),
    ("core.globs", "from procsup.paths import walk", "core imports paths"),
    ("paths.walk", "from procsup.host import files", "paths imports host"),
    ("attempt.child", "from procsup.engines import local", "attempt imports engines"),
    ("console.bar", "from procsup.report import counts", "console imports report"),
    ("runfile.syntax.reading", "from procsup.console import lines", "runfile imports console"),
    ("runfile.stages.run", "from procsup.runfile.units.maker import x", "stages imports"),
    ("runfile.syntax.values", "from procsup.runfile import templates", "syntax imports"),
    (
        "runfile.units.expand",
        "def f():\n    from procsup.runfile.load import load",
        "units imports",
    ),
    ("queries.status", "from procsup.report import counts", "queries imports report"),
    ("supervisor.session", "def f():\n    from procsup.cli import main", "supervisor imports cli"),
    (
        "core.plan.reactor",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import procsup.loop",
        "imports the loop",
    ),
    ("attic.box", "x = 1", "no part of the picture"),
    ("core.plan.reactor", "from procsup.attic import box", "no part of the picture"),
    ("store.journal", "import psutil", "psutil outside"),
    ("host.readings", "import psutil", "psutil outside"),
    ("host.readings", "from psutil import Process", "psutil outside"),
    ("store.journal", "import sys\nif sys.platform == 'linux': pass", "asks sys.platform"),
    ("engines.local", "import os\nx = os.name", "asks os.name"),
    ("cli.main", "from os import name", "asks os.name"),
    ("supervisor.session", "import platform\nplatform.system()", "asks platform.system"),
    ("cli.main", "import signal", "signal outside"),
    ("supervisor.session", "from subprocess import Popen", "subprocess outside"),
    ("core.text", "import os", "is pure and imports os"),
    ("core.text", "import time", "is pure and imports time"),
    ("core.text", "import logging", "is pure and imports logging"),
    ("core.text", "from pathlib import Path", "is pure and imports pathlib"),
    ("core.text", "import os.path", "is pure and imports os.path"),
    ("core.text", "open('x')", "calls open()"),
    ("core.text", "print('x')", "calls print()"),
    ("core.text", "import datetime\ndatetime.datetime.now()", "asks the time"),
    ("__init__", "from procsup.lib import run", "imports at its top"),
    ("host.__init__", "import os", "imports at its top"),
]


@pytest.mark.parametrize(("name", "text", "expected"), HOLES)
def test_a_hole_in_a_wall_is_seen(name, text, expected):
    found = complaints(source(name, text))

    assert len(found) == 1
    assert expected in found[0]


ALLOWED = [
    ("core.plan.reactor", "from procsup.errors import ProcsupError\nimport heapq"),
    ("core.replay", "from procsup.core.spec import RunSpec\nfrom . import slots"),
    ("loop", "import time\nfrom procsup.core.plan.state import Plan"),
    ("attempt.child", "import subprocess\nfrom procsup.host import files"),
    ("engines.local", "from procsup.attempt import child\nfrom procsup.store import rundir"),
    ("store.journal", "from procsup.host.files import replace"),
    ("host.machine", "import psutil, sys\nx = sys.platform"),
    ("supervisor.session", "from procsup.loop import supervise\nfrom procsup import console"),
    ("runfile.syntax.reading", "from procsup.host import files"),
    ("runfile.load", "from procsup.runfile.units import expand\nfrom procsup.runfile import plan"),
    ("runfile.checks.looks", "from procsup.runfile.syntax.problems import Wrong"),
    ("paths.walk", "import os\nfrom procsup.core.globs import parse"),
    (
        "cli.run",
        "from procsup.supervisor import session\nfrom procsup import __version__",
    ),
    ("__main__", "def main():\n    from procsup.cli.main import main"),
    ("__init__", "def __getattr__(name):\n    from procsup.lib import library"),
]


@pytest.mark.parametrize(("name", "text"), ALLOWED)
def test_what_the_picture_allows_is_let_through(name, text):
    assert complaints(source(name, text)) == []

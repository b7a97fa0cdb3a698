"""The manners of the house that ruff does not know: sizes, and words that do not belong here."""

import ast
import re
from pathlib import Path
from typing import Iterator, List, Tuple

import pytest

from tests.support.modules import EXAMPLES, PACKAGE, list_modules

ROOT = Path(__file__).resolve().parent.parent
LONGEST_FILE = 700  # a file is as long as its idea; beyond this it is hardly one
LONGEST_FUNCTION = 45
OURS = ("procsup", "scripts", "tests", "configs", ".ci", ".github")
TEXTS = ("*.py", "*.sh", "*.toml", "*.md", "*.yml", "run")

# A function does something: its name is a verb. That of a property may say what a value is.
PARTICIPLE = re.compile(
    r"_*(?:[a-z]+[^e]ed|begun|chosen|done|found|given|gone|held|kept|left|made|meant|said|seen|shown"
    r"|told|written|(?!(?:is|list|may)_)[a-z][a-z_]*_of)"
)

# Spelled in pieces, so that this file may stand in the house itself.
UNFINISHED = re.compile(
    r"\b(?:TO" + "DO|FIX" + "ME|X" + r"XX|HA" + r"CK)\b|\braise NotImplemented" + "Error"
)
MACHINE = re.compile(r"(?<![\w.])/(?:wo" + "rk|fa" + "rm|ro" + r"ot)/|(?<![\w.])/tm" + r"p/[a-z]")


def texts() -> List[Path]:
    found = [path for path in ROOT.iterdir() if path.suffix in (".md", ".toml")]
    for folder in OURS:
        for pattern in TEXTS:
            found += (ROOT / folder).rglob(pattern)
    hidden = {"out", ".procsup", "__pycache__"}
    return sorted(path for path in found if path.is_file() and not hidden & set(path.parts))


def functions(tree: ast.AST) -> Iterator[Tuple[str, int]]:
    """Yield the name and the number of lines of every function."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def silent_handlers(tree: ast.AST, lines: List[str]) -> Iterator[int]:
    """Yield the line of every `except` that only passes and does not say why."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and [type(n) for n in node.body] == [ast.Pass]:
            said = lines[node.lineno - 1 : node.body[0].lineno]
            if not any("#" in line for line in said):
                yield node.lineno


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", list_modules(), ids=short)
def test_no_room_is_too_large(path):
    text = path.read_text(encoding="utf-8")
    long = [f"{name}: {n}" for name, n in functions(ast.parse(text)) if n > LONGEST_FUNCTION]

    assert text.count("\n") <= LONGEST_FILE
    assert long == []


@pytest.mark.parametrize("path", list_modules(), ids=short)
def test_a_swallowed_error_says_why(path):
    text = path.read_text(encoding="utf-8")

    assert list(silent_handlers(ast.parse(text), text.splitlines())) == []


def test_half_of_the_functions_have_ten_lines_or_fewer():
    sizes = sorted(
        size
        for path in list_modules()
        for _, size in functions(ast.parse(path.read_text(encoding="utf-8")))
    )

    assert sizes[len(sizes) // 2] <= 10


@pytest.mark.parametrize("path", list_modules(), ids=short)
def test_a_function_is_no_participle_and_no_noun_with_of(path):
    named = [
        node.name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and PARTICIPLE.fullmatch(node.name)
        and not any("property" in ast.dump(one) for one in node.decorator_list)
    ]

    assert named == []


@pytest.mark.parametrize("path", texts(), ids=short)
def test_nothing_is_left_unfinished_and_no_machine_is_named(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [
        f"{number}: {line.strip()}"
        for number, line in enumerate(lines, 1)
        if UNFINISHED.search(line) or MACHINE.search(line)
    ]

    assert found == []


def test_each_folder_of_the_package_is_a_package_that_any_zip_or_freezer_finds():
    folders = {path.parent for path in list_modules()} | {
        path.parent for path in PACKAGE.rglob("*.json") if EXAMPLES not in path.parents
    }

    assert [short(one) for one in sorted(folders) if not (one / "__init__.py").exists()] == []


def test_tests_do_not_sleep():
    sleepers = [
        short(path)
        for path in (ROOT / "tests").rglob("*.py")
        if "programs" not in path.parts
        and short(path) != "tests/faults/laws.py"  # looks again and again, within a limit
        and re.search(r"\btime\.sleep" + r"\(", path.read_text(encoding="utf-8"))
    ]

    assert sleepers == []


def test_no_run_file_of_a_test_has_a_path_of_python_with_backslashes():
    """`tests.support.projects.PYTHON` has none."""
    written = re.compile(r"python=sys\.exec|(command|\[stage).*\{sys\.exec|format\(sys\.exec")
    found = [
        f"{short(path)}: {line.strip()}"
        for path in (ROOT / "tests").rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if written.search(line) and "-m procsup" not in line and "written =" not in line
    ]

    assert found == []


def test_the_checks_see_what_they_are_for():
    assert UNFINISHED.search("# TO" + "DO later")
    assert MACHINE.search("see /wo" + "rk/main")
    assert not MACHINE.search("https://example.org/work" + "/x")
    assert list(functions(ast.parse("def f():\n    x = 1\n    return x"))) == [("f", 3)]
    bad = "try:\n    f()\nexcept OSError:\n    pass"
    good = "try:\n    f()\nexcept OSError:\n    pass  # gone already"
    assert list(silent_handlers(ast.parse(bad), bad.splitlines())) == [3]
    assert list(silent_handlers(ast.parse(good), good.splitlines())) == []

"""How the package is built, in figures: ``python scripts/house.py [REVISION ...]``.

A column for each revision (a commit, a tag), and one for the files as they are now. Circles are
sets of modules that import each other, by whatever way, those in functions included and those for
type checkers left out; they are listed below the table.
"""

import argparse
import ast
import io
import statistics
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Set, Tuple

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "procsup"
SHORT_LINES = 50
Sources = Dict[str, str]  # by path, as in the repository


class House(NamedTuple):
    """The figures of one state of the package."""

    figures: Dict[str, str]
    circles: List[List[str]]


def main() -> int:
    """Print the table, then the circles of the last column."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("revisions", nargs="*", metavar="REVISION", help="a commit or a tag")
    revisions = parser.parse_args().revisions
    try:
        houses = [*(survey(at_revision(name)) for name in revisions), survey(now())]
    except subprocess.CalledProcessError as error:
        parser.error(f"git has no such state of the package: {error.stderr.decode().strip()}")
    names = [*revisions, "now"]
    rows = [["", *names]]
    rows += [[figure, *(one.figures[figure] for one in houses)] for figure in houses[-1].figures]
    print("\n".join(table(rows)))
    for circle in houses[-1].circles:
        print("circle: " + ", ".join(circle))
    return 0


def now() -> Sources:
    """Return the files of the package as they are."""
    paths = sorted((ROOT / PACKAGE).rglob("*.py"))
    paths = [path for path in paths if ROOT / PACKAGE / "examples" not in path.parents]
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def at_revision(name: str) -> Sources:
    """Return the files of the package in a commit."""
    command = ["git", "-C", str(ROOT), "archive", "--format=tar", name, PACKAGE]
    packed = subprocess.run(command, check=True, capture_output=True).stdout
    sources: Sources = {}
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(".py") else None
            if file is not None:
                sources[member.name] = file.read().decode("utf-8")
    return sources


def survey(sources: Sources) -> House:
    """Measure the package."""
    trees = {module_of(path): ast.parse(text) for path, text in sources.items()}
    lines = [text.count("\n") for text in sources.values()]
    functions = sorted(found for name, tree in trees.items() for found in functions_of(name, tree))
    sizes = [size for size, _ in functions] or [0]
    largest, where = functions[-1] if functions else (0, "")
    inner = [node for tree in trees.values() for node in inner_imports(tree)]
    graph = {name: set(imported(name, tree, trees)) for name, tree in trees.items()}
    found = circles(graph)
    figures = {
        "modules": str(len(sources)),
        "lines": str(sum(lines)),
        f"files under {SHORT_LINES} lines": str(sum(0 < n < SHORT_LINES for n in lines)),
        "lines of the median file": f"{statistics.median(lines or [0]):g}",
        "lines of the largest file": str(max(lines, default=0)),
        "functions": str(len(functions)),
        "lines of the median function": f"{statistics.median(sizes):g}",
        "largest function": f"{largest} ({where})",
        "imports in functions": str(len(inner)),
        "circles of modules": str(len(found)),
        "modules in circles": str(sum(map(len, found))),
    }
    return House(figures, found)


def module_of(path: str) -> str:
    """Return the dotted name of a file of the package."""
    return path[: -len(".py")].replace("/", ".").replace(".__init__", "")


def functions_of(module: str, tree: ast.AST) -> Iterator[Tuple[int, str]]:
    """Yield the lines and the name of each function, without its decorators."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield (node.end_lineno or node.lineno) - node.lineno + 1, f"{module}: {node.name}"


def inner_imports(tree: ast.AST) -> Set[ast.AST]:
    """Return the imports within functions."""
    return {
        node
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        for node in ast.walk(function)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }


def imported(module: str, tree: ast.AST, known: Dict[str, ast.Module]) -> Iterator[str]:
    """Yield the modules of the package that one imports when it runs."""
    for node in running(tree):
        names: List[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                names.append(inner if inner in known else str(node.module))
        yield from (name for name in names if name in known and name != module)


def running(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes but those that are for type checkers only."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            continue
        yield node
        yield from running(node)


def circles(graph: Dict[str, Set[str]]) -> List[List[str]]:
    """Return the sets of modules each of which leads to all others of its set, two or more."""
    reached = {name: reach(graph, name) for name in graph}
    found = {
        tuple(sorted(other for other in reached[name] if name in reached[other]))
        for name in graph
        if name in reached[name]
    }
    return sorted(map(list, found))


def reach(graph: Dict[str, Set[str]], start: str) -> Set[str]:
    """Return all that can be reached from a module, in one step or more."""
    seen: Set[str] = set()
    left = list(graph[start])
    while left:
        name = left.pop()
        if name not in seen:
            seen.add(name)
            left += graph[name]
    return seen


def table(rows: List[List[str]]) -> Iterator[str]:
    """Yield the lines of a table in Markdown."""
    for number, row in enumerate(rows):
        yield "| " + " | ".join(row) + " |"
        if number == 0:
            yield "| --- " * len(row) + "|"


if __name__ == "__main__":
    sys.exit(main())

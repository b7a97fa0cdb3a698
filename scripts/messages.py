"""Every sentence that a user can meet, as a table from the code: ``python scripts/messages.py``.

A line for each string of the package with two words or more: where it stands, its kind, and the
text, with `{name}` for what is filled in. Docstrings, patterns and programs are left out. Kinds:

    error   raised, or made to be raised; a problem of a run file
    usage   a mistake on the command line
    notice  written to stderr while a verb does its work
    help    what --help, the schema and the page of the run file say
    part    the rest: reasons in records, reports, parts of other messages
"""

import argparse
import ast
import re
import sys
from collections import Counter
from pathlib import Path
from typing import List, NamedTuple, Optional, Set

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "procsup"
KINDS = ("error", "usage", "notice", "help", "part")

_TWO_WORDS = re.compile(r"[A-Za-z`'\"})…][,:;.)]? \(?[`'\"{A-Za-z]")
_USAGE = ("UsageError", "BadParameter")
_NOTICES = {"write_stderr", "notice", "_notice", "remark"}
_HELPS = {"option", "argument", "command", "exit_codes", "Key", "Type", "add_json", "add_dry_run"}
_HELPS |= {"add_duration", "group", "Option", "Verbs"}
_HELP_TABLES = re.compile(r"_?(?:HELP|CODES|SIGNAL|VERBS|RUN_HELP|UNITS_HELP|TOPICS|EPILOG)")
_NO_TEXT = {"compile_at_use", "compile", "sub", "fullmatch", "match", "search", "finditer", "split"}
_ERROR = re.compile(r"_?[A-Z]\w*(?:Error|Failed|Unfinished|Changed|Busy|Timeout|Wrong|Refused)")
_ERRORS = {"Wrong", "NoSuchRun", "NoQuantity", "make_wrong", "refuse", "_refuse", "add", "note"}
_PROGRAM = re.compile(r"\bimport \w+\n|\n    \w|^\s*(?:SELECT|def )")


class Message(NamedTuple):
    """One text; `text` is its template."""

    place: str  # file:line
    kind: str
    text: str


def main() -> int:
    """Print the table, and a count of each kind to stderr."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kind", action="append", choices=KINDS, help="only of this kind")
    parser.add_argument("--grep", metavar="REGEX", help="only texts in which this is found")
    given = parser.parse_args()
    found = [one for one in find_messages(ROOT / PACKAGE) if one.kind in (given.kind or KINDS)]
    found = [one for one in found if re.search(given.grep or "", one.text)]
    for one in found:
        print(f"{one.place}\t{one.kind}\t" + one.text.replace("\n", "\\n"))
    counts = Counter(one.kind for one in found)
    shown = ", ".join(f"{counts[kind]} {kind}" for kind in KINDS)
    print(f"{len(found)} messages: {shown}", file=sys.stderr)
    return 0


def find_messages(package: Path) -> List[Message]:
    """Return the messages of a package, in the order of its files and lines."""
    found: List[Message] = []
    for path in sorted(package.rglob("*.py")):
        if package / "examples" not in path.parents:
            shown = path.relative_to(package.parent).as_posix()
            found += find_in_module(path.read_text(encoding="utf-8"), shown)
    return found


def find_in_module(source: str, path: str) -> List[Message]:
    """Return the messages of a module."""
    finder = _Finder(path)
    finder.visit(ast.parse(source))
    return finder.found


class _Finder(ast.NodeVisitor):
    def __init__(self, path: str) -> None:
        self.found: List[Message] = []
        self._path = path
        self._kinds = ["part"]
        self._docstrings: Set[ast.AST] = set()

    def visit_Module(self, node: ast.Module) -> None:
        self._visit_body(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._visit_body(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._visit_body(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._visit_body(node)

    def _visit_body(self, node: ast.AST) -> None:
        for one in getattr(node, "body", ()):
            if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant):
                self._docstrings.add(one.value)  # of attributes, too
        self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> None:
        pass  # a fault of procsup, which no user can mend

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._visit_assigned([node.target], node.value)  # its annotation may be a text

    def visit_Assign(self, node: ast.Assign) -> None:
        self._visit_assigned(node.targets, node.value)

    def _visit_assigned(self, targets: List[ast.expr], value: Optional[ast.expr]) -> None:
        names = [one.id for one in targets if isinstance(one, ast.Name)]
        is_help = any(_HELP_TABLES.fullmatch(name) for name in names)
        if value is not None:
            self._visit_as("help" if is_help else self._kinds[-1], value)

    def visit_Raise(self, node: ast.Raise) -> None:
        if node.exc is not None:
            self._visit_as("error" if self._kinds[-1] != "usage" else "usage", node.exc)

    def visit_Call(self, node: ast.Call) -> None:
        name = _name(node.func)
        if name in _NO_TEXT and not isinstance(node.func, ast.Name):
            self.visit(node.func)
            return
        if name == "compile_at_use":
            return
        self._visit_as(_find_kind(name) or self._kinds[-1], *ast.iter_child_nodes(node))

    def _visit_as(self, kind: str, *nodes: ast.AST) -> None:
        self._kinds.append(kind)
        for node in nodes:
            self.visit(node)
        self._kinds.pop()

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and node not in self._docstrings:
            self._add(node, node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        self._add(node, "".join(map(_show, node.values)))
        for one in node.values:
            if isinstance(one, ast.FormattedValue):
                self.visit(one.value)

    def _add(self, node: ast.expr, text: str) -> None:
        if _TWO_WORDS.search(text) and not _PROGRAM.search(text):
            self.found.append(Message(f"{self._path}:{node.lineno}", self._kinds[-1], text))


def _find_kind(name: str) -> str:
    if name in _USAGE:
        return "usage"
    if name in _NOTICES:
        return "notice"
    if name in _HELPS:
        return "help"
    return "error" if name in _ERRORS or _ERROR.fullmatch(name) else ""


def _show(part: ast.expr) -> str:
    if isinstance(part, ast.FormattedValue):
        return f"{{{_name(part.value) or '...'}}}"
    return str(part.value) if isinstance(part, ast.Constant) else ""


def _name(node: ast.AST) -> str:
    """Return the name that an expression ends with; empty if it has none."""
    if isinstance(node, ast.Call):
        inner = [_name(one) for one in node.args]
        return inner[0] if inner and inner[0] else _name(node.func)
    if isinstance(node, ast.Subscript):
        return _name(node.value)
    return getattr(node, "id", "") or getattr(node, "attr", "")


if __name__ == "__main__":
    sys.exit(main())

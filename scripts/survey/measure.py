"""Measure Python source: lines, shapes, imports. Pure: text in, figures out."""

import ast
import io
import tokenize
import warnings
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_BLOCKS: Tuple[type, ...] = (
    *_FUNCTIONS,
    ast.ClassDef,
    ast.If,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.With,
    ast.AsyncWith,
    ast.Try,
    *(getattr(ast, name) for name in ("TryStar", "Match") if hasattr(ast, name)),
)


_DOCUMENTABLE = (ast.Module, ast.ClassDef, *_FUNCTIONS)
Placed = Tuple[ast.AST, int]


class Lines(NamedTuple):
    """A file's lines by kind; their sum is the number of lines."""

    code: int
    comment: int
    docstring: int
    blank: int


class Shape(NamedTuple):
    """What a file's syntax tree holds."""

    functions: int
    classes: int
    documentable: int
    documented: int
    max_nesting: int
    longest_function_lines: int
    imports: Dict[str, int]


def parse(data: bytes) -> Optional[ast.Module]:
    """Return the syntax tree, or None if this interpreter cannot parse the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes are the library's own affair
        try:
            return ast.parse(data)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def walk(tree: Optional[ast.Module]) -> List[Placed]:
    """Return all nodes, each with the number of blocks it stands in, itself included.

    However deep the tree, this needs no recursion.
    """
    pending: List[Placed] = [] if tree is None else [(tree, 0)]
    placed: List[Placed] = []
    while pending:
        node, depth = pending.pop()
        placed.append((node, depth))
        for child in ast.iter_child_nodes(node):
            deeper = isinstance(child, _BLOCKS) and not _is_elif(node, child)
            pending.append((child, depth + deeper))
    return placed


def decode(data: bytes) -> str:
    """Decode source as Python would; what it would refuse becomes Latin-1, which never fails."""
    try:
        encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
        text = data.decode(encoding)
    except (SyntaxError, UnicodeDecodeError, LookupError):
        text = data.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def count_lines(text: str, nodes: Sequence[Placed]) -> Lines:
    """Sort the lines by kind. Without nodes (nothing could be parsed), docstrings are code."""
    docstrings: Set[int] = set()
    strings: Set[int] = set()
    for node, _ in nodes:
        if _is_text(node):
            strings.update(_lines_of(node))
        elif isinstance(node, _DOCUMENTABLE) and _has_docstring(node):
            docstrings.update(_lines_of(node.body[0]))
    counts = {"code": 0, "comment": 0, "docstring": 0, "blank": 0}
    for number, line in enumerate(text.split("\n")[: _line_count(text)], 1):
        counts[_kind(line.strip(), number, docstrings, strings)] += 1
    return Lines(**counts)


def _line_count(text: str) -> int:
    return text.count("\n") + (not text.endswith("\n") and text != "")


def _kind(line: str, number: int, docstrings: Set[int], strings: Set[int]) -> str:
    if number in docstrings:
        return "docstring"
    if number in strings:
        return "code"  # a blank or a # inside a string is neither
    if not line:
        return "blank"
    return "comment" if line.startswith("#") else "code"


def _lines_of(node: Any) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def _is_text(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, (str, bytes))
    return isinstance(node, ast.JoinedStr)


def _has_docstring(node: Any) -> bool:
    first = node.body[0] if node.body else None
    return (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    )


def shape_of(nodes: Sequence[Placed]) -> Shape:
    """Count what a syntax tree holds."""
    functions = classes = documented = deepest = longest = 0
    imports: Dict[str, int] = {}
    for node, depth in nodes:
        deepest = max(deepest, depth)
        documented += isinstance(node, _DOCUMENTABLE) and _has_docstring(node)
        if isinstance(node, _FUNCTIONS):
            functions += 1
            longest = max(longest, (node.end_lineno or node.lineno) - node.lineno + 1)
        elif isinstance(node, ast.ClassDef):
            classes += 1
        for name in _imported(node):
            imports[name] = imports.get(name, 0) + 1
    return Shape(functions, classes, 1 + functions + classes, documented, deepest, longest, imports)


def _is_elif(parent: ast.AST, child: ast.AST) -> bool:
    """Tell whether the tree holds an ``elif``, which is an ``if`` inside the ``else``."""
    return (
        isinstance(parent, ast.If)
        and isinstance(child, ast.If)
        and parent.orelse == [child]
        and parent.col_offset == child.col_offset
    )


def _imported(node: ast.AST) -> List[str]:
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        return [node.module.partition(".")[0]]
    return []

"""Explains which kind of file was given instead of a run file, and what the user can do."""

import os
from typing import Any, Iterable, List, Mapping, Optional

from procsup.core.regexes import compile_at_use
from procsup.core.text import find_nearest, list_some, make_visible, quote_word

_MAKE_ONE = "`procsup init` writes one"
_NAMES = {
    "makefile": ("a Makefile", "`procsup help coming-from` compares the two"),
    "gnumakefile": ("a Makefile", "`procsup help coming-from` compares the two"),
    "snakefile": ("a Snakefile", "`procsup help coming-from` compares the two"),
    "dockerfile": ("a Dockerfile", ""),
}
_SUFFIXES = {
    ".mk": _NAMES["makefile"],
    ".smk": _NAMES["snakefile"],
    ".yaml": ("YAML", ""),
    ".yml": ("YAML", ""),
    ".json": ("JSON", ""),
    ".jsonl": ("JSON", ""),
    ".ipynb": ("a notebook", ""),
    ".ini": ("an INI file", ""),
    ".cfg": ("an INI file", ""),
    ".md": ("text", ""),
    ".txt": ("text", "`procsup map COMMAND < {file}` runs a command once for each of its lines"),
    ".csv": ("a table", 'a run file makes a unit of each row: units = {{ csv = "{file}" }}'),
    ".tsv": ("a table", 'a run file makes a unit of each row: units = {{ csv = "{file}" }}'),
}
_PROGRAMS = {
    ".py": ("a Python program", "python"),
    ".sh": ("a shell script", "sh"),
    ".bash": ("a shell script", "bash"),
    ".r": ("an R program", "Rscript"),
    ".jl": ("a Julia program", "julia"),
    ".pl": ("a Perl program", "perl"),
    ".js": ("a JavaScript program", "node"),
}
_SHEBANG = compile_at_use(r"#!\s*(?:\S*/env\s+(?:-S\s+)?)?(\S+)")
_MOST_NAMED = 5


def describe_other_kind(path: str, content: bytes) -> str:
    """Return the kind of a file and what to do with it; empty if it may be a run file.

    `content` could not be read as TOML.
    """
    name = os.path.basename(path).lower()
    suffix = os.path.splitext(name)[1]
    if suffix == ".toml":
        return ""
    kind, cure = _NAMES.get(name) or _SUFFIXES.get(suffix) or ("", "")
    program, start = _PROGRAMS.get(suffix, ("", ""))
    shebang = _SHEBANG.match(content[:200].decode("latin-1"))
    if program:
        kind, cure = program, _describe_map(start, path)
    elif shebang is not None:
        kind, cure = "a script", _describe_map(os.path.basename(shebang.group(1)), path)
    elif b"\0" in content[:8192] and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        kind = "a binary file"
    elif not kind and content.lstrip()[:1] == b"{":
        kind = "JSON"
    if name == "manifest.json":
        folder = quote_word(os.path.dirname(path) or ".")
        kind, cure = "the manifest of a run", f"`procsup status {_double(folder)}` shows that run"
    if not kind:
        return ""
    cures = [cure.format(file=make_visible(path)), _MAKE_ONE]
    return f"is {kind}, expected a run file (TOML): {'; '.join(filter(None, cures))}"


def _describe_map(program: str, path: str) -> str:
    command = f"procsup map {program} {quote_word(path)} ::: INPUT..."
    return f"`{_double(command)}` runs it once for each input"


def _double(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def describe_other_toml(path: str, data: Mapping[str, Any], known: Iterable[str]) -> str:
    """Say that a TOML file is not a run file; empty if it has a key of one, even mistyped."""
    words = tuple(known)
    if not data or any(key in words or find_nearest(key, words) for key in data):
        return ""
    named = list_some([f"`{make_visible(key)}`" for key in data], _MOST_NAMED)
    is_project = os.path.basename(path) == "pyproject.toml"
    what = "describes a Python project" if is_project else "is TOML for another program"
    return f"{what} ({named}), expected a run file, with a table [stage.NAME]: {_MAKE_ONE}"


def describe_missing(path: str) -> str:
    """Say that a run file does not exist, which file may be meant, and how to make one."""
    folder, name = os.path.split(path)
    where = make_visible(folder or ".")
    there = _list_toml(folder or ".")
    if there is None:
        return f"there is no such file: the folder {where} does not exist"
    stems = {os.path.splitext(one)[0]: one for one in there}
    near = stems.get(find_nearest(os.path.splitext(name)[0], stems) or "")
    if near and name != "procsup.toml":
        return f"there is no such file (did you mean {quote_word(os.path.join(folder, near))}?)"
    cures = [f"{_MAKE_ONE} (`procsup init --list` names the kinds)"]
    if there:
        shown = [make_visible(os.path.join(folder, one)) for one in there]
        cures.insert(0, f"name another one ({list_some(shown, _MOST_NAMED)})")
    return f"there is no such file: {', or '.join(cures)}"


def describe_folder(path: str) -> str:
    """Say that a path is a folder, and which run files it has."""
    inside = [quote_word(os.path.join(path, name)) for name in _list_toml(path) or ()]
    cure = f"such as {list_some(inside, _MOST_NAMED)}" if inside else f"it holds none: {_MAKE_ONE}"
    return f"is a folder, expected a run file ({cure})"


def _list_toml(folder: str) -> Optional[List[str]]:
    """Return the files of a folder that may be run files; None if it cannot be listed."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return None
    return [name for name in names if name.endswith(".toml") and name != "pyproject.toml"]

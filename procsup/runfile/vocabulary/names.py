"""Checks the keys of tables, and the names that the user chooses."""

import re
from typing import AbstractSet, Any, Mapping, Optional, Tuple

from procsup.core.regexes import compile_at_use
from procsup.runfile.syntax.keypath import KeyPath
from procsup.runfile.syntax.problems import Problems, Wrong, show, suggest
from procsup.runfile.vocabulary.keys import LATER_KEYS, STAGE_KEYS

# Placeholders that procsup itself fills, now or in a later version.
RESERVED = frozenset(
    ("inputs", "outputs", "depends", "scratch", "unit_file", "date", "index", "attempt", "gpus")
)

_NAME = compile_at_use(r"[A-Za-z_][A-Za-z0-9_-]*")
_STAGE_NAME = compile_at_use(r"[a-z][a-z0-9_-]*")
_RUN_NAME = compile_at_use(r"[A-Za-z0-9_][A-Za-z0-9._-]*(?<!\.)")
_DEVICE = compile_at_use(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
_LONGEST = 100


def check_keys(
    table: Mapping[str, Any],
    known: Tuple[str, ...],
    at: KeyPath,
    problems: Problems,
    *,
    later: Tuple[str, ...] = (),
    elsewhere: Optional[Mapping[str, str]] = None,
) -> None:
    """Note every unknown key as a problem; `elsewhere` says where some others belong."""
    for key in table:
        if key in known:
            continue
        if key in later:
            message = "is not there yet in this version of procsup"
        elif elsewhere and key in elsewhere:
            message = f"is no key here: {elsewhere[key]}"
        else:
            message = f"unknown key{suggest(key, known) or suggest(key, later)}"
        problems.add((*at, key), message)


def check_stage_name(name: str) -> None:
    """Refuse names that cannot be a file's name on every system; `Wrong` says why."""
    if not _STAGE_NAME.fullmatch(name):
        raise Wrong("a stage's name is a lower-case letter, then letters, digits, `-` and `_`")
    _check_device(name)


def check_run_name(name: str) -> None:
    """Refuse names that cannot be a folder's name on every system; `Wrong` says why."""
    if not _RUN_NAME.fullmatch(name):
        raise Wrong(
            f"the run's name names a folder: expected letters, digits, `.`, `-` and `_`,"
            f" not {show(name)}"
        )
    if name == "last":
        raise Wrong("`last` stands for the newest run: choose another name")
    _check_device(name)


def _check_device(name: str) -> None:
    if _DEVICE.fullmatch(name):
        raise Wrong(f"{show(name)} is the name of a device on Windows: choose another name")
    if len(name) > _LONGEST:
        raise Wrong(f"expected a name of at most {_LONGEST} characters, not {len(name)}")


def check_new_name(name: str, what: str, taken: AbstractSet[str] = frozenset()) -> None:
    """Refuse a parameter's or variable's name that cannot be a placeholder."""
    if not _NAME.fullmatch(name):
        raise Wrong(f"a {what}'s name is a letter, then letters, digits, `_` and `-`")
    if name.replace("-", "_") in RESERVED:
        raise Wrong(f"{{{name}}} is a placeholder of procsup itself: choose another name")
    if name in taken:
        raise Wrong(f"there is a variable of this name already: choose another name for the {what}")
    if what == "parameter" and name in (*STAGE_KEYS, *LATER_KEYS):
        raise Wrong(
            f"`{name}` is a key of the stage: choose another name for the parameter"
            f" (such as `{name}_value`), or put `{name} = ...` into the stage itself"
        )

"""The folders that the user trusts, by the user's own configuration, never by a project's files.

``~/.config/procsup/config.toml`` (in $XDG_CONFIG_HOME, if that is set; on Windows in %APPDATA%)::

    trust = ["/scratch/lab"]    # others may write there, and that is right

The file must belong to the user or to root, and counts only if others may write neither to it nor
to a folder above it. If HOME leads to another user's file (`sudo`, `su`, a container), it is
ignored.
"""

import os
import sys
from functools import partial
from typing import Any, List, Sequence, Tuple

from procsup.core.text import quote_word
from procsup.errors import RecordError, UsageError
from procsup.host.files import AnyPath, describe_error, open_reading
from procsup.host.folders import find_user_settings, make_absolute
from procsup.host.owners import (
    Doubt,
    explain_others_may,
    find_doubts,
    is_ours_or_roots,
    name_user,
)

_MOST_BYTES = 1 << 20


def is_trusted(path: str, *, itself: bool = False) -> bool:
    """Whether the user trusts a folder, or a folder above it.

    `itself`: if the path is a link, the question is about the link, which its owner can change, and
    not about its target. UsageError if the configuration is wrong.
    """
    place = _find_place(path) if itself else os.path.realpath(path)
    return any(_is_in(place, os.path.realpath(one)) for one in _read_trusted()[0])


def refuse_doubtful(place: AnyPath) -> None:
    """Raise RecordError if others may put something else in the place of a folder of runs.

    UsageError if the user's configuration is wrong.
    """
    trusted = partial(is_trusted, itself=True)
    doubts = list(find_doubts(make_absolute(place), is_trusted=trusted))
    if doubts:
        raise RecordError(
            f"{place}: {_list_reasons(doubts)}, so other users could put something else in"
            f" {_its(doubts)} place. {_describe_cure(doubts)}"
        )


def _list_reasons(doubts: Sequence[Doubt]) -> str:
    return "; ".join(f"{doubt.folder} {doubt.why}" for doubt in doubts)


def _its(doubts: Sequence[Doubt]) -> str:
    return "its" if len(doubts) == 1 else "their"


def _describe_cure(doubts: Sequence[Doubt]) -> str:
    import json  # here: `wait` starts without them

    outermost: List[str] = []  # trust in a folder includes all folders below it
    for doubt in doubts:
        if not any(_is_in(doubt.folder, one) for one in outermost):
            outermost.append(doubt.folder)
    trust = f"trust = {json.dumps(outermost, ensure_ascii=False)}"
    not_ours = _read_trusted()[1]
    where = find_user_settings() if not not_ours else f"a configuration of your own ({not_ours})"
    ways = ["keep runs elsewhere (--dir)", f"if that is right, write `{trust}` in {where}"]
    if all(doubt.by_mode for doubt in doubts):
        ways.insert(0, _describe_change(doubts))
    *others, last = ways
    text = f"{', '.join(others)}, or, {last}"
    return text[0].upper() + text[1:]


def _describe_change(doubts: Sequence[Doubt]) -> str:
    changes = []
    for is_ours, who in (True, "change"), (False, f"have {_its(doubts)} owner change"):
        folders = [quote_word(doubt.folder) for doubt in doubts if doubt.is_ours == is_ours]
        if folders:
            changes.append(f"{who} that (chmod go-w {' '.join(folders)})")
    return " and ".join(changes)


def _find_place(path: str) -> str:
    """Return the path of a file or of a link, without links among the folders above it."""
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.join(os.path.realpath(folder), name)


def _is_in(place: str, folder: str) -> bool:
    return place == folder or place.startswith(os.path.join(folder, ""))


def _read_trusted() -> Tuple[List[str], str]:
    """Return what the user trusts, and why the configuration is not the user's; else empty."""
    path = find_user_settings()
    try:
        with open_reading(path) as file:
            status = os.fstat(file.fileno())
            if not is_ours_or_roots(status):
                owner = name_user(status.st_uid)
                return [], f"HOME or XDG_CONFIG_HOME leads to {path}, which belongs to {owner}"
            why = explain_others_may(status, file.fileno())
            data = file.read(_MOST_BYTES + 1)
            if len(data) > _MOST_BYTES:
                raise ValueError(f"it is larger than {_MOST_BYTES >> 20} MB")
            text = data.decode("utf-8")
    except FileNotFoundError:
        return [], ""
    except PermissionError as error:
        return [], f"HOME or XDG_CONFIG_HOME leads to {path}: {describe_error(error)}"
    except (OSError, ValueError) as error:
        problem = describe_error(error) if isinstance(error, OSError) else str(error)
        raise UsageError(f"{path} cannot be read: {problem}") from error
    if why is not None:
        raise UsageError(f"{path} {why}: what it trusts does not count; make it your own alone")
    doubts = list(find_doubts(path, is_trusted=lambda _folder: False))
    if doubts:
        by_mode = all(doubt.by_mode for doubt in doubts)
        way = _describe_change(doubts) if by_mode else "keep it elsewhere"
        raise UsageError(
            f"{path}: {_list_reasons(doubts)}, so other users could put another file in its"
            f" place: what it trusts does not count; {way} (XDG_CONFIG_HOME names another folder)"
        )
    return _check_lines(path, text), ""


def _check_lines(path: str, text: str) -> List[str]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: {error}") from error
    unknown = [key for key in table if key != "trust"]
    if unknown:
        raise UsageError(f"{path}: unknown key `{unknown[0]}`; the only one known is `trust`")
    value: Any = table.get("trust", [])
    folders = value if isinstance(value, list) else [value]
    expanded = [os.path.expanduser(one) if isinstance(one, str) else "" for one in folders]
    if not isinstance(value, list) or not all(map(os.path.isabs, expanded)):
        raise UsageError(f"{path}: trust: expected a list of absolute paths, not {value!r}")
    return expanded

"""Collects the problems of a run file, to report all of them together."""

import json
from contextlib import contextmanager
from typing import (
    Any,
    Callable,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Set,
    Tuple,
    TypeVar,
    Union,
)

from procsup.core.regexes import compile_at_use
from procsup.core.text import find_nearest
from procsup.errors import RunFileError
from procsup.runfile.syntax.keypath import KeyPath
from procsup.runfile.syntax.lines import find_lines

_PLAIN_KEY = compile_at_use(r"[A-Za-z0-9_-]+")
_SHOWN_LENGTH = 60

_T = TypeVar("_T")
_R = TypeVar("_R")
_K = TypeVar("_K", int, str)


class Wrong(Exception):
    """A value is invalid; `faults` are places below it, each with its error."""

    def __init__(
        self, message: str = "", *, faults: Optional[Sequence[Tuple[KeyPath, str]]] = None
    ) -> None:
        super().__init__(message)
        self.faults = (((), message),) if faults is None else tuple(faults)

    def below(self, *place: Union[str, int]) -> List[Tuple[KeyPath, str]]:
        """Return the faults with their places relative to the value's container."""
        return [((*place, *at), message) for at, message in self.faults]


class Noted(Wrong):
    """A value cannot be read because of another one, whose error is already noted."""

    def __init__(self) -> None:
        super().__init__(faults=())


class Problems:
    """The problems of one file; each is reported once, in the order of the lines."""

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._text = text
        self._found: List[Tuple[KeyPath, str]] = []
        self._known: Set[Tuple[KeyPath, str]] = set()

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, at: KeyPath, message: str) -> None:
        """Note a problem of the value at this path."""
        if (at, message) not in self._known:
            self._known.add((at, message))
            self._found.append((at, message))

    def add_wrong(self, at: KeyPath, wrong: Wrong) -> None:
        """Note all faults of the value at this path, and below it."""
        for place in wrong.below(*at):
            self.add(*place)

    @contextmanager
    def below(self, at: KeyPath) -> Iterator[None]:
        """Note a `Wrong` that is raised within, as one of the value at this path."""
        try:
            yield
        except Wrong as wrong:
            self.add_wrong(at, wrong)

    def raise_if_any(self, others: Sequence[str] = ()) -> None:
        """Raise RunFileError with every problem, each with file, line and key path; then `others`.

        Without a problem of the file `others` are not raised.
        """
        if not self._found:
            return

        lines = find_lines(self._text)
        placed = sorted(
            ((_find_line(lines, at), at, text) for at, text in self._found), key=_sort_by_line
        )
        shown = [f"{self._file}:{line}: {_format_prefix(at)}{text}" for line, at, text in placed]
        raise RunFileError([*shown, *others])


def _sort_by_line(placed: Tuple[int, KeyPath, str]) -> int:
    return placed[0]


def _find_line(lines: Mapping[KeyPath, int], at: KeyPath) -> int:
    while at not in lines and at:
        at = at[:-1]  # a missing key has the line of its table
    return lines.get(at, 1)


def _format_prefix(at: KeyPath) -> str:
    return f"{show_path(at)}: " if at else ""


def show_path(at: KeyPath) -> str:
    """Write a key path as TOML would: ``stage.fit.args[2]``."""
    text = ""
    for part in at:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if _PLAIN_KEY.fullmatch(part) else json.dumps(part, ensure_ascii=False)
            text += f".{name}" if text else name
    return text


def show(value: Any) -> str:
    """Write a value for a message, in one short line."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN_LENGTH else f"{text[: _SHOWN_LENGTH - 4]} ..."


def make_wrong(what: str, value: Any) -> Wrong:
    """Return the usual fault: another value was expected here."""
    return Wrong(f"expected {what}, not {show(value)}")


def suggest(word: str, known: Iterable[str]) -> str:
    """Return `` (did you mean ...?)``; empty if no known word is near."""
    near = find_nearest(word, known)
    return f" (did you mean `{near}`?)" if near else ""


def list_words(words: Iterable[str]) -> str:
    """Write words for a message: `` `a`, `b` ``."""
    return ", ".join(f"`{word}`" for word in words)


class Faults:
    """Collects the faults of several values, to raise all of them as one `Wrong`."""

    def __init__(self) -> None:
        self._found: List[Tuple[KeyPath, str]] = []
        self._is_wrong = False

    def add(self, at: KeyPath, message: str) -> None:
        """Note one fault."""
        self._found.append((at, message))
        self._is_wrong = True

    @contextmanager
    def below(self, *place: Union[str, int]) -> Iterator[None]:
        """Note a `Wrong` that is raised within, as one of the value at this place."""
        try:
            yield
        except Wrong as wrong:
            self._found += wrong.below(*place)
            self._is_wrong = True

    def raise_if_any(self) -> None:
        """Raise `Wrong` if a value is wrong, even if its fault is noted elsewhere."""
        if self._is_wrong:
            raise Wrong(faults=self._found)


@contextmanager
def below(*place: Union[str, int]) -> Iterator[None]:
    """Raise a `Wrong` of the body as a fault of the value at this place."""
    try:
        yield
    except Wrong as wrong:
        raise Wrong(faults=wrong.below(*place)) from None


def convert_each(values: Iterable[_T], convert: Callable[[_T], _R]) -> List[_R]:
    """Convert every item of a list; all their faults are raised as one `Wrong`."""
    return [done for _, done in _convert_pairs(enumerate(values), lambda _, value: convert(value))]


def convert_entries(table: Mapping[str, _T], convert: Callable[[str, _T], _R]) -> List[_R]:
    """Convert every entry of a table; all their faults are raised as one `Wrong`."""
    return [done for _, done in _convert_pairs(table.items(), convert)]


def _convert_pairs(
    pairs: Iterable[Tuple[_K, _T]], convert: Callable[[_K, _T], _R]
) -> List[Tuple[_K, _R]]:
    done: List[Tuple[_K, _R]] = []
    found: List[Tuple[KeyPath, str]] = []
    is_wrong = False
    for key, value in pairs:
        try:
            done.append((key, convert(key, value)))
        except Wrong as wrong:  # noqa: PERF203 - a context manager an item takes longer
            found += wrong.below(key)
            is_wrong = True
    if is_wrong:
        raise Wrong(faults=found)
    return done

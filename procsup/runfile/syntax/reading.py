"""Reads a run file's bytes, text and TOML; every possible error has its own message."""

import hashlib
import os
import re
import stat
import sys
from typing import Any, Dict, NoReturn, Union

from msgspec import Struct

from procsup.core.regexes import compile_at_use
from procsup.errors import RunFileError
from procsup.host.files import open_reading
from procsup.host.folders import resolve_file

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_MAX_BYTES = 64 * 1024 * 1024
_PLACE = compile_at_use(r"\s*\((?:at line (\d+), column (\d+)|at end of document)\)$")
_OF_DESCRIPTORS = compile_at_use(r"/dev/fd|/proc/[^/]+(?:/task/[^/]+)?/fd")
_MOST_LINKS = 40
_MOST_KEY_PARTS = 100
_MOST_DIGITS = 400  # some Pythons take minutes for a million, others refuse
_MANY_DIGITS = compile_at_use(r"[0-9A-Fa-f_]{400}")
_TOKEN = compile_at_use(
    r"""\#[^\n]*|[ \t]+                            # comments and blanks
    |\"{3}(?:[^"\\]|\\.|"(?!""))*(?:"{3,5})?|"(?:[^"\\\n]|\\.)*"?
    |'{3}(?:[^']|'(?!''))*(?:'{3,5})?|'[^'\n]*'?
    |[^\s.,=\[\]{}#"']+""",
    re.DOTALL | re.VERBOSE,
)
_HINTS = {
    "Invalid value": "text needs quotes, truth is written `true` or `false`",
    "Unescaped '\\' in a string": "put Windows paths in single quotes, or write them with /",
    "Cannot overwrite a value": "this key stands here twice",
    "Expected '=' after a key in a key/value pair": "a key with blanks needs quotes",
}


class WrittenFloat(float):
    """A number that keeps its written form: 0.10 stays 0.10."""

    __slots__ = ("written",)

    written: str

    def __new__(cls, text: str) -> "WrittenFloat":
        """Make the number from its TOML text."""
        number = super().__new__(cls, text)
        number.written = text.replace("_", "")
        return number

    def __str__(self) -> str:
        return self.written


def read_whole(text: str) -> int:
    """Make a whole number of a JSON text; ValueError if it is very long."""
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a number of more than {_MOST_DIGITS} digits")
    return int(text)


class Source(Struct, frozen=True):
    """A run file as read; `shown` is how messages name it.

    `path` is absolute; for a symbolic link it is the path of its target. So name and folder of the
    run do not depend on the link.
    """

    shown: str
    path: str
    text: str
    digest: str
    data: Dict[str, Any]


def parse(text: str) -> Dict[str, Any]:
    """Parse TOML; numbers keep their written form."""
    return tomllib.loads(text, parse_float=WrittenFloat)


def read_source(path: Union[str, "os.PathLike[str]"]) -> Source:
    """Read a run file; RunFileError if it cannot be read, decoded or parsed."""
    shown = os.fspath(path)
    whole = resolve_file(shown)
    content = _read_bytes(shown, whole)
    text = _decode(shown, content)
    digest = hashlib.sha256(content).hexdigest()
    try:
        data = _parse(shown, text)
    except RunFileError:
        _refuse_other_kind(shown, content)
        raise
    return Source(shown, whole, text, digest, data)


def _refuse(message: str) -> NoReturn:
    raise RunFileError([message])


def _read_bytes(shown: str, whole: str) -> bytes:
    try:
        if os.path.isdir(shown):
            from procsup.runfile.syntax.kinds import describe_folder  # for messages only

            _refuse(f"{shown}: {describe_folder(shown)}")
        kind = _describe_passing_kind(shown)
        if kind:
            _refuse(
                f"{shown}: is {kind}, expected a file that stays: it is read again when the run is"
                " resumed, retried or verified, and paths in it start from its folder; save it"
                " under a name, and run that"
            )
        with open_reading(shown) as file:
            content = file.read(_MAX_BYTES + 1)
            if not os.path.samestat(os.fstat(file.fileno()), os.lstat(whole)):
                _refuse(f"{shown}: was exchanged while it was read: do it again")
    except FileNotFoundError:
        from procsup.runfile.syntax.kinds import describe_missing  # for messages only

        _refuse(f"{shown}: {describe_missing(shown)}")
    except (OSError, ValueError) as error:
        _refuse(f"{shown}: cannot be read: {getattr(error, 'strerror', None) or error}")
    if len(content) > _MAX_BYTES:
        _refuse(f"{shown}: is larger than {_MAX_BYTES >> 20} MB, which no run file is")
    return content


def _describe_passing_kind(path: str) -> str:
    """Describe a path that is a stream instead of a file; empty for a file."""
    mode = os.stat(path).st_mode
    if stat.S_ISFIFO(mode):
        return "a pipe"
    if stat.S_ISSOCK(mode):
        return "a socket"
    if not stat.S_ISREG(mode):
        return "a device"
    return "what a descriptor has open" if _is_descriptor(path) else ""


def _is_descriptor(path: str) -> bool:
    """Whether this is /dev/stdin, /dev/fd/N or the like, or a link to one of them."""
    for _link in range(_MOST_LINKS):
        if _OF_DESCRIPTORS.fullmatch(os.path.realpath(os.path.dirname(os.path.abspath(path)))):
            return True
        if not os.path.islink(path):
            return False
        path = os.path.join(os.path.dirname(path), os.readlink(path))
    return False


def _decode(shown: str, content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        _refuse(f"{shown}:1: is saved as UTF-16, expected UTF-8: save it as UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        _refuse_other_kind(shown, content)
        line = content.count(b"\n", 0, error.start) + 1
        _refuse(f"{shown}:{line}: byte 0x{content[error.start]:02x} is not UTF-8: save it as UTF-8")
    if not text.strip():
        _refuse(f"{shown}:1: is empty, expected at least one [stage.NAME]")
    return text


def _refuse_other_kind(shown: str, content: bytes) -> None:
    """Refuse what another name or its first bytes tell to be no run file."""
    from procsup.runfile.syntax.kinds import describe_other_kind  # for messages only

    kind = describe_other_kind(shown, content)
    if kind:
        _refuse(f"{shown}: {kind}")


def _parse(shown: str, text: str) -> Dict[str, Any]:
    _refuse_long_keys(shown, text)
    _refuse_long_numbers(shown, text)
    try:
        return parse(text)
    except RecursionError:
        _refuse(f"{shown}:1: is nested too deeply to be read")
    except ValueError as error:
        place = _PLACE.search(str(error))
        reason = _PLACE.sub("", str(error))
        line = place.group(1) if place and place.group(1) else _find_last_line(text)
        column = f" (column {place.group(2)})" if place and place.group(2) else ""
        hint = _HINTS.get(reason, "")
        _refuse(f"{shown}:{line}: not TOML: {reason}{column}{hint and ': ' + hint}")


def _refuse_long_keys(shown: str, text: str) -> None:
    """Refuse very long dotted keys: the parser keeps each beginning of a key in memory."""
    if all(line.count(".") < _MOST_KEY_PARTS for line in text.split("\n")):
        return
    plain = _TOKEN.sub(_shorten_token, text)
    at = plain.find("a." * _MOST_KEY_PARTS)
    if at >= 0:
        line_number = plain.count("\n", 0, at) + 1
        _refuse(
            f"{shown}:{line_number}: a key of more than {_MOST_KEY_PARTS} parts, expected fewer"
        )


def _refuse_long_numbers(shown: str, text: str) -> None:
    if _MANY_DIGITS.search(text) is None:
        return
    for token in _TOKEN.finditer(text):
        if len(token.group()) > _MOST_DIGITS and token.group().lstrip("+-")[:1].isdigit():
            line_number = text.count("\n", 0, token.start()) + 1
            _refuse(
                f"{shown}:{line_number}: a number of more than {_MOST_DIGITS} digits,"
                " expected fewer"
            )


def _shorten_token(token: "re.Match[str]") -> str:
    """Return nothing for comments and blanks, ``a`` for texts and words; lines are kept."""
    word = token.group()
    return "" if word[0] in "# \t" else "a" + "\n" * word.count("\n")


def _find_last_line(text: str) -> int:
    return text.rstrip().count("\n") + 1

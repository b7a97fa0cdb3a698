"""Foreign text: bytes that are not UTF-8, and characters that act on a terminal.

Names and arguments may hold bytes that are not UTF-8. Python represents such bytes as lone
surrogates, which JSON cannot hold. The journal packs them so that they are read back exactly; a
manifest, which other programs read, shows them escaped and has the bytes in base64 beside it.
Only text from `make_visible` and `make_harmless`, and shell words from `quote_word`, are printed
for users.
"""

import codecs
import re
from base64 import b64decode, b64encode
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

from procsup.core.regexes import compile_at_use

# No path, argument or id can hold a NUL, so it can mark packed text.
_UNFIT = compile_at_use("[\x00\ud800-\udfff]")
_PACKED = compile_at_use("\x00([0-9a-f]{4})")
_LONE = compile_at_use("[\ud800-\udfff]")
# C0, DEL, C1, line separators; marks of text direction, invisible characters; lone surrogates.
_ACTING = compile_at_use(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\x1b": "\\e"}
_LINES_AND_TABS = "\n\t"


def pack(value: Any) -> Any:
    """Return plain data with every NUL and lone surrogate as NUL and four digits."""
    return _map_value(value, lambda text: _UNFIT.sub(lambda m: f"\x00{ord(m.group()):04x}", text))


def unpack(value: Any) -> Any:
    """Return the data that `pack` packed."""
    return _map_value(value, lambda text: _PACKED.sub(lambda m: chr(int(m.group(1), 16)), text))


def escape(text: str) -> str:
    r"""Return text with lone surrogates as ``\xff`` (a byte) or ``\ud800`` (the rest)."""
    return _LONE.sub(_escape_match, text)


def escape_bytes(value: Any) -> Tuple[Any, Dict[str, str]]:
    """Return plain data escaped, and the bytes of each escaped text in base64.

    The keys are JSON pointers (RFC 6901) into the escaped data; only escaped texts have an entry.
    Keys of tables are escaped only.
    """
    found: Dict[str, str] = {}
    return _escape_value(value, "", found), found


def restore_bytes(value: Any, found: Dict[str, str]) -> Any:
    """Return plain data with the texts restored that `escape_bytes` escaped."""
    return _restore_value(value, "", found)


def _escape_match(match: "re.Match[str]") -> str:
    point = ord(match.group())
    return f"\\x{point - 0xDC00:02x}" if 0xDC80 <= point <= 0xDCFF else f"\\u{point:04x}"


def _map_value(value: Any, change: Any) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {_map_value(key, change): _map_value(item, change) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_map_value(item, change) for item in value]
    return value


def _escape_value(value: Any, at: str, found: Dict[str, str]) -> Any:
    if isinstance(value, str) and _LONE.search(value):
        found[at] = b64encode(_decode_lossless(value)).decode("ascii")
        return escape(value)
    if isinstance(value, dict):
        return {
            escape(key): _escape_value(item, f"{at}/{_escape_pointer(key)}", found)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_escape_value(item, f"{at}/{place}", found) for place, item in enumerate(value)]
    return value


def _restore_value(value: Any, at: str, found: Dict[str, str]) -> Any:
    if isinstance(value, str):
        return _choose_text(b64decode(found[at]), value) if at in found else value
    if isinstance(value, dict):
        return {
            key: _restore_value(item, f"{at}/{_escape_pointer(key)}", found)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_restore_value(item, f"{at}/{place}", found) for place, item in enumerate(value)]
    return value


def _escape_pointer(key: str) -> str:
    return escape(key).replace("~", "~0").replace("/", "~1")


def _decode_lossless(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # halves of UTF-16 pairs: names on Windows
        return text.encode("utf-8", "surrogatepass")


def _choose_text(raw: bytes, shown: str) -> str:
    """Return the one of the two decodings of the bytes that is escaped like this."""
    for manner in ("surrogateescape", "surrogatepass"):
        try:
            text = raw.decode("utf-8", manner)
        except UnicodeDecodeError:
            continue
        if escape(text) == shown:
            return text
    return shown


def make_visible(text: str) -> str:
    """Return the text on one line, with characters that act on a terminal shown as escapes.

    A lone low surrogate, which represents a byte that is not UTF-8, is shown as that byte.
    """
    return _ACTING.sub(_show_char, text)


def make_harmless(text: str) -> str:
    """Return text as `make_visible` does, with its lines and tabs as they are."""
    return _ACTING.sub(_show_within_lines, text.replace("\r\n", "\n"))


class HarmlessBytes:
    """Turns bytes, which come in parts, into harmless text."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._held = ""  # a carriage return, whose line feed may follow

    def add(self, data: bytes, *, last: bool = False) -> str:
        """Return the text of the next bytes; an incomplete character waits for the next call."""
        text = self._held + self._decoder.decode(data, last)
        self._held = "\r" if text.endswith("\r") and not last else ""
        return make_harmless(text[: len(text) - len(self._held)])


def quote_word(text: str, *, in_lines: bool = False) -> str:
    r"""Quote a word for bash; if it has characters that act on a terminal, as ``$'\e[31m'``.

    bash reads exactly this word from it, bytes that are not UTF-8 included. With `in_lines` line
    feeds and tabs stay as they are.
    """
    from shlex import quote  # for messages only

    keep = _LINES_AND_TABS if in_lines else ""
    if set(_ACTING.findall(text)) <= set(keep):
        return quote(text)
    plain = text.replace("\\", r"\\").replace("'", r"\'")
    return f"$'{_ACTING.sub(lambda m: m[0] if m[0] in keep else _escape_for_bash(m[0]), plain)}'"


def split_acting(text: str) -> List[str]:
    """Split a text; every second piece is one terminal control character."""
    return re.split(f"({_ACTING.pattern})", text)


def _escape_for_bash(char: str) -> str:
    return _SHORT.get(char) or "".join(f"\\x{byte:02x}" for byte in _decode_lossless(char))


def _show_within_lines(match: "re.Match[str]") -> str:
    return match.group() if match.group() in _LINES_AND_TABS else _show_char(match)


def _show_char(match: "re.Match[str]") -> str:
    char = match.group()
    point = ord(char)
    if char in _SHORT:
        return _SHORT[char]
    if 0xD800 <= point <= 0xDFFF:
        return _escape_match(match)
    if point < 0x100:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def take_last_lines(data: bytes, count: int) -> List[str]:
    """Return the last lines of a log, each one visible; tabs become blanks.

    A line that carriage returns overwrote (a progress bar) is returned in its last state.
    """
    text = data.decode("utf-8", "surrogateescape").rstrip()
    if not text or count <= 0:
        return []
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")[-count:])
    return [make_visible(line.expandtabs(4)) for line in lines]


def format_value(value: Any) -> str:
    """Return a parameter or variable as the text that a placeholder inserts."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def say_when_known(stages: Sequence[str]) -> str:
    """Return a sentence: units are known when these stages have run."""
    return f"known when {' and '.join(stages)} {'have' if len(stages) > 1 else 'has'} run"


def say_when_units_known(stage: str, before: Sequence[str]) -> str:
    """Say when the units of a stage are known; `before` are the stages that must run first."""
    return f"the units of stage {stage} are {say_when_known(before) if before else 'not known yet'}"


def count_noun(count: int, noun: str) -> str:
    """Return a number with its noun: ``1 unit``, ``2 units``."""
    if count != 1:
        noun = f"{noun[:-1]}ies" if noun.endswith("ry") else f"{noun}s"
    return f"{count} {noun}"


def find_nearest(word: str, known: Iterable[str]) -> Optional[str]:
    """Return the known word of which this one may be a misspelling; None if none is near."""
    from difflib import get_close_matches  # for messages only

    by_plain = {_normalize(name): name for name in known}
    near = get_close_matches(_normalize(word), by_plain, n=1)
    return by_plain[near[0]] if near else None


def _normalize(word: str) -> str:
    return word.lower().replace("_", "-")


def list_some(words: Sequence[str], limit: int) -> str:
    """List the first of many words, and the number of the rest: ``a, b and 3 more``."""
    return ", ".join(words[:limit]) + count_more(len(words) - limit)


def count_more(count: int) -> str:
    """Return `` and COUNT more``; empty for none."""
    return f" and {count:,} more" if count > 0 else ""


def are(count: int) -> str:
    """Return ``is`` for one thing, else ``are``."""
    return "is" if count == 1 else "are"

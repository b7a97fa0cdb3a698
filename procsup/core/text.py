"""Text that is not UTF-8: names and arguments may hold bytes that no encoding explains.

Python carries such bytes as lone surrogates, which JSON cannot. The journal packs them so that
they come back exactly; a manifest, which other programs read, shows them escaped and gives the
bytes in base64 beside it.
"""

import re
from base64 import b64decode, b64encode
from typing import Any, Dict, Tuple

# No path, argument or id can hold a NUL, so that it is free to mark what is packed.
_UNFIT = re.compile("[\x00\ud800-\udfff]")
_PACKED = re.compile("\x00([0-9a-f]{4})")
_LONE = re.compile("[\ud800-\udfff]")


def pack(value: Any) -> Any:
    """Return plain data with every NUL and lone surrogate as NUL and four digits."""
    return _mapped(value, lambda text: _UNFIT.sub(lambda m: f"\x00{ord(m.group()):04x}", text))


def unpack(value: Any) -> Any:
    """Return what `pack` was given."""
    return _mapped(value, lambda text: _PACKED.sub(lambda m: chr(int(m.group(1), 16)), text))


def escape(text: str) -> str:
    r"""Return text with lone surrogates as ``\xff`` (a byte) or ``\ud800`` (the rest)."""
    return _LONE.sub(_escaped, text)


def armour(value: Any) -> Tuple[Any, Dict[str, str]]:
    """Return plain data escaped, and the bytes of each escaped text in base64.

    The keys are JSON pointers (RFC 6901) into the escaped data; texts that needed nothing are
    not in there. Keys of tables are escaped only.
    """
    found: Dict[str, str] = {}
    return _armoured(value, "", found), found


def disarm(value: Any, found: Dict[str, str]) -> Any:
    """Return plain data with the texts restored that `armour` escaped."""
    return _disarmed(value, "", found)


def _escaped(match: "re.Match[str]") -> str:
    point = ord(match.group())
    return f"\\x{point - 0xDC00:02x}" if 0xDC80 <= point <= 0xDCFF else f"\\u{point:04x}"


def _mapped(value: Any, change: Any) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {_mapped(key, change): _mapped(item, change) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_mapped(item, change) for item in value]
    return value


def _armoured(value: Any, at: str, found: Dict[str, str]) -> Any:
    if isinstance(value, str) and _LONE.search(value):
        found[at] = b64encode(_bytes_of(value)).decode("ascii")
        return escape(value)
    if isinstance(value, dict):
        return {
            escape(key): _armoured(item, f"{at}/{_pointer(key)}", found)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_armoured(item, f"{at}/{place}", found) for place, item in enumerate(value)]
    return value


def _disarmed(value: Any, at: str, found: Dict[str, str]) -> Any:
    if isinstance(value, str):
        return _text_of(b64decode(found[at]), value) if at in found else value
    if isinstance(value, dict):
        return {key: _disarmed(item, f"{at}/{_pointer(key)}", found) for key, item in value.items()}
    if isinstance(value, list):
        return [_disarmed(item, f"{at}/{place}", found) for place, item in enumerate(value)]
    return value


def _pointer(key: str) -> str:
    return escape(key).replace("~", "~0").replace("/", "~1")


def _bytes_of(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # halves of UTF-16 pairs: names on Windows
        return text.encode("utf-8", "surrogatepass")


def _text_of(raw: bytes, shown: str) -> str:
    """Of the two readings of the bytes, return the one that is shown like this."""
    for manner in ("surrogateescape", "surrogatepass"):
        try:
            text = raw.decode("utf-8", manner)
        except UnicodeDecodeError:
            continue
        if escape(text) == shown:
            return text
    return shown

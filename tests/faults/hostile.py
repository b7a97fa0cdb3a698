"""Journal lines with a right checksum and content that nobody in their senses writes."""

import json
import zlib
from typing import Any, Iterator, List, Tuple

import msgspec

from tests.store.builders import every_record

_WILD: List[Any] = [
    None, True, -1, 0, 1 << 31, 1 << 63, 1 << 64, 10**30, -(10**30), 1e308, -1e308, 0.5,
    "", "x", "../../../etc/passwd", "/etc/passwd", "\x00", "\x00zzzz", "a\nb\x1b[2J", "x" * 50_000,
    [], [None], [[]], {}, {"a": 1}, {"": {}}, ["s/0"] * 1000,
]  # fmt: skip

_BODIES = {
    "deep": b"3 " + b"[" * 100_000,
    "deep in a field": b'3 {"t":"begin","variables":' + b'{"a":' * 100_000,
    "deep and closed": b'3 {"t":"begin","variables":' + b'{"a":' * 20_000 + b"1" + b"}" * 20_001,
    "huge number": b'3 {"t":"end","at":' + b"9" * 100_000 + b"}",
    "huge sequence number": b"9" * 100_000 + b" {}",
    "sequence number of 21 digits": b"1" + b"0" * 20 + b" {}",
    "sequence number with a sign": b'+3 {"t":"missing","last":3}',
    "sequence number of other digits": b"\xef\xbc\x93 {}",
    "no sequence number": b"{}",
    "negative sequence number": b"-3 {}",
    "not a number": b'3 {"t":"end","at":NaN}',
    "infinite": b'3 {"t":"closed","at":1e999,"reason":""}',
    "not utf-8": b'3 {"t":"\xff"}',
    "overlong utf-8": b'3 {"t":"\xc0\xae"}',
    "lone surrogate": b'3 {"t":"\\ud800"}',
    "bad packing": b'3 {"t":"\\u0000zzzz"}',
    "the same key twice": b'3 {"t":"closed","at":1,"at":2,"reason":"a","reason":"b"}',
    "a list": b'3 ["closed",1,"x"]',
    "unknown type": b'3 {"t":"never-heard-of"}',
    "type of no text": b'3 {"t":3}',
    "two values": b'3 {"t":"missing","last":3} {"t":"missing","last":3}',
    "byte order mark": b"3 \xef\xbb\xbf{}",
    "a jump of 20 digits": b"9" * 20 + b' {"t":"closed","at":1,"reason":"x"}',
    "a jump of 12 digits": b"9" * 12 + b' {"t":"closed","at":1,"reason":"x"}',
    "a jump over 30 digits": b'3 {"t":"missing","last":' + b"9" * 30 + b"}",
    "a jump over 20 digits": b'3 {"t":"missing","last":' + b"9" * 20 + b"}",
    "a jump over 12 digits": b'3 {"t":"missing","last":' + b"9" * 12 + b"}",
    "a jump back": b'3 {"t":"missing","last":-1}',
    "nothing": b"",
    "only a number": b"3",
    "carriage return": b'3 {"t":"closed","at":1,"reason":"x"}\r',
}


def framed(body: bytes) -> bytes:
    """Return a journal line of this body: its checksum is right."""
    return b"%08x %s\n" % (zlib.crc32(body), body)


def hostile_lines(seq: int) -> Iterator[Tuple[str, bytes]]:
    """Yield (name, line): wild bodies, then every field of every record with wild values."""
    for name, body in _BODIES.items():
        yield name, framed(body)
    for number, record in enumerate(every_record()):
        plain = json.loads(_text(record))
        for place, changed in _changes(plain):
            kind = plain["t"]
            body = b"%d %s" % (seq, json.dumps(changed).encode())
            yield f"{number} {kind}{place}", framed(body)


def _text(record: Any) -> bytes:
    try:
        return msgspec.json.encode(record)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(record)).encode()


def _changes(value: Any) -> Iterator[Tuple[str, Any]]:
    """Yield the value with one place in it changed, for each place and each wild value."""
    keys = list(value) if isinstance(value, dict) else range(len(value))
    for key in keys:
        for number, wild in enumerate(_WILD):
            yield f".{key} wild {number}", _with(value, key, wild)
        if isinstance(value, dict):
            yield f".{key} gone", {k: v for k, v in value.items() if k != key}
        if isinstance(value[key], (dict, list)):
            for place, inner in _changes(value[key]):
                yield f".{key}{place}", _with(value, key, inner)


def _with(value: Any, key: Any, new: Any) -> Any:
    changed = value.copy()
    changed[key] = new
    return changed

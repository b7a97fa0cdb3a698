"""The fingerprint of a unit: a digest of its definition, independent of the project's folder."""

import hashlib
import json
from operator import itemgetter
from typing import Any, List, Mapping, Optional, Sequence

import msgspec
from msgspec import Struct

from procsup.runfile.syntax.values import format_value

_DIGITS = 32
_name = itemgetter(0)
_encode_fast = msgspec.json.Encoder().encode
_encode = json.JSONEncoder(separators=(",", ":")).encode  # ASCII: lone surrogates survive


class Identity(Struct, frozen=True):
    """The digested fields; paths below the run file's folder are relative to it."""

    argv: Sequence[str]  # the interpreter as written
    parameters: Mapping[str, Any]
    env: Mapping[str, str]
    cwd: str
    inputs: Sequence[str]
    depends: Sequence[str]
    stdin: Optional[str]


def compute_fingerprint(identity: Identity) -> str:
    """Return the digest, in hexadecimal."""
    content = [
        list(identity.argv),
        [
            [name, _encode_text(value)]
            for name, value in sorted(identity.parameters.items(), key=_name)
        ],
        [[name, value] for name, value in sorted(identity.env.items(), key=_name)],
        identity.cwd,
        list(identity.inputs),
        list(identity.depends),
        identity.stdin,
    ]
    return hashlib.sha256(_encode_content(content)).hexdigest()[:_DIGITS]


def _encode_content(content: List[Any]) -> bytes:
    """Return it as JSON in ASCII. This must not change: recorded fingerprints depend on it."""
    try:
        text = _encode_fast(content)
    except UnicodeEncodeError:
        return _encode(content).encode("ascii")
    # If no character needs an escape, both encoders give the same text.
    plain = text.isascii() and b"\\" not in text and b"\x7f" not in text
    return text if plain else _encode(content).encode("ascii")


def _encode_text(value: Any) -> Any:
    return (
        [format_value(item) for item in value] if isinstance(value, tuple) else format_value(value)
    )

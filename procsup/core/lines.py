"""Encodes a value as one line of JSON, and decodes it; its texts may hold any bytes.

The journal's records and the messages between a supervisor and an engine process use it. JSON
cannot hold texts with lone surrogates (bytes that are not UTF-8): such values are packed
(`procsup.core.text`), and a NUL in the line marks them.
"""

from typing import Any, Generic, TypeVar, cast

import msgspec

from procsup.core.text import pack, unpack

Value = TypeVar("Value")

_encoder = msgspec.json.Encoder()
_NUL = b"\\u0000"  # NUL as JSON writes it: it marks text that had to be packed


class Lines(Generic[Value]):
    """Encodes and decodes values of one type: a struct, or a union of tagged ones.

    The decoded value equals the encoded one where its type is declared: within `Any` a tuple
    becomes a list, and all numbers must be finite.
    """

    def __init__(self, kind: Any) -> None:
        self._kind = kind
        self._decoder = msgspec.json.Decoder(kind)

    @staticmethod
    def encode(value: Value) -> bytes:
        """Return the value as JSON, without a newline in it or behind it."""
        try:
            text = _encoder.encode(value)
            if _NUL not in text:
                return text
        except UnicodeEncodeError:
            pass  # a path or an argument that is not UTF-8: packed
        return _encoder.encode(pack(msgspec.to_builtins(value)))

    def decode(self, text: bytes) -> Value:
        """Return the value; ValueError, MsgspecError or RecursionError for another line.

        msgspec's ValidationError means that it is JSON of another shape.
        """
        if _NUL in text:
            return cast(Value, msgspec.convert(unpack(msgspec.json.decode(text)), self._kind))
        return cast(Value, self._decoder.decode(text))

"""A value as one line of JSON, and back, whatever its texts hold.

One owner for the journal's records and for what goes between a supervisor and an engine that is
another process. JSON knows no text with lone surrogates (bytes that are not UTF-8): such values
are packed (`procsup.core.text`), and a NUL in the line says so.
"""

from typing import Any, Generic, TypeVar, cast

import msgspec

from procsup.core.text import pack, unpack

Value = TypeVar("Value")

_encoder = msgspec.json.Encoder()
_NUL = b"\\u0000"  # how JSON writes it: it marks text that had to be packed


class Lines(Generic[Value]):
    """Encodes and decodes values of one type: a struct, or a union of tagged ones.

    What comes back equals what was given, where its types say what it holds: within `Any` a tuple
    comes back as a list, and there must be no number that is not finite.
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
        """Return the value; ValueError, MsgspecError or RecursionError if it is none of these.

        msgspec's ValidationError: it is JSON, of another shape.
        """
        if _NUL in text:
            return cast(Value, msgspec.convert(unpack(msgspec.json.decode(text)), self._kind))
        return cast(Value, self._decoder.decode(text))

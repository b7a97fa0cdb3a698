"""Packs a unit's ends: 100,000 of them stay in memory until their manifest is written.

An `End` is some thirty objects, most of them equal for all units. Packed it is one object of a
third of the size, which the garbage collector need not visit.
"""

from itertools import count
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union, get_type_hints

import msgspec
from msgspec.structs import astuple

from procsup.core.outcome import Affinity, Exited, LeftoverFiles, Reading, Signaled, Usage
from procsup.core.records import End
from procsup.core.relocation import Places, relocate_end

# Text that is not UTF-8 and numbers of more than 64 bits cannot be packed: such ends stay
# unpacked.
Packed = Union[bytes, Tuple[End, ...]]

NO_ENDS: Packed = b""

_FIELDS = End.__struct_fields__
_UNIT, _ATTEMPT, _EXIT, _USAGE = map(_FIELDS.index, ("unit", "attempt", "exit", "usage"))
_OUT, _ERR, _FINGERPRINT = map(_FIELDS.index, ("stdout_path", "stderr_path", "fingerprint"))
_READINGS = tuple(map(_FIELDS.index, ("outputs", "inputs")))
_SHARED = tuple(map(_FIELDS.index, ("host", "program")))


class _Pool:
    """Values that very many ends have in common; each is stored once and has a number.

    A program may read several runs at once, on several threads: a number is never given twice.
    """

    def __init__(self) -> None:
        self.values: Dict[int, Any] = {}
        self._numbers: Dict[Any, int] = {}
        self._tickets = count()

    def give_number(self, value: Any) -> int:
        """Return the number of a value; store it if it is new."""
        number = self._numbers.get(value)
        if number is None:
            ticket = next(self._tickets)
            self.values[ticket] = value  # before another thread can see the number
            number = self._numbers.setdefault(value, ticket)
        return number


def _list_types() -> Tuple[Any, ...]:
    """Return the type of each field of a packed end."""
    hints = get_type_hints(End)
    types = [hints[name] for name in _FIELDS]
    types[_UNIT] = None
    types[_EXIT] = Union[int, types[_EXIT]]
    types[_USAGE] = Tuple[(*_list_types_of(Usage)[:-1], Tuple[_list_types_of(Affinity)])]
    types[_OUT] = Union[bool, types[_OUT]]
    types[_ERR] = Union[bool, types[_ERR]]
    types[_FINGERPRINT] = Any  # bytes or text
    for place in _READINGS:
        types[place] = List[Tuple[_list_reading_types()]]  # type: ignore[misc]
    for place in _SHARED:
        types[place] = int
    return tuple(types)


def _list_reading_types() -> Tuple[Any, ...]:
    types = list(_list_types_of(Reading))
    types[Reading.__struct_fields__.index("sha256")] = Any  # bytes or text
    return (int, *types)


def _list_types_of(struct: Any) -> Tuple[Any, ...]:
    hints = get_type_hints(struct)
    return tuple(hints[name] for name in struct.__struct_fields__)


_pool = _Pool()
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(List[Tuple[_list_types()]]).decode  # type: ignore[misc]


def pack(ends: Sequence[End]) -> Packed:
    """Return the ends of one unit, packed."""
    try:
        return _encode([_flatten_end(end) for end in ends])
    except (UnicodeEncodeError, OverflowError):
        return tuple(ends)


def pack_in_place(end: End, places: Places) -> Packed:
    """Pack an end read from the journal, with the current paths of its files.

    The same as `pack` of `relocate_end`, without building the `End` in between.
    """
    try:
        return _encode([_flatten_end(end, places)])
    except (UnicodeEncodeError, OverflowError):
        return (relocate_end(end, places),)


def unpack(packed: Packed, unit: str) -> Tuple[End, ...]:
    """Return the ends of a unit as they were."""
    if not packed or not isinstance(packed, bytes):
        return tuple(packed)  # type: ignore[arg-type]
    return tuple([_restore_end(values, unit) for values in _decode(packed)])


def add(packed: Packed, end: End, places: Optional[Places] = None) -> Packed:
    """Return the ends with one more; a second end for an attempt replaces the first.

    `places` maps the recorded paths of an end read from the journal.
    """
    if not packed:
        return pack((end,)) if places is None else pack_in_place(end, places)
    end = end if places is None else relocate_end(end, places)
    ends = unpack(packed, end.unit)
    if ends[-1].attempt == end.attempt:
        ends = ends[:-1]
    return pack((*ends, end))


def see(
    packed: Packed,
    unit: str,
    readings: Sequence[Reading],
    leftover_files: Optional[LeftoverFiles] = None,
) -> Packed:
    """Return the ends; the last one has these readings and leftover files instead of its own."""
    *before, last = unpack(packed, unit)
    newer = {reading.path: reading for reading in readings}
    outputs, inputs = (
        tuple([newer.get(reading.path, reading) for reading in known])
        for known in (last.outputs, last.inputs)
    )
    left = last.leftover_files if leftover_files is None else leftover_files
    now = msgspec.structs.replace(
        last,
        outputs=outputs,
        inputs=inputs,
        leftover_files=left if left is not None and left.count else None,
    )
    return pack((*before, now))


def _flatten_end(end: End, places: Optional[Places] = None) -> List[Any]:
    values = list(astuple(end))
    out, err = end.stdout_path, end.stderr_path
    if out and err and err == _name_stderr_path(out):
        values[_ERR] = True
    elif err and places is not None:
        values[_ERR] = places.log(err)
    if out and out == _name_usual_log(end.unit, end.attempt):
        values[_OUT] = True
    elif out and places is not None:
        values[_OUT] = places.log(out)
    values[_UNIT] = None  # the caller of `unpack` passes it
    if isinstance(end.exit, (Exited, Signaled)):
        values[_EXIT] = _pool.give_number(end.exit)
    values[_USAGE] = (*astuple(end.usage)[:-1], astuple(end.usage.affinity))
    values[_FINGERPRINT] = _pack_digits(end.fingerprint)
    for place in _READINGS:
        if values[place]:
            values[place] = [_flatten_reading(reading, places) for reading in values[place]]
    for place in _SHARED:
        values[place] = _pool.give_number(values[place])
    return values


def _restore_end(packed: Tuple[Any, ...], unit: str) -> End:
    values = list(packed)
    values[_UNIT] = unit
    if isinstance(values[_EXIT], int):
        values[_EXIT] = _pool.values[values[_EXIT]]
    *usage, affinity = values[_USAGE]
    values[_USAGE] = Usage(*(*usage, Affinity(*affinity)))
    if values[_OUT] is True:
        values[_OUT] = _name_usual_log(unit, values[_ATTEMPT])
    if values[_ERR] is True:
        values[_ERR] = _name_stderr_path(values[_OUT])
    values[_FINGERPRINT] = _unpack_digits(values[_FINGERPRINT])
    for place in _READINGS:
        if values[place]:
            values[place] = tuple([_restore_reading(values) for values in values[place]])
        else:
            values[place] = ()
    for place in _SHARED:
        values[place] = _pool.values[values[place]]
    return End(*values)


def _flatten_reading(reading: Reading, places: Optional[Places]) -> Tuple[Any, ...]:
    """Pack a reading: its path without the shared start, its ctime as the difference to mtime."""
    path, size, mtime_ns, sha256, inode, ctime_ns, link, changed = astuple(reading)
    since_ns = None if ctime_ns is None else ctime_ns - mtime_ns
    start, path = ("", path) if places is None else places.split(path)
    return (
        _pool.give_number(start),
        path,
        size,
        mtime_ns,
        _pack_digits(sha256),
        inode,
        since_ns,
        link,
        changed,
    )


def _restore_reading(values: Tuple[Any, ...]) -> Reading:
    start, path, size, mtime_ns, digits, inode, since_ns, link, changed = values
    ctime_ns = None if since_ns is None else mtime_ns + since_ns
    path = _pool.values[start] + path
    return Reading(path, size, mtime_ns, _unpack_digits(digits), inode, ctime_ns, link, changed)


def _name_usual_log(unit: str, attempt: int) -> str:
    """Return the usual path of an attempt's log; any other path is packed whole."""
    return f"logs/{unit}.{attempt}.out"


def _name_stderr_path(stdout_path: str) -> str:
    """Return the path of stderr's log that belongs to this path of stdout's log."""
    return stdout_path[:-3] + "err"


def _pack_digits(text: Optional[str]) -> Union[bytes, str, None]:
    """Return hexadecimal digits as bytes, which need half the space."""
    if not text:
        return text
    try:
        digits = bytes.fromhex(text)
    except ValueError:
        return text
    return digits if digits.hex() == text else text  # capitals or blanks would be lost


def _unpack_digits(digits: Union[bytes, str, None]) -> Any:
    return digits.hex() if isinstance(digits, bytes) else digits

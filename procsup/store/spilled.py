"""Results that are held on disk until their manifest is written: a run of any length fits."""

from contextlib import ExitStack, suppress
from typing import IO, Dict, Iterable, Iterator, Optional, Tuple

import msgspec

from procsup.core.events import UnitResult
from procsup.errors import RecordError
from procsup.host.files import describe_error
from procsup.host.opened import Folder

_PLACE_BYTES = 8
_LENGTH_BYTES = 4

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(UnitResult).decode


class SpilledResults:
    """Results of the units of one stage, in two files without names in the run directory.

    One holds the results, as they come, the other one the place of each by the unit's index. The
    methods raise RecordError if the files cannot be written or read. One thread calls them.
    """

    def __init__(self, run: Folder) -> None:
        self._run = run
        self._files: Optional[Tuple[IO[bytes], IO[bytes]]] = None
        self._stack = ExitStack()
        self._size = 0
        self._kept: Dict[int, UnitResult] = {}  # with text that is not UTF-8

    def add(self, results: Iterable[UnitResult]) -> None:
        """Write results; each unit comes once."""
        try:
            data, places = self._open()
            data.seek(self._size)
            for result in results:
                self._add_one(data, places, result)
        except OSError as error:
            raise self._make_error("written", error) from error

    def _add_one(self, data: IO[bytes], places: IO[bytes], result: UnitResult) -> None:
        try:
            encoded = _encode(result)
        except (UnicodeEncodeError, OverflowError):
            self._kept[result.unit.index] = result
            return
        data.write(len(encoded).to_bytes(_LENGTH_BYTES, "little"))
        data.write(encoded)
        places.seek(result.unit.index * _PLACE_BYTES)
        # A hole of the file is 0: this unit has not come.
        places.write((self._size + 1).to_bytes(_PLACE_BYTES, "little"))
        self._size += _LENGTH_BYTES + len(encoded)

    def merge(self, others: Iterable[UnitResult]) -> Iterator[UnitResult]:
        """Yield all results in the order of their units; `others` are in this order."""
        if self._files is None:
            yield from others
            return
        index = 0
        for other in others:
            yield from self._read_from(*self._files, index, other.unit.index)
            yield other
            index = other.unit.index + 1
        yield from self._read_from(*self._files, index, None)

    def _read_from(
        self, data: IO[bytes], places: IO[bytes], index: int, end: Optional[int]
    ) -> Iterator[UnitResult]:
        """Yield the results of units from `index` up to `end`; None: up to the last one."""
        last = max(self._kept, default=-1)
        while index != end:
            if index in self._kept:
                yield self._kept[index]
            else:
                place = self._read(places, index * _PLACE_BYTES, _PLACE_BYTES)
                if len(place) < _PLACE_BYTES and index > last:
                    return
                if any(place):
                    yield self._read_result(data, int.from_bytes(place, "little") - 1)
            index += 1

    def _read_result(self, data: IO[bytes], start: int) -> UnitResult:
        length = int.from_bytes(self._read(data, start, _LENGTH_BYTES), "little")
        return _decode(self._read(data, start + _LENGTH_BYTES, length))

    def _read(self, file: IO[bytes], start: int, count: int) -> bytes:
        try:
            if file.tell() != start:
                file.seek(start)
            return file.read(count)
        except OSError as error:
            raise self._make_error("read", error) from error

    def _open(self) -> Tuple[IO[bytes], IO[bytes]]:
        if self._files is None:
            import tempfile

            data, places = (
                self._stack.enter_context(tempfile.TemporaryFile(dir=self._run.place))  # noqa: SIM115
                for _ in range(2)
            )
            self._files = data, places
        return self._files

    def close(self) -> None:
        """Remove the files."""
        self._files = None
        with suppress(OSError):  # a failed flush does no harm: the files are not read again
            self._stack.close()

    def _make_error(self, action: str, error: OSError) -> RecordError:
        return RecordError(
            f"results in a temporary file of {self._run.path} cannot be {action}:"
            f" {describe_error(error)}"
        )

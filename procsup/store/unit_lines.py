"""The unit lines of the manifests of stages: the run's manifest copies them unchanged."""

import zlib
from typing import Dict, Iterable, Iterator, List, Optional, Sequence

from msgspec import Struct

from procsup.host.opened import Folder

_CHUNK_BYTES = 1 << 16


class UnitLinesChanged(Exception):
    """A stage's lines are not in its file any more, or have been changed."""


class _StageLines(Struct, frozen=True):
    name: str
    start: int
    length: int
    crc: int


class UnitLines:
    """Remembers the place and the checksum of each stage's lines."""

    def __init__(self) -> None:
        self._bodies: Dict[str, _StageLines] = {}

    def pass_lines(
        self, stage: str, name: str, start: int, lines: Iterable[bytes]
    ) -> Iterator[bytes]:
        """Pass on the lines that go to a file, from the byte `start` on, and remember them."""
        length = crc = 0
        for line in lines:
            length += len(line)
            crc = zlib.crc32(line, crc)
            yield line
        self._bodies[stage] = _StageLines(name, start, length, crc)

    def join(
        self, stages: Sequence[str], between: bytes, folder: Folder
    ) -> Optional[Iterator[bytes]]:
        """Return the lines of these stages in pieces; None if some are not known.

        `folder` is the open one of the stages' manifests. The iteration raises UnitLinesChanged if
        the lines of a stage are not as they were written.
        """
        if not all(stage in self._bodies for stage in stages):
            return None
        bodies = [self._bodies[stage] for stage in stages if self._bodies[stage].length]
        return _join(bodies, between, folder)


def _join(bodies: List[_StageLines], between: bytes, folder: Folder) -> Iterator[bytes]:
    for number, body in enumerate(bodies):
        if number:
            yield between
        try:
            yield from _read(body, folder)
        except OSError as error:
            raise UnitLinesChanged(str(error)) from error


def _read(body: _StageLines, folder: Folder) -> Iterator[bytes]:
    left, crc = body.length, 0
    with folder.record(body.name) as file:
        file.seek(body.start)
        while left:
            chunk = file.read(min(left, _CHUNK_BYTES))
            if not chunk:
                break
            left -= len(chunk)
            crc = zlib.crc32(chunk, crc)
            yield chunk
    if left or crc != body.crc:
        raise UnitLinesChanged(f"{body.name} was changed")

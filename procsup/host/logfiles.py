"""Reading logs that are whole files, or parts of one."""

import io
import os
from typing import Any, BinaryIO, Optional

from procsup.core.outcome import Part
from procsup.host.files import AnyPath, open_reading


def open_log(path: AnyPath, part: Optional[Part] = None) -> BinaryIO:
    """Open a log for reading; with a part, (offset, length) in bytes, only that can be read.

    OSError if it cannot be opened.
    """
    file = open_reading(path)
    return file if part is None else io.BufferedReader(_PartOfFile(file, *part))


class _PartOfFile(io.RawIOBase):
    """A part of a file, read like a whole file; shorter if the file ends earlier."""

    def __init__(self, file: BinaryIO, offset: int, length: int) -> None:
        self._file, self._offset = file, offset
        self._length = max(min(length, file.seek(0, os.SEEK_END) - offset), 0)
        self._at = 0

    def readable(self) -> bool:
        """Say yes, as `io` asks."""
        return True

    def seekable(self) -> bool:
        """Say yes, as `io` asks."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer from the part; return how many bytes there were."""
        self._file.seek(self._offset + self._at)
        data = self._file.read(min(len(buffer), max(self._length - self._at, 0)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to an offset from the start of the part, or from where `whence` says."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length}[whence]
        self._at = start + offset
        return self._at

    def close(self) -> None:
        """Close the file, too."""
        self._file.close()
        super().close()

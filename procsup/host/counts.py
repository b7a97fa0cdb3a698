"""Numbers of texts, of which any number may come: many of them are in a file, not in memory."""

from contextlib import contextmanager
from typing import TYPE_CHECKING, Dict, Iterator, Optional

from procsup.errors import RecordError

if TYPE_CHECKING:
    from sqlite3 import Connection

_MOST_IN_MEMORY = 20_000
_CACHE_KIB = 2048


class Counts:
    """A number for each text; 0 at first. The methods may be called from any one thread at a time.

    With `spills` all but the first 20,000 are in a temporary database of SQLite, if this Python has
    it: it needs little memory for a file of any size, and removes the file. RecordError if that
    cannot be read or written.
    """

    def __init__(self, *, spills: bool = False) -> None:
        self._spills = spills
        self._known: Dict[str, int] = {}
        self._database: Optional[Connection] = None

    def __del__(self) -> None:
        """Close the database: Python 3.13 warns of one that is left open."""
        if self._database is not None:
            self._database.close()

    def get(self, text: str) -> int:
        """Return the number of a text."""
        number = self._known.get(text)
        if number is not None or self._database is None:
            return number or 0
        with _report_errors():
            query = "SELECT n FROM counts WHERE text = ?"
            row = self._database.execute(query, (_encode(text),)).fetchone()
        return 0 if row is None else int(row[0])

    def set(self, text: str, number: int) -> None:
        """Set the number of a text."""
        if self._spills and text not in self._known and len(self._known) >= _MOST_IN_MEMORY:
            self._open()
        if self._database is None or text in self._known:
            self._known[text] = number
            return
        with _report_errors():
            row = _encode(text), number
            self._database.execute("REPLACE INTO counts VALUES (?, ?)", row)

    def _open(self) -> None:
        """Open the database if there is none, and if this Python has SQLite."""
        if self._database is not None:
            return
        try:
            import sqlite3
        except ImportError:
            self._spills = False
            return
        with _report_errors():
            # An empty name is that of a file without a name, in the folder for temporary files.
            database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
            database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            database.execute("PRAGMA journal_mode = OFF")
            database.execute("PRAGMA synchronous = OFF")
            database.execute("CREATE TABLE counts (text BLOB PRIMARY KEY, n) WITHOUT ROWID")
        self._database = database


@contextmanager
def _report_errors() -> "Iterator[None]":
    import sqlite3

    try:
        yield
    except sqlite3.Error as error:
        problem = f"a temporary database of names cannot be used: {error}"
        raise RecordError(problem) from error


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")

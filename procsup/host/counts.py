"""Numbers of texts, of which any number may come: many of them are in a file, not in memory."""

from typing import TYPE_CHECKING, Dict, Optional

from procsup.errors import RecordError

if TYPE_CHECKING:
    from sqlite3 import Connection

_MOST_IN_MEMORY = 20_000
_CACHE_KIB = 2048


class Counts:
    """A number for each text; 0 at first. The methods may be called from any one thread at a time.

    With `spills` all but the first 20,000 are in a temporary database of SQLite, if this Python has
    it: it needs no memory for a file of any size, and removes the file. RecordError if that cannot
    be written.
    """

    def __init__(self, *, spills: bool = False) -> None:
        self._spills = spills
        self._known: Dict[str, int] = {}
        self._database: Optional[Connection] = None

    def get(self, text: str) -> int:
        """Return the number of a text."""
        number = self._known.get(text)
        if number is None and self._database is not None:
            number = self._read(self._database, text)
        return number or 0

    def set(self, text: str, number: int) -> None:
        """Set the number of a text."""
        if self._spills and text not in self._known and len(self._known) >= _MOST_IN_MEMORY:
            self._spills = self._open()
        if self._database is None or text in self._known:
            self._known[text] = number
        else:
            self._write(self._database, text, number)

    def _open(self) -> bool:
        """Open the database if there is none; false if this Python has no SQLite."""
        if self._database is not None:
            return True
        try:
            import sqlite3
        except ImportError:
            return False
        # An empty name is that of a file without a name, in the folder for temporary files.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute("CREATE TABLE counts (text BLOB PRIMARY KEY, n) WITHOUT ROWID")
        return True

    def _read(self, database: "Connection", text: str) -> Optional[int]:
        query = "SELECT n FROM counts WHERE text = ?"
        row = database.execute(query, (_encode(text),)).fetchone()
        return None if row is None else int(row[0])

    def _write(self, database: "Connection", text: str, number: int) -> None:
        import sqlite3

        try:
            database.execute("REPLACE INTO counts VALUES (?, ?)", (_encode(text), number))
        except sqlite3.Error as error:
            problem = f"a temporary database of names cannot be written: {error}"
            raise RecordError(problem) from error


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")

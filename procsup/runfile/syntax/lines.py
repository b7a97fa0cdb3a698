"""Finds the line of each key of a TOML text.

No TOML parser keeps lines, so this reads the text a second time, and only if there are problems
to report. The text is valid: a parser has accepted it.
"""

import bisect
import re
from typing import Dict, List

from procsup.core.regexes import compile_at_use
from procsup.runfile.syntax.keypath import KeyPath
from procsup.runfile.syntax.reading import parse

_BLANK = compile_at_use(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = compile_at_use(r"[^\s.=\]\"'#]+")
_STRING = compile_at_use(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'  # a quote or two before the closing ones belong to the text
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'",
    re.DOTALL,
)
_SCALAR = compile_at_use(r"[^,\]}#\n]+")


def find_lines(text: str) -> Dict[KeyPath, int]:
    """Return the line (from 1) of every key and list item of a valid TOML text."""
    scanner = _Scanner(text)
    scanner.scan_document()
    return scanner.lines


class _Scanner:
    def __init__(self, text: str) -> None:
        self.lines: Dict[KeyPath, int] = {}
        self._text = text
        self._at = 0
        self._breaks = [match.start() for match in re.finditer("\n", text)]
        self._last_of: Dict[KeyPath, int] = {}  # array of tables -> index of its newest table

    def scan_document(self) -> None:
        table: KeyPath = ()
        self._skip_blank()
        while self._at < len(self._text):
            if self._text.startswith("[[", self._at):
                table = self._scan_header(2)
            elif self._text[self._at] == "[":
                table = self._scan_header(1)
            else:
                self._scan_pair(table)
            self._skip_blank()

    def _skip_blank(self) -> None:
        match = _BLANK.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _mark(self, path: KeyPath, at: int) -> None:
        self.lines.setdefault(path, bisect.bisect_left(self._breaks, at) + 1)

    def _scan_header(self, brackets: int) -> KeyPath:
        start = self._at
        self._at += brackets
        keys = self._scan_keys()
        self._skip_blank()
        self._at += brackets
        path: KeyPath = ()
        for depth, key in enumerate(keys):
            path = (*path, key)
            self._mark(path, start)
            last = depth == len(keys) - 1
            if last and brackets == 2:
                self._last_of[path] = self._last_of.get(path, -1) + 1
            if path in self._last_of:
                path = (*path, self._last_of[path])
                self._mark(path, start)
        return path

    def _scan_keys(self) -> List[str]:
        keys: List[str] = []
        while True:
            self._skip_blank()
            keys.append(self._scan_key())
            self._skip_blank()
            if self._text[self._at] != ".":
                return keys
            self._at += 1

    def _scan_key(self) -> str:
        quoted = self._text[self._at] in "\"'"
        match = (_STRING if quoted else _BARE_KEY).match(self._text, self._at)
        if match is None:
            raise AssertionError(f"no key at {self._at}")
        self._at = match.end()
        return str(parse(f"key = {match.group()}")["key"]) if quoted else match.group()

    def _scan_pair(self, table: KeyPath) -> None:
        start = self._at
        path = table
        for key in self._scan_keys():
            path = (*path, key)
            self._mark(path, start)
        self._at += 1  # the equals sign
        self._skip_blank()
        self._scan_value(path)

    def _scan_value(self, path: KeyPath) -> None:
        opening = self._text[self._at]
        if opening == "[":
            self._scan_items(path)
        elif opening == "{":
            self._scan_entries(path)
        else:
            match = (_STRING if opening in "\"'" else _SCALAR).match(self._text, self._at)
            self._at = match.end() if match else self._at + 1

    def _scan_items(self, path: KeyPath) -> None:
        self._at += 1
        index = 0
        while not self._try_close("]"):
            self._mark((*path, index), self._at)
            self._scan_value((*path, index))
            index += 1

    def _scan_entries(self, path: KeyPath) -> None:
        self._at += 1
        while not self._try_close("}"):
            self._scan_pair(path)

    def _try_close(self, bracket: str) -> bool:
        self._skip_blank()
        if self._text[self._at] == ",":
            self._at += 1
            self._skip_blank()
        if self._text[self._at] != bracket:
            return False
        self._at += 1
        return True

"""Reads PowerShell, as far as needed to know where placeholders are allowed."""

from typing import ClassVar, Dict

from procsup.runfile.templates.reader import IN_COMMENT, IN_DOCUMENT, IN_QUOTES, MARK, Reader


class PowerShell(Reader):
    """Knows quotes, comments, here-strings and ``$(...)``."""

    why: ClassVar[Dict[str, str]] = {
        "'": IN_QUOTES,
        '"': IN_QUOTES,
        "@'": IN_DOCUMENT,
        '@"': IN_DOCUMENT,
        "#": IN_COMMENT,
        "<#": IN_COMMENT,
    }

    def step(self) -> None:
        """Read the text at `at`."""
        top = self.open[-1] if self.open else ""
        if top in ("#", "<#", "@'", "'"):
            self._read_in_closed(top)
        elif self.is_next("`" + MARK):
            self.at += 1
            self.note_placeholder()
            self.refuse(len(self.found) - 1, "stands behind a `, which would undo its quotes")
            self.at += 1
        elif self.is_next("`"):
            self.at += 2
        elif top in ('"', '@"'):
            self._read_in_double(top)
        else:
            self._read_plain(top)

    def _read_in_closed(self, top: str) -> None:
        end = {"#": "\n", "<#": "#>", "@'": "\n'@", "'": "'"}[top]
        if self.is_next(end):
            self.pop(len(end))
        else:
            self.at += 1

    def _read_in_double(self, top: str) -> None:
        end = '"' if top == '"' else '\n"@'
        if self.is_next(end):
            self.pop(len(end))
        elif self.is_next("$("):
            self.push("(", 2)
        else:
            self.at += 1

    def _read_plain(self, top: str) -> None:
        for word in ("<#", "@'", '@"', "'", '"', "("):
            if self.is_next(word):
                self.push(word, len(word))
                return
        before = self.text[self.at - 1 : self.at] if self.at else "\n"
        if self.is_next("#") and before in " \t\n;({|":
            self.push("#", 1)
        elif top == "(" and self.is_next(")"):
            self.pop(1)
        else:
            self.at += 1

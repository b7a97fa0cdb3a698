"""The common part of the readers of `shell` text, which judge the place of each placeholder."""

from typing import ClassVar, Dict, List, NamedTuple, Optional, Pattern

from procsup.runfile.syntax.problems import Wrong

MARK = "\0"  # replaces a placeholder in the text that is read

IN_QUOTES = (
    "stands in quotes: procsup quotes each placeholder itself, write it without"
    " (quotes may end before it and begin again behind it)"
)
IN_DOCUMENT = (
    "stands in a here-document, where its quotes would be part of the text: put it into a"
    " variable first, or hand it over in `args` or `env`"
)
IN_COMMENT = "stands in a comment, which a line break in its value would end"


class Place(NamedTuple):
    """The place of a placeholder: why none is allowed there, and which values need quotes there."""

    problem: str = ""
    risky: Optional[Pattern[str]] = None  # values that must be quoted there
    is_one: bool = False  # a list is not allowed
    takes_number: bool = False  # a placeholder that is always a number is allowed


class Reader:
    """A stack of open constructs, and a walk over the text."""

    why: ClassVar[Dict[str, str]] = {}  # construct -> why no placeholder is allowed in it

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.open: List[str] = []
        self.found: List[Place] = []
        self.doubt = ""  # why the state is uncertain

    def find_places(self) -> List[Place]:
        """Return the place of each placeholder; `Wrong` if a quote is never closed."""
        while self.at < len(self.text):
            if self.text[self.at] == MARK:
                self.note_placeholder()
                self.at += 1
            else:
                self.step()
        left = next((one for one in reversed(self.open) if one in ("'", '"', "$'")), "")
        if left and not self.doubt:
            raise Wrong(f"a {left} is opened and never closed")
        return self.judge_places()

    def step(self) -> None:
        """Read the text at `at`, which is not a placeholder."""
        raise AssertionError("each shell has its own")

    def note_placeholder(self) -> None:
        """Note the placeholder at `at`."""
        self.found.append(Place(self.why.get(self.open[-1], "") if self.open else ""))

    def judge_places(self) -> List[Place]:
        """Return the places; if the text is in doubt, no placeholder is allowed."""
        if not self.doubt:
            return self.found
        return [Place(self.doubt) for _ in self.found]

    def refuse(self, number: int, problem: str, *, takes_number: bool = False) -> None:
        """Note why a placeholder is not allowed; the first reason counts."""
        place = self.found[number]
        if not place.problem:
            self.found[number] = place._replace(problem=problem, takes_number=takes_number)

    def is_next(self, word: str) -> bool:
        """Whether this text comes next."""
        return self.text.startswith(word, self.at)

    def push(self, what: str, length: int) -> None:
        """Note that a construct begins here."""
        self.open.append(what)
        self.at += length

    def pop(self, length: int) -> None:
        """Note that the innermost construct ends here."""
        self.open.pop()
        self.at += length

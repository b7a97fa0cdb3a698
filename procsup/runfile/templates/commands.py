"""Finds words of bash's own commands in which even a quoted value would be executed.

Some commands use a word as the name of a variable, and bash expands a subscript in such a name;
others use it as arithmetic, or as shell text. There a value such as ``a[$(rm x)]`` would be
executed in spite of its quotes. (The manual of bash mentions few of them; each was tried.)
"""

import re
from typing import Dict, List, Optional, Pattern, Sequence, Set, Tuple

from procsup.runfile.templates.reader import MARK, Reader

EVALUATED = (
    "stands in arithmetic, where bash runs a $(...) in it: check it, and take it from a variable"
    " (case {...} in *[!0-9]*) exit 2;; esac; n={...})"
)
FILE_NAME = {
    ">&": "stands behind >&, where bash runs a $(...) in it: write >{...} 2>&1",
    "<&": "stands behind <&, which takes a number and no file: write <{...}",
}
_BESIDE = (
    "stands beside {} in [[ ]], which is arithmetic: bash runs a $(...) in it; write [ ... ],"
    " which takes numbers only"
)
_NAMED = (
    "stands where `{}` takes the name of a variable, in which bash runs a $(...): write the name"
)
_TEXT = (
    "stands where `{}` reads text of the shell, which undoes its quotes: put it into a variable"
    ' first (v={{...}}), and write "$v" in that text, in single quotes'
)
_CODE = (
    'stands in a text for `{} -c`, which undoes its quotes: write "$1" there, and give it as an'
    " argument behind the text and a name ({} -c '... \"$1\"' {} {{...}})"
)
_FORMAT = "is the format of `printf`, where -v has a meaning: write printf '%s\\n' {...}"
_OPERATOR = "stands where `{}` might take it for an operator: write [ -n {{...}} ], or compare it"
_PERHAPS = (
    "stands behind a variable in `{}`, which may be -v, and bash runs a $(...) in what follows"
    " that: write the operator itself"
)
_A_LIST = (
    "is the value of a list here, and bash runs a $(...) in one that begins with a (: declare the"
    " variable first, and write NAME={...} as a command of its own"
)

_DECLARE = frozenset(("declare", "typeset", "local", "export", "readonly"))
_BEFORE = frozenset(
    ("if", "then", "elif", "else", "while", "until", "do", "!", "{", "time", "coproc")
)
_BEGIN = _BEFORE | {"[[", "for", "select", "case", "function"}
_SHELLS = frozenset(("sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "su", "$SHELL"))
_TAKE_NAMES = frozenset(("unset", "getopts", "wait"))
_TAKE_TEXT = frozenset(("eval", "trap", "alias", "compgen", "complete"))
# Of commands that take names: the options whose argument is a value.
_VALUES: Dict[str, str] = {"read": "dinNptu", "mapfile": "dnOsu", "readarray": "dnOsu"}
_ARITHMETIC_VARIABLES = frozenset(("RANDOM", "SRANDOM", "OPTIND", "HISTCMD", "SECONDS", "LINENO"))
_TEXT_VARIABLES = re.compile(r"(?:BASH_ENV|PS4)\+?=")  # bash expands their value
_LISTS = re.compile(r"BASH_\w+|DIRSTACK|FUNCNAME|GROUPS|PIPESTATUS|COPROC|MAPFILE")

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(\[.*\])?\+?=")
_NAME = re.compile(r"([A-Za-z_]\w*)(?:\+?=|$)")
_INDEX = re.compile(r"[A-Za-z_]\w*\[")
_NAMED_BY_VALUE = re.compile(r"[\w\0]*\0[\w\0]*(\[.*\])?\+?=")
_BOUNDS = re.compile(r"[\d\0]+")
OPERATORS = frozenset(("=", "==", "!=", "<", ">", "=~", "-nt", "-ot", "-ef"))
_COMPARE = frozenset(("-eq", "-ne", "-lt", "-le", "-gt", "-ge"))
_BEHIND_A_VALUE = OPERATORS | _COMPARE | {"-a", "-o", ")"}
_UNARY = frozenset(f"-{letter}" for letter in "abcdefghknoprstuwxzGLNORS")
_MAY_BE_OPTION = re.compile(r"-?[$\2]")  # a variable's value, or the output of a command
_BEFORE_A_TEST = frozenset(("", "!", "(", "-a", "-o"))
_BETWEEN = frozenset(("(", ")", "&&", "||"))

# Values that have a special meaning in one place, although they need no quotes elsewhere.
_NUMBER = re.compile(r"^\d+$")  # echo 2>file
_SEVERAL = re.compile(r",|\.\.")  # {a,b,c}
_RANGE = re.compile(r"[-.:=]")  # [a-z]
_OF_A_NAME = re.compile(r"^\w")  # $HOMEdir
_LIKE_OPERATOR = re.compile(r"^-[A-Za-z]$")
_OF_A_PATTERN = re.compile(r"[.+]")


class Word:
    """A word: `text` without its quotes, and `shape`, in which quoted characters are replaced."""

    __slots__ = ("begun", "numbers", "shape", "text")

    def __init__(self, text: str = "") -> None:
        self.begun = bool(text)
        self.shape = text
        self.text = text
        self.numbers: List[Tuple[int, int]] = []  # of placeholders: (position, number)

    def __bool__(self) -> bool:
        return self.begun

    def add(self, text: str, *, quoted: bool = False) -> None:
        """Append a text."""
        self.begun = True
        self.shape += "\1" * len(text) if quoted else text
        self.text += text

    def take(self, number: int) -> None:
        """Append a placeholder."""
        self.numbers.append((len(self.shape), number))
        self.add(MARK)

    @property
    def is_open(self) -> bool:
        """Whether a value may be its beginning, or all of an option."""
        return bool(self.numbers) and self.text.lstrip("-")[:1] == MARK

    def is_number_of_file(self) -> bool:
        """Whether it would be a part of a redirection that follows at once."""
        return bool(re.fullmatch(r"\d+|\{[A-Za-z_]\w*\}", self.shape))


def _strip_words(words: Sequence[Word]) -> List[Word]:
    """Return the words without leading ones, such as `time`, after which the command begins."""
    rest = list(words)
    while rest:
        shape, third = rest[0].shape, rest[2].shape if len(rest) > 2 else ""
        if shape == "function":
            rest = rest[2:]
        elif shape in ("for", "select") and third == "do":
            rest = rest[3:]
        elif shape == "coproc" and third in _BEGIN:
            rest = rest[2:]
        elif shape in _BEFORE:
            rest = rest[1:]
            while shape == "time" and rest and rest[0].shape in ("-p", "--"):
                rest = rest[1:]
        else:
            break
    return rest


def _find_text_for_shell(words: Sequence[Word], *, takes_more: bool) -> Optional[Word]:
    """Return the word that a shell executes for -c; `takes_more`: others may stand before it."""
    has_text, before = False, ""
    for word in words:
        is_option = word.text[:1] in ("-", "+", "$")
        if is_option:
            has_text = has_text or bool(re.fullmatch(r"-\w*c\w*", word.text))
        elif has_text and not re.fullmatch(r"[-+]\w*[oO]", before):
            return word
        elif not takes_more and not re.fullmatch(r"[-+]\w*[oO]|--\w+-?file", before):
            return None
        before = word.text
    return None


def begins_command(words: Sequence[Word]) -> bool:
    """Whether the next word may be a keyword such as ``[[``."""
    rest = _strip_words(words)
    return not rest or (len(rest) == 1 and len(words) > 1 and words[-2].shape == "coproc")


def takes_assignment(words: Sequence[Word]) -> bool:
    """Whether the next word may be an assignment."""
    rest = _strip_words(words)
    while rest and _ASSIGNMENT.match(rest[0].shape):
        rest = rest[1:]
    return not rest or rest[0].text in _DECLARE


class Judge:
    """Refuses placeholders in words in which a quoted value would not be a plain word."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._attributes: Dict[str, Set[str]] = {}  # of variables: "i", "n", "a", "A"
        self._assigned: List[Tuple[str, Word, bool]] = []  # name, word, by `declare`

    def refuse(self, word: Word, problem: str, *, takes_number: bool = False) -> None:
        """Refuse all placeholders of a word; with `takes_number`, those that may not be numbers."""
        for _, number in word.numbers:
            self._reader.refuse(number, problem, takes_number=takes_number)

    def finish(self) -> None:
        """Judge the words whose meaning depends on the whole text."""
        for name, word, is_declared in self._assigned:
            attributes = self._attributes.get(name, set())
            if "n" in attributes:
                self.refuse(word, _NAMED.format("declare -n"))
            if "i" in attributes or name in _ARITHMETIC_VARIABLES:
                self.refuse(word, EVALUATED)
            if is_declared and (attributes & {"a", "A"} or _LISTS.fullmatch(name)):
                self.refuse(word, _A_LIST)

    # --- words of any command --------------------------------------------------------------

    def judge_word(self, word: Word, *, in_list: bool = False) -> None:
        """Judge a word by itself; `in_list`: in the parentheses of an array."""
        if not word.numbers:
            return
        if _TEXT_VARIABLES.match(word.text):
            self.refuse(word, _TEXT.format(word.text.partition("=")[0]))
        indexed = _INDEX.match(word.shape) or (in_list and word.shape[0] == "[")
        for at, number in word.numbers:
            before, after = word.shape[:at], word.shape[at + 1 :]
            if indexed and before.count("[") > before.count("]"):
                self._reader.refuse(number, EVALUATED)
            if re.search(r"\$[A-Za-z_][\w\0]*$", before):
                self._quote(number, _OF_A_NAME)
            elif "{" in before and "}" in after:
                self._quote(number, _SEVERAL)
            elif "[" in before and "]" in after:
                self._quote(number, _RANGE)

    def judge_number(self, word: Word) -> None:
        """Judge a word that a redirection follows at once."""
        if word.numbers and _BOUNDS.fullmatch(word.shape):
            self._quote(word.numbers[-1][1], _NUMBER)

    def judge_array(self, word: Word) -> str:
        """Return the name of a word such as ``name=`` or ``name[1]``, and note it as an array."""
        name = re.match(r"([A-Za-z_]\w*)(?:\[.*\])?(?:\+?=|$)", word.shape)
        if name is None:
            return ""
        self._mark(name.group(1), "a")
        return name.group(1)

    def note_assigned(self, name: str, words: Sequence[Word]) -> None:
        """Note that a variable gets these words as its value or values."""
        self._assigned += [(name, word, False) for word in words if word.numbers]

    def _quote(self, number: int, values: Pattern[str]) -> None:
        place = self._reader.found[number]
        if place.risky is not None:
            values = re.compile(f"{place.risky.pattern}|{values.pattern}")
        self._reader.found[number] = place._replace(risky=values)

    def _judge_only_one(self, word: Word) -> None:
        for _, number in word.numbers:
            place = self._reader.found[number]
            self._reader.found[number] = place._replace(is_one=True)

    def _mark(self, name: str, attributes: str) -> None:
        self._attributes.setdefault(name, set()).update(attributes)

    # --- commands --------------------------------------------------------------------------

    def judge_command(self, words: Sequence[Word], strings: Sequence[Word] = ()) -> None:
        """Judge the words of one simple command, and of the strings behind its ``<<<``."""
        rest = _strip_words(words)
        if len(words) > 1 and words[0].shape == "coproc":
            self._mark(words[1].text, "a")
        while rest and _ASSIGNMENT.match(rest[0].shape):
            self._judge_assignment(rest.pop(0))
        if rest and len(rest[0].numbers) > 1 and _NAMED_BY_VALUE.match(rest[0].shape):
            self.refuse(rest[0], _NAMED.format("="))
        self._judge_texts_for_shells(rest)
        while rest and rest[0].text in ("builtin", "command"):
            rest = rest[1:]
            while rest and rest[0].text[:1] == "-":
                rest = rest[1:]
        if not rest:
            return
        name, arguments = rest[0].text, rest[1:]
        if name in _DECLARE:
            self._judge_declaration(name, arguments)
        elif name == "let":
            self._refuse_all(arguments, EVALUATED)
        elif name in _TAKE_TEXT:
            self._refuse_all(arguments, _TEXT.format(name))
        elif name in _TAKE_NAMES:
            self._refuse_all(arguments, _NAMED.format(name))
        elif name in _VALUES:
            self._judge_reading(name, arguments, strings)
        elif name == "printf":
            self._judge_printing(arguments)
        elif name in ("for", "select") and arguments:
            self.note_assigned(arguments[0].text, arguments[1:])
        elif name in ("test", "["):
            self._judge_old_test(name, arguments[:-1] if name == "[" else arguments)

    def _refuse_all(self, words: Sequence[Word], problem: str) -> None:
        for word in words:
            self.refuse(word, problem)

    def _judge_assignment(self, word: Word) -> None:
        name = _ASSIGNMENT.match(word.shape)
        assert name is not None
        if word.numbers:
            self._assigned.append((name.group(1), word, False))
        if name.group(2) is not None:
            self._mark(name.group(1), "a")

    def _judge_declaration(self, name: str, arguments: Sequence[Word]) -> None:
        options, is_sure = "", True
        for word in arguments:
            found = _NAME.match(word.shape)
            if word.text[:1] in ("-", "+") and not word.numbers:
                options += word.text
            elif found is None or found.end() > word.shape.find(MARK) >= 0 or not is_sure:
                self.refuse(word, _NAMED.format(name))
                is_sure = is_sure and "$" not in word.text and "\2" not in word.text
                self.judge_array(word)
            else:
                self._mark(found.group(1), "".join(set(options) & set("aAin")))
                if word.numbers:
                    is_list = bool(set(options) & {"a", "A"})
                    is_declared = is_list or name not in ("export", "readonly")
                    self._assigned.append((found.group(1), word, is_declared))

    def _judge_reading(self, name: str, arguments: Sequence[Word], strings: Sequence[Word]) -> None:
        before = ""
        for word in arguments:
            option = re.fullmatch(rf"-\w*[{_VALUES[name]}]", before)
            if not option and not re.match(rf"-\w*[{_VALUES[name]}]\0", word.text):
                self.refuse(word, _NAMED.format(name))
            if re.fullmatch(r"[A-Za-z_]\w*", word.text) and not option:
                self._mark(word.text, "a" if name != "read" or before.endswith("a") else "")
                self.note_assigned(word.text, strings)
            before = word.text

    def _judge_printing(self, arguments: Sequence[Word]) -> None:
        before = ""
        for word in arguments:
            if before == "-v" or word.text.startswith("-v"):
                self.refuse(word, _NAMED.format("printf -v"))
                self.note_assigned(word.text, arguments)
            elif word.is_open:
                self.refuse(word, _FORMAT)
                return
            elif word.text[:1] != "-" or word.text == "--":
                return
            before = "" if before == "-v" else word.text

    def _judge_old_test(self, name: str, words: Sequence[Word]) -> None:
        first = True  # `before` is where an operator of one operand may be
        for before, word, after in zip([Word(), *words], words, [*words[1:], None]):
            self._judge_only_one(word)
            if before.text == "-v":
                self.refuse(word, _NAMED.format(f"{name} -v"))
            if first and _MAY_BE_OPTION.match(before.text):
                self.refuse(word, _PERHAPS.format(name))
            first = before.text in _BEFORE_A_TEST
            if word.is_open and after is not None and after.text not in _BEHIND_A_VALUE:
                self.refuse(word, _OPERATOR.format(name))

    def _judge_texts_for_shells(self, words: Sequence[Word]) -> None:
        names = [word.text.rpartition("/")[2] for word in words]
        for at, name in enumerate(names):
            if name in _SHELLS:
                text = _find_text_for_shell(words[at + 1 :], takes_more=name == "su")
                if text is not None and text.shape != MARK:
                    self.refuse(text, _CODE.format(name, name, name))

    # --- [[ ]] -----------------------------------------------------------------------------

    def test(self, words: Sequence[Word]) -> None:
        """Judge the words in ``[[ ]]``."""
        part: List[Word] = []
        for word in [*words, Word(")")]:
            if word.shape in _BETWEEN or (word.shape == "!" and not part):
                self._judge_condition(part)
                part = []
            else:
                self._judge_only_one(word)
                part.append(word)

    def _judge_condition(self, words: Sequence[Word]) -> None:
        operator: Optional[str] = None
        if len(words) == 2:
            operator = words[0].shape
        elif len(words) == 3:
            operator = words[1].shape
        problem = _explain_operator(operator, len(words))
        for word in words if problem else ():
            self.refuse(word, problem, takes_number=operator in _COMPARE)
        if words and words[0].shape == MARK:
            self._quote(words[0].numbers[0][1], _LIKE_OPERATOR)
        for word in words[2:] if operator == "=~" else ():
            for _, number in word.numbers:
                self._quote(number, _OF_A_PATTERN)


def _explain_operator(operator: Optional[str], count: int) -> str:
    if count < 2 or (operator in OPERATORS if count == 3 else operator in _UNARY):
        return ""
    if operator in _COMPARE:
        return _BESIDE.format(operator)
    if operator == "-v":
        return _NAMED.format("[[ -v")
    return _OPERATOR.format("[[")

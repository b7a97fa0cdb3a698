"""Reads bash, as far as needed to know where a placeholder is a word, and nothing but a word.

`Bash` finds words and the commands that they form; `commands.py` judges what a command does with
its words. If bash's own parsing depends on more than the text, the text is in doubt.
"""

import re
from typing import ClassVar, Dict, List, Tuple

from procsup.runfile.templates.commands import (
    EVALUATED,
    FILE_NAME,
    OPERATORS,
    Judge,
    Word,
    begins_command,
    takes_assignment,
)
from procsup.runfile.templates.reader import (
    IN_COMMENT,
    IN_DOCUMENT,
    IN_QUOTES,
    MARK,
    Place,
    Reader,
)
from procsup.seams import seam

_IN_BACKTICKS = "stands in backticks, which undo its quotes: write $(...)"
_UNSURE = "cannot be placed for sure, because of"
_REDIRECTIONS = ("<<<", "<&", "<>", "&>>", "&>", ">>", ">&", ">|", "<", ">")
_DELIMITER = re.compile(
    r"<<(-?)[ \t]*(?:(\\?[\w.%@:,=+/^-]+)|'([^'\n\0]+)'|\"([^\"\n\0$`\\]+)\")(?=[ \t\n;|&()<>]|$)"
)
_EXPANDED = "\2"  # stands for an expansion in a word
_OPEN_INDEX = re.compile(r"(?:[A-Za-z_]\w*)?\[[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*")
_ARRAY = re.compile(r"[A-Za-z_]\w*(?:\[.*\])?\+?=")


class _Code:
    """The current command of a text of commands: the whole text, or that of a ``$(...)``."""

    def __init__(self, kind: str) -> None:
        self.name = ""  # of an array
        self.strings: List[Word] = []  # behind <<<
        self.kind = kind  # "$(", "(", "`", "=(" for the words of an array, "" for the whole
        self.words: List[Word] = []
        self.word = Word()
        self.redirection = ""
        self.in_test = False  # in [[ ]]
        self.cases = 0  # open `case`s, whose patterns end with a )
        self.documents: List[Tuple[str, bool, bool]] = []  # end, strips tabs, is quoted


class Bash(Reader):
    """Knows quotes, expansions, comments, here-documents, arithmetic, and ``[[ ]]``."""

    why: ClassVar[Dict[str, str]] = {
        "'": IN_QUOTES,
        '"': IN_QUOTES,
        "$'": IN_QUOTES,
        "${": "stands in ${...}, where quotes mean something else: put it into a variable first",
        "((": EVALUATED,
        "(a": EVALUATED,
        "#": IN_COMMENT,
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._codes = [_Code("")]
        self._judge = Judge(self)

    def find_places(self) -> List[Place]:
        """Return the place of each placeholder; `Wrong` if a quote is never closed."""
        self.text += "\n"  # ends the last word and command
        super().find_places()
        for code in reversed(self._codes):
            self._end_command(code)
        self._judge.finish()
        return self.judge_places()

    def note_placeholder(self) -> None:
        """Note the placeholder at `at`, also in its word."""
        super().note_placeholder()
        number = len(self.found) - 1
        if "`" in self.open:
            self.refuse(number, _IN_BACKTICKS)
        self._codes[-1].word.take(number)

    def step(self) -> None:
        """Read the text at `at`."""
        top = self.open[-1] if self.open else ""
        if top in ("'", "$'"):
            self._read_in_single(top)
        elif top == "#":
            self._read_in_comment()
        elif self.text[self.at] == "\\":
            self._skip_escaped()
        elif top in ('"', "${"):
            self._read_in_double(top)
        elif self._begins(top):
            pass
        elif top in ("((", "(a"):
            self._read_in_arithmetic(top)
        elif top == "(r":
            self._read_in_pattern()
        else:
            self._read_in_code(self._codes[-1])

    # --- quotes, comments, expansions ------------------------------------------------------

    def _refuse_unsure(self, because: str, instead: str) -> None:
        self.doubt = self.doubt or f"{_UNSURE} {because}: {instead}"

    @seam("bash: quoted text")
    def _note_quoted(self, text: str) -> None:
        self._codes[-1].word.add(text, quoted=True)

    def _read_in_single(self, top: str) -> None:
        if top == "$'" and self.is_next("\\"):
            self._note_quoted(_EXPANDED)
            self.at += 1 if self.text[self.at + 1 : self.at + 2] == MARK else 2
        elif self.is_next("'"):
            self.pop(1)
        else:
            if self.is_next("`") and "`" in self.open:
                self._refuse_unsure("a ` in quotes in backticks", "write $(...)")
            self._note_quoted(self.text[self.at])
            self.at += 1

    def _read_in_comment(self) -> None:
        if self.is_next("\n"):
            self.open.pop()
            return
        if self.is_next("`") and "`" in self.open:
            self._refuse_unsure("a comment in backticks", "write $(...)")
        self.at += 1

    def _skip_escaped(self) -> None:
        after = self.text[self.at + 1 : self.at + 2]
        if after == MARK:
            self.at += 1
            self.note_placeholder()
            self.refuse(len(self.found) - 1, "stands behind a \\, which would undo its quotes")
            self.at += 1
            return
        if after != "\n":
            self._note_quoted(after)
        self.at += 2

    def _read_in_double(self, top: str) -> None:
        end = '"' if top == '"' else "}"
        if self.is_next(end):
            self.pop(1)
        elif self.is_next("'") and top == "${":
            if '"' in self.open:  # whether it quotes depends on the operator
                self._refuse_unsure('a \' in "${...}"', "use `args`")
            self.push("'", 1)
        elif self.is_next('"') and top == "${":
            self.push('"', 1)
        elif not self._expands():
            self._note_quoted(self.text[self.at])
            self.at += 1

    def _expands(self) -> bool:
        if self.is_next("$["):
            self._refuse_unsure("$[...]", "write $((...)) instead")
        for word, what in (("$((", "(("), ("$(", "$("), ("${", "${"), ("`", "`")):
            if not self.is_next(word):
                continue
            self._codes[-1].word.add(_EXPANDED, quoted=True)
            if what == "`" and "`" in self.open:
                self._refuse_unsure("a ` in another construct in backticks", "write $(...)")
            if what == "${" and self.text[self.at + 2 : self.at + 3] in " \t\n|":
                self._refuse_unsure("${ ...}", "write $(...)")
            if what in ("$(", "`"):
                self._codes.append(_Code(what))
            self.push(what, len(word))
            return True
        return False

    def _begins(self, top: str) -> bool:
        if top == "`" and self.is_next("`"):
            self._leave()
            self.pop(1)
            return True
        for word in ("$'", "'", '"'):
            if self.is_next(word):
                self._note_quoted("")
                self.push(word, len(word))
                return True
        if self.is_next('$"'):
            self.at += 1
            return self._begins(top)
        return self._expands()

    def _read_in_arithmetic(self, top: str) -> None:
        if self.is_next("("):
            self.push("(a", 1)
        elif top == "((" and self.is_next("))"):
            self.pop(2)
        elif top == "(a" and self.is_next(")"):
            self.pop(1)
        else:
            if self.is_next(")"):
                self._refuse_unsure("(( ), which is no arithmetic", "write ( ( )")
            self.at += 1

    def _read_in_pattern(self) -> None:
        self._codes[-1].word.add(self.text[self.at])
        if self.is_next("("):
            self.push("(r", 1)
        elif self.is_next(")"):
            self.pop(1)
        else:
            self.at += 1

    # --- words and commands ----------------------------------------------------------------

    @seam("bash: commands")
    def _read_in_code(self, code: _Code) -> None:
        character = self.text[self.at]
        if code.in_test and code.word.shape == "]]" and character in ";&|()<>":
            self._end_word(code)
        if self._is_in_index(code):
            code.word.add(character)
            self.at += 1
        elif character in " \t":
            self._end_word(code)
            self.at += 1
        elif character == "\n":
            self._end_line(code)
        elif character == "#" and not code.word:
            self.push("#", 1)
        elif character == "(":
            self._open(code)
        elif character == ")":
            self._close(code)
        elif character in "<>" or self.is_next("&>"):
            self._redirect(code)
        elif character in ";&|":
            self._separate(code)
        else:
            code.word.add(character)
            self.at += 1

    def _is_in_index(self, code: _Code) -> bool:
        """Whether bash reads on up to a ], as it does behind ``name[`` where it may assign."""
        shape = code.word.shape
        if code.in_test or "[" not in shape or not _OPEN_INDEX.fullmatch(shape):
            return False
        if code.kind == "=(":
            return shape[0] == "["
        return shape[0] != "[" and takes_assignment(code.words) and not code.redirection

    def _end_word(self, code: _Code) -> None:
        word, code.word = code.word, Word()
        if not word:
            return
        self._judge.judge_word(word, in_list=code.kind == "=(")
        self._note_case(code, word)
        if code.redirection:
            if code.redirection in (">&", "<&"):
                self._judge.refuse(word, FILE_NAME[code.redirection])
            elif code.redirection == "<<<":
                code.strings.append(word)
            code.redirection = ""
        elif code.kind == "=(":
            self._judge.note_assigned(code.name, [word])
        elif code.in_test and word.shape == "]]":
            self._judge.test(code.words)
            code.in_test = False
            code.words = [word]
        elif word.shape == "[[" and not code.in_test and begins_command(code.words):
            code.in_test = True
            code.words = []
        else:
            code.words.append(word)

    def _note_case(self, code: _Code, word: Word) -> None:
        if word.shape == "case" and begins_command(code.words):
            code.cases += 1
            if any(outer.kind in ("$(", "`") for outer in self._codes):  # old ones misread it
                self._refuse_unsure("a `case` in $(...)", "use `args`")
        elif word.shape == "esac" and (not code.words or code.words[-1].shape == "in"):
            code.cases = max(0, code.cases - 1)

    def _end_command(self, code: _Code) -> None:
        self._end_word(code)
        if code.in_test:  # it is never closed: bash will not run it
            self._judge.test(code.words)
        elif code.kind != "=(":
            self._judge.judge_command(code.words, code.strings)
        code.redirection, code.in_test, code.words, code.strings = "", False, [], []

    def _end_line(self, code: _Code) -> None:
        self.at += 1
        self._end_word(code)
        if not code.in_test:
            self._end_command(code)
        if any(other.documents for other in self._codes[:-1]):
            self._refuse_unsure(
                "a here-document that begins in the middle of a command", "use `args`"
            )
        if code.documents:
            self._skip_documents(code)

    def _separate(self, code: _Code) -> None:
        pair = self.text[self.at : self.at + 2]
        if not code.in_test:
            self._end_command(code)
            self.at += 1
        elif pair in ("&&", "||"):
            self._end_word(code)
            code.words.append(Word(pair))
            self.at += 2
        else:
            code.word.add(pair[0])
            self.at += 1

    def _open(self, code: _Code) -> None:
        word = code.word
        if code.in_test:
            before = code.words[-1].shape if code.words else ""
            if word.shape == "!" and before not in OPERATORS:
                self._end_word(code)
            if code.word or before == "=~":
                self._read_in_pattern()
            else:
                code.words.append(Word("("))
                self.at += 1
        elif _ARRAY.fullmatch(word.shape):
            name = self._judge.judge_array(word)
            word.add(_EXPANDED, quoted=True)
            self._enter("=(", 1)
            self._codes[-1].name = name
        elif self.is_next("((") and (not word or begins_command([*code.words, word])):
            self._end_command(code)
            self.push("((", 2)
        else:
            self._end_command(code)
            self._enter("(", 1)

    def _enter(self, kind: str, length: int) -> None:
        self._codes.append(_Code(kind))
        self.push(kind, length)

    def _leave(self) -> None:
        code = self._codes.pop()
        self._end_command(code)
        if code.documents:
            self._refuse_unsure("a here-document that is not at its end", "use `args`")

    def _close(self, code: _Code) -> None:
        if code.in_test:
            self._end_word(code)
            code.words.append(Word(")"))
            self.at += 1
        elif code.kind in ("$(", "(", "=(") and not code.cases:
            self._leave()
            self.pop(1)
        else:  # behind a pattern of `case`
            self._end_command(code)
            self.at += 1

    def _redirect(self, code: _Code) -> None:
        if self.text[self.at + 1 : self.at + 2] == "(" and self.text[self.at] in "<>":
            code.word.add(_EXPANDED, quoted=True)
            self._enter("$(", 2)
            return
        if code.in_test:
            self._end_word(code)
            code.words.append(Word(self.text[self.at]))
            self.at += 1
            return
        if not self.is_next("&"):
            self._judge.judge_number(code.word)
            if code.word.is_number_of_file():
                code.word = Word()
        self._end_word(code)
        if self.is_next("<<") and not self.is_next("<<<"):
            self._begin_document(code)
            return
        operator = next(one for one in _REDIRECTIONS if self.is_next(one))
        code.redirection = operator
        self.at += len(operator)

    # --- here-documents --------------------------------------------------------------------

    @seam("bash: begin a here-document")
    def _begin_document(self, code: _Code) -> None:
        match = _DELIMITER.match(self.text, self.at)
        if match is None or "`" in self.open:
            self._refuse_unsure("a here-document", "use `args`")
            self.at += 2
            return
        tabs, plain, *quoted = match.groups()
        end = next(one for one in (plain, *quoted) if one is not None)
        code.documents.append((end.lstrip("\\"), bool(tabs), end != plain or end[0] == "\\"))
        self.at = match.end()

    @seam("bash: skip here-documents")
    def _skip_documents(self, code: _Code) -> None:
        for end, tabs, is_quoted in code.documents:
            before = ""  # the start of a line that continues in the next one
            while self.at < len(self.text):
                line, newline, _ = self.text[self.at :].partition("\n")
                self.at += len(line) + len(newline)
                self.found += [Place(IN_DOCUMENT)] * line.count(MARK)
                line = before + (line.lstrip("\t") if tabs else line)
                if line == end:
                    break
                goes_on = (len(line) - len(line.rstrip("\\"))) % 2 and not is_quoted
                before = line[:-1] if goes_on else ""
            else:
                self._refuse_unsure("a here-document that never ends", "use `args`")
        code.documents = []

"""The harness of `shell` sees what it is there to see: faults of the readers, put in one by one."""

import os
import re
import shutil

import pytest

from procsup.runfile.templates import bash, commands
from tests.faults import shell_text
from tests.faults.seams import nothing, plant, planted
from tests.faults.trial import Trial

pytestmark = pytest.mark.skipif(
    os.name == "nt" or shutil.which("bash") is None, reason="runs real lines in bash"
)


def overlooks(part):
    """Return a fault: what is refused with these words is not refused."""

    def make(true):
        def refuse(self, number, problem, **more):
            if part not in problem:
                true(self, number, problem, **more)

        return refuse

    return lambda put: plant(bash.Bash.refuse, make, put)


def knows_no_tests(put):
    plant(commands.Judge.test, nothing, put)


def ends_a_delimiter_anywhere(put):
    loose = re.compile(r"<<(-?)[ \t]*(['\"\\]?[\w.-]+)['\"]?")

    def begin(self, code):
        match = loose.match(self.text, self.at)
        code.documents.append((match[2].lstrip("'\"\\"), bool(match[1]), False))
        self.at = match.end()

    plant("bash: begin a here-document", lambda _: begin, put)


def forgets_that_a_line_goes_on(put):
    def make(true):
        def skip(self, code):
            for at, (end, tabs, _) in enumerate(code.documents):
                code.documents[at] = (end, tabs, True)
            true(self, code)

        return skip

    plant("bash: skip here-documents", make, put)


def sees_no_comment_behind_a_bracket(put):
    def make(true):
        def read(self, code):
            if self.is_next("#") and self.text[self.at - 1 : self.at] == ")":
                code.word.add("#")
                self.at += 1
            else:
                true(self, code)

        return read

    plant("bash: commands", make, put)


def lets_plain_values_be(put):
    plant("quote a value", lambda _: lambda word, risky, made: made.quote(word), put)


def quotes_nothing(put):
    plant("quote a value", lambda _: lambda word, risky, made: word, put)


def refuses_all_quotes(put):
    def make(true):
        def quoted(self, text):
            self.doubt = "quotes"
            true(self, text)

        return quoted

    plant("bash: quoted text", make, put)


FAULTS = {
    "[[ <v> -gt": knows_no_tests,
    "[[ -v": overlooks("takes the name"),
    "[ <v> <w> ]": overlooks("operator"),
    "a=([<v>]=1)": overlooks("arithmetic"),
    "let <v>": overlooks("arithmetic"),
    "declare <v>": overlooks("takes the name"),
    "declare -a a=<v>": overlooks("value of a list"),
    "read <v>": overlooks("takes the name"),
    "printf <v> x": overlooks("the format"),
    "eval echo": overlooks("text of the shell"),
    "sh -c": overlooks("in a text for"),
    "echo a >&<v>": overlooks("behind >&"),
    "`echo $(": overlooks("backticks"),
    "\\<v>": overlooks("behind a \\"),
    "cat <<E[[\nE": ends_a_delimiter_anywhere,
    "a\\\nE\n<v>": forgets_that_a_line_goes_on,
    "(true)#": sees_no_comment_behind_a_bracket,
    "value 'if'": lets_plain_values_be,
    "value '$(": quotes_nothing,
    "value ''": refuses_all_quotes,
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_of_the_readers_is_seen(case, tmp_path):
    sound = Trial("shell_text", "smoke", tmp_path / "sound", only=case)
    sound.folder.mkdir()
    shell_text.attack(sound)
    assert (sound.cases > 0, sound.failures) == (True, [])

    trial = Trial("shell_text", "smoke", tmp_path / "broken", only=case)
    trial.folder.mkdir()
    with planted(FAULTS[case]):
        shell_text.attack(trial)
    assert trial.failures

"""The form of all messages, and that the script finds them all."""

import re
from typing import Callable, Dict, List

import messages
import pytest
from messages import Message

LONGEST_LINE = 200  # characters of a template; a terminal breaks it anyhow
FORBIDDEN = re.compile(
    r"\b(?:nobody|whoever|somebody|shall|by hand|hangs? on|what is meant|that very|sitting"
    r"|for want of)\b|\[#",
    re.IGNORECASE,
)
# What a mistake on the command line is answered with, as far as form can tell: what to do, what was
# expected, what there is, or the words of another message, which is judged where it stands.
CURE = re.compile(
    r"\b(?:expected|did you mean|use|write|give|name|add|leave|choose|set|change|make)\b"
    r"|\bfewer\b"
    r"|\b(?:only|it has|known|there (?:is|are))\b"
    r"|\{(?:wrong|error|problem|problems|message|said|cure|way|hint|has)\}",
    re.IGNORECASE,
)
# Texts of help are sentences; their lines stand as they were written.
SENTENCES = ("error", "usage", "notice")


def _has_wrong_start(text: str) -> bool:
    return bool(re.match(r"[A-Z][a-z]+ |\s", text))


def _has_wrong_end(text: str) -> bool:
    *_, last = text.split("\n")
    return "\n" not in text and last.endswith(".") and not last.endswith("...")


def _has_wrong_blanks(text: str) -> bool:
    return bool(re.search(r"[^\s.]  +[^\s#]|[ \t]+\n", text))


RULES: Dict[str, Callable[[Message], bool]] = {
    "a word that says nothing": lambda one: bool(FORBIDDEN.search(one.text)),
    "a capital or a blank first": lambda one: one.kind in SENTENCES and _has_wrong_start(one.text),
    "a full stop last": lambda one: one.kind in SENTENCES and _has_wrong_end(one.text),
    "blanks": lambda one: one.kind != "help" and _has_wrong_blanks(one.text),
    "a blank last": lambda one: one.kind in SENTENCES and one.text.endswith((" ", "\n")),
    "a line too long": lambda one: max(map(len, one.text.split("\n"))) > LONGEST_LINE,
    "no cure": lambda one: one.kind == "usage" and not CURE.search(one.text),
}


def find_faults(found: List[Message]) -> List[str]:
    return [
        f"{one.place}: {rule}: {one.text!r}"
        for one in found
        for rule, breaks in RULES.items()
        if breaks(one)
    ]


def test_all_messages_have_the_form_of_the_house():
    found = messages.find_messages(messages.ROOT / "procsup")

    assert len(found) > 1500
    assert find_faults(found) == []


@pytest.mark.parametrize(
    ("kind", "text", "rule"),
    [
        ("part", "nobody is working on it", "a word that says nothing"),
        ("help", "Run it by hand.", "a word that says nothing"),
        ("notice", "[#1] s/a failed", "a word that says nothing"),
        ("error", "The file is gone", "a capital or a blank first"),
        ("error", " the file is gone", "a capital or a blank first"),
        ("usage", "expected a name, not a number.", "a full stop last"),
        ("error", "the file  is gone", "blanks"),
        ("part", "the file is gone \nand more", "blanks"),
        ("notice", "the file is gone ", "a blank last"),
        ("error", "the file is gone\n", "a blank last"),
        ("part", "word " * 41, "a line too long"),
        ("usage", "bad command line", "no cure"),
    ],
)
def test_a_message_of_another_form_is_found(kind, text, rule):
    (fault,) = find_faults([Message("x.py:1", kind, text)])

    assert fault.startswith(f"x.py:1: {rule}: ")


SOURCE = '''
"""No message: a docstring."""
import click
PATTERN = compile_at_use("a b c")
_HELP = """Do a thing."""
class A:
    """No message."""
    x: "List[int, str]" = None
    "No message, either."
def f(name, count):
    """No message."""
    assert name, "a fault of ours"
    if not name:
        raise UsageError(f"{name!r} is no name: "
                         f"expected {', or '.join(name)} {count + 1} {x.y[0]}")
    write_stderr("it is " f"done{' now' if count else ' not so'}")
    problems.add((), "unknown key here")
    click.option("--x", help="Take the x.")
    re.sub("a b", "c", name)
    return WaitTimeout("not yet done"), "one", f"{name} {count}", "two words"
'''


def test_every_text_of_two_words_is_in_the_table_with_its_kind():
    found = messages.find_in_module(SOURCE, "x.py")

    assert found == [
        Message("x.py:5", "help", "Do a thing."),
        Message("x.py:14", "usage", "{name} is no name: expected {name} {...} {y}"),
        Message("x.py:16", "notice", "it is done{...}"),
        Message("x.py:16", "notice", " not so"),
        Message("x.py:17", "error", "unknown key here"),
        Message("x.py:18", "help", "Take the x."),
        Message("x.py:20", "error", "not yet done"),
        Message("x.py:20", "part", "{name} {count}"),
        Message("x.py:20", "part", "two words"),
    ]


def test_the_table_is_printed_with_a_count(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["messages.py", "--kind", "usage", "--grep", "expected NAME="])

    assert messages.main() == 0
    out, err = capsys.readouterr()
    assert re.fullmatch(r"procsup/cli/run\.py:\d+\tusage\t\{text\}: expected NAME=VALUE.*\n", out)
    assert err == "1 messages: 0 error, 1 usage, 0 notice, 0 help, 0 part\n"

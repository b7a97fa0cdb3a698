import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import procsup
from procsup.core.text import (
    HarmlessBytes,
    are,
    count_noun,
    make_harmless,
    make_visible,
    quote_word,
    take_last_lines,
)


def test_text_of_any_language_is_left_as_it_is():
    assert make_visible("naïve 部 ❤ a/b=c") == "naïve 部 ❤ a/b=c"


@pytest.mark.survives("F51")
def test_what_could_act_on_a_terminal_is_shown_as_an_escape():
    hostile = "\x1b]52;c;x\x07 \x9b2J \u202egnp.exe \r\n\t\x00 \ufeff"

    assert make_visible(hostile) == (
        "\\e]52;c;x\\x07 \\x9b2J \\u202egnp.exe \\r\\n\\t\\x00 \\ufeff"
    )


def test_bytes_that_are_not_utf8_appear_as_bytes_and_other_surrogates_as_code_points():
    assert make_visible(b"a\xff".decode("utf-8", "surrogateescape")) == "a\\xff"
    assert make_visible("\ud800") == "\\ud800"


def test_what_is_visible_can_be_written_in_every_encoding_that_escapes():
    every = "".join(map(chr, range(0x110000)))

    make_visible(every).encode("utf-8")


@pytest.mark.survives("F17")
def test_the_last_lines_of_a_log_are_visible_lines():
    log = b"one\ntwo \xff\n\x1b[2Jthree\n\n\n"

    assert take_last_lines(log, 2) == ["two \\xff", "\\e[2Jthree"]


def test_a_line_that_was_overwritten_shows_its_last_state():
    assert take_last_lines(b"10%\r20%\r99%\nok\r\n", 5) == ["99%", "ok"]


def test_an_empty_log_has_no_last_lines():
    assert take_last_lines(b"\n\n", 5) == []
    assert take_last_lines(b"", 5) == []
    assert take_last_lines(b"a\nb", 0) == []


def test_harmless_text_keeps_its_lines_and_tabs():
    assert make_harmless("a\tb\r\nc\rd\x1b[1m\n") == "a\tb\nc\\rd\\e[1m\n"


@given(st.text(alphabet="a\x1b\r\n\té\u202e部\x9b", max_size=12), st.data())
def test_bytes_in_parts_become_the_same_text_as_in_one(text, data):
    raw = text.encode() + data.draw(st.sampled_from([b"", b"\xff", "é".encode()[:1]]))
    cut = data.draw(st.integers(0, len(raw)))
    parts, whole = HarmlessBytes(), HarmlessBytes()

    assert parts.add(raw[:cut]) + parts.add(raw[cut:], last=True) == whole.add(raw, last=True)


def test_what_is_incomplete_waits_and_is_not_lost():
    text = HarmlessBytes()

    assert text.add("é".encode()[:1]) == ""
    assert text.add("é".encode()[1:] + b"\r") == "é"
    assert text.add(b"", last=True) == "\\r"


def test_a_plain_word_of_a_shell_is_quoted_as_ever():
    assert quote_word("a b") == "'a b'"
    assert quote_word("a=b/c") == "a=b/c"
    assert quote_word("a\nb", in_lines=True) == "'a\nb'"


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not here")
@pytest.mark.parametrize("in_lines", [False, True])
def test_bash_reads_the_very_word_from_its_harmless_form(in_lines):
    words = [
        "\x1b'\\n$(id)`",
        "\u202e\x9b\x85b1",
        "a\n\tb\r",
        b"\xff1".decode("utf-8", "surrogateescape"),
    ]
    line = " ".join(quote_word(word, in_lines=in_lines) for word in words)

    read = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {line}"], stdout=subprocess.PIPE, check=True
    )

    assert line == (make_harmless(line) if in_lines else make_visible(line))
    assert read.stdout == b"".join(w.encode("utf-8", "surrogateescape") + b"\0" for w in words)


def test_a_number_and_its_noun_agree():
    assert [count_noun(count, "kept unit") for count in (0, 1, 2)] == [
        "0 kept units",
        "1 kept unit",
        "2 kept units",
    ]
    assert [are(count) for count in (0, 1, 2)] == ["are", "is", "are"]
    assert count_noun(2, "run directory") == "2 run directories"


COUNTED = re.compile(
    r"\{(len\(|(\w+\.)*_?(count|number|total|planned|running|machines|torn|jobs)\b)[^{}]*\}"
    r" (more |kept |running )?(unit|file|byte|cell|output|input|line|item|CPU|stage|run)s\b"
)


def test_counts_have_their_nouns_from_one_place():
    folder = Path(procsup.__file__).parent
    found = {
        f"{path.relative_to(folder)}: {line.strip()}"
        for path in folder.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if COUNTED.search(line) and ":,}" not in line and "too many" not in line
    }

    assert found == set()

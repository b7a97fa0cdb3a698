import io
import os
import re
import sys
from pathlib import Path

import pytest

import procsup
from procsup.cli.group import VERBS
from procsup.cli.help import read_page
from procsup.cli.main import main
from procsup.cli.topics import TOPICS

PAGES = sorted((Path(procsup.__file__).parent / "docs").glob("*.md"))


@pytest.fixture
def terminal(monkeypatch):
    """Make stdout a terminal of 80 columns and 24 lines; return the pages that a pager gets."""
    paged = []
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("procsup.cli.help.is_terminal", lambda stream: True)
    monkeypatch.setattr("click.echo_via_pager", paged.append)
    return paged


def bare(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_every_page_is_a_topic_and_every_topic_a_page():
    assert [page.stem for page in PAGES] == sorted(TOPICS)


def test_no_topic_has_the_name_of_a_verb():
    assert set(TOPICS) & set(VERBS) == set()


def test_the_list_has_a_line_of_at_most_80_columns_for_each_topic(capsys):
    assert main(["help", "--list"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(TOPICS)
    assert max(map(len, lines)) <= 80


def test_help_alone_lists_verbs_and_topics(capsys):
    assert main(["help"]) == 0

    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in [*VERBS, *TOPICS])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_markdown_if_stdout_is_no_terminal(page, capsys):
    assert main(["help", page.stem]) == 0

    text = capsys.readouterr().out
    assert text.startswith("# ")
    assert "<!--" not in text
    assert text.splitlines()[-1] == page.read_text(encoding="utf-8").splitlines()[-1]


@pytest.mark.parametrize("topic", TOPICS)
def test_a_page_fits_a_terminal_of_80_columns_and_goes_through_a_pager(topic, terminal):
    assert main(["help", topic]) == 0

    (text,) = terminal
    assert "\x1b[" in text
    assert max(map(len, bare(text).split("\n"))) <= 80
    assert bare(text).count("…") <= read_page(topic).count("…"), "a cell of a table is cut"
    title = read_page(topic).splitlines()[0][2:].replace("`", "")
    assert title.split()[0] in bare(text)


def test_a_short_page_needs_no_pager(terminal, monkeypatch, capsys):
    monkeypatch.setattr("procsup.cli.help.read_page", lambda topic: "# Short\n\nA `word`.\n")

    assert main(["help", "files"]) == 0

    assert terminal == []
    assert bare(capsys.readouterr().out).split() == ["Short", "A", "word."]


def test_a_link_is_the_command_that_shows_its_page_on_a_terminal(terminal, monkeypatch, capsys):
    page = "See [files](files.md), [the list](records.md#manifests), [below](#limits).\n"
    monkeypatch.setattr("procsup.cli.help.read_page", lambda topic: page)

    assert main(["help", "files"]) == 0

    said = " ".join(bare(capsys.readouterr().out).split())
    assert said == "See procsup help files, the list (procsup help records), below."


def test_a_terminal_without_utf8_gets_plain_markdown(terminal, monkeypatch):
    stdout = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", stdout)

    assert main(["help", "processes"]) == 0

    assert terminal == []
    assert stdout.buffer.getvalue().startswith(b"# Processes")


def test_the_pager_has_the_settings_of_git(terminal, monkeypatch):
    monkeypatch.delenv("LESS", raising=False)
    seen = []
    monkeypatch.setattr("click.echo_via_pager", lambda _text: seen.append(os.environ["LESS"]))

    assert main(["help", "files"]) == 0

    assert seen == ["FRX"]


@pytest.mark.parametrize("verb", ["run", "wait", "help"])
def test_the_name_of_a_verb_shows_its_help(verb, capsys):
    assert main(["help", verb]) == 0
    by_help = capsys.readouterr().out
    assert main([verb, "--help"]) == 0

    assert by_help == capsys.readouterr().out


@pytest.mark.parametrize(
    ("topic", "hint"),
    [("proceses", "did you mean processes?"), ("statsu", "did you mean status?"), ("qqq", "'qqq'")],
)
def test_an_unknown_topic_is_answered_with_the_nearest(topic, hint, capsys):
    assert main(["help", topic]) == 2

    said = capsys.readouterr().err
    assert f"there is no topic or verb '{topic}'" in said
    assert hint in said
    assert "procsup help --list" in said

"""What README and pages show can be typed: their examples are carried out, their links lead on."""

import re
import sys
from pathlib import Path

import pytest

import procsup
from tests.support.pages import Session, carry_out, commands_of, fill, is_same, steps_of
from tests.support.projects import ROOT
from tests.support.schemas import check

DOCS = Path(procsup.__file__).parent / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
WIDEST_BLOCK = 78  # a terminal of 80 columns shows blocks with a margin
READ_ON_THE_WEB = {"SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"}


def text_of(page):
    return page.read_text(encoding="utf-8")


def name_of(value):
    return value.stem if isinstance(value, Path) else None


def prose_of(text):
    """The text without its blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors_of(text):
    """The anchors that headings have on the web."""
    titles = re.findall(r"^#+ (.+)$", prose_of(text), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]
    return {*plain, *re.findall(r'<a id="([\w-]+)">', text)}


PARTS = [
    pytest.param(step.text, id=f"{page.stem}-{step.line}")
    for page in PAGES
    for step in steps_of(text_of(page))
    if step.kind == "part" and page.stem != "run-file"  # tests/runfile/test_vocabulary.py has those
]
RUN = [page for page in PAGES if {"console", "sh"} & {s.kind for s in steps_of(text_of(page))}]


@pytest.mark.parametrize("text", PARTS)
def test_parts_of_run_files_are_of_the_schema(text):
    check(text)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the shell of these blocks is bash")
@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_the_examples_of_a_page_do_and_print_what_it_says(page, tmp_path):
    session = Session(tmp_path)

    for step in steps_of(text_of(page)):
        for command, said in carry_out(step, session):
            shown = "\n".join(command.output)
            pytest.fail(
                f"{page.name}:{command.line}: $ {command.text}\nshown:\n{shown}\nis:\n{said}"
            )


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_fit_a_terminal(page):
    shown = [step for step in steps_of(text_of(page)) if step.kind not in ("console", "sh")]
    lines = [line for step in shown for line in step.text.splitlines()]

    assert [line for line in lines if len(line) > WIDEST_BLOCK] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_each_block_says_its_language(page):
    fences = re.findall(r"^```(.*)$", text_of(page), re.MULTILINE)

    assert "" not in fences[::2]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_what_is_there(page):
    broken = []
    for target in re.findall(
        r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"", prose_of(text_of(page))
    ):
        path, _, anchor = (target[0] or target[1]).partition("#")
        if "://" in path:
            continue
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors_of(text_of(file))):
            broken.append(target)

    assert broken == []


@pytest.mark.parametrize("page", PAGES[1:], ids=name_of)
def test_a_page_that_ships_links_to_pages_that_ship(page):
    targets = re.findall(r"\]\(([^)\s#]+)", prose_of(text_of(page)))

    assert [
        target for target in targets if "://" not in target and not (DOCS / target).is_file()
    ] == []


# --- the reader of pages ---------------------------------------------------------------------


PAGE = """\
# A page
<!-- file: a.sh -->
```sh
#!/bin/sh
echo "it took 0.1 s"
exit $1
```
```console
$ ./a.sh 3; echo $?
?
$ echo one; echo \\
> two
one
two
```
"""


def test_a_block_of_no_known_kind_is_refused():
    with pytest.raises(ValueError, match="line 2: a block of python"):
        steps_of("```python\nprint()\n```\n")


def test_commands_may_have_more_lines_and_outputs():
    step = steps_of(PAGE)[1]

    assert [(one.text, one.output) for one in commands_of(step)] == [
        ("./a.sh 3; echo $?", ["?"]),
        ("echo one; echo \\\ntwo", ["one", "two"]),
    ]


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        (["a in 0.1 s"], ["a in 12 ms"], True),
        (["a", "b"], ["b", "a"], True),
        (["a", "..."], ["a", "c"], True),
        (["a"], ["a", "c"], False),
        (["a", "..."], ["c"], False),
        (["2 kept"], ["3 kept"], False),
    ],
)
def test_outputs_are_the_same_but_for_times_and_order(shown, printed, same):
    assert is_same(shown, printed) is same


@pytest.mark.skipif(sys.platform == "win32", reason="the shell of these blocks is bash")
def test_what_is_printed_takes_the_place_of_a_question_mark(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    (tmp_path / "place").mkdir()

    fill(page, tmp_path / "place")

    assert page.read_text() == PAGE.replace("\n?\n", "\nit took 0.1 s\n3\n")


@pytest.mark.skipif(sys.platform == "win32", reason="the shell of these blocks is bash")
@pytest.mark.parametrize("text", ["```console\n$ false\n```\n", "<!-- sh\nfalse\n-->\n"])
def test_a_command_that_fails_is_seen(text, tmp_path):
    (step,) = steps_of(text)

    with pytest.raises(AssertionError, match=r"exit 1|ended early"):
        list(carry_out(step, Session(tmp_path)))

"""The line of every key, found by a second reading."""

import json

from hypothesis import given
from hypothesis import strategies as st

from procsup.runfile.syntax.lines import find_lines
from procsup.runfile.syntax.reading import parse


def paths(value, at=()):
    """Yield every key path of parsed TOML."""
    if at:
        yield at
    if isinstance(value, dict):
        for key, item in value.items():
            yield from paths(item, (*at, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from paths(item, (*at, index))


def test_every_way_of_writing_a_key_has_its_line():
    lines = find_lines(
        '''a = 1
b.c = [ # ] " {
  1,
  { d = 2, "e f" = '}', g.h = 1 },
]
[stage.x]
s = """
]\\""""""
t = \'\'\'
[no.table]
\'\'\'\'\'
"quo.ted" . 'k' = 1979-05-27 07:32:00 # comment
[[q.r]]
z=1
[q.r.t]
z=[[],[ ]]
[[q.r]]
k = {}
'''
    )

    assert lines[("b", "c", 0)] == 3
    assert lines[("b", "c", 1, "e f")] == 4
    assert lines[("b", "c", 1, "g", "h")] == 4
    assert lines[("stage", "x")] == 6
    assert lines[("stage", "x", "t")] == 9
    assert lines[("stage", "x", "quo.ted", "k")] == 12
    assert lines[("q", "r", 0, "t", "z", 1)] == 16
    assert lines[("q", "r", 1, "k")] == 18


KEYS = st.one_of(st.sampled_from(["a", "b-1", "x_y"]), st.text(max_size=4))
SCALARS = st.one_of(
    st.integers(-9, 9).map(str),
    st.sampled_from(["true", "1.5", "inf", "1979-05-27", "07:32:00", "'lit]}#'", '"""\n"#"""']),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=6).map(json.dumps),
)
BREAKS = st.sampled_from(["", " ", "\n", " # ]\n"])


def key_text(key):
    plain = key and all(c.isascii() and (c.isalnum() or c in "-_") for c in key)
    escaped = "".join(c if " " <= c < "\x7f" and c not in '"\\' else _escape(c) for c in key)
    return key if plain else f'"{escaped}"'


def _escape(character):
    return f"\\U{ord(character):08x}"


@st.composite
def arrays(draw, values):
    items = draw(st.lists(values, max_size=3))
    return (
        "["
        + "".join(draw(BREAKS) + item + draw(BREAKS) + "," for item in items)
        + draw(BREAKS)
        + "]"
    )


@st.composite
def inline_tables(draw, values):
    table = draw(st.dictionaries(KEYS.filter(is_whole), values, max_size=3))
    return "{" + ", ".join(f"{key_text(key)} = {value}" for key, value in table.items()) + "}"


def is_whole(key):
    return not any("\ud800" <= character <= "\udfff" for character in key)


VALUES = st.recursive(
    SCALARS, lambda inner: st.one_of(arrays(inner), inline_tables(inner)), max_leaves=6
)
TABLES = st.dictionaries(KEYS.filter(is_whole), VALUES, max_size=4)


@st.composite
def documents(draw):
    text = ""
    for number, table in enumerate(draw(st.lists(TABLES, min_size=1, max_size=4))):
        header = draw(st.sampled_from(["[t{}]", "[[many]]", "[t{} . sub]"])).format(number)
        text += (header if number else "") + "\n"
        text += "".join(f"{key_text(key)} = {value}\n" for key, value in table.items())
        text += draw(BREAKS) + "\n"
    return text


@given(documents())
def test_every_key_that_the_parser_sees_has_a_line(text):
    try:
        parsed = parse(text)
    except ValueError:
        return  # inline tables over several lines, a table and a key of one name

    lines = find_lines(text)

    found = set(paths(parsed))
    assert found <= set(lines)
    for path in found:
        last = path[-1]
        if isinstance(last, str) and last in ("a", "b-1", "x_y"):
            assert last in text.splitlines()[lines[path] - 1]

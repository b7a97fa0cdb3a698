"""Globs that capture: what they match, what they capture, and that there is only one way."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procsup.runfile.ambiguity import Automaton, find_common_path, find_two_readings
from procsup.runfile.patterns import DEEP, Wild, read_glob, tokens_of
from procsup.runfile.template import Template

VARIABLES = {"lib": "lib/a*b"}


def glob(source):
    return read_glob(Template(source), VARIABLES)


@pytest.mark.parametrize(
    ("source", "base", "path", "captured"),
    [
        ("lib/{mod:**}.py", "lib", "abc.py", ("abc",)),
        ("lib/{mod:**}.py", "lib", "pkg/sub/abc.py", ("pkg/sub/abc",)),
        ("lib/{mod:**}.py", "lib", ".py", None),
        ("lib/{mod:**}.py", "lib", "pkg/.hidden/abc.py", None),
        ("lib/{mod:*}.py", "lib", "pkg/abc.py", None),
        ("lib/{mod:*}.py", "lib", ".abc.py", None),
        ("{lib}/{mod:*}.py", "lib/a*b", "x.py", ("x",)),
        ("./lib//{a:*}/./{b:*}.py", "lib", "x/y.py", ("x", "y")),
        ("/data/{a:?}{b:*}", "/data", "xyz", ("x", "yz")),
        ("../d/**/{a:*}.c", "../d", "x.c", ("x",)),
        ("../d/**/{a:*}.c", "../d", "p/q/x.c", ("x",)),
        ("d/**/*.c", "d", "p/.q/x.c", None),
        ("d/**", "d", "p/q", ()),
        ("d/**", "d", "p", ()),
        ("a[1]/*.c", "a[1]", "x.c", ()),
        ("d/x.[ch]", "d", "x.c", None),
        ("d/x.[ch]", "d", "x.[ch]", ()),
        ("*.x", "", "a.x", ()),
        (".config/*", ".config", "a", ()),
        ("*/.config/{a:*}", "", "x/.config/a", ("a",)),
        ("{d:**}/x", "", "a/b/x", ("a/b",)),
        ("{d:**}/x", "", "x", None),
        ("d/?.c", "d", "é.c", ()),
        ("d/plain", "d", "plain", ()),
        ("*/", "", "d", ()),
    ],
)
def test_matching(source, base, path, captured):
    pattern = glob(source)

    assert pattern.base == base
    assert pattern.split(path) == captured


def test_a_trailing_slash_asks_for_folders():
    assert glob("d/{s:*}/").folders
    assert not glob("d/{s:*}").folders


@pytest.mark.parametrize(
    "source",
    [
        "lib/{mod:**}.py",
        "{a:**}/{b:*}.py",
        "{a:*}/**/{b:*}.py",
        "**/{b:*}.py",
        "*/{b:*}",
        "{a:*}_R{b:?}.fastq",
        "{a:?}{b:?}{c:*}",
        "a*b*/x.c",
    ],
)
def test_patterns_that_read_each_path_in_one_way(source):
    assert find_two_readings(glob(source)) is None


NAMES = st.text(st.sampled_from("ab-."), min_size=1, max_size=4).filter(
    lambda name: not name.startswith(".")
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
PIECES = st.lists(
    st.sampled_from(["a", "b-", ".", "/", "{:*}", "{:**}", "{:?}", "*", "?", "/**/"]),
    min_size=1,
    max_size=7,
)


def source_of(pieces):
    numbers = itertools.count()
    text = "".join(p.replace("{", f"{{c{next(numbers)}") if p[0] == "{" else p for p in pieces)
    while "//" in text:
        text = text.replace("//", "/")
    return text.strip("/")


def is_pattern(source):
    parts = source.split("/")
    plain = [part for part in parts if "**" in part and part != "**" and "{" not in part]
    mixed = any("**" in part.replace(":**}", "") and part != "**" for part in parts)
    return bool(source) and not plain and not mixed and ".." not in parts


PATTERNS = PIECES.map(source_of).filter(is_pattern)


def readings(tokens, path):
    """Return every way to read a path, by trying them all: the captures of each."""
    return {tuple(text for _, text in spans) for spans in spans_of(tokens, path)}


def spans_of(tokens, path, at=0):
    """Likewise, with the place of each capture."""
    if not tokens:
        return {()} if not path else set()
    first, rest = tokens[0], tokens[1:]
    if isinstance(first, str):
        return (
            spans_of(rest, path[len(first) :], at + len(first)) if path.startswith(first) else set()
        )
    if first == DEEP:
        cuts = [0] + [i + 1 for i, character in enumerate(path) if character == "/"]
        return set().union(*(spans_of(rest, path[cut:], at + cut) for cut in cuts))
    least = 0 if first.capture is None and first.kind == "*" else 1
    most = 1 if first.kind == "?" else len(path)
    found = set()
    for length in range(least, most + 1):
        taken = path[:length]
        if len(taken) == length and ("/" not in taken or first.kind == "**"):
            own = () if first.capture is None else ((at, taken),)
            found |= {(*own, *more) for more in spans_of(rest, path[length:], at + length)}
    return found


def is_path(text):
    return bool(text) and all(part for part in text.split("/"))


SHORT_PATHS = [
    text
    for length in range(1, 6)
    for text in map("".join, itertools.product("a-/", repeat=length))
    if is_path(text)
]


@settings(max_examples=150, deadline=None)
@given(PATTERNS)
def test_ambiguity_is_found_exactly(source):
    pattern = glob(source)
    tokens = list(pattern.tokens())

    two = find_two_readings(pattern)

    if two is None:
        assert all(len(spans_of(tokens, path)) <= 1 for path in SHORT_PATHS)
    else:
        assert is_path(two.path)
        assert len(spans_of(tokens, two.path)) > 1
        assert {two.one, two.two} <= readings(tokens, two.path)


@given(PATTERNS, PATHS)
def test_what_was_captured_makes_the_same_path_again(source, path):
    pattern = glob(source)
    captured = pattern.split(path)
    if captured is None:
        return
    values = iter(captured)
    wild = any(isinstance(t, Wild) and t.capture is None for t in pattern.tokens())

    if not wild:
        tokens = pattern.tokens()
        assert path == "".join(t if isinstance(t, str) else next(values) for t in tokens)
    assert captured in readings(list(pattern.tokens()), path)


@settings(max_examples=150, deadline=None)
@given(PATTERNS, PATHS)
def test_what_is_read_in_a_way_is_matched_unless_a_wildcard_meets_a_dot(source, path):
    pattern = glob(source)
    ways = readings(list(pattern.tokens()), path)

    if ways and "/." not in f"/{path}":
        assert pattern.split(path) in ways


@settings(max_examples=100, deadline=None)
@given(PATTERNS, PATTERNS)
def test_patterns_meet_where_a_path_fits_both(one, two):
    first, second = list(glob(one).tokens()), list(glob(two).tokens())

    common = find_common_path(["/", *first], ["/", *second])

    if common is None:
        assert not any(readings(first, path) and readings(second, path) for path in SHORT_PATHS)
    else:
        assert readings(first, common[1:])
        assert readings(second, common[1:])


def test_a_path_with_wildcards_as_tokens():
    assert tokens_of("/a/**/b*") == ["/a/", DEEP, "b", Wild("*")]
    assert tokens_of("/a/**") == ["/a/", DEEP, Wild("*")]
    assert tokens_of("/a[1]") == ["/a[1]"]


def test_an_automaton_of_nothing_accepts_nothing_more():
    automaton = Automaton([])

    assert automaton.accepts(0)
    assert automaton.steps(0) == []

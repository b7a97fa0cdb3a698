"""Patterns: what they match, what they capture, whether two can match the same path."""

import fnmatch
import itertools
import posixpath
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procsup.core.automata import Automaton
from procsup.core.globs import (
    Glob,
    Matcher,
    escape,
    find_ends,
    find_meeting,
    meet,
    parse,
    parse_alternatives,
    unescape,
)
from procsup.core.wildcards import GlobError, make_spans


@pytest.mark.parametrize(
    ("pattern", "path", "captured"),
    [
        ("lib/{mod:**}.py", "lib/abc.py", ("abc",)),
        ("lib/{mod:**}.py", "lib/pkg/sub/abc.py", ("pkg/sub/abc",)),
        ("lib/{mod:**}.py", "lib/.py", None),
        ("lib/{mod:**}.py", "lib/pkg/.hidden/abc.py", None),
        ("lib/{mod:*}.py", "lib/pkg/abc.py", None),
        ("lib/{mod:*}.py", "lib/.abc.py", None),
        ("./lib//{a:*}/./{b:*}.py", "lib/x/y.py", ("x", "y")),
        ("/data/{a:?}{b:*}", "/data/xyz", ("x", "yz")),
        ("../d/**/{a:*}.c", "../d/x.c", ("x",)),
        ("../d/**/{a:*}.c", "../d/p/q/x.c", ("x",)),
        ("d/**/*.c", "d/p/.q/x.c", None),
        ("d/**", "d/p/q", ()),
        ("a[1]/*.c", "a[1]/x.c", ()),
        ("d/x.[ch]", "d/x.c", None),
        ("[[]1]/[*][?][{]}", "[1]/*?{}", ()),
        ("[[]1]/[*]", "1/x", None),
        ("*.x", "a.x", ()),
        ("*.x", ".x", None),
        (".config/*", ".config/a", ()),
        ("*/.config/{a:*}", "x/.config/a", ("a",)),
        ("{d:**}/x", "a/b/x", ("a/b",)),
        ("{d:**}/x", "x", None),
        ("*.{fq,fastq}{,.gz}", "a.fq.gz", ()),
        ("*.{fq,fastq}{,.gz}", "a.gz", None),
        ("{a/b,c*}/x", "a/b/x", ()),
        ("{a/b,c*}/x", "cd/x", ()),
        ("{s:[A-Z]+[0-9]*}.fq", "AB12.fq", ("AB12",)),
        ("{s:[A-Z]+[0-9]*}.fq", "12.fq", None),
        ("{s:[^_]+}_R{r:[12]}_*.fq", "A-1_R2_001.fq", ("A-1", "2")),
        ("{y:[0-9]{4}}-{m:[0-9]{1,2}}", "2024-7", ("2024", "7")),
        ("{y:[0-9]{4}}", "202", None),
        ("x{:[.-9]}y", "x/y", None),
        ("{n:S[0-9]+}.csv", "S17.csv", ("S17",)),
        ("{n:[.a]+}", ".a", None),
        ("{x}", "{x}", ()),
        ("*a*b*c*d{x:?}", "1a2b3c4dz", ("z",)),
        ("**/*_{s:[a-z]+}[1]_*", "p/q/u_ab[1]_", ("ab",)),
    ],
)
def test_a_glob_matches_and_captures(pattern, path, captured):
    assert parse(pattern).match(path) == captured


def test_case_is_an_argument():
    assert parse("Raw/*.FQ").match("raw/a.fq") is None
    assert parse("Raw/*.FQ").match("raw/A.fq", case=False) == ()
    assert parse("{x:[a-c]+}*-*-*").match("ABC-1-2", case=False) is not None
    assert meet(parse("A*"), parse("a?")) is None
    assert meet(parse("A*"), parse("a?"), case=False)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("", "not empty"),
        ("a/**b", "stands alone"),
        ("a/***", "stands alone"),
        ("*/../x", "cannot follow a wildcard"),
        ("{a:*}{a:?}", "captured twice"),
        ("{s:[0-9]*}", "could be empty"),
        ("{s:[z-a]}", "runs backwards"),
        ("{s:[a/b]}", "no /"),
        ("{s:[a-z].}", "expected sets"),
        ("{s:[a]{0}}", "from 1 to"),
        ("{s:[a]{2,1}}", "from 1 to"),
        ("{s:[a]{256}}", "from 1 to"),
        ("{s:[a]{%s}}" % ("9" * 5000), "from 1 to"),
        ("{a,..}/x", "cannot be alternatives"),
        ("{a,b}" * 9, "at most 256"),
    ],
)
def test_what_makes_no_sense_is_refused(pattern, said):
    with pytest.raises(GlobError, match=said):
        parse(pattern)


def test_a_list_of_patterns_with_what_is_left_out():
    glob = parse("raw/{s:*}.fq").join([parse("more/{s:*}.fq")], [parse("raw/test*")])

    assert glob.match("raw/a.fq") == ("a",)
    assert glob.match("more/a.fq") == ("a",)
    assert glob.match("raw/test1.fq") is None
    with pytest.raises(GlobError, match="capture different names"):
        parse("{s:*}.fq").join([parse("*.fq")], [])
    with pytest.raises(GlobError, match="captures nothing"):
        parse("{s:*}.fq").join([], [parse("{s:*}.fq")])


def test_what_lies_in_an_excluded_folder_is_excluded():
    glob = parse("raw/**/*.fq").join([], [parse("raw/old*")])

    assert glob.match("raw/new/a.fq") == ()
    assert glob.match("raw/old1/deep/a.fq") is None


@pytest.mark.parametrize(
    "pattern", ["*a" * 16, "{x:*}" + "*a" * 16, "**/" * 8 + "*a" * 8, "a*" * 20]
)
def test_many_wildcards_take_no_time(pattern):
    begun = time.perf_counter()
    assert parse(pattern).match("a" * 200 + "b") in (None, ("a",), ())
    assert parse(pattern).match("/".join(["a" * 60] * 40) + "b") is None or pattern[-1] == "*"
    assert time.perf_counter() - begun < 2


# --- against the standard library, and against itself --------------------------------------------

NAMES = st.text(st.sampled_from("ab-["), min_size=1, max_size=6)
NAME_PATTERNS = st.lists(st.sampled_from(["a", "b-", "*", "?", "[[]"]), min_size=1, max_size=8)


@given(NAME_PATTERNS.map("".join).filter(lambda text: "**" not in text), NAMES)
def test_names_are_matched_as_fnmatch_does(pattern, name):
    assert (parse(pattern).match(name) is not None) == fnmatch.fnmatchcase(name, pattern)


TEXTS = st.text(st.sampled_from("ab*?[]{},.:!-"), min_size=1, max_size=8)


@given(TEXTS, TEXTS)
def test_what_is_escaped_matches_itself_alone(text, other):
    text, other = f"x{text}", f"x{other}"  # a lone dot is no name
    pattern = escape(text)
    assert unescape(pattern) == text

    assert (parse(pattern).match(other) is not None) == (text == other)
    assert parse(pattern).match(text) == ()
    assert parse(f"{pattern}*").match(f"{text}x") == ()


PIECES = st.lists(
    st.sampled_from(
        ["a", "b", ".", "/", "{:*}", "{:**}", "{:?}", "*", "?", "/**/", "{:[ab]+}", "{b,a.}"]
    ),
    min_size=1,
    max_size=7,
)


def source_of(pieces):
    numbers = itertools.count()
    text = "".join(f"{{c{next(numbers)}{p[1:]}" if p[:2] == "{:" else p for p in pieces)
    while "//" in text:
        text = text.replace("//", "/")
    return text.strip("/")


def is_pattern(source):
    try:
        return ".." not in source and bool(parse(source).branches[0].rest)
    except GlobError:
        return False


PATTERNS = PIECES.map(source_of).filter(is_pattern)
PATHS = st.lists(
    st.text(st.sampled_from("ab-."), min_size=1, max_size=4), min_size=1, max_size=4
).map("/".join)
SHORT_PATHS = [
    text
    for length in range(1, 6)
    for text in map("".join, itertools.product("ab./", repeat=length))
    if all(text.split("/"))
]


@settings(deadline=None)
@given(PATTERNS)
def test_both_ways_of_matching_agree(source):
    glob = parse(source)
    if glob.find_two_readings() is not None:
        return  # then more than one capture is right
    for branch in glob.branches:
        machine = Automaton([branch.rest], branch.captures)
        matcher = Matcher(branch.rest, branch.captures, case=True)
        by_machine = [machine.split(path) for path in SHORT_PATHS]
        assert by_machine == [matcher.split(path) for path in SHORT_PATHS]


@settings(max_examples=150, deadline=None)
@given(PATTERNS, PATTERNS)
def test_patterns_meet_where_a_path_fits_both(one, two):
    first, second = parse(one), parse(two)

    common = meet(first, second)

    if common is None:
        both = [p for p in SHORT_PATHS if None not in (first.match(p), second.match(p))]
        assert both == []
    else:
        assert first.match(common) is not None
        assert second.match(common) is not None


@settings(max_examples=150, deadline=None)
@given(PATTERNS, PATTERNS, st.lists(PATTERNS, min_size=1, max_size=2))
def test_patterns_meet_where_a_path_fits_both_and_is_not_left_out(one, two, excluded):
    first, second = parse(one).exclude(map(parse, excluded)), parse(two)

    common = meet(first, second)

    if common is None:
        both = [p for p in SHORT_PATHS if None not in (first.match(p), second.match(p))]
        assert both == []
    else:  # after a long search it may be one that is left out
        assert parse(one).match(common) is not None
        assert second.match(common) is not None


@pytest.mark.parametrize(
    ("one", "two", "excluded", "common"),
    [
        ("o/*.txt", "o/*", "o/*.txt", None),
        ("o/*.txt", "o/*", "o/*.tx?", None),
        ("o/*.txt", "o/a*", "o/{a,b}*", None),
        ("o/**", "o/a/*", "o/a", None),
        ("o/**", "o/a/*", "o/*", None),
        ("o/**", "o/a/*", "o/a/?", "o/a/aa"),
        ("o/**", "o/a/*", "o/b", "o/a/a"),
        ("o/{:[0-9]+}", "o/*", "o/{:[0-8]}", "o/9"),
        ("o/{:[0-9]+}", "o/*", "o/{:[0-9]+}", None),
        ("o/{:[^a-z]}", "o/*", "o/{:[^0-9]}", "o/0"),
    ],
)
def test_what_is_left_out_of_patterns_that_meet(one, two, excluded, common):
    less = parse(two).exclude([parse(excluded)])

    assert meet(parse(one), less) == meet(less, parse(one)) == common
    folder, _, rest = one.partition("/")
    if rest == "**":
        assert find_meeting(less, folder) == find_meeting(parse(two), folder, [parse(excluded)])
        assert (find_meeting(less, folder) is None) == (common is None)


@settings(deadline=None)
@given(PATTERNS)
def test_paths_begin_and_end_as_their_pattern_says(source):
    pattern = posixpath.normpath(f"/{source}")
    glob, around = parse(pattern), find_ends(pattern)

    for path in (f"/{path}" for path in SHORT_PATHS):
        if glob.match(path) is not None:
            assert any(path.startswith(start) and path.endswith(end) for start, end in around)


def test_the_ends_of_patterns():
    assert find_ends("/o/a[*]b/x*/y/**/z[[]") == [("/o/a*b/x", "/z[")]
    assert find_ends("/o/{a,b}/*.c") == [("/o/a/", ".c"), ("/o/b/", ".c")]
    assert find_ends("/o/n{:[0-9]+}k") == [("/o/n", "k")]


@settings(max_examples=150, deadline=None)
@given(PATTERNS, PATHS.filter(lambda path: not path.startswith(".")))
def test_a_pattern_meets_a_folder_if_it_matches_what_is_in_it(source, folder):
    glob = parse(source)

    common = find_meeting(glob, folder)

    if common is None:
        assert all(glob.match(f"{folder}/{path}") is None for path in SHORT_PATHS)
    else:
        assert common.startswith(f"{folder}/")
        assert glob.match(common) is not None


def ways(glob, path):
    """Return all ways to read a path, by trying every split."""
    return {
        held
        for branch in glob.branches
        for held in _ways(list(flat(branch.join_parts())), path, glob.captures)
    }


def flat(parts):
    for index, part in enumerate(parts):
        yield from part
        if index < len(parts) - 1 and part != tuple(make_spans("**")):
            yield "/"


def _ways(tokens, path, names, at=0, held=()):
    if not tokens:
        return {held} if at == len(path) else set()
    first, rest = tokens[0], tokens[1:]
    if isinstance(first, str):
        found = path.startswith(first, at)
        return _ways(rest, path, names, at + len(first), held) if found else set()
    if first == make_spans("**")[0]:
        cuts = [at] + [i + 1 for i in range(at, len(path)) if path[i] == "/"]
        return set().union(*(_ways(rest, path, names, cut, held) for cut in cuts))
    found = set()
    most = len(path) - at if first.most is None else first.most
    for length in range(first.least, most + 1):
        taken = path[at : at + length]
        if len(taken) == length and all(map(first.chars.has, taken)):
            own = tuple((first.capture, at + i) for i in range(length)) if first.capture else ()
            found |= _ways(rest, path, names, at + length, held + own)
    return found


@settings(max_examples=150, deadline=None)
@given(PATTERNS)
def test_what_can_be_read_in_two_ways_is_found_exactly(source):
    glob = parse(source)
    two = glob.find_two_readings()
    visible = [path for path in SHORT_PATHS if "/." not in f"/{path}"]

    if two is None:
        if glob.captures:
            assert all(len(ways(glob, path)) <= 1 for path in visible)
    else:
        assert len(ways(glob, two.path)) > 1


def test_patterns_of_a_list_that_read_one_path_in_two_ways():
    glob = parse("raw/{s:*}_R1.fq").join([parse("raw/{s:*}.fq")], [])
    two = glob.find_two_readings()

    assert two is not None
    assert {two.one, two.two} == {(two.path[4:-6],), (two.path[4:-3],)}
    assert parse("raw/{s:*}.fq").join([parse("raw/{s:*}.fq.gz")], []).find_two_readings() is None


def test_a_hidden_name_meets_no_wildcard():
    assert meet(parse("o/*"), parse("o/.x")) is None
    assert meet(parse("o/.*"), parse("o/.x")) == "o/.x"
    assert find_meeting(parse("o/.x/*"), "o") is not None
    assert find_meeting(parse("o/*"), "o/p") is None


def test_a_pattern_written_out_is_read_again():
    for text in ("a[1]/{s:[A-Z]+}_{x,y*}/**/?.c", "[*]/*", "[[][*]"):
        assert parse(text).text == text
    assert Glob(["a[", parse_alternatives("x,y*"), "{"], source="").text == "a[[]{x,y*}[{]"

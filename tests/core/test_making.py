"""The values that units are made from, by column, and which of them changed."""

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from procsup.core.making import (
    COMMAND,
    CWD,
    ENV,
    PARAMETER,
    MadeColumns,
    collect_made,
    describe_change,
    find_kinds_of_change,
    parse_parameters,
    read_making,
)
from procsup.core.spec import StageSpec, UnitSpec

WORDS = st.text("ab\udc80é ", max_size=3)


def unit(argv=("x", "--rate", "0.1"), parameters=None, env=None):
    return UnitSpec("s/a", "s", 0, tuple(argv), "/", "f", parameters or {}, env or {})


STAGE = StageSpec("s")
SCRIPT = StageSpec("s", interpreter=("py",), script="/x.py")
MODULE = StageSpec("s", interpreter=("py", "-3"), module="m")
SHELL = StageSpec("s", shell=("bash", "-c"))


def describe(before, after, stage=STAGE):
    return describe_change(read_making(collect_made([before], "/"), 0), after, stage, "/")


def test_what_all_units_have_in_common_is_there_once():
    made = collect_made([unit(("x", name), {"n": name, "k": 1}) for name in "abc"], "/")

    assert made == MadeColumns(
        [["x"], ["a", "b", "c"]], {"n": ["a", "b", "c"], "k": [1]}, cwd=["."]
    )


def test_parameters_keep_their_types_also_where_they_are_equal():
    rows = [{"n": 1}, {"n": True}, {"n": 1.0}, {"n": [1, "x"]}, {"n": float("inf")}, {}]
    made = collect_made([unit(parameters=row) for row in rows], "/")
    read = msgspec.json.decode(msgspec.json.encode(made), type=MadeColumns)

    found = [parse_parameters(read, place) for place in range(len(rows))]

    assert repr(found) == repr([*rows[:4], {"n": "inf"}, {}])


def test_no_units_are_made_of_nothing():
    assert collect_made([], "/") is None


@given(
    st.lists(
        st.tuples(
            st.lists(WORDS, max_size=3),
            st.dictionaries(st.sampled_from("pq"), WORDS | st.integers() | st.booleans()),
            st.dictionaries(st.sampled_from("PQ"), WORDS),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_each_unit_is_found_again(rows):
    units = [unit(*row) for row in rows]
    made = collect_made(units, "/")

    for place, one in enumerate(units):
        alone = read_making(collect_made([one], "/"), 0)
        found = read_making(made, place)
        assert found.argv in (None, one.argv)
        assert (found.parameters, found.env) == (alone.parameters, alone.env)
        assert describe_change(found, one, STAGE, "/") == ""


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (unit(("x", "--rate", "0.2")), "argument 2 changed: 0.1 → 0.2"),
        (unit(("y", "--rate", "0.1")), "the program changed: x → y"),
        (unit(("x",)), "the command changed: 2 arguments → 0"),
        (unit(parameters={"rate": 2}), "parameter rate changed: nothing → 2"),
        (unit(env={"LANG": "C"}), "env LANG changed"),
        (
            unit(("x", "-r", "0.2"), {"rate": 2}, {"A": "1"}),
            "argument 1 changed: --rate → -r; argument 2 changed: 0.1 → 0.2; env A changed",
        ),
        (unit(), ""),
    ],
)
def test_what_changed_is_named(after, said):
    assert describe(unit(), after) == said


@pytest.mark.parametrize(
    ("stage", "before", "after", "said"),
    [
        (SCRIPT, "py /x.py a b", "py /x.py a c", "argument 2 changed: b → c"),
        (SCRIPT, "nice py /x.py a", "nice py /x.py b", "argument 1 changed: a → b"),
        (SCRIPT, "nice py /x.py a", "time py /x.py a", "prefix changed: nice → time"),
        (SCRIPT, "py /x.py a", "nice py /x.py a", "prefix changed: nothing → nice"),
        (
            SCRIPT,
            "nice -n 5 py /x.py a",
            "py /x.py b",
            "prefix changed: nice -n 5 → nothing; argument 1 changed: a → b",
        ),
        (MODULE, "srun py -3 -m m a", "time -p py -3 -m m a", "prefix changed: srun → time -p"),
        (SHELL, "bash -c x", "env A=1 bash -c y", "prefix changed: nothing → env A=1; shell"),
        (SCRIPT, "py /y.py a", "nice py /x.py a", "the command changed: py /y.py a → nice py"),
        (SCRIPT, "py /x.py a", "py /x.py", "the command changed: 1 argument → 0"),
        (SCRIPT, "py /y.py a", "py /x.py a", "the program changed: py /y.py → py /x.py"),
        (MODULE, "py -3 -m m a", "py -3 -m m b", "argument 1 changed: a → b"),
        (MODULE, "py -m n a", "py -3 -m m a", "the command changed: py -m n a → py -3 -m m a"),
        (MODULE, "py -3 -m n a", "py -3 -m m a", "the program changed: py -3 -m n → py -3 -m m"),
        (STAGE, "cp a", "cp a b", "the command changed: 1 argument → 2"),
        (SHELL, "bash -c x", "bash -c y", "shell changed: x → y"),
        (SHELL, "bash -c x bash 1", "bash -c x bash 2", "argument 1 changed: 1 → 2"),
        (SHELL, "bash -c x", "bash -c x bash 1 2", "the command changed: 0 arguments → 2"),
        (SHELL, "nice bash -c x", "nice bash -c y", "shell changed: x → y"),
        (SHELL, "cp a b", "bash -c x", "the command changed: cp a b → bash -c x"),
        (SCRIPT, "py -m m a b", "py /x.py a", "the command changed: py -m m a b → py /x.py a"),
        (STAGE, "py /x.py a b", "sort a", "the command changed: py /x.py a b → sort a"),
        (SHELL, "bash -c", "bash -c x", "shell changed:  → x"),
    ],
)
def test_what_the_user_did_not_write_is_not_counted(stage, before, after, said):
    assert describe(unit(before.split()), unit(after.split()), stage).startswith(said)


def test_a_command_instead_of_a_shell_is_shown_as_a_shell_would_read_it():
    before, after = unit(("bash", "-c", "ls a | sort", "bash")), unit(("sort", "a b"))
    said = "the command changed: bash -c 'ls a | sort' bash → sort 'a b'"
    assert describe(before, after) == said

    long = describe(unit(("bash", "-c", "x" * 300)), unit(("ls", "y" * 300)))
    assert len(long) < 250
    assert "…" in long


def test_of_a_long_shell_text_the_first_line_that_differs_is_shown():
    def text(*lines):
        return unit(("bash", "-c", "\n".join(lines)))

    before = text("set -x", "  cp a b # 1", "ls")
    after = text("set -x", "  cp a b # 2", "ls -l")
    assert describe(before, after, SHELL) == "shell changed: cp a b # 1 → cp a b # 2"
    assert describe(text("a"), text("a", "b"), SHELL) == "shell changed: nothing → b"


def test_another_folder_is_named_and_not_the_arguments_that_follow_from_it():
    before, after = unit(("x", "in/a")), unit(("x", "../in/a"), {"n": 1}, {"A": "1"})
    after = msgspec.structs.replace(after, cwd="/work")
    said = "cwd changed: . → work"

    assert describe(before, after) == f"{said}; env A changed"
    made = collect_made([before, msgspec.structs.replace(before, cwd="/x")], "/")
    assert find_kinds_of_change({after.id: (made, 0)}, [after], "/") == {after.id: CWD}
    assert find_kinds_of_change({after.id: (made, 1)}, [after], "/work") == {after.id: CWD}
    assert describe_change(read_making(made, 1), before, STAGE, "/") == "cwd changed: x → ."


def test_a_folder_that_was_not_recorded_is_not_compared():
    old = msgspec.structs.replace(collect_made([unit()], "/"), cwd=None)

    assert b"cwd" not in msgspec.json.encode(old)
    after = msgspec.structs.replace(unit(), cwd="/work")
    assert find_kinds_of_change({"s/a": (old, 0)}, [after], "/") == {}
    assert describe_change(read_making(old, 0), after, STAGE, "/") == ""


ROWS = st.tuples(
    st.lists(WORDS, max_size=3),
    st.dictionaries(st.sampled_from("pq"), WORDS | st.integers(0, 1) | st.booleans()),
    st.dictionaries(st.sampled_from("PQ"), WORDS),
)


@given(st.lists(st.tuples(ROWS, ROWS | st.none()), min_size=1, max_size=5), st.integers(1, 3))
@example([(([], {"p": 1}, {}), ([], {"p": True}, {}))], 1)  # equal, and written differently
def test_the_kinds_of_change_are_those_that_are_told_of_each_unit(pairs, chunk):
    def units(rows):
        return [msgspec.structs.replace(unit(*row), id=f"s/{n}") for n, row in enumerate(rows)]

    before, now = units([was for was, _ in pairs]), units([row or was for was, row in pairs])
    places = {}
    for start in range(0, len(before), chunk):
        made = collect_made(before[start : start + chunk], "/")
        places.update((one.id, (made, at)) for at, one in enumerate(before[start : start + chunk]))

    kinds = find_kinds_of_change(places, now, "/")

    for one in now:
        made, at = places[one.id]
        told = describe_change(read_making(made, at), one, STAGE, "/").partition(" ")[0]
        kind = {"argument": COMMAND, "the": COMMAND, "parameter": PARAMETER, "env": ENV}.get(told)
        assert kinds.get(one.id) == kind


def test_what_is_not_on_record_has_no_kind():
    assert find_kinds_of_change({}, [unit()], "/") == {}


def test_values_of_variables_are_not_recorded():
    made = collect_made([unit(env={"TOKEN": "secret-of-mine"})], "/")

    assert b"secret" not in msgspec.json.encode(made)
    assert describe(unit(env={"TOKEN": "a"}), unit(env={"TOKEN": "b"})) == "env TOKEN changed"

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procsup.core.globs import make_names_matcher
from procsup.core.outcome import Exited, Signaled, Verdict
from procsup.core.plan.requests import pick
from procsup.core.records import End
from procsup.core.selectors import COLUMNS, STATES, Facts, Named, Selection, make_facts
from procsup.core.spec import After
from tests.support.plays import Play, stage, unit
from tests.support.selectors import AB, ALL, BY_NAME, BY_STATE, HOLD, PARAMETERS, WRONG, A, B

UNITS = [Named(unit, unit.partition("/")[0], PARAMETERS[unit]) for unit in ALL]
ENDS = {
    A: End(A, 1, Verdict.SUCCEEDED, 1.0, exit=Exited(0), wall_s=2.0),
    B: End(B, 2, Verdict.FAILED, 1.0, exit=Exited(3), wall_s=3.0),
    AB: End(AB, 1, Verdict.FAILED, 1.0, exit=Exited(4), wall_s=4.0),
}


def facts(unit):
    if unit.id == HOLD:
        return make_facts([], running_s=5.0)
    return make_facts([ENDS[unit.id]] if unit.id in ENDS else [])


def select(words, units=UNITS):
    selection = Selection(words, facts)
    selection.learn(units)
    assert selection.find_complaint() == ""
    return [unit.id for unit in units if selection(unit)]


@pytest.mark.parametrize(("words", "meant"), [*BY_NAME, *BY_STATE])
def test_words_select_the_units_of_the_table(words, meant):
    assert select(words) == meant


@pytest.mark.parametrize(("words", "said"), WRONG)
def test_what_means_nothing_is_said_with_a_hint(words, said):
    selection = Selection(words, facts)
    selection.learn(UNITS)

    assert said in selection.find_complaint()


@pytest.fixture(scope="module")
def play():
    """The run of the table, still alive."""
    specs = [unit(u.id, parameters=u.parameters) for u in UNITS]
    play = Play([stage("fit"), stage("hold"), stage("sum", after=(After("hold"),))], specs, cpus=4)
    play.ended(A).ended(B, Exited(3)).ended(AB, Exited(4)).synced()
    return play


@pytest.mark.parametrize(("words", "meant"), [*BY_NAME, *BY_STATE, (["@running"], [HOLD])])
def test_a_run_that_goes_on_is_held_to_the_table(play, words, meant):
    picked, complaint = pick(play.plan, words)

    assert (complaint, [unit.spec.id for _, unit in picked]) == ("", meant)


@pytest.mark.parametrize(("words", "said"), WRONG)
def test_a_run_that_goes_on_says_what_means_nothing(play, words, said):
    assert said in pick(play.plan, words)[1]


def test_no_word_means_all():
    assert select([]) == ALL


def test_the_words_of_states_and_columns_are_known():
    assert set(STATES) == {"running", "waiting", *(verdict.value for verdict in Verdict)}
    unit = Named("s/a", "s", {})
    known = Facts((STATES[0],), {"wall_s": 61.0, "peak_memory_bytes": 3 << 30, "verdict": "lost"})
    selection = Selection(["wall_s>1m,peak_memory_bytes>=3G,verdict=lost"], lambda _: known)
    assert selection(unit)
    assert {"wall_s", "peak_memory_bytes", "verdict"} < set(COLUMNS)


def test_what_is_unknown_is_neither_more_nor_less():
    unit = Named("s/a", "s", {"n": "few", "yes": True})
    for word in ("cpu_s>0", "cpu_s<=0", "exit_code=0", "n>1", "n<1", "yes>0", "m>0"):
        assert not Selection([word], lambda _: Facts())(unit)


def test_a_failure_of_any_kind_has_failed_and_is_of_its_kind():
    late = End("s/a", 1, Verdict.TIMED_OUT, 1.0)
    assert {"failed", "timed-out"} <= set(make_facts([late]).states)
    assert "failed" not in make_facts([End("s/a", 0, Verdict.SKIPPED, 1.0)]).states


def test_a_living_attempt_runs_whatever_was_before():
    late = End("s/a", 1, Verdict.TIMED_OUT, 1.0, final=False)
    assert make_facts([late], running_s=7.0) == Facts(("running",), {"tries": 2, "wall_s": 7.0})
    assert make_facts([late]).states == ("waiting",)


def test_an_attempt_that_does_not_decide_has_its_numbers_and_no_verdict():
    tried = End("s/a", 1, Verdict.CANCELLED, 1.0, final=False, exit=Signaled(9), wall_s=8.8)
    facts = make_facts([tried])
    assert facts == Facts(
        ("waiting",),
        {"tries": 1, "signal": 9, "wall_s": 8.8, "linger_s": facts.columns["linger_s"]},
    )
    unit = Named("s/a", "s", {})
    assert Selection(["wall_s>1"], lambda _: facts)(unit)
    assert not Selection(["verdict=cancelled"], lambda _: facts)(unit)


def test_truth_is_written_as_in_the_run_file_and_of_a_list_any_item_counts():
    units = [Named("s/1", "s", {"x": True, "f": ["a", "b*"]}), Named("s/2", "s", {"x": 1})]

    assert select(["x=true"], units) == ["s/1"]
    assert select(["x=1"], units) == ["s/2"]
    assert select(["f=b*"], units) == ["s/1"]


def test_an_id_may_look_like_anything():
    odd = ["@failed", "!a", "a,b", "wall_s>1", "a", "b", "*"]
    units = [Named(f"map/{name}", "map", {"input": name}) for name in odd]

    for name in odd:
        assert select([name], units) == [f"map/{name}"]
        assert select([f"map/{name}"], units) == [f"map/{name}"]


def test_values_that_are_also_an_id_mean_all_units_of_these_values():
    units = [
        Named("s/a=1,b=2", "s", {"a": 1, "b": 2}),
        Named("t/a=1,b=2,c=3", "t", {"a": 1, "b": 2, "c": 3}),
    ]
    assert select(["a=1,b=2"], units) == [unit.id for unit in units]
    assert select(["s/a=1,b=2"], units) == ["s/a=1,b=2"]


@given(st.text("ab*?/.[]", max_size=12), st.text("ab/.[]", max_size=12))
def test_a_pattern_over_names_is_that_of_the_standard_library_but_for_brackets(pattern, name):
    plain = pattern.replace("[", "[[]") if "[" in pattern else pattern
    escaped = any(part in pattern for part in ("[*]", "[?]", "[[]"))  # the globs' own escapes
    if not escaped:
        assert make_names_matcher(pattern)(name) == fnmatchcase(name, plain)


def test_a_pattern_of_many_stars_takes_no_time():
    assert not make_names_matcher("*a" * 40 + "b")("a" * 5000)
    assert make_names_matcher("*a" * 40 + "*")("a" * 5000)


def test_escaped_wildcards_are_plain():
    assert make_names_matcher("a[*]*")("a*b")
    assert not make_names_matcher("a[*]*")("axb")


def test_a_word_may_be_of_a_stage_that_is_known_later():
    selection = Selection(["s=a", "late/k=1", "k>0", "any*", "late"], facts)
    selection.learn(UNITS)
    assert selection.find_complaint(["late"]) == ""
    assert selection.find_complaint(["other"]).startswith("'late/k=1' selects no unit")

    selection.learn([Named("late/k=1", "late", {"k": 1}), Named("late/any", "late", {})], "late")
    assert selection.find_complaint() == ""


def test_a_stage_whose_units_are_known_has_none_later():
    selection = Selection(["fit,k=9"], facts)
    selection.set_stages({"fit": "", "late": "known when fit has run"})
    selection.learn([unit for unit in UNITS if unit.stage == "fit"], "fit")
    assert selection.find_complaint(["late"]).startswith("'fit,k=9' selects no unit")


def test_a_stage_without_units_is_no_mistake():
    selection = Selection(["s=a", "none"], facts)
    selection.learn(UNITS)
    selection.learn([], "none")
    assert selection.find_complaint() == ""


def test_what_asks_for_facts_is_answered_when_they_are_known():
    selection = Selection(["@lost", "fit"])
    selection.learn(UNITS)
    assert selection.find_complaint() == ""
    selection.set_facts(facts)
    assert selection.find_complaint().startswith("'@lost' selects no unit")


def test_whether_parameters_are_asked_for():
    for words in ([A], ["fit"], ["f*"], ["@failed"], ["wall_s>1"]):
        assert not Selection(words).needs_parameters(ALL)
    for words in (["s=a"], ["n>1"], [A, "k=x"], ["fit/s=a"]):
        assert Selection(words).needs_parameters(ALL)

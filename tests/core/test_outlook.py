from procsup.core.events import Expanded, Standing
from procsup.core.outlook import Before, first_line, foresee, in_order, notes, outlook
from procsup.core.records import RunFinal
from procsup.core.replay import UnitHistory
from procsup.core.spec import After, RunSpec
from tests.support.plays import stage, unit

KEPT, STALE = Standing(True), Standing(True, stale=True)
NEW, FAILED = Standing(False, "new"), Standing(False, "failed before")


def run(*stages):
    return RunSpec("run", None, "/", "/d", stages)


def expanded(name, *standings):
    units = tuple(unit(f"{name}/{n}") for n in range(len(standings)))
    return Expanded(name, units, standings)


def test_what_hangs_on_units_that_run_is_foreseen_to_run():
    spec = run(stage("t", after=(After("s"),)), stage("s"))

    seen = foresee(spec, {"s": expanded("s", NEW, KEPT), "t": expanded("t", KEPT)}, {})

    assert seen["s"] == [NEW, KEPT]
    assert seen["t"][0].reason == "after s, which runs again"


def ended(at, made=None):
    history = UnitHistory()
    history.ended_seq, history.made_seq = at, made or at
    return history


def test_what_hangs_on_units_that_ran_again_since_is_foreseen_to_run():
    spec = run(stage("s"), stage("t", after=(After("s"),)), stage("u", after=(After("t"),)))
    expansions = {name: expanded(name, KEPT) for name in "stu"}
    since = {"s/0": ended(30), "t/0": ended(20), "u/0": ended(21)}

    seen = foresee(spec, expansions, since)

    assert [seen[name][0].reason for name in "stu"] == [
        "",
        "after s, which ran again",
        "after t, which runs again",
    ]
    assert outlook(spec, expansions, since, None).to_run == 2


def test_a_unit_whose_own_unit_ran_again_since_is_foreseen_to_run_and_no_other():
    spec = run(stage("s"), stage("t", for_each=("s",)))
    followers = tuple(unit(f"t/{n}", follows=(f"s/{n}",)) for n in range(2))
    expansions = {"s": expanded("s", KEPT, KEPT), "t": Expanded("t", followers, (KEPT, KEPT))}
    since = {"s/0": ended(30), "s/1": ended(10), "t/0": ended(20), "t/1": ended(21)}

    seen = foresee(spec, expansions, since)

    assert [one.reason for one in seen["t"]] == ["after s/0, which ran again", ""]


def test_what_ran_again_and_left_its_outputs_untouched_lets_others_be_kept():
    spec = run(stage("s"), stage("t", after=(After("s"),)))
    expansions = {name: expanded(name, KEPT) for name in "st"}

    seen = foresee(spec, expansions, {"s/0": ended(30, made=10), "t/0": ended(20)})

    assert seen["t"] == [KEPT]


def test_a_stage_that_is_always_kept_is_foreseen_to_be_kept():
    spec = run(stage("s"), stage("t", after=(After("s"),), keep="always"))
    expansions = {name: expanded(name, KEPT) for name in "st"}

    seen = foresee(spec, expansions, {"s/0": ended(30), "t/0": ended(20)})

    assert seen["t"] == [KEPT]


def test_stages_are_put_in_the_order_of_their_dependencies():
    spec = run(stage("c", after=(After("b"),)), stage("b", inputs_from="a"), stage("a"))

    assert in_order(spec) == ["a", "b", "c"]


def test_the_first_line_counts_reasons_the_most_frequent_first():
    spec = run(stage("s"))
    standings = [KEPT] * 3 + [NEW] + [FAILED] * 2
    history = Before()

    line = first_line(
        outlook(spec, {"s": expanded("s", *standings)}, {}, None), history, fresh=False
    )

    assert line == "kept 3 of 6, 3 to run: 2 failed before, 1 new; --fresh runs all"


def test_the_first_line_says_when_the_run_last_finished():
    history = Before(run_final=RunFinal("r", "succeeded", 1_700_000_000.0))

    line = first_line(
        outlook(run(stage("s")), {"s": expanded("s", KEPT)}, {}, None), history, fresh=False
    )

    assert line.startswith("kept 1 of 1 (finished 2023-11-1")
    assert line.endswith("), 0 to run; --fresh runs all")


def test_stale_programs_and_late_stages_have_notes():
    spec = run(stage("s", script="/somewhere/train.py"), stage("t", late=True))

    lines = notes(outlook(spec, {"s": expanded("s", STALE, KEPT)}, {}, None), spec)

    assert lines[0].startswith("train.py changed since 1 kept units ran (--fresh runs all")
    assert "t" in lines[1]


def test_units_left_alone_by_only_are_counted_apart():
    spec = run(stage("s"))

    seen = outlook(spec, {"s": expanded("s", NEW, NEW)}, {}, lambda one: one.id == "s/0")

    assert (seen.to_run, seen.left_alone) == (1, 1)


def test_what_a_retry_leaves_as_it_is_is_counted_by_itself():
    spec = run(stage("s"))
    left = [Standing(True, "failed before"), Standing(False, "not asked for", aside=True)]

    seen = outlook(spec, {"s": expanded("s", KEPT, FAILED, *left)}, {}, None)

    line = first_line(seen, Before(), fresh=True)
    assert line == "kept 1 of 4, 1 to run: 1 failed before, 2 left as they are"


def test_what_hangs_on_a_unit_that_is_left_aside_is_not_foreseen_to_run():
    spec = run(stage("s"), stage("t", after=(After("s"),)))
    aside = Standing(False, "not asked for", aside=True)

    seen = foresee(spec, {"s": expanded("s", aside), "t": expanded("t", KEPT, aside)}, {})
    assert seen["t"] == [KEPT, aside]
    seen = foresee(spec, {"s": expanded("s", FAILED), "t": expanded("t", KEPT, aside)}, {})
    assert [one.reason for one in seen["t"]] == ["after s, which runs again"] * 2

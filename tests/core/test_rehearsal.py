"""The planner predicts what would run."""

from typing import Any, Dict, List

import pytest

from procsup.core.events import Expand, Expanded, Hold, Rerun, Reuse, Standing
from procsup.core.outcome import Verdict
from procsup.core.plan.rehearsal import RehearsedStage, rehearse
from procsup.core.records import End
from procsup.core.replay import History
from procsup.core.slots import Capacity
from procsup.core.spec import After, OnFailure, RunSpec
from tests.support.plays import stage, unit

KEPT, STALE = Reuse(), Reuse(stale=True)
NEW, FAILED = Rerun("new"), Rerun("failed before")
ASIDE = Hold("not asked for")
GONE = Rerun("input deleted", "input deleted: /s/0")
CAPACITY = Capacity(2.0, None, (0, 1), None, "h")


def past(**ended: Any) -> History:
    """Units that succeeded: ``s0=30`` at record 30, ``s0=(30, 10)`` with outputs of record 10."""
    history = History()
    history.last_seq = 100
    for name, seqs in ended.items():
        at, made = seqs if isinstance(seqs, tuple) else (seqs, seqs)
        one = history.unit(f"{name[:-1]}/{name[-1]}")
        one.add_end(End(one.unit, 1, Verdict.SUCCEEDED, 1.0, fingerprint="f"), at)
        one.made_seq = made
    return history


def make_expanded(name: str, *standings: Standing, follows: str = "") -> Expanded:
    units = tuple(
        unit(f"{name}/{n}", follows=(f"{follows}/{n}",) if follows else ())
        for n in range(len(standings))
    )
    return Expanded(name, units, standings)


def rehearse_stages(stages: List[Any], early: List[Expanded], history: History, **more: Any):
    run: Dict[str, Any] = {"on_failure": OnFailure()}
    spec = RunSpec("run", None, "/", "/d", tuple(stages), **run)
    return rehearse(spec, CAPACITY, history, {one.stage: one for one in early}, **more)


def texts(seen: RehearsedStage) -> List[str]:
    return ["keep" if one.keeps_verdict else one.text for one in seen.standings]


def test_what_depends_on_units_that_run_runs():
    stages = [stage("t", after=(After("s"),)), stage("s")]

    seen = rehearse_stages(
        stages, [make_expanded("s", NEW, KEPT), make_expanded("t", KEPT)], past(s0=5, s1=6, t0=9)
    )

    assert texts(seen["s"]) == ["new", "keep"]
    assert texts(seen["t"]) == ["after s, which runs"]


def test_what_depends_on_units_that_ran_since_runs_and_so_on_down_the_chain():
    stages = [stage("s"), stage("t", after=(After("s"),)), stage("u", after=(After("t"),))]

    seen = rehearse_stages(
        stages, [make_expanded(name, KEPT) for name in "stu"], past(s0=30, t0=20, u0=21)
    )

    assert [texts(seen[name])[0] for name in "stu"] == [
        "keep",
        "after s, which ran since",
        "after t, which runs",
    ]


def test_only_the_follower_of_a_unit_that_ran_since_runs():
    stages = [stage("s"), stage("t", for_each=("s",), unit_wise=True)]

    seen = rehearse_stages(
        stages,
        [make_expanded("s", KEPT, KEPT), make_expanded("t", KEPT, KEPT, follows="s")],
        past(s0=30, s1=10, t0=20, t1=21),
    )

    assert texts(seen["t"]) == ["after s/0, which ran since", "keep"]
    assert seen["t"].standings[0].reason == "after s"  # a counted reason names no unit


def test_an_input_that_a_unit_before_makes_anew_is_no_reason_of_its_own():
    stages = [stage("s"), stage("t", for_each=("s",), unit_wise=True)]
    early = [make_expanded("s", NEW, KEPT), make_expanded("t", GONE, GONE, follows="s")]

    seen = rehearse_stages(stages, early, past(s0=5, s1=6, t0=7, t1=8))

    assert texts(seen["t"]) == ["after s/0, which runs", "input deleted: /s/0"]


def test_what_ran_again_and_left_its_outputs_as_they_were_moves_nothing():
    stages = [stage("s"), stage("t", after=(After("s"),))]

    seen = rehearse_stages(
        stages, [make_expanded(name, KEPT) for name in "st"], past(s0=(30, 10), t0=20)
    )

    assert texts(seen["t"]) == ["keep"]


def test_a_stage_that_is_always_kept_is_kept():
    stages = [stage("s"), stage("t", after=(After("s"),), keep="always")]

    seen = rehearse_stages(
        stages, [make_expanded("s", NEW), make_expanded("t", KEPT)], past(s0=30, t0=20)
    )

    assert texts(seen["t"]) == ["keep"]


def test_what_a_retry_leaves_aside_moves_nothing_and_is_moved_by_what_runs():
    stages = [stage("s"), stage("t", after=(After("s"),))]
    history = past(s0=5, t0=9)

    seen = rehearse_stages(
        stages, [make_expanded("s", FAILED), make_expanded("t", KEPT, ASIDE)], history
    )
    assert texts(seen["t"]) == ["after s, which runs"] * 2


def later(order: Expand) -> Expanded:
    return make_expanded(order.stage, KEPT, KEPT)


def test_a_late_stage_is_worked_out_if_all_before_it_is_kept():
    stages = [stage("s"), stage("t", after=(After("s"),), late=True)]
    history = past(s0=5, t0=7, t1=8)

    seen = rehearse_stages(stages, [make_expanded("s", KEPT)], history, expand=later)
    assert texts(seen["t"]) == ["keep", "keep"]
    assert seen["t"].known_after is None

    seen = rehearse_stages(stages, [make_expanded("s", NEW)], history, expand=later)
    assert (seen["t"].known_after, list(seen["t"].units)) == (("s",), [])


def test_nothing_is_invented_after_a_late_stage_that_something_moves():
    stages = [
        stage("s"),
        stage("t", after=(After("s"),), late=True),
        stage("u", for_each=("t",), unit_wise=True, late=True),
        stage("v", after=(After("t"),)),
        stage("w"),
        stage("x", after=(After("w"),)),
    ]
    early = [
        make_expanded("s", NEW),
        make_expanded("v", KEPT),
        make_expanded("w", KEPT),
        make_expanded("x", KEPT),
    ]

    seen = rehearse_stages(stages, early, past(s0=5, v0=90, w0=7, x0=9), expand=later)

    assert (seen["t"].known_after, seen["u"].known_after) == (("s",), ("t",))
    assert texts(seen["v"]) == ["after t, which runs"]
    assert texts(seen["x"]) == ["keep"]


def test_a_late_stage_that_cannot_be_worked_out_now_moves_nothing_if_all_before_it_is_kept():
    stages = [
        stage("s"),
        stage("t", after=(After("s"),), late=True),
        stage("v", after=(After("t"),)),
    ]

    seen = rehearse_stages(
        stages, [make_expanded("s", KEPT), make_expanded("v", KEPT)], past(s0=5, v0=9)
    )

    assert seen["t"].known_after == ("s",)
    assert texts(seen["v"]) == ["keep"]


def test_a_late_stage_that_cannot_be_planned_says_why_and_what_comes_after_cannot_start():
    stages = [
        stage("s"),
        stage("t", after=(After("s"),), late=True),
        stage("v", after=(After("t"),)),
    ]
    early = [make_expanded("s", KEPT), make_expanded("v", NEW)]

    seen = rehearse_stages(
        stages, early, past(s0=5), expand=lambda order: Expanded(order.stage, problem="no files")
    )

    assert seen["t"].problem == "no files"
    assert texts(seen["v"]) == ["stage t did not succeed"]
    assert isinstance(seen["v"].standings[0], Hold)


def test_a_unit_without_its_input_cannot_start_and_neither_can_its_follower():
    stages = [stage("s"), stage("t", for_each=("s",), unit_wise=True)]
    early = [make_expanded("s", NEW, NEW), make_expanded("t", NEW, NEW, follows="s")]
    early[0] = Expanded(
        "s", early[0].units, early[0].standings, unfit={"s/0": "input x is missing"}
    )

    seen = rehearse_stages(stages, early, History())

    assert texts(seen["s"]) == ["input x is missing", "new"]
    assert texts(seen["t"]) == ["unit s/0 did not succeed", "new"]
    assert list(map(type, seen["t"].standings)) == [Hold, Rerun]


def test_what_is_not_selected_keeps_what_it_has():
    stages = [stage("s"), stage("t", after=(After("s"),))]
    early = [make_expanded("s", NEW, FAILED), make_expanded("t", KEPT)]

    seen = rehearse_stages(stages, early, past(s1=6, t0=9), selector=lambda one: one.id == "s/0")

    assert [one.text for one in seen["s"].standings] == ["new", "failed before"]
    assert not seen["t"].standings[0].reason.startswith("after")


def test_what_waits_for_units_that_are_left_alone_is_not_kept_but_left_aside():
    stages = [
        stage("s"),
        stage("t", after=(After("s"),)),
        stage("u", for_each=("t",), unit_wise=True),
    ]
    early = [
        make_expanded("s", GONE),
        make_expanded("t", KEPT),
        make_expanded("u", KEPT, follows="t"),
    ]

    seen = rehearse_stages(
        stages, early, past(s0=5, t0=9, u0=11), selector=lambda unit: unit.stage != "s"
    )

    assert seen["t"].standings == [Hold("blocked", "it waits for s")]
    assert seen["u"].standings == [Hold("blocked", "it waits for t/0")]


def test_a_long_chain_of_followers_is_foreseen_to_its_end():
    names = [f"s{number}" for number in range(300)]
    stages = [stage(names[0])]
    early = [make_expanded(names[0], NEW)]
    for before, name in zip(names, names[1:]):
        stages.append(stage(name, for_each=(before,), unit_wise=True))
        early.append(make_expanded(name, KEPT, follows=before))
    history = History()
    history.last_seq = len(names)
    for seq, name in enumerate(names, 1):
        one = history.unit(f"{name}/0")
        one.add_end(End(one.unit, 1, Verdict.SUCCEEDED, 1.0, fingerprint="f"), seq)

    seen = rehearse_stages(list(reversed(stages)), early, history)

    assert texts(seen[names[-1]]) == [f"after {names[-2]}/0, which runs"]


@pytest.mark.parametrize(
    "reruns", [(NEW, NEW), (NEW, FAILED), (FAILED, FAILED), (NEW, GONE), (NEW, KEPT)]
)
def test_where_all_run_for_reasons_of_their_own_nothing_is_played_and_the_answer_is_the_same(
    reruns,
):
    stages = [
        stage("s"),
        stage("t", for_each=("s",), unit_wise=True),
        stage("u", after=(After("t"),)),
    ]
    early = [
        make_expanded("s", *reruns),
        make_expanded("t", *reruns[::-1], follows="s"),
        make_expanded("u", NEW),
    ]
    history = past(s0=5, s1=6, t0=7, t1=8)

    played = rehearse_stages(stages, early, history, selector=lambda _unit: True)

    for name, seen in rehearse_stages(stages, early, history).items():
        assert list(seen.standings) == list(played[name].standings)
    assert not any(one.keeps_verdict for one in played["t"].standings)

"""Stages: blocked, expanded, overlapping, skipped, published."""

from procsup.core.events import Expand, Expanded, Rerun
from procsup.core.outcome import Exited, Verdict
from procsup.core.records import End, Planned
from procsup.core.spec import After, OnFailure
from tests.support.plays import Play, stage, unit

NEW = Rerun("new")


def chain(**settings):
    """Stage t hangs on stage s."""
    stages = [stage("s"), stage("t", after=(After("s"),), **settings)]
    return Play(stages, [unit("s/a"), unit("s/b"), unit("t/a")])


def test_a_stage_waits_for_the_whole_stage_before_it():
    play = chain()

    assert play.take_orders() == ["withdraw s t", "start s/a#1", "start s/b#1"]
    assert play.state("t/a") == "Blocked"

    play.ended("s/a").synced()

    assert play.take_orders() == ["settled s/a#1 succeeded"]

    play.ended("s/b").synced()

    expected = ["settled s/b#1 succeeded", "publish s succeeded", "start t/a#1"]
    assert expected == play.take_orders()


def test_a_stage_is_published_before_what_depends_on_it_starts():
    play = chain().ended("s/a").ended("s/b").synced()

    orders = play.take_orders()

    assert orders.index("publish s succeeded") < orders.index("start t/a#1")


def test_a_stage_is_published_only_when_its_last_verdict_is_on_disk():
    play = chain().ended("s/a").ended("s/b")

    assert "publish s succeeded" not in play.take_orders()
    assert not play.plan.by_name["s"].tally.final


def test_a_failed_stage_skips_what_depends_on_it():
    play = chain().ended("s/a", Exited(1)).ended("s/b").synced().synced()

    assert play.verdicts() == {"s/a": "failed", "s/b": "succeeded", "t/a": "skipped"}
    assert play.take_orders()[-2:] == ["publish t skipped", "publish run failed"]


def test_a_skipped_unit_says_what_it_hung_on():
    play = chain().ended("s/a", Exited(1)).ended("s/b").synced()

    skipped = [r for r in play.records if isinstance(r, End) and r.verdict is Verdict.SKIPPED]

    assert [end.cause for end in skipped] == ["stage s did not succeed"]
    assert [end.attempt for end in skipped] == [0]


def test_when_finished_goes_on_after_failures():
    stages = [stage("s"), stage("t", after=(After("s", "finished"),))]
    play = Play(stages, [unit("s/a"), unit("t/a")])

    play.ended("s/a", Exited(1)).synced()

    assert "start t/a#1" in play.take_orders()


def test_stages_that_do_not_depend_on_each_other_overlap():
    play = Play([stage("s"), stage("t")], [unit("s/a"), unit("t/a")])

    assert play.take_orders() == ["withdraw s t", "start s/a#1", "start t/a#1"]


def test_a_late_stage_is_expanded_when_the_stages_before_it_are_done():
    play = chain(late=True)

    assert "expand t" not in play.take_orders()

    play.ended("s/a").ended("s/b").synced()

    assert play.take_orders()[-1] == "expand t"

    play.tell(Expanded("t", (unit("t/x"), unit("t/y")), (NEW, NEW)))

    assert play.take_orders() == ["start t/x#1", "start t/y#1"]


def test_a_late_stage_gets_the_outputs_of_the_units_before_it():
    stages = [stage("s"), stage("t", inputs_from="s", late=True)]
    play = Play(stages, [unit("s/a", outputs=["/out"])])

    play.ended("s/a").inspected("s/a").synced()

    expand = next(order for order in play.given if type(order).__name__ == "Expand")
    assert [(n, [r.path for r in rs]) for n, rs in expand.outputs["s"]] == [("s/a", ["/out"])]


def test_a_stage_gets_the_outputs_that_its_globs_may_match_also_of_stages_far_before_it():
    stages = [
        stage("s"),
        stage("t", after=(After("s"),)),
        stage("u", after=(After("t"),), late=True, looks_into=("s",)),
    ]
    play = Play(stages, [unit("s/a", outputs=["/out"]), unit("t/a")])

    play.ended("s/a").inspected("s/a").synced().ended("t/a").synced()

    (expand,) = [one for one in play.given if isinstance(one, Expand) and one.stage == "u"]
    assert {name: len(made) for name, made in expand.outputs.items()} == {"s": 1}
    assert next(one.outputs for one in play.given if isinstance(one, Expand)) == {}


def test_a_stage_that_cannot_be_expanded_fails_and_says_why():
    play = chain(late=True).ended("s/a").ended("s/b").synced()
    play.take_orders()

    play.tell(Expanded("t", problem="matrix.x.glob matches nothing"))

    assert play.take_orders() == ["publish t failed", "publish run failed"]
    assert play.plan.by_name["t"].counts().problem == "matrix.x.glob matches nothing"


def test_a_late_stage_whose_upstream_failed_is_skipped_unexpanded():
    play = chain(late=True).ended("s/a", Exited(1)).ended("s/b").synced()

    assert play.take_orders()[-2:] == ["publish t skipped", "publish run failed"]


def test_halted_while_a_stage_expands_it_is_skipped():
    stages = [stage("s"), stage("u"), stage("t", after=(After("s"),), late=True)]
    play = Play(stages, [unit("s/a"), unit("u/a")], on_failure=OnFailure("drain"))
    play.ended("s/a").synced()

    play.ended("u/a", Exited(1)).tell(Expanded("t", (unit("t/x"),), (NEW,))).synced()

    assert play.plan.by_name["t"].tally.status.word == "skipped"
    assert play.plan.outcome == "failed"


def test_interrupted_while_a_stage_expands_nothing_of_it_starts():
    play = chain(late=True).ended("s/a").ended("s/b").synced()
    play.take_orders()

    play.interrupted()

    assert play.plan.outcome == ""


def test_a_unit_that_can_never_be_placed_is_not_started_and_the_others_run():
    play = Play([stage()], [unit("a", cpus=64), unit("b")])

    play.ended("b").synced()

    assert play.verdicts() == {"a": "not-started", "b": "succeeded"}
    assert "needs 64 cpus of 2" in next(play.plan.results()).ends[-1].cause
    assert play.plan.outcome == "failed"


def test_a_unit_that_is_kept_need_not_fit_any_more():
    first = Play([stage()], [unit("a", cpus=2)]).ended("a").synced()

    second = first.again(units=[unit("a", cpus=64)])

    assert second.plan.outcome == "succeeded"


def test_a_verdict_that_halts_the_stage_while_it_is_decided_skips_the_rest_once():
    units = [unit("a", cpus=64), unit("b"), unit("c")]
    play = Play([stage()], units, on_failure=OnFailure("drain")).synced()

    assert play.verdicts() == {"a": "not-started", "b": "skipped", "c": "skipped"}
    assert play.plan.by_name["s"].counts().planned == 3
    assert play.plan.outcome == "failed"


def test_units_with_missing_inputs_fail_alone_if_the_run_says_so():
    play = chain(late=True).ended("s/a").ended("s/b").synced()
    units = (unit("t/x"), unit("t/y"))

    play.tell(Expanded("t", units, (NEW, NEW), {"t/x": "input /x is missing"}))

    assert play.state("t/x") == "Done"
    assert "start t/y#1" in play.take_orders()

    play.ended("t/y").synced()

    assert Verdict.NOT_STARTED is play.verdict("t/x")
    assert play.plan.outcome == "failed"


def test_the_counts_of_a_stage_add_up():
    play = chain().ended("s/a", Exited(1)).ended("s/b").synced().synced()

    for part in play.plan.stages:
        counts = part.counts()
        numbers = [counts.succeeded, counts.failed, counts.skipped]
        assert counts.planned == sum(numbers)


def test_long_plans_are_recorded_in_chunks_that_close():
    play = Play([stage()], [unit(f"u{n}") for n in range(1001)])

    plans = [record for record in play.records if isinstance(record, Planned)]

    assert [len(record.units) for record in plans] == [500, 500, 1]
    assert [record.last for record in plans] == [False, False, True]


def test_stages_of_equal_depth_start_in_the_order_of_the_file_and_later_ones_first():
    stages = [stage(name) for name in ("b", "a", "c")] + [stage("d", after=(After("a"),))]
    specs = [unit(f"{name}/{n}") for name in "bacd" for n in "12"]
    play = Play(stages, specs, cpus=1)

    started = []
    while play.plan.outcome is None:
        started += [order for order in play.take_orders() if order.startswith("start")]
        if play.live:
            play.ended(next(iter(play.live)))
        else:
            play.synced()

    order = [one.split()[1].split("/")[0] for one in started]
    assert order == ["b", "b", "a", "a", "c", "c", "d", "d"]

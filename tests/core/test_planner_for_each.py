"""Units that follow units: one starts as soon as its own have succeeded, and only then."""

from procsup.core.events import Expanded, Rerun, Reuse
from procsup.core.outcome import Exited, Verdict
from procsup.core.plan.rehearsal import rehearse
from procsup.core.records import End, Kept
from procsup.core.spec import After, OnFailure
from tests.support.plays import Play, stage, unit

NEW = Rerun("new")
KEPT = Reuse()
UNITS = (
    unit("s/a"),
    unit("s/b"),
    unit("t/a", follows=("s/a",)),
    unit("t/b", follows=("s/b",)),
)


def follower(name="t", *of, **settings):
    return stage(name, for_each=of or ("s",), unit_wise=True, **settings)


def pair(**settings):
    """Each unit of stage t follows one of stage s."""
    return Play([stage("s"), follower()], UNITS, **settings)


def test_a_unit_starts_as_soon_as_the_one_that_it_follows_has_succeeded():
    play = pair()

    assert play.take_orders() == ["withdraw s t", "start s/a#1", "start s/b#1"]

    play.ended("s/a")

    assert play.take_orders() == ["start t/a#1"]
    assert play.state("t/b") == "Blocked"


def test_later_stages_come_first_when_a_slot_is_free():
    many = [unit(f"s/{n}") for n in range(4)] + [
        unit(f"t/{n}", follows=(f"s/{n}",)) for n in range(4)
    ]
    play = Play([stage("s"), follower()], many, cpus=1)
    play.take_orders()

    play.ended("s/0")

    assert play.take_orders() == ["start t/0#1"]


def test_later_means_what_depends_on_what_not_the_order_of_the_file():
    play = Play([follower(), stage("s")], UNITS, cpus=1)
    play.take_orders()

    play.ended("s/a")

    assert play.take_orders() == ["start t/a#1"]


def test_its_outputs_are_looked_at_before_what_follows_it_starts():
    units = [unit("s/a", outputs=["/out"]), unit("t/a", follows=("s/a",))]
    play = Play([stage("s"), follower()], units)
    play.take_orders()

    play.ended("s/a")

    assert play.take_orders() == []

    play.inspected("s/a")

    assert play.take_orders() == ["start t/a#1"]


def test_a_failed_unit_skips_only_what_follows_it():
    play = pair().ended("s/a", Exited(1)).ended("s/b").synced().ended("t/b").synced()

    assert play.verdicts() == {
        "s/a": "failed", "s/b": "succeeded", "t/a": "skipped", "t/b": "succeeded"
    }  # fmt: skip
    assert play.plan.outcome == "failed"


def test_what_is_skipped_says_which_unit_it_hung_on():
    play = pair().ended("s/a", Exited(1))

    (end,) = [r for r in play.records if isinstance(r, End) and r.verdict is Verdict.SKIPPED]

    assert (end.unit, end.cause) == ("t/a", "unit s/a did not succeed")


def test_skipping_goes_on_down_the_chain():
    units = [*UNITS, unit("u/a", follows=("t/a",)), unit("u/b", follows=("t/b",))]
    play = Play([stage("s"), follower(), follower("u", "t")], units)

    play.ended("s/a", Exited(1))

    assert play.verdicts() == {"s/a": "failed", "t/a": "skipped", "u/a": "skipped"}


def test_a_unit_that_will_be_tried_again_blocks_what_follows_it_and_does_not_skip_it():
    from procsup.core.spec import Retry

    play = Play([stage("s", retry=Retry(times=1)), follower()], UNITS)
    play.ended("s/a", Exited(1))

    assert play.state("t/a") == "Blocked"

    play.ended("s/a")

    assert play.take_orders()[-1] == "start t/a#1"


def test_the_last_stage_starts_while_the_first_one_runs():
    units = [*UNITS, unit("u/a", follows=("t/a",)), unit("u/b", follows=("t/b",))]
    play = Play([stage("s"), follower(), follower("u", "t")], units)

    play.ended("s/a").ended("t/a")

    assert play.take_orders()[-1] == "start u/a#1"
    assert play.state("s/b") == "Running"


def test_a_unit_may_follow_several_and_waits_for_all_of_them():
    stages = [stage("s"), stage("q"), follower("t", "s", "q")]
    play = Play(stages, [unit("s/a"), unit("q/a"), unit("t/a", follows=("s/a", "q/a"))])
    play.take_orders()

    play.ended("s/a")
    assert play.take_orders() == []

    play.ended("q/a")
    assert play.take_orders() == ["start t/a#1"]


def test_a_follower_with_after_waits_for_that_whole_stage_too():
    stages = [stage("s"), stage("w"), follower("t", "s", after=(After("w"),))]
    play = Play(stages, [unit("s/a"), unit("w/a"), unit("t/a", follows=("s/a",))])
    play.take_orders()

    play.ended("s/a").synced()
    assert "start t/a#1" not in play.take_orders()

    play.ended("w/a").synced()
    assert "start t/a#1" in play.take_orders()


def test_a_stage_is_published_when_all_of_it_is_done_whatever_follows_it():
    play = pair().ended("s/a").ended("t/a").ended("s/b").synced()

    assert play.take_orders()[-4:] == [
        "settled s/a#1 succeeded", "settled t/a#1 succeeded", "settled s/b#1 succeeded",
        "publish s succeeded",
    ]  # fmt: skip

    play.ended("t/b").synced()

    assert play.take_orders()[-2:] == ["publish t succeeded", "publish run succeeded"]


def test_a_late_follower_is_expanded_when_the_units_before_it_are_known():
    stages = [stage("r"), stage("s", after=(After("r"),), late=True), follower(late=True)]
    play = Play(stages, [unit("r/a")]).ended("r/a").synced()
    assert play.take_orders()[-1] == "expand s"

    play.tell(Expanded("s", UNITS[:2], (NEW, NEW)))
    assert play.take_orders() == ["expand t", "start s/a#1", "start s/b#1"]

    play.ended("s/a")
    play.tell(Expanded("t", UNITS[2:], (NEW, NEW)))
    assert play.take_orders() == ["start t/a#1"]

    play.ended("s/b")
    assert play.take_orders() == ["start t/b#1"]


def test_a_follower_whose_units_are_known_after_a_failure_skips_them():
    stages = [stage("r"), stage("s", after=(After("r"),), late=True), follower(late=True)]
    play = Play(stages, [unit("r/a")]).ended("r/a").synced()
    play.tell(Expanded("s", UNITS[:2], (NEW, NEW))).ended("s/a", Exited(1))

    play.tell(Expanded("t", UNITS[2:], (NEW, NEW)))

    assert play.verdict("t/a") is Verdict.SKIPPED
    assert play.state("t/b") == "Blocked"


def test_a_late_follower_of_a_stage_that_was_passed_over_is_passed_over():
    stages = [stage("r"), stage("s", after=(After("r"),), late=True), follower(late=True)]
    play = Play(stages, [unit("r/a")]).ended("r/a", Exited(1)).synced()

    assert play.take_orders()[-3:] == [
        "publish s skipped", "publish t skipped", "publish run failed"
    ]  # fmt: skip


def test_followers_of_units_that_cannot_be_started_are_skipped():
    big = [unit("s/a", memory_bytes=11), unit("s/b"), *UNITS[2:]]
    play = Play([stage("s"), follower()], big, memory_bytes=10)

    assert play.verdicts() == {"s/a": "not-started", "t/a": "skipped"}
    assert play.state("t/b") == "Blocked"


def test_drained_it_starts_nothing_that_was_released_meanwhile():
    play = pair()
    play.asked("drain").ended("s/a")

    assert "start t/a#1" not in play.take_orders()

    play.ended("s/b").synced()

    assert play.plan.outcome == ""


def test_on_failure_of_the_run_skips_blocked_units():
    play = pair(on_failure=OnFailure("drain"))
    play.ended("s/a", Exited(1)).ended("s/b").synced()

    assert play.verdict("t/b") is Verdict.SKIPPED
    assert play.plan.outcome == "failed"


# --- once more ---------------------------------------------------------------------------


def done():
    return pair().ended("s/a").ended("s/b").ended("t/a").ended("t/b").synced()


def test_a_finished_pair_is_kept_whole():
    play = done().again(standings={u.id: KEPT for u in UNITS})

    assert play.take_orders() == [
        "publish s succeeded",
        "publish t succeeded",
        "publish run succeeded",
    ]
    assert sorted(i for r in play.records if isinstance(r, Kept) for i in r.units) == [
        "s/a", "s/b", "t/a", "t/b"
    ]  # fmt: skip


def test_only_what_follows_a_unit_that_ran_again_runs_again():
    standings = {u.id: KEPT for u in UNITS}
    play = done().again(standings={**standings, "s/a": Rerun("changed")})

    assert play.take_orders() == ["withdraw s t", "start s/a#2"]
    assert play.state("t/b") == "Done"
    assert play.state("t/a") == "Blocked"

    play.ended("s/a")
    assert play.take_orders() == ["start t/a#2"]

    play.ended("t/a").synced()
    assert play.plan.outcome == "succeeded"


def test_a_follower_is_kept_when_the_unit_left_its_outputs_untouched():
    units = [unit("s/a", outputs=["/out"]), unit("t/a", follows=("s/a",))]
    play = Play([stage("s"), follower()], units)
    play.ended("s/a").inspected("s/a").ended("t/a").synced()

    again = play.again(standings={"s/a": Rerun("never kept"), "t/a": KEPT})
    again.ended("s/a").inspected("s/a", 2).synced()

    assert "start t/a#2" not in again.take_orders()
    assert again.plan.outcome == "succeeded"
    assert any("t/a" in r.units for r in again.records if isinstance(r, Kept))


def test_what_is_skipped_again_moves_nothing_that_goes_on_without_it():
    stages = [stage("s"), follower(), stage("u", after=(After("t", "finished"),))]
    play = Play(stages, [*UNITS, unit("u/x")]).ended("s/a", Exited(1)).ended("s/b").ended("t/b")
    play.synced().ended("u/x").synced()
    assert play.plan.outcome == "failed"

    again = play.again(selector=lambda spec: spec.stage == "t")

    assert again.synced().plan.outcome == "failed"
    assert again.verdict("u/x") is Verdict.SUCCEEDED


def test_what_was_skipped_runs_when_the_unit_before_it_succeeds_at_last():
    play = pair().ended("s/a", Exited(1)).ended("s/b").ended("t/b").synced()

    again = play.again()
    assert again.take_orders() == ["withdraw s t", "start s/a#2"]

    again.ended("s/a")
    assert again.take_orders() == ["start t/a#1"]


def test_interrupted_between_two_stages_it_goes_on_with_the_second():
    play = pair().ended("s/a")
    play.interrupted().ended("s/b").ended("t/a").synced()
    assert play.plan.outcome == ""

    again = play.again()

    assert again.take_orders() == ["withdraw s t", "start t/a#2", "start s/b#2"]


def test_only_leaves_the_followers_of_a_unit_aside():
    play = pair(selector=lambda spec: spec.stage == "s").ended("s/a").ended("s/b").synced()

    assert play.take_orders()[-1] == "publish s succeeded"
    assert play.plan.outcome == ""
    assert play.state("t/a") == "Aside"


def test_only_a_follower_whose_unit_never_ran_starts_nothing():
    play = pair(selector=lambda spec: spec.id == "t/a")

    assert [order for order in play.take_orders() if order.startswith("start")] == []
    assert play.plan.outcome == ""


def test_it_is_foreseen_what_will_run_after_what():
    play = done()
    expansions = {
        "s": Expanded("s", UNITS[:2], (Rerun("changed"), KEPT)),
        "t": Expanded("t", UNITS[2:], (KEPT, KEPT)),
    }

    foreseen = rehearse(play.spec, play.plan.capacity, play.replayed(), expansions)

    assert [one.keeps_verdict for one in foreseen["t"].standings] == [False, True]
    assert foreseen["t"].standings[0].reason == "after s"
    assert foreseen["t"].standings[0].text == "after s/a, which runs"


def test_an_earlier_success_does_not_decide_a_unit_that_was_to_run_again():
    play = done().again(
        standings={**{u.id: KEPT for u in UNITS}, "s/a": Rerun("changed")},
        on_failure=OnFailure("stop"),
    )
    play.ended("s/a", Exited(1)).synced()

    assert play.verdicts() == {
        "s/a": "failed", "s/b": "succeeded", "t/a": "skipped", "t/b": "succeeded"
    }  # fmt: skip


def test_what_ran_again_and_left_its_outputs_untouched_does_not_run_for_ever():
    units = [unit("s/a"), unit("t/a", outputs=["/out"], follows=("s/a",))]
    play = Play([stage("s"), follower()], units)
    play.ended("s/a").ended("t/a").inspected("t/a").synced()

    second = play.again(standings={"s/a": Rerun("changed"), "t/a": KEPT})
    second.ended("s/a").ended("t/a").inspected("t/a", 2).synced()
    third = second.again(standings={"s/a": KEPT, "t/a": KEPT})

    assert [order for order in third.take_orders() if order.startswith("start")] == []

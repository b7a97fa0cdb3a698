"""The order of stages: unblocked, withdrawn, published; and the end of a sitting.

Withdrawals and publications run on a side thread, one after another. No unit of a stage starts
before its withdrawal is answered. After the order to publish a stage nothing of it changes, and
the answer makes it final for the stages after it.
"""

from typing import TYPE_CHECKING, Dict, List

from procsup.core.admission import Admission
from procsup.core.events import Expand, Publish, Published, TakenBack, Withdraw
from procsup.core.records import RunFinal, StageFinal, Withdrawn
from procsup.core.spec import sources
from procsup.core.stages import Stage
from procsup.core.tally import EarlyEnd
from procsup.core.versions import newest

if TYPE_CHECKING:
    from procsup.core.planner import Planner


class Succession:
    """The planner's part for the order of stages; it changes the planner's own state."""

    def __init__(self, planner: "Planner", admission: Admission) -> None:
        self._planner = planner
        self._admission = admission
        self._awaited = {name for stage in planner.stages for name in stage.upstream}

    # --- facts ---------------------------------------------------------------------------

    def on_taken_back(self, fact: TakenBack) -> None:
        """The older manifests of these stages are withdrawn."""
        self._planner.summary.withdrawing -= 1
        for name in fact.stages:
            self._planner.by_name[name].taken_back = True

    def on_published(self, fact: Published) -> None:
        """The manifest of a stage or of the run is published."""
        if fact.stage is None:
            self._planner.close(self._planner.run_status or "")
            return
        stage = self._planner.by_name[fact.stage]
        stage.tally.status = stage.outcome
        self._planner.moved |= stage.name in self._awaited

    # --- from stage to stage -------------------------------------------------------------

    def settle_stages(self) -> None:
        """Unblock, finish and publish the stages that can be; withdraw those that will run again.

        There may be many stages: they are examined only if one may have changed.
        """
        has_moved, self._planner.moved = self._planner.moved, False
        changed = has_moved
        while changed:
            changed = False
            for stage in self._planner.stages:
                changed |= self._advance(stage)
        self._admission.weigh_again()
        self._admission.record_kept()
        if has_moved:
            self._withdraw()

    def _advance(self, stage: Stage) -> bool:
        if stage.tally.closed:
            return False
        if stage.is_complete() and not stage.standings:
            self._finish(stage)
            return True
        if stage.tally.status == "blocked" and self._is_unblocked(stage):
            self._unblock(stage)
            return True
        return False

    def _is_unblocked(self, stage: Stage) -> bool:
        if not stage.upstream:
            return stage.expanded
        if self._planner.summary.ending:
            return False
        return all(
            before.is_open if name in self._followed(stage) else before.tally.final
            for name, before in ((name, self._planner.by_name[name]) for name in stage.upstream)
        )

    def _followed(self, stage: Stage) -> List[str]:
        """Return the stages before it that need not be done before its first unit starts."""
        if not stage.spec.unit_wise:
            return []
        return [name for name in stage.spec.for_each if name not in stage.whole_upstream]

    def _unblock(self, stage: Stage) -> None:
        bad = next((name for name in stage.upstream if not self._lets_on(name, stage)), None)
        if bad is not None:
            stage.tally.status = "open"
            self._admission.pass_over(stage, f"stage {bad} did not succeed")
            return
        if not stage.upstream:
            self._admission.decide(stage)
            return
        stage.tally.status = "expanding"
        planner = self._planner
        outputs = {name: planner.by_name[name].outputs() for name in sources(stage.spec)}
        made = newest(self._admission.made_before(stage).values())
        moving = any(planner.by_name[name].may_move for name in stage.spec.for_each)
        planner.orders.append(Expand(stage.name, outputs, made, moving))

    def _lets_on(self, name: str, stage: Stage) -> bool:
        """Whether an earlier stage allows a later one to begin."""
        before = self._planner.by_name[name]
        if name not in stage.whole_upstream:
            return not before.passed_over and not (before.tally.problem and not before.units)
        tolerant = any(
            after.stage == name and after.when == "finished" for after in stage.spec.after
        )
        return tolerant or before.tally.status == "succeeded"

    def _withdraw(self) -> None:
        if self._planner.summary.ending:
            return  # nothing will be started
        known: Dict[str, bool] = {}
        names = [
            stage.name
            for stage in self._planner.stages
            if not stage.withdrawn and not stage.tally.closed and self._will_run(stage, known)
        ]
        if not names:
            return
        for name in names:
            self._planner.by_name[name].withdrawn = True
        self._planner.summary.withdrawing += 1
        self._planner.write(Withdrawn(names))
        self._planner.orders.append(Withdraw(tuple(names)))

    def _will_run(self, stage: Stage, known: Dict[str, bool]) -> bool:
        if stage.name not in known:
            known[stage.name] = (
                bool(stage.ready)
                or any(not standing.kept for standing in stage.standings)
                or any(
                    self._will_run(self._planner.by_name[name], known) for name in stage.upstream
                )
            )
        return known[stage.name]

    def _finish(self, stage: Stage) -> None:
        self._admission.record_kept()
        stage.outcome = stage.status()
        stage.tally.status = "publishing"
        self._planner.later_first.remove(stage)
        counts = {verdict.value: number for verdict, number in stage.tally.verdicts.items()}
        self._planner.write(StageFinal(stage.name, stage.outcome, counts))
        self._planner.orders.append(Publish(stage.name, stage.outcome))

    # --- the end of the sitting ----------------------------------------------------------

    def close_if_over(self) -> None:
        """Publish the run if all of it is final; close the sitting if no unit can continue.

        The run is published in one queue with its stages, and so after them; like a stage it is
        final from this order on.
        """
        planner = self._planner
        if planner.run_status is not None or planner.done or not planner.is_idle:
            return
        if all(stage.tally.closed for stage in planner.stages):
            good = all(stage.outcome == "succeeded" for stage in planner.stages)
            planner.run_status = "succeeded" if good else "failed"
            planner.write(RunFinal(planner.run_id, planner.run_status, planner.wall))
            planner.orders.append(Publish(None, planner.run_status))
        elif self._is_answer_due():
            return
        elif planner.summary.ending:
            planner.close("")
        elif not self._can_go_on():
            planner.end_early(EarlyEnd.SELECTION, "only the selected units were asked for")
            planner.close("")

    def _is_answer_due(self) -> bool:
        """Some withdrawal or publication has no answer yet."""
        if self._planner.summary.withdrawing:
            return True
        return any(stage.tally.status == "publishing" for stage in self._planner.stages)

    def _can_go_on(self) -> bool:
        waiting = [stage for stage in self._planner.stages if not stage.tally.closed]
        if self._admission.looking:
            return True
        if any(stage.ready or stage.tally.status == "expanding" for stage in waiting):
            return True
        return self._planner.next_deadline() is not None

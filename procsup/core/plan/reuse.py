"""Decides which earlier results are still valid: versions of outputs, and their users."""

from typing import Dict, Iterable, Optional, Sequence, Tuple

import msgspec

from procsup.core.events import Rerun, Reuse, Standing
from procsup.core.keep import CHANGES, INPUTS
from procsup.core.outcome import Reading, Verdict
from procsup.core.plan.news import make_rerun_after
from procsup.core.plan.state import Plan, Stage
from procsup.core.plan.units import Unit
from procsup.core.records import End
from procsup.core.replay import UnitHistory
from procsup.core.spec import StageSpec, UnitSpec
from procsup.core.versions import Version, find_newest


def find_made_before(plan: Plan, stage: Stage) -> Dict[str, Version]:
    """Return the version of the outputs of each whole stage that this one follows."""
    before = [plan.by_name[name] for name in stage.whole_upstream]
    made = [one for one in before if not makes_only_lists([u.spec for u in one.units], stage.spec)]
    return {one.name: _find_version_of_all(plan, one) for one in made}


def _find_version_of_all(plan: Plan, stage: Stage) -> Version:
    versions = [_find_version(plan, unit) for unit in stage.units]
    return find_newest([Version(stage.newest_made), *(one for one in versions if one.gaps)])


def _find_version(plan: Plan, unit: Unit) -> Version:
    """Return the version of a unit's outputs."""
    past = unit.past
    success = None if past is None else past.success
    if past is None or success is None or success.made_seq != unit.made_seq:
        return Version(unit.made_seq)
    return past.find_version_at(plan.seq + 1)


def _list_used(plan: Plan, stage: Stage, unit: Unit) -> Iterable[Tuple[str, Version]]:
    """Yield the name and version of each unit and whole stage that it depends on."""
    for one in plan.list_followed(unit.spec):
        yield one.spec.id, _find_version(plan, one)
    yield from stage.made_before.items()


def has_used(plan: Plan, stage: Stage, unit: Unit, ended_seq: int) -> bool:
    """Whether an end with this record number used the present versions of its dependencies."""
    return all(version.was_used_by(ended_seq) for _, version in _list_used(plan, stage, unit))


def is_newer(plan: Plan, stage: Stage, unit: Unit, history: UnitHistory) -> bool:
    """Whether its end is newer than the outputs it depends on, or `keep` is ``always``."""
    return stage.spec.keep == "always" or has_used(plan, stage, unit, history.ended_seq)


def is_in_doubt(plan: Plan, stage: Stage, unit: Unit, standing: Standing) -> bool:
    """Whether its inputs had changed, but the units it follows then ran and made the same again.

    Then its inputs must be compared again. Stages that it waits for as a whole do not matter: they
    were done before the first comparison.
    """
    if not stage.spec.unit_wise or not _has_other_inputs(standing) or unit.past is None:
        return False
    ran = any(not one.kept for one in plan.list_followed(unit.spec))
    success = unit.past.standing_success
    return ran and success is not None and is_newer(plan, stage, unit, success)


def _has_other_inputs(standing: Standing) -> bool:
    return isinstance(standing, Rerun) and standing.reason in INPUTS


def explain_run(plan: Plan, stage: Stage, unit: Unit, standing: Standing) -> Rerun:
    """Return why a unit runs: a unit or stage that it depends on ran, or else its standing.

    If the stage that makes its inputs ran, that is the reason, and not that its inputs changed.
    """
    if isinstance(standing, Rerun) and standing.reason not in INPUTS:
        return standing
    past = unit.past
    ended = 0 if past is None else (past.standing_success or past).ended_seq
    for name, version in _list_used(plan, stage, unit):
        if not version.was_used_by(ended):
            return make_rerun_after(name, now=version.seq > plan.base_seq)
    return standing if isinstance(standing, Rerun) else Rerun(standing.reason, standing.text)


def still_stands(
    plan: Plan, stage: Stage, unit: Unit, standing: Standing, history: UnitHistory
) -> bool:
    """Whether a unit's verdict is final, not out of date, and of the unit as it is now."""
    if not history.is_over:
        return False
    last = history.last
    if last is None:
        raise AssertionError(f"{unit.spec.id} has a final verdict, and no end")
    succeeded = history.verdict is Verdict.SUCCEEDED
    changed = last.fingerprint != unit.spec.fingerprint
    changed = changed or (succeeded and standing.reason in CHANGES)
    if changed and stage.spec.keep != "always":
        return False  # its outputs can no longer be confirmed
    return is_newer(plan, stage, unit, history)


def find_kept(unit: Unit, standing: Standing) -> Optional[UnitHistory]:
    """Return the history under which the unit is kept: its last success, or its last verdict."""
    past = unit.past
    if past is None or not isinstance(standing, Reuse):
        return past
    return past.standing_success or past


def mark_same(end: End, unit: Unit) -> End:
    """Mark an end whose outputs are the same as those of the unit's last success.

    A unit that is skipped again has not changed either.
    """
    past = unit.past
    if past is None or past.open_launch is not None:
        return end
    if end.verdict is Verdict.SKIPPED is past.verdict:
        return msgspec.structs.replace(end, same_as=past.made_seq)
    success = past.success
    if end.verdict is not Verdict.SUCCEEDED or not end.outputs or success is None:
        return end
    prior = success.last
    if prior is None or not are_same(end.outputs, prior.outputs):
        return end
    return msgspec.structs.replace(end, same_as=success.made_seq)


def are_same(now: Sequence[Reading], before: Sequence[Reading]) -> bool:
    """Whether outputs are the same: by content if every sha256 is known.

    Otherwise by path, size and mtime: the files must not have been written.
    """
    both = (*now, *before)
    if any(reading.changed for reading in both):
        return False
    if all(reading.sha256 for reading in both):
        return {(one.path, one.sha256) for one in now} == {(one.path, one.sha256) for one in before}
    return [(one.path, one.size, one.mtime_ns) for one in now] == [
        (one.path, one.size, one.mtime_ns) for one in before
    ]


def makes_only_lists(before: Iterable[UnitSpec], stage: StageSpec) -> bool:
    """Whether these units make only the lists of parameters that the stage reads."""
    made = [output.path for unit in before for output in unit.outputs]
    return bool(made) and set(made) <= set(stage.list_files)

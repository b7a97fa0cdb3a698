"""A run seen from outside: what is read once, and the errors for what a verb cannot do with it."""

import pytest

from procsup.errors import RunUnfinished, UsageError
from procsup.queries.view import RunView, find_run
from tests.support.sittings import Supervised, result


@pytest.fixture
def run(tmp_path):
    return Supervised(tmp_path)


def test_a_view_is_of_one_moment_and_a_new_one_looks_again(run):
    run.begin("r1")
    before = find_run("demo", run.folder)
    assert before.live.run_id == "r1"

    run.close("drained by request")

    assert before.live.run_id == "r1"
    assert RunView(run.rundir).live is None
    assert RunView(run.rundir).owner.ended is not None


def test_a_run_without_supervisor_or_of_another_id_is_not_live(run):
    run.begin("r1")
    assert RunView(run.rundir, "r1").require_live("stop").run_id == "r1"
    with pytest.raises(
        RunUnfinished, match=r"^run r0 is over: process \d+ on .* is at run r1 now$"
    ):
        RunView(run.rundir, "r0").require_live("stop")

    run.die()

    with pytest.raises(
        RunUnfinished, match=r"^no supervisor works on .*: there is nothing to stop$"
    ):
        RunView(run.rundir, "r1").require_live("stop")


def test_a_stage_is_unknown_only_if_the_stages_are_known(run):
    RunView(run.rundir).require_stage("zz")
    run.begin()

    RunView(run.rundir).require_stage("s")
    with pytest.raises(UsageError, match=r"demo has no stage 'zz': it has s, t$"):
        RunView(run.rundir).require_stage("zz")
    with pytest.raises(UsageError, match=r"^that has no stage 'zz': it has s, t$"):
        RunView(run.rundir).require_stage("zz", "that")
    run.leave()


def test_what_is_not_final_is_refused_with_the_reason(run):
    def why(run_id=None, stage=None, **words):
        with pytest.raises(RunUnfinished) as caught:
            RunView(run.rundir, run_id).require_final(stage, **words)
        return str(caught.value)

    place = str(run.rundir.path)
    assert why() == f"{place}: it has not begun"
    run.begin("r1")
    assert why(stage="s").startswith(f"{place}, stage s: not final: process ")
    assert why(absent="there is none") == "there is none"
    run.publish(result(0))
    assert RunView(run.rundir, "r1").require_final().run_id == "r1"
    assert why("r0") == "run r0 is superseded by r1"

    run.begin("r2", 2)

    assert why(named="demo") == "demo: run r2 is under way"
    run.die()
    assert RunView(run.rundir).require_final().run_id == "r1"

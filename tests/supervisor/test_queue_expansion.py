"""The commands of a queue, as they are checked before they start."""

import os
import sys

from procsup.core.events import Expand
from procsup.core.replay import History
from procsup.runfile.plan import Head, LineQueue, PlanText, encode
from procsup.store.growing_plan import PlanFile
from procsup.store.queue_file import STAGE
from procsup.supervisor.expansion import Expander
from procsup.supervisor.requests import Request
from procsup.supervisor.resolved_request import read


def expand(folder):
    """Return what becomes of a command that is right, and of one whose folder is gone."""
    places = [str(folder), str(folder / "gone")]
    argv = [sys.executable, "-V"]
    tables = [{"id": str(at), "argv": argv, "cwd": one} for at, one in enumerate(places, 1)]
    rest = LineQueue(map(encode, tables), is_queue=True)
    rest.fill()
    plan = PlanText(Head("q", str(folder), STAGE, {}, {}), [], rest)
    asked = read(Request(file="q", directory=str(folder), plan=plan))
    expander = Expander(asked, History(), os.environ)
    expander.grow_into(PlanFile(str(folder / "plan.jsonl"), plan.lines()))
    return expander.expand_late(Expand(STAGE, {}))


def test_a_command_whose_folder_is_gone_is_unfit_alone(tmp_path):
    (tmp_path / "q").mkdir()

    fact = expand(tmp_path)

    assert not fact.problem
    assert list(fact.unfit) == ["queue/2"]


def test_commands_wait_if_the_run_directory_cannot_be_written(tmp_path):
    fact = expand(tmp_path)  # it is not there

    assert "cannot be written" in fact.problem
    assert not fact.unfit

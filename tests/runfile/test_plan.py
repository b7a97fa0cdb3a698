"""Units that a program lists: what is said of one, and of all."""

import os
import re

import pytest

from procsup.core.late import PID
from procsup.core.slots import Capacity
from procsup.errors import RunFileError
from procsup.lib.units import Unit
from procsup.runfile.plan import Head, PlanText, encode, load_plan
from tests.runfile.builders import CAPACITY


def load_units(folder, units, **settings):
    head = Head("n", str(folder), "units", settings, {})
    return load_plan(PlanText(head, [encode(unit.make_table()) for unit in units]))


def plan_units(folder, units, **settings):
    return load_units(folder, units, **settings).expand_early(CAPACITY)["units"]


def test_a_stop_command_of_all_units_knows_each_and_its_process(tmp_path):
    units = [Unit(["a"]), Unit(["b"], inputs=["in"])]
    argv = ["./stop", "{pid}", "job-{index}", "{{x}}", 1]

    found = plan_units(tmp_path, units, **{"stop-command": argv})

    program = os.path.join(str(tmp_path), "stop")
    assert [unit.stop_command for unit in found] == [
        (program, PID, "job-0", "{x}", "1"),
        (program, PID, "job-1", "{x}", "1"),
    ]


def test_a_unit_s_own_stop_command_wins(tmp_path):
    units = [Unit(["a"], stop_command=["own", "{pid}", 2]), Unit(["b"])]

    own, other = plan_units(tmp_path, units, **{"stop-command": ["all"]})

    assert (own.stop_command, other.stop_command) == (("own", PID, "2"), ("all",))


def test_threads_are_a_share_unless_cpus_are_given(tmp_path):
    units = [Unit(["a"]), Unit(["b"], cpus=1)]
    capacity = Capacity(cpus=4.0, jobs=2)

    some = load_units(tmp_path, units).expand_early(capacity)["units"]
    none = load_units(tmp_path, units, cpus=2).expand_early(capacity)["units"]

    assert [(unit.cpus, unit.threads) for unit in some] == [(1.0, 2), (1.0, None)]
    assert [(unit.cpus, unit.threads) for unit in none] == [(2.0, None), (1.0, None)]


@pytest.mark.parametrize(
    ("cpus", "problem"), [(0, "units[0].cpus: expected"), (1.5, "units[0].cpus: expected whole")]
)
def test_amounts_are_checked_as_those_of_a_run_file(tmp_path, cpus, problem):
    with pytest.raises(RunFileError, match=re.escape(problem)):
        plan_units(tmp_path, [Unit(["a"], cpus=cpus)], pin="cpus")


def test_the_settings_of_a_stop_are_those_of_a_stage(tmp_path):
    settings = {"stop-signal": "INT", "stop-to": "tree", "linger": "timeout", "timeout": 5}

    (stage,) = load_units(tmp_path, [Unit(["a"])], **settings).spec.stages

    assert (stage.stop_signal, stage.stop_to, stage.linger_s) == ("INT", "tree", None)


@pytest.mark.parametrize(
    ("unit", "settings", "problem"),
    [
        (Unit(["a"]), {"stop-signal": "FOO"}, "stop_signal: expected the name of a signal"),
        (Unit(["a"]), {"linger": "timeout"}, 'linger: "timeout" means as long as the unit may'),
        (Unit(["a"]), {"stop-command": "x"}, "stop_command: expected a list of arguments: write"),
        (Unit(["a"]), {"stop-command": ["{}"]}, "stop_command[0]: {} has no name"),
        (Unit(["a"], stop_command="x y"), {}, "units[0].stop_command: expected a list of arg"),
        (Unit(["a"], stop_command=["{p}"]), {}, "units[0].stop_command[0]: unknown placeholder"),
    ],
)
def test_a_mistake_is_named_as_in_python(tmp_path, unit, settings, problem):
    with pytest.raises(RunFileError) as caught:
        plan_units(tmp_path, [unit], **settings)

    (found,) = caught.value.problems
    assert problem in found


def test_without_an_id_a_unit_is_named_by_its_parameters_as_in_a_run_file(tmp_path):
    rows = [{"n": 1, "mode": "fast"}, {"n": 0.5, "mode": ["a", "b"]}, {"n": 1, "mode": "fast"}, {}]

    units = plan_units(tmp_path, [Unit(["true"], parameters=row) for row in rows])

    names = ["n=1,mode=fast", "n=0.5,mode=a+b", "n=1,mode=fast #2", "true"]
    assert [unit.id for unit in units] == [f"units/{name}" for name in names]

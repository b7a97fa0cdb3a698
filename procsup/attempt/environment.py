"""Makes the environment of a unit. Inherited values are never recorded."""

import os
from typing import Dict, Mapping, Tuple

from procsup.attempt.context import RunContext
from procsup.attempt.jobserver import VARIABLES, remove_dead_server
from procsup.core.regexes import compile_at_use
from procsup.core.task import Rules, Task
from procsup.host import system
from procsup.host.processes import WITHIN

# Variables that libraries and runtimes read to size thread and worker pools. TBB reads none.
THREAD_CAPS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
    "PYTHON_CPU_COUNT",  # 3.13: os.cpu_count(), and so the size of pools
    "GOMAXPROCS",
    "JULIA_NUM_THREADS",
    "RAYON_NUM_THREADS",  # rayon-core/src/lib.rs: ThreadPoolBuilder::num_threads
)
_PYTHON_HABITS = {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"}
# Variables that procsup sets. If we run in a unit of an outer run, its variables are not passed on.
_COOKIES = compile_at_use(
    r"PROCSUP_(RUN|STAGE|UNIT|INDEX|ATTEMPT|CPUS|THREADS|GPUS|MEMORY_BYTES|UNIT_FILE|SCRATCH|WITHIN)"
)


class Environments:
    """Makes the environments of attempts; caches what all units of a stage have in common."""

    def __init__(self, context: RunContext) -> None:
        self._run_id = context.run_id
        self._passed_on = _select_inherited(context.environment)
        self._within = list_outer_attempts(context.environment)
        self._bases: Dict[Tuple[str, int], Dict[str, str]] = {}

    def of(self, task: Task) -> Dict[str, str]:
        """Return the environment of an attempt; the caller may change it."""
        unit, placement, rules, threads = task.unit, task.placement, task.rules, task.threads
        base = self._bases.get((unit.stage, threads))
        if base is None:
            base = self._bases[unit.stage, threads] = self._make_base(rules, threads)
        env = base.copy()
        for name, value in unit.env.items():
            env[system.make_environment_key(name)] = value
        if rules.pythonpath:
            inherited = env.get("PYTHONPATH")
            folders = (*rules.pythonpath, *([inherited] if inherited else []))
            env["PYTHONPATH"] = os.pathsep.join(folders)
        if self._within:
            env[WITHIN] = self._within
        env["PROCSUP_RUN"] = self._run_id
        env["PROCSUP_STAGE"] = unit.stage
        env["PROCSUP_UNIT"] = task.attempt.unit
        env["PROCSUP_INDEX"] = str(unit.index)
        env["PROCSUP_ATTEMPT"] = str(task.attempt.number)
        env["PROCSUP_CPUS"] = f"{placement.cpus:g}"
        env["PROCSUP_THREADS"] = str(threads)
        if placement.memory_bytes is not None:
            env["PROCSUP_MEMORY_BYTES"] = str(placement.memory_bytes)
        return env

    def _make_base(self, rules: Rules, threads: int) -> Dict[str, str]:
        """Return the variables that a stage's units inherit; the user's values precede defaults."""
        base = dict.fromkeys(THREAD_CAPS, str(threads))
        if rules.is_python:
            base.update(_PYTHON_HABITS)
            base.update(system.PYTHON_DEFAULTS)
        base.update(self._passed_on)
        return base


def list_outer_attempts(environment: Mapping[str, str]) -> str:
    """Return the attempts of outer runs that contain this run: a line for each, outermost first.

    Processes that a nested run's units leave behind belong to the outer attempt, too, but have
    the mark and the names of the inner attempt only.
    """
    names = ("PROCSUP_RUN", "PROCSUP_ATTEMPT", "PROCSUP_UNIT")
    outer = environment.get(WITHIN, "")
    if not all(name in environment for name in names):
        return outer
    words = " ".join(environment[name] for name in names).replace("\n", " ")
    return f"{outer}\n{words}" if outer else words


def find_thread_cap_origins(environment: Mapping[str, str]) -> Dict[str, str]:
    """Return the origin of each thread cap's default: the environment or procsup.

    The values themselves are not returned: inherited values are never recorded.
    """
    passed_on = _select_inherited(environment)
    return {name: "environment" if name in passed_on else "procsup" for name in THREAD_CAPS}


def _select_inherited(environment: Mapping[str, str]) -> Dict[str, str]:
    """Return the part of the run's environment that units inherit."""
    passed_on: Dict[str, str] = {}
    for given, value in environment.items():
        name = system.make_environment_key(given)
        if _COOKIES.fullmatch(name) or _is_of_outer_run(name, value, environment):
            continue
        passed_on[name] = remove_dead_server(value) if name in VARIABLES else value
    return passed_on


def _is_of_outer_run(name: str, value: str, environment: Mapping[str, str]) -> bool:
    """Whether an outer run has set this thread cap for the unit that contains this run."""
    return name in THREAD_CAPS and value == environment.get("PROCSUP_THREADS")

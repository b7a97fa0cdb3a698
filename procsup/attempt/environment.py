"""What a unit finds in its environment. Nothing of what is inherited is written down anywhere."""

import os
import re
from typing import Dict, Tuple

from procsup.attempt.context import RunContext
from procsup.core.task import Rules, Task
from procsup.host import system

_THREAD_CAPS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
_PYTHON_HABITS = {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"}
# Ours, and not those of a unit in which this run may itself be running.
_COOKIES = re.compile(
    r"PROCSUP_(RUN|STAGE|UNIT|INDEX|ATTEMPT|CPUS|GPUS|MEMORY_BYTES|UNIT_FILE|SCRATCH)"
)


class Environments:
    """Makes the environments of attempts; remembers what all units of a stage have in common."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._bases: Dict[Tuple[str, float], Dict[str, str]] = {}

    def of(self, task: Task) -> Dict[str, str]:
        """Return the environment of an attempt; the caller may change it."""
        unit, placement, rules = task.unit, task.placement, task.rules
        base = self._bases.get((unit.stage, placement.cpus))
        if base is None:
            base = self._base_of(rules, placement.cpus)
            self._bases[unit.stage, placement.cpus] = base
        env = base.copy()
        for name, value in unit.env.items():
            env[system.environment_key(name)] = value
        if rules.pythonpath:
            inherited = env.get("PYTHONPATH")
            folders = (*rules.pythonpath, *([inherited] if inherited else []))
            env["PYTHONPATH"] = os.pathsep.join(folders)
        env["PROCSUP_RUN"] = self._context.run_id
        env["PROCSUP_STAGE"] = unit.stage
        env["PROCSUP_UNIT"] = task.attempt.unit
        env["PROCSUP_INDEX"] = str(unit.index)
        env["PROCSUP_ATTEMPT"] = str(task.attempt.number)
        env["PROCSUP_CPUS"] = f"{placement.cpus:g}"
        if placement.memory_bytes is not None:
            env["PROCSUP_MEMORY_BYTES"] = str(placement.memory_bytes)
        return env

    def _base_of(self, rules: Rules, cpus: float) -> Dict[str, str]:
        """Return what a stage's units inherit; what the user has set wins over our habits."""
        base: Dict[str, str] = {}
        if rules.is_python:
            base.update(_PYTHON_HABITS)
            base.update(dict.fromkeys(_THREAD_CAPS, str(max(1, int(cpus)))))
        for name, value in self._context.environment.items():
            if _COOKIES.fullmatch(name) is None:
                base[system.environment_key(name)] = value
        return base

"""What a unit finds in its environment. Nothing of what is inherited is written down anywhere."""

import os
import re
from typing import Dict, Tuple

from procsup.attempt.context import RunContext
from procsup.core.events import Start
from procsup.core.spec import StageSpec
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

    def of(self, order: Start, stage: StageSpec) -> Dict[str, str]:
        """Return the environment of an attempt; the caller may change it."""
        unit, placement = order.unit, order.placement
        base = self._bases.get((stage.name, placement.cpus))
        if base is None:
            base = self._base_of(stage, placement.cpus)
            self._bases[stage.name, placement.cpus] = base
        env = base.copy()
        for name, value in unit.env.items():
            env[system.environment_key(name)] = value
        if stage.pythonpath:
            inherited = env.get("PYTHONPATH")
            folders = (*stage.pythonpath, *([inherited] if inherited else []))
            env["PYTHONPATH"] = os.pathsep.join(folders)
        env["PROCSUP_RUN"] = self._context.run_id
        env["PROCSUP_STAGE"] = unit.stage
        env["PROCSUP_UNIT"] = order.attempt.unit
        env["PROCSUP_INDEX"] = str(unit.index)
        env["PROCSUP_ATTEMPT"] = str(order.attempt.number)
        env["PROCSUP_CPUS"] = f"{placement.cpus:g}"
        if placement.memory_bytes is not None:
            env["PROCSUP_MEMORY_BYTES"] = str(placement.memory_bytes)
        return env

    def _base_of(self, stage: StageSpec, cpus: float) -> Dict[str, str]:
        """Return what a stage's units inherit; what the user has set wins over our habits."""
        base: Dict[str, str] = {}
        if stage.is_python:
            base.update(_PYTHON_HABITS)
            base.update(dict.fromkeys(_THREAD_CAPS, str(max(1, int(cpus)))))
        for name, value in self._context.environment.items():
            if _COOKIES.fullmatch(name) is None:
                base[system.environment_key(name)] = value
        return base

"""One harness of the fault suite: ``python -m tests.faults NAME [--form quick|long] [--seed N]``.

``scripts/faults.py`` runs them all. Exit code: 0 no failure, 1 some case failed, 2 usage.
"""

import argparse
import importlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from tests.faults.trial import FORMS, Trial

ORDER = (
    "journal_fuzz",
    "power_cuts",
    "kills",
    "system_calls",
    "trees",
    "writers",
    "signals",
    "environments",
    "shell_text",
    "strangers",
    "lives",
    "soak",
)
HERE = Path(__file__).parent
NAMES = tuple(name for name in ORDER if (HERE / f"{name}.py").exists() or (HERE / name).is_dir())


def attack(
    name: str,
    form: str,
    *,
    seed: int = 1,
    only: Optional[str] = None,
    part: Tuple[int, int] = (1, 1),
    parent: Optional[Path] = None,
) -> Dict[str, Any]:
    """Run one harness in a folder of its own; return its figures. The folder stays if it failed."""
    folder = Path(tempfile.mkdtemp(prefix=f"procsup-{name}-", dir=parent and str(parent))).resolve()
    trial = Trial(name, form, folder, seed, only, part)
    importlib.import_module(f"tests.faults.{name}").attack(trial)
    if trial.failures:
        trial.figure("folder", str(folder))
    else:
        shutil.rmtree(str(folder), ignore_errors=True)
    return trial.result()


def main(arguments: List[str]) -> int:
    """Run the harness that is asked for; its result is one JSON line on stdout."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--form", choices=FORMS, default="quick")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--case", metavar="TEXT", help="only cases whose name holds this")
    parser.add_argument(
        "--part",
        metavar="K/N",
        default="1/1",
        help="of `pairs` and `long` of strangers, the K-th of N parts",
    )
    options = parser.parse_args(arguments)
    if options.form == "pairs" and options.name != "strangers":
        parser.error("only strangers has the form pairs")
    number, parts = map(int, options.part.split("/"))
    for name in [name for name in os.environ if name.startswith("PROCSUP_")]:
        del os.environ[name]
    result = attack(
        options.name, options.form, seed=options.seed, only=options.case, part=(number, parts)
    )
    print(json.dumps(result))
    nothing_tried = not result["cases"] and not result["left_out"]
    return 1 if result["failures"] or nothing_tried else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

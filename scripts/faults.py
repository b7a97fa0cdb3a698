"""Break procsup in every way we know: ``python scripts/faults.py [--long] [--only NAME,...]``.

Runs the harnesses of tests/faults one after the other, since some of their laws are about seconds,
and prints a table of their cases, failures and seconds. The quick form takes some minutes, the long
one hours. ``--seed N`` draws other random cases, ``--at-once N`` runs so many harnesses beside each
other, ``--json FILE`` keeps everything, ``--no-venv`` uses this very interpreter.
Exit code: 0 if nothing failed, 1 if anything did.
"""

import argparse
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Dict, List

import _setup

sys.path.insert(0, str(_setup.ROOT))
LIMITS_S = {"quick": 900, "long": 6 * 3600}
Result = Dict[str, Any]


def options_of(arguments: List[str]) -> argparse.Namespace:
    """Read the command line."""
    from tests.faults.__main__ import NAMES

    parser = argparse.ArgumentParser(
        prog="faults.py",
        description=(__doc__ or "").partition("\n")[0],
        epilog=f"harnesses: {', '.join(NAMES)}",
    )
    parser.add_argument("--long", action="store_true", help="every case, for hours")
    parser.add_argument("--only", metavar="NAME,...", default=",".join(NAMES),
                        help="only these harnesses")  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, help="of the random cases")
    parser.add_argument("--at-once", type=int, metavar="N", default=1,
                        help="so many harnesses beside each other")  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep everything")
    parser.add_argument("--no-venv", action="store_true", help="use this very interpreter")
    options = parser.parse_args(arguments)
    options.only = [name.strip() for name in options.only.split(",") if name.strip()]
    unknown = sorted(set(options.only) - set(NAMES))
    if unknown:
        parser.error(f"no such harness: {', '.join(unknown)}; there is {', '.join(NAMES)}")
    return options


def main() -> int:
    """Run the harnesses, show the table."""
    options = options_of(sys.argv[1:])
    form = "long" if options.long else "quick"
    if options.no_venv:
        _setup.check_python()
        python, env = sys.executable, _setup.here_environ()
    else:
        python, env = str(_setup.environment("test", ["test"])), _setup.clean_environ()
    settings = ["--form", form, "--seed", str(options.seed)]
    results = []
    with ThreadPoolExecutor(options.at_once) as pool:
        commands = [[python, "-m", "tests.faults", name, *settings] for name in options.only]
        limits = [LIMITS_S[form]] * len(commands)
        for result in pool.map(attacked, options.only, commands, [env] * len(commands), limits):
            results.append(result)
            if options.json is not None:
                options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")
    print(table(results))
    return 1 if any(result["failures"] for result in results) else 0


def attacked(name: str, argv: List[str], env: Dict[str, str], limit_s: int) -> Result:
    """Run one harness; one that breaks or does not end has failed."""
    began = time.monotonic()
    _setup.say(name)
    try:
        done = subprocess.run(argv, cwd=str(_setup.ROOT), env=env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, timeout=limit_s, check=False)  # fmt: skip
        lines = done.stdout.decode("utf-8", "replace").splitlines()
        result: Result = json.loads(lines[-1])
        if done.returncode != 0 and not result["failures"]:
            result["failures"] = [f"exit code {done.returncode}"]
    except subprocess.TimeoutExpired:
        result = broken(name, f"not at its end after {limit_s} s", began)
    except (IndexError, ValueError):
        result = broken(name, f"broke (exit code {done.returncode})", began)
    return result


def broken(name: str, why: str, began: float) -> Result:
    """Return the result of a harness that gave none."""
    return {"harness": name, "cases": 0, "failures": [why], "left_out": {}, "figures": {},
            "seconds": round(time.monotonic() - began, 1)}  # fmt: skip


def table(results: List[Result]) -> str:
    """Return a Markdown table of all results, and below it what failed and what was left out."""
    lines = [
        "| harness | cases | failures | seconds | figures |",
        "| --- | --: | --: | --: | --- |",
    ]
    for result in results:
        figures = ", ".join(f"{name} {value}" for name, value in result["figures"].items())
        lines.append(
            "| {harness} | {cases:,} | {0} | {seconds} | {1} |".format(
                len(result["failures"]), figures, **result
            )
        )
    cases = sum(result["cases"] for result in results)
    failures = sum(len(result["failures"]) for result in results)
    seconds = round(sum(result["seconds"] for result in results))
    lines.append(f"| **all** | **{cases:,}** | **{failures}** | **{seconds}** | |")
    for result in results:
        lines += [f"- FAILED {result['harness']}: {text}" for text in result["failures"][:50]]
        lines += [
            f"- left out of {result['harness']}: {what}: {why}"
            for what, why in result["left_out"].items()
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(_setup.guarded(main))

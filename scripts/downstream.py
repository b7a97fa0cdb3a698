"""A downstream step in Python: ``python scripts/downstream.py [--var NAME=VALUE]...``.

Starts configs/waited.toml, works on the results of its first stage as soon as they are all there,
while the rest of the run goes on, and then waits for the rest. For a run that somebody else has
started (``procsup run --detach``, cron), ``procsup.wait_for("waited", stage="simulate")`` takes
the place of `start` and `wait`. Exit codes are those of procsup, which must be installed.
"""

import argparse
import statistics
import sys
from pathlib import Path
from typing import Dict, List, Optional

import procsup

RUN_FILE = Path(__file__).resolve().parent.parent / "configs" / "waited.toml"


def main(argv: Optional[List[str]] = None) -> int:
    """Start, wait for a stage, work, wait for the end."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--var", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--timeout", default="10m", help="for each wait (default 10m)")
    options = parser.parse_args(argv)
    variables: Dict[str, str] = dict(text.split("=", 1) for text in options.var)
    try:
        # An exception in here stops the run, and returns when no process of it is left.
        with procsup.start(RUN_FILE, vars=variables) as run:
            manifest = run.wait(options.timeout, stage="simulate")
            show(manifest)
            status = run.status()
            print(f"meanwhile: the run is {status.state}")
            whole = run.wait(options.timeout)
    except procsup.RunFailed as failed:
        for unit in failed.manifest.units:
            if unit.stderr_path is not None and unit.verdict != "succeeded":
                log = failed.manifest.directory / unit.stderr_path
                print(f"{unit.id}: {unit.verdict}, log: {log}", file=sys.stderr)
        return failed.exit_code
    except procsup.ProcsupError as error:  # stopped, timed out, a mistake in the run file ...
        print(f"downstream: {error}", file=sys.stderr)
        return error.exit_code
    print(f"run {whole.run_id}: {whole.status}, {len(whole.units)} units")
    return 0


def show(manifest: procsup.Manifest) -> None:
    """Work on what a stage has made: exactly the files that its manifest vouches for."""
    distances = [
        int(line)
        for path in manifest.outputs("simulate")
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    print(f"mean distance of {len(distances):,} walks: {statistics.mean(distances):.2f}")
    rows = manifest.rows()  # one flat row a unit
    try:
        import pandas
    except ImportError:
        cpu_s = sum(row["cpu_s"] or 0.0 for row in rows)
        print(f"{len(rows)} units, {cpu_s:.1f} s of CPU")
    else:
        frame = pandas.DataFrame(rows)
        print(frame[["wall_s", "cpu_s"]].describe().round(3).to_string())


if __name__ == "__main__":
    sys.exit(main())

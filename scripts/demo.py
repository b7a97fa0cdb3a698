"""Set everything up and run the main job: ``python scripts/demo.py [OPTIONS OF procsup run]``.

Surveys the standard library of this very Python, one child process per module or package, and
ends with what was done, where the record of it is, and the head of the table. Again: what is
still good is kept. ``--no-venv`` uses this interpreter as it is and installs nothing.
"""

import csv
import json
import sys
from pathlib import Path
from typing import List

import _setup

RUN_FILE = _setup.ROOT / "configs" / "stdlib-survey.toml"
MANIFEST = RUN_FILE.parent / ".procsup" / "stdlib-survey" / "manifest.json"
REPORT = RUN_FILE.parent / "out" / "stdlib-survey" / "report.csv"
SHOWN = ("module", "files", "lines", "functions", "classes", "max_nesting", "imported_by")


def main() -> int:
    """Run the survey; its exit code is ours."""
    arguments = sys.argv[1:]
    if "--no-venv" in arguments:
        arguments.remove("--no-venv")
        _setup.check_python()
        python, env = sys.executable, _setup.here_environ()
    else:
        python, env = str(_setup.environment("demo")), _setup.clean_environ()
    argv = [python, "-m", "procsup", "run", str(RUN_FILE.relative_to(_setup.ROOT)), *arguments]
    _setup.say(" ".join(["procsup", *argv[3:]]))
    code = _setup.run(argv, env)
    if code == 0 and "--dry-run" not in arguments and "--detach" not in arguments:
        show_result()
    return code


def show_result() -> None:
    """Print what was done, where the manifest is, and the head of the table."""
    with MANIFEST.open(encoding="utf-8") as stream:
        manifest = json.load(stream)
    print()
    print(f"run {manifest['run_id']}: {manifest['status']}")
    for name, counts in manifest["stages"].items():
        print(
            f"  {name:<8} {counts['succeeded']:>4} of {counts['planned']} succeeded, "
            f"{counts['kept']} of them kept from before"
        )
    print(f"manifest: {shown(MANIFEST)}")
    print(f"table:    {shown(REPORT)}")
    print()
    for line in head_of_table(8):
        print(line)


def shown(path: Path) -> str:
    """Return a path as a person standing in the repository would type it."""
    return str(path.relative_to(_setup.ROOT))


def head_of_table(rows: int) -> List[str]:
    """Return the first rows of the report as aligned lines."""
    with REPORT.open(encoding="utf-8", newline="") as stream:
        table = [list(SHOWN)]
        for row in csv.DictReader(stream):
            table.append([row[name] for name in SHOWN])
            if len(table) > rows:
                break
    widths = [max(len(line[i]) for line in table) for i in range(len(SHOWN))]
    return ["  ".join(word.rjust(width) for word, width in zip(line, widths)) for line in table]


if __name__ == "__main__":
    sys.exit(_setup.guarded(main))

"""``python -m survey SOURCE --out FILE``: measure one module or package into one JSON file."""

import argparse
import json
import platform
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional

from survey.files import fail, python_files, written_whole
from survey.measure import Shape, count_lines, decode, parse, shape_of, walk

SUMMED = ("code", "comment", "docstring", "blank")
SUMMED_SHAPE = ("functions", "classes", "documentable", "documented")
LARGEST_SHAPE = ("max_nesting", "longest_function_lines")


def main(argv: Optional[List[str]] = None) -> int:
    """Measure and write; 2 if there is nothing to measure."""
    parser = argparse.ArgumentParser(prog="survey", description=__doc__)
    parser.add_argument("source", type=Path, help="a .py file, or a folder of them")
    parser.add_argument("--out", required=True, type=Path, help="file to write")
    options = parser.parse_args(argv)
    if not options.source.exists():
        return fail(f"{options.source}: no such file or folder")
    report = survey(options.source)
    if not report["files"]:
        return fail(f"{options.source}: no Python files in it")
    with written_whole(options.out) as stream:
        json.dump(report, stream, indent=1, sort_keys=True)
        stream.write("\n")
    print("{module}: {files} files, {lines} lines, {unparsed} unparsed".format(**report))
    return 0


def survey(source: Path) -> Dict[str, Any]:
    """Return the figures of a module (file) or package (folder), summed over its files."""
    report: Dict[str, Any] = {
        "module": source.stem if source.is_file() else source.name,
        "kind": "module" if source.is_file() else "package",
        "python": platform.python_version(),
    }
    names = ("files", "unparsed", "bytes", "lines", *SUMMED, *SUMMED_SHAPE, *LARGEST_SHAPE)
    report.update(dict.fromkeys(names, 0))
    report["imports"] = {}
    for path in python_files(source):
        _add_file(report, path.read_bytes())
    share = report["documented"] / report["documentable"] if report["documentable"] else 0.0
    report["docstring_share"] = round(share, 3)
    return report


def _add_file(report: Dict[str, Any], data: bytes) -> None:
    tree = parse(data)
    nodes = walk(tree)
    lines = count_lines(decode(data), nodes)
    report["files"] += 1
    report["bytes"] += len(data)
    report["lines"] += sum(lines)
    for name in SUMMED:
        report[name] += getattr(lines, name)
    if tree is None:
        report["unparsed"] += 1
    else:
        _add_shape(report, shape_of(nodes))


def _add_shape(report: Dict[str, Any], shape: Shape) -> None:
    for name in SUMMED_SHAPE:
        report[name] += getattr(shape, name)
    for name in LARGEST_SHAPE:
        report[name] = max(report[name], getattr(shape, name))
    for name, times in shape.imports.items():
        report["imports"][name] = report["imports"].get(name, 0) + times


if __name__ == "__main__":
    sys.exit(main())

"""Measure procsup beside its peers: ``python scripts/bench.py [--quick|--long] [OPTIONS]``.

The same work for all that are installed, 2 at a time, in rotated order; what is procsup's own
besides; and which budgets are held. Progress on stderr, the report (Markdown) on stdout.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

import _setup
from bench import (
    compare,
    deaths,
    idle,
    install,
    latency,
    listed,
    machine,
    measure,
    peers,
    scale,
    startup,
    stream,
    tables,
)

PICTURE = Path(__file__).resolve().parent / "bench" / "picture.py"
ALONE = ("latency", "startup", "idle", "stream", "listed")  # of procsup only
OWN = ("scale", "latency", "startup", "idle", "stream", "listed", "deaths")
WORKS = tuple(work.name for work in compare.WORKS) + OWN
Result = Dict[str, Any]


def options_of(arguments: List[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="bench.py", description=__doc__.partition("\n")[0],
        epilog=f"works: {', '.join(WORKS)}",
    )  # fmt: skip
    parser.set_defaults(form="default")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--quick", dest="form", action="store_const", const="quick",
                      help="all in a small form, 3 minutes")  # fmt: skip
    form.add_argument("--long", dest="form", action="store_const", const="long",
                      help="more rounds, and up to 1,000,000 units")  # fmt: skip
    parser.add_argument("--install", action="store_true", help="first fetch what pip and apt have")
    parser.add_argument("--only", type=_words, metavar="WORK,...", help="only these works")
    parser.add_argument("--peers", type=_words, metavar="NAME,...",
                        help="only these, by parts of names, and xargs and the floor")  # fmt: skip
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of the comparisons")
    parser.add_argument("--sizes", type=_numbers, metavar="N,...",
                        help="numbers of units of `scale` and `listed`")  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures")
    parser.add_argument("--from", dest="source", type=Path, metavar="FILE",
                        help="measure nothing: show figures that were kept")  # fmt: skip
    parser.add_argument("--table", type=Path, metavar="FILE", help="write the report there too")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw it: .svg or .png")
    parser.add_argument("--list", action="store_true", help="say who is there, and stop")
    options = parser.parse_args(arguments)
    unknown = set(options.only or ()) - set(WORKS)
    if unknown:
        parser.error(f"no such work: {', '.join(sorted(unknown))}; there is {', '.join(WORKS)}")
    return options


def _words(text: str) -> List[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _numbers(text: str) -> List[int]:
    return [int(word.replace("_", "")) for word in _words(text)]


def main() -> int:
    """Measure or read, then show."""
    options = options_of(sys.argv[1:])
    if options.source is not None:
        result: Result = json.loads(options.source.read_text(encoding="utf-8"))
    else:
        with measure.workshop() as bench:
            if options.install:
                install.install(bench)
            runners = peers.look_for(bench, options.peers)
            if options.list:
                return say_who_is_there(runners)
            result = measured(bench, runners, options)
    show(result, options)
    return 0


def say_who_is_there(runners: Dict[str, peers.Runner]) -> int:
    """Print all peers with their versions, or with what brings them; and the works."""
    for name, runner in runners.items():
        print(f"{name:<28} {runner.version:<12} {runner.found}")
    for name, what in peers.missing(runners).items():
        print(f"{name:<28} not there   ({what}; --install fetches it)")
    print(f"works: {', '.join(WORKS)}")
    return 0


def measured(
    bench: measure.Workshop, runners: Dict[str, peers.Runner], options: argparse.Namespace
) -> Result:
    """Measure all that was asked for; what fails is noted, and the rest goes on."""
    result: Result = {
        "arguments": sys.argv[1:],
        "form": options.form,
        "machine": machine.describe(bench, runners),
        "missing": peers.missing(runners) if options.peers is None else {},
        "notes": {name: r.peer.note for name, r in runners.items() if r.peer.note},
        "problems": {},
    }
    chosen = options.only or WORKS
    able, result["left_out"] = list(runners.values()), {}
    if set(chosen) - set(ALONE):
        able, result["left_out"] = compare.prove(bench, able)
    runners = {runner.peer.name: runner for runner in able}
    result["works"] = {}
    for name, work in compared(bench, able, options, chosen):
        result["works"][name] = work
        keep(result, options)
    own: Dict[str, Callable[[], Any]] = {
        "scale": lambda: scale.measure(bench, options.form, runners, options.sizes),
        "latency": lambda: latency.measure(bench, options.form),
        "startup": lambda: startup.measure(bench, options.form),
        "idle": lambda: idle.measure(bench, options.form),
        "stream": lambda: stream.measure(bench, options.form),
        "listed": lambda: listed.measure(bench, options.form, options.sizes),
        "deaths": lambda: deaths.measure(bench, options.form, runners),
    }
    for name in OWN:
        if name not in chosen:
            continue
        measure.settle()
        try:
            result[name] = own[name]()
        except measure.CommandFailed as problem:
            result["problems"][name] = str(problem)
            _setup.say(f"{name} failed: {problem}")
        keep(result, options)
    return result


def keep(result: Result, options: argparse.Namespace) -> None:
    """Keep the figures so far: it is a long way to the last of them."""
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def compared(
    bench: measure.Workshop,
    runners: List[peers.Runner],
    options: argparse.Namespace,
    chosen: List[str],
) -> Iterator[Tuple[str, Dict[str, Any]]]:
    """Measure the works that all are compared at, and return each as soon as it is done."""
    for work in compare.WORKS:
        if work.name in chosen:
            measure.settle()
            comparison = compare.Comparison(bench, work, runners, options.form, options.rounds)
            comparison.measure()
            yield work.name, comparison.result()


def show(result: Result, options: argparse.Namespace) -> None:
    """Print the report, and write what was asked for."""
    keep(result, options)
    report = tables.report(result)
    print(report, end="")
    if options.table is not None:
        options.table.write_text(report, encoding="utf-8")
    if options.figure is not None:
        draw(result, options.figure)


def draw(result: Result, path: Path) -> None:
    """Draw the picture, with the Python that has matplotlib."""
    python = _setup.environment("bench", ["bench"])
    source = path.with_suffix(".json.part")
    source.write_text(json.dumps(result), encoding="utf-8")
    try:
        if _setup.run([str(python), str(PICTURE), str(source.absolute()), str(path.absolute())]):
            raise _setup.SetupFailed(f"{path} could not be drawn (why stands above)")
    finally:
        source.unlink()


if __name__ == "__main__":
    sys.exit(_setup.guarded(main))

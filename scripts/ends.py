"""What a program gets when its unit ends, or is stopped: ``python scripts/ends.py [--only TEXT]``.

Each is tried in runs of its own, with ``linger = "3s"`` and ``grace = "5s"``; progress on stderr,
a table (Markdown) on stdout. What is not installed is left out, and named below the table.
"""

import argparse
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import _setup
from ends.programs import PROGRAMS, Program

LINGER_S, GRACE_S = 3, 5
LIMIT_S = 60.0
FIRST_DISPLAY = 90
AT_ONCE = 3
# procsup itself, which notes each signal that it sends to a process of a unit.
NOTING = """
import os, runpy, signal, sys
from procsup.host import tree_walk
send, noted = tree_walk.send, set()

def note(process, signum=signal.SIGKILL):
    known = process.pid, process.start_ticks, signum
    name = tree_walk.name_of(process.pid)
    send(process, signum)
    if signum != signal.SIGCONT and known not in noted:
        noted.add(known)
        with open(os.environ["ENDS_NOTES"], "a") as file:
            print(signal.Signals(signum).name[3:], name, file=file)

tree_walk.send = note
runpy.run_module("procsup", run_name="__main__", alter_sys=True)
"""


class Outcome(NamedTuple):
    """How a unit came to its end, and who was sent what."""

    verdict: str
    linger_s: float
    words: str  # its cause, or its remarks
    sent: List[Tuple[str, str]]
    took_s: float


def main() -> int:
    """Try them all, print the table."""
    parser = argparse.ArgumentParser(prog="ends.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", metavar="TEXT", default="", help="only programs so named")
    parser.add_argument("--no-venv", action="store_true", help="use this very interpreter")
    options = parser.parse_args()
    if not options.no_venv:
        python = str(_setup.environment("bench", ["bench"]))
        if Path(python) != Path(sys.executable):
            argv = [python, __file__, "--no-venv", "--only", options.only]
            return subprocess.run(argv, check=False).returncode
    chosen = [(n, one) for n, one in enumerate(PROGRAMS) if options.only in one.name]
    lacking = {one.name: lack for _, one in chosen for lack in [lacking_of(one)] if lack}
    tried = [(n, one) for n, one in chosen if one.name not in lacking]
    print("| program | end of the unit | stop |\n| --- | --- | --- |", flush=True)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for row in pool.map(row_of, tried):
            print(row, flush=True)
    for name, what in lacking.items():
        print(f"- left out: {name}: no {what} here")
    return 0


def lacking_of(program: Program) -> str:
    """Name what is not installed; empty if all is there."""
    tools = [tool for tool in program.needs if shutil.which(tool) is None]
    return ", ".join(tools + [name for name in program.modules if not has_module(name)])


def has_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def row_of(numbered: Tuple[int, Program]) -> str:
    """Try one program both ways; return its row."""
    number, program = numbered
    left = tried(program, program.left, number, stops=False)
    front = program.front or f"{program.left}\nsleep 100"
    stopped = tried(program, front, number, stops=True)
    _setup.say(program.name)
    return f"| {program.name} | {ended_words(left)} | {stopped_words(stopped)} |"


def tried(program: Program, line: str, number: int, *, stops: bool) -> Outcome:
    """Run a unit of this line; stop it after a second if `stops`."""
    folder = Path(tempfile.mkdtemp(prefix="procsup-ends-")).resolve()
    try:
        known = {"python": sys.executable, "out": "out", "number": str(FIRST_DISPLAY + number)}
        text = re.sub(r"\{(\w+)\}", lambda found: known[found.group(1)], line)
        (folder / "line.sh").write_text(text)
        outputs = 'outputs = ["out"]' if program.out else ""
        (folder / "run.toml").write_text(
            f'[stage.a]\ncommand = ["bash", "-u", "line.sh"]\n{outputs}\n'
            f'linger = "{LINGER_S}s"\ngrace = "{GRACE_S}s"\n'
        )
        return outcome_of(folder, stops=stops)
    finally:
        shutil.rmtree(str(folder), ignore_errors=True)


def outcome_of(folder: Path, *, stops: bool) -> Outcome:
    notes = folder / "notes"
    environment = {**_setup.here_environ(), "ENDS_NOTES": str(notes)}
    begun = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, "-c", NOTING, "run", "run.toml"], cwd=str(folder), env=environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    if stops:
        wait_for_start(folder)
        time.sleep(2.0)  # for its program to be there
        begun = time.monotonic()
        child.send_signal(2)
    child.wait(timeout=LIMIT_S)
    took_s = time.monotonic() - begun
    end = last_end(folder)
    assert end is not None, "no unit has ended"
    words = short(end.get("cause") or " ".join(end.get("remarks", ())))
    sent = [line.split(" ", 1) for line in notes.read_text().splitlines()] if notes.exists() else []
    pairs = [(pair[0], pair[1] if len(pair) > 1 else "?") for pair in sent]
    return Outcome(end["verdict"], end.get("linger_s", 0.0), words, pairs, took_s)


def short(words: str) -> str:
    """Leave out what differs from run to run, and the cure that every remark names."""
    return re.sub(r" \(pid \d+\)|; `linger = 0` ends such at once", "", words)


def records(folder: Path) -> List[Dict[str, Any]]:
    try:
        lines = (folder / ".procsup" / "run" / "journal.jsonl").read_text().splitlines()
    except OSError:
        return []
    return [json.loads(line.split(" ", 2)[2]) for line in lines]


def wait_for_start(folder: Path) -> None:
    limit = time.monotonic() + LIMIT_S
    while not any(record["t"] in ("start", "spawned") for record in records(folder)):
        assert time.monotonic() < limit, "the unit does not start"
        time.sleep(0.02)


def last_end(folder: Path) -> Optional[Dict[str, Any]]:
    ends = [record for record in records(folder) if record["t"] == "end"]
    return ends[-1] if ends else None


def ended_words(outcome: Outcome) -> str:
    """Say the verdict, what was waited, who had to be ended and what was said."""
    parts = [f"**{outcome.verdict}**"]
    if outcome.linger_s:
        parts.append(f"waited {outcome.linger_s:.1f} s")
    if outcome.sent:
        parts.append(sent_words(outcome.sent))
    if outcome.words:
        kind = "remark" if outcome.verdict == "succeeded" else "cause"
        parts.append(f"{kind}: {outcome.words}")
    return "; ".join(parts).replace("|", "\\|")


def stopped_words(outcome: Outcome) -> str:
    """Say who got what, and how long it took."""
    return f"{sent_words(outcome.sent)}; over after {outcome.took_s:.1f} s".replace("|", "\\|")


def sent_words(sent: List[Tuple[str, str]]) -> str:
    """Say the signals in the order in which they were first sent, each with its receivers."""
    by_signal: Dict[str, List[str]] = {}
    for signal_name, name in sent:
        by_signal.setdefault(signal_name, []).append(f"`{name}`")
    return (
        ", ".join(f"{signal}: {', '.join(names)}" for signal, names in by_signal.items())
        or "nobody"
    )


if __name__ == "__main__":
    sys.exit(_setup.guarded(main))

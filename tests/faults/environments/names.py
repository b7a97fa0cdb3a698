"""Hostile names: units and parameters that want out of the directory, or onto the terminal."""

import json
import os
import pty
import re
import select
from pathlib import Path
from typing import Any, Dict, List

from tests.faults import laws
from tests.faults.environments.scene import Scene, contents, environment, finish, run, start
from tests.faults.system_calls.starting import Case

RUN = """
[stage.hostile]
id = "{name}"
units = { jsonl = "units.jsonl" }
command = ["/bin/sh", "-c", "printf %s \\"$1\\" | cksum; exit {code}", "sh", "{name}"]
"""
# What people, file systems and terminals have been hurt by.
KNOWN = (
    "..", ".", "../up", "../../../../../../../../../procsup-was-here", "/absolute", "a/b/c",
    "a//b", "-rf", "--", "CON", "con.txt", "nul", "COM1", "aux.log", "trailing.", "trailing ",
    " leading", "A", "a", "Ab", "aB", "n" * 300, "\u00e9" * 200, "line\x0abreak",
    "carriage\x0dreturn", "tab\x09here", "bell\x07", "nul\x00character", "\x1b[31mred",
    "\x1b]0;title\x07", "\x1b]52;c;UFdORUQ=\x07", "\x1b[2J\x1b[H", "c1\x9b31m", "\x9d52;c;x\x9c",
    "bidi\u202egnp.exe", "zero\u200bwidth", "\ufeffbom", "\ud800lone", "raw\udcff", "\U0001f600",
    "{braces}", "%s%n", "$(touch pwned)", "`touch pwned`", "'; touch pwned; '", "a=b,c=d", "@unit",
    "unit.1", "unit.1.out", "manifest.json", "..\\windows", "C:\\x", "\u2028line", "x\u0301",
    "\xe1", "a\u0301",
)  # fmt: skip
ALPHABET = "aA0./\\-_~=, \n\r\t\x07\x1b[]\x9b\x7f\u202e\u00e9\u0301\ud800\udcff$`'\"{}%*?"
# What acts on a terminal: all of C0 but the newline, DEL, C1, and marks that turn text around.
ACTS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
VERBS = (
    ("status", "run"),
    ("status", "run", "--format", "table"),
    ("list",),
    ("verify", "run"),
    ("wait", "run"),
)


def attack(scene: Scene) -> None:
    rounds = scene.trial.choose(1, 4, 60)
    for number in range(rounds):
        chosen = list(KNOWN) if number == 0 else [_made(scene) for _ in range(60)]
        if scene.trial.form == "smoke":
            chosen = scene.trial.random.sample(chosen, 12)
        name = f"hostile names, round {number}"
        if scene.trial.wants(name):
            _round(scene, name, [name for name in dict.fromkeys(chosen) if name.strip()])


def _made(scene: Scene) -> str:
    length = scene.trial.random.choice((1, 2, 3, 5, 8, 80, 260))
    return "".join(scene.trial.random.choice(ALPHABET) for _ in range(length))


def _round(scene: Scene, title: str, names: List[str]) -> None:
    with scene.trial.case(title):
        case = scene.case(title)
        chosen = _accepted(case, names)
        before = contents(case.project.folder.parent)
        _write(case, chosen)
        code = _run(scene, case)
        assert code == 1, f"exit {code}: {case.said()[-600:]}"  # one of them fails
        laws.no_traceback(case.said())
        laws.nothing_lives(case.cookie)
        _stay_inside(case, before)
        manifest = json.loads((case.rundir / "manifest.json").read_bytes())
        assert len(manifest["units"]) == len(chosen)
        _logs_are_apart(case, manifest)
    for words in scene.trial.choose(VERBS[:1], VERBS, VERBS):
        with scene.trial.case(f"{title}: {' '.join(words)}"):
            said = _said_on_a_terminal(case, *words)
            assert not ACTS.search(said), f"acts on a terminal: {_around(said)!r}"


def _write(case: Case, names: List[str]) -> None:
    case.project.write("run.toml", RUN)
    rows = [json.dumps({"name": name, "code": int(at == 0)}) for at, name in enumerate(names)]
    case.project.write("units.jsonl", "".join(row + "\n" for row in rows))


def _accepted(case: Case, names: List[str]) -> List[str]:
    """Return the names that a run file may have; what is refused is refused by name, with 2."""
    _write(case, names)
    code = run(case, "run", "run.toml", "--dry-run")
    if code == 0:
        return names
    assert code == 2, f"exit {code}: {case.said()[-600:]}"
    laws.no_traceback(case.said())
    assert not ACTS.search(case.said()), f"acts on a terminal: {_around(case.said())!r}"
    refused = {int(number) - 1 for number in re.findall(r"units\.jsonl:(\d+)", case.said())}
    assert refused, f"refused, but which? {case.said()[-600:]}"
    return _accepted(case, [name for at, name in enumerate(names) if at not in refused])


def _run(scene: Scene, case: Case) -> int:
    """Run on a pseudo-terminal: what is shown there is written to the case's own file."""
    said = _on_a_terminal(case, "run", "run.toml", "--progress", "plain")
    (case.project.folder / "err.terminal").write_bytes(said[1])
    text = said[1].decode("utf-8", "replace").replace("\r\n", "\n")
    assert not ACTS.search(text), f"acts on a terminal: {_around(text)!r}"
    return said[0]


def _said_on_a_terminal(case: Case, *words: str) -> str:
    code, said = _on_a_terminal(case, *words)
    text = said.decode("utf-8", "replace").replace("\r\n", "\n")
    laws.no_traceback(text)
    assert code in (0, 1), f"exit {code}: {text[-600:]}"
    return text


def _on_a_terminal(case: Case, *words: str) -> "tuple[int, bytes]":
    ours, theirs = pty.openpty()
    env = environment(case, TERM="dumb", NO_COLOR="1", COLUMNS="200")
    child = start(case, *words, env=env, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = b""
    while select.select([ours], [], [], 30.0)[0]:
        try:
            part = os.read(ours, 1 << 16)
        except OSError:
            break  # nobody has its other end any more
        if not part:
            break
        said += part
    os.close(ours)
    return finish(case, child), said


def _stay_inside(case: Case, before: Dict[str, Any]) -> None:
    folder = case.project.folder
    ours = {f"{folder}/{name}" for name in ("run.toml", "units.jsonl")}
    inside = (f"{folder}/.procsup", f"{folder}/err.")
    now = contents(folder.parent)
    changed = {path for path in now if now[path] != before.get(path)} | (set(before) - set(now))
    strangers = {path for path in changed - ours if not path.startswith(inside)}
    assert not strangers, f"written outside of the run directory: {sorted(strangers)}"
    assert not Path("/procsup-was-here").exists()


def _logs_are_apart(case: Case, manifest: Dict[str, Any]) -> None:
    started = [unit for unit in manifest["units"] if unit["verdict"] != "not-started"]
    assert len(started) > len(manifest["units"]) / 3, "hardly one of them could be started"
    paths = [unit["stdout_path"] for unit in started]
    found = {os.path.realpath(str(case.rundir / path)) for path in paths}
    assert len({path.casefold() for path in found}) == len(paths), "two units share a log"
    top = os.path.realpath(str(case.rundir / "logs")) + os.sep
    outside = [path for path in found if not path.startswith(top) or not os.path.isfile(path)]
    assert not outside, outside


def _around(text: str) -> str:
    match = ACTS.search(text)
    return "" if match is None else text[max(0, match.start() - 60) : match.end() + 60]

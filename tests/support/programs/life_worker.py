"""A unit of `tests.support.lives`: says in log.jsonl what it reads and writes, and writes it.

``life_worker.py UNIT WORD INPUT... -- OUTPUT``. ``<NAME`` is an input that comes on stdin, the
word ``env`` stands for the variable VALUE. An output that ends with ``/`` or ``-`` is the beginning
of the names of two files. A file trouble/UNIT says what goes wrong.
"""

import json
import os
import signal
import sys
from pathlib import Path

IN_PLACE, IF_OTHER = ("copy", "never"), ("kept", "tail")  # the other stages write new files


def read(name):
    return sys.stdin.read() if name.startswith("<") else Path(name).read_text()


def made(unit, word, contents, output):
    """Return the contents of the files that a unit makes, by path."""
    text = " ".join([unit.split("/")[0], word, *contents])
    names = [output + "all", output + text[-3:]] if output[-1] in "-/" else [output]
    return {name: f"{text} {name[len(output) :]} {text[-3:]}" for name in names}


def found(output):
    """Return the contents of the files that are there by now."""
    home, start = os.path.split(output)
    names = os.listdir(home) if output[-1] in "-/" and os.path.isdir(home) else [start]
    paths = [Path(home, name) for name in names if name.startswith(start)]
    return {str(path): path.read_text() for path in paths if path.is_file()}


def write(stage, name, text):
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    new = Path(name if stage in IN_PLACE else name + ".new")
    new.write_text(text)
    os.replace(new, name)


def trouble_of(unit, contents):
    path = Path("trouble", unit)
    if not path.is_file():
        return "half" if unit.startswith("copy/") and contents == ["bad"] else ""
    trouble = path.read_text()
    if trouble.startswith("kill") or trouble == "once":
        path.unlink()
    return trouble


def kill_the_supervisor():
    lines = Path(".procsup/run/journal.jsonl").read_text().splitlines()
    records = [json.loads(line.split(" ", 2)[2]) for line in lines]
    os.kill([record["pid"] for record in records if record["t"] == "begin"][-1], signal.SIGKILL)
    signal.pause()


def main():
    unit, word, *rest = sys.argv[1:]
    cut = rest.index("--")
    word = os.environ["VALUE"] if word == "env" else word
    names, output = [os.path.relpath(name.lstrip("<")) for name in rest[:cut]], rest[cut + 1]
    contents = [read(name) for name in rest[:cut]]
    stage, trouble = unit.split("/")[0], trouble_of(unit, contents)
    before, files = found(output), made(unit, word, contents, output)
    if stage in IF_OTHER:
        files = {name: text for name, text in files.items() if before.get(name) != text}
    files = {} if trouble == "hollow" else files
    entry = {"unit": unit, "attempt": int(os.environ["PROCSUP_ATTEMPT"]), "word": word}
    entry.update({"used": dict(zip(names, contents)), "found": before, "wrote": files})
    with open("log.jsonl", "a") as log:
        log.write(json.dumps({**entry, "trouble": trouble}) + "\n")
    if trouble == "kill early":
        kill_the_supervisor()
    if trouble in ("half", "once", "kill half"):
        files = {name: text[: len(text) // 2] for name, text in list(files.items())[:1]}
        files.update({output + "rest": "rest"} if output[-1] in "-/" else {})
    for name, text in files.items() if trouble != "early" else ():
        print(text, end="") if stage == "sum" else write(stage, name, text)
    if trouble.startswith("kill"):
        sys.stdout.flush()
        kill_the_supervisor()
    return trouble not in ("", "hollow")


if __name__ == "__main__":
    sys.exit(main())

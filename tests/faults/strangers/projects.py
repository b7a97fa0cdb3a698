"""The projects in which strangers are at work: what lies in them before anything ran."""

import json
from typing import Dict, NamedTuple, Tuple

from tests.faults.system_calls.starting import Case

# Each kind of list, of input, of output and of record that a run can have. HOLD and EARLY are of
# live runs: how long the second unit takes, and what the first one ends with. Units read what a
# stranger puts in the place of their inputs, too: little of it, and not for ever.
_HEAD = """
stamp = "done.stamp"
manifest = "shown.json"
share = "all"
lock = "nightly"
defaults.timeout = "12s"
defaults.grace = "1s"
"""
_RUN = """
[stage.make]
units = { csv = "units.csv" }
command = ["/bin/sh", "-c", '''echo $0 >> "$RAN"; echo "$SAYS"; head -c 99 "in/$0.txt" > "$1"
    cp "$1" "$2"; [ $0 = 1 ] && exit $EARLY; exec sleep $HOLD''']
args = ["{n}", "{outputs[0]}", "{scratch}/draft"]
inputs = ["in/{n}.txt"]
outputs = ["out/{n}.txt"]
scratch = true
unit-file = true
stamp = "made.stamp"

[stage.rows]
units = { jsonl = "units.jsonl" }
command = ["/bin/sh", "-c", 'echo row-$0 >> "$RAN"; mkdir -p "$1"; head -c 99 > "$1/copy"']
args = ["{row}", "rows/{row}"]
stdin = "in/{row}.txt"
outputs = ["rows/{row}/"]

[stage.words]
matrix.word.lines = "words.txt"
command = ["/bin/sh", "-c", '''echo word-$0 >> "$RAN"; mkdir -p "$1"
    head -c 99 ../in/1.txt > "$1/a.txt"''']
args = ["{word}", "../words/{word}"]
cwd = "work"
depends = ["in/*.txt"]
outputs = ["words/{word}/*.txt"]

[stage.files]
matrix.file.glob = "in/{name:*}.txt"
command = ["/bin/sh", "-c", 'echo file-$0 >> "$RAN"; head -c 99 "$1" > "$2"']
args = ["{name}", "{file}", "{outputs[0]}"]
outputs = ["files/{name}.txt"]

[stage.join]
after = ["make"]
inputs = { from = "make" }
command = ["/bin/sh", "-c", '''echo join >> "$RAN"; echo "$SAYS"
    cat $(head -c 999 $0) | head -c 99 > $1; exit $CODE''']
args = ["{inputs.file}", "{outputs[0]}"]
outputs = ["joined.txt"]
on-failed-outputs = "aside"
stdout = "said.txt"
"""
_PYTHON = """
[stage.scripts]
matrix.n = [1, 2]
script = "tools/tell.py"
args = ["script-{n}", "out/{n}.txt"]
stdin = "in/{n}.txt"
outputs = ["out/{n}.txt"]

[stage.modules]
module = "package.tool"
pythonpath = ["lib"]
args = ["module", "joined.txt"]
inputs = ["in/1.txt", "in/2.txt"]
outputs = ["joined.txt"]
"""
_TOOL = """
import os, sys
print(os.environ["SAYS"])
with open(os.environ["RAN"], "a") as file:
    file.write(sys.argv[1] + "\\n")
is_module = sys.argv[1] == "module"
with open(sys.argv[2], "w") as file:
    file.write("one\\ntwo\\n" if is_module else sys.stdin.read(99))
sys.exit(int(os.environ["CODE"]) if is_module else 0)
"""
_MADE = {"out/1.txt": "one\n", "out/2.txt": "two\n", "joined.txt": "one\ntwo\n"}


class Kind(NamedTuple):
    """What a project's run does: its words, what its units say that they ran, what they make.

    `is_open`: others may write to its `.procsup`, which the user's own configuration trusts.
    `writes` are further paths that units write to, as the units name them.
    """

    words: Tuple[str, ...]
    units: Tuple[str, ...]
    makes: Dict[str, str]
    is_open: bool = False
    writes: Tuple[str, ...] = ()


_USUAL = Kind(
    ("run", "run.toml"),
    ("1", "2", "row-1", "word-a", "file-1", "file-2", "join"),
    {**_MADE, "rows/1/copy": "one\n", "words/a/a.txt": "one\n", "files/2.txt": "two\n"},
    writes=(
        "rows/1",
        "words/a",
        "files/1.txt",
        "work/../words",
        "work/../words/a",
        "work/../words/a/a.txt",
    ),
)
KINDS = {
    "usual": _USUAL,
    "open": _USUAL._replace(is_open=True),
    "python": Kind(("run", "python.toml"), ("script-1", "script-2", "module"), _MADE),
    "map": Kind(
        ("map", "--name", "run", "--timeout", "12s", "/bin/sh", "-c",
         'echo $0 >> "$RAN"; echo "$SAYS"; head -c 99 "in/$0.txt" > "$0.txt"; exit $CODE',
         ":::", "1", "2"),
        ("1", "2"),
        {"1.txt": "one\n", "2.txt": "two\n"},
    ),
}  # fmt: skip
CONFIG = "home/procsup/config.toml"


def lay_out(case: Case, kind: Kind, *, trust: str) -> None:
    """Write what lies in a project; its user trusts that folder, by his own configuration."""
    files = {
        "run.toml": _HEAD + _RUN,
        "python.toml": 'name = "run"\n' + _HEAD + _PYTHON,
        "units.csv": "n\n1\n2\n",
        "units.jsonl": '{"row": 1}\n',
        "words.txt": "a\n",
        "in/1.txt": "one\n",
        "in/2.txt": "two\n",
        "work/here": "",
        "tools/tell.py": _TOOL,
        "lib/package/__init__.py": "",
        "lib/package/tool.py": _TOOL,
        CONFIG: f"trust = [{json.dumps(trust)}]\n",
    }
    for name, text in files.items():
        case.project.write(name, text)
    (case.project.folder / CONFIG).chmod(0o600)
    if kind.is_open:
        runs = case.rundir.parent
        runs.mkdir()
        runs.chmod(0o777)

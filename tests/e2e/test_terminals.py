"""Foreign text on a terminal: names, outputs and records that would act on it are shown."""

import json
import os
import re
import subprocess
import sys

import pytest

from tests.support.projects import Project

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals of POSIX")

ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
HOSTILE = (
    "\x1b]52;c;eA==\x07\u202egnp\x9b2J\x1b[31m"  # the clipboard, an order of letters, a colour
)
WRITES = (
    "import sys; print(sys.argv[1]); print('ok\\r\\n99%\\rtab\\tend', flush=True);"
    " sys.stderr.write(sys.argv[1]); sys.exit(3)"
)
QUOTED = json.dumps(HOSTILE)
RUN = f"""
[stage.s]
command = [{json.dumps(sys.executable)}, "-c", {json.dumps(WRITES)}, "{{word}}"]
env = {{ WORD = "{{word}}" }}
matrix.word = [{QUOTED}]
"""
HOSTILE_FOLDER = f"p{HOSTILE.replace('/', '')}"


def some_of(terminal):
    """Return what comes next; empty when all writers have closed it."""
    try:
        return os.read(terminal, 1 << 16)
    except OSError:
        return b""


def on_a_terminal(project, *words):
    """Return the exit code of a verb and what its terminal gets, stdout and stderr."""
    ours, theirs = os.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "procsup", *words],
        cwd=str(project.folder),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80", "PYTHONIOENCODING": "utf-8"},
    )
    os.close(theirs)
    got = b"".join(iter(lambda: some_of(ours), b""))
    os.close(ours)
    return child.wait(), got.decode("utf-8").replace("\r\n", "\n")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A run whose folder, parameters, output and failure hold what acts on a terminal."""
    folder = tmp_path_factory.mktemp("terminal") / HOSTILE_FOLDER
    folder.mkdir()
    project = Project(folder, RUN)
    project.run(expect=1)
    return project


@pytest.mark.parametrize(
    "words",
    [
        ["run", "run.toml", "--progress", "plain"],
        ["run", "run.toml", "--dry-run"],
        ["status", "run"],
        ["status", "run", "--units"],
        ["status", "run", "--format", "csv"],
        ["status", "run", "--format", "jsonl"],
        ["list"],
        ["wait", "run"],
        ["verify", "run"],
        ["explain", "run", "s"],
        ["logs", "run"],
        ["logs", "run", "--tail", "1"],
        ["logs", "run", "--json"],
        ["retry", "run", "--dry-run"],
        ["retry", "run", "s", "--here", "--dry-run"],
        ["map", "--dry-run", "echo", ":::", HOSTILE],
        ["prune", "--dry-run"],
        ["prune", "--dry-run", "--older-than", "0s", "--dir", "."],
        ["logs", "run", HOSTILE],
        ["wait", HOSTILE, "--start-timeout", "0"],
        ["status", f"./{HOSTILE}"],
        ["run", f"{HOSTILE}.toml"],
        ["run", "run.toml", "--var", HOSTILE],
        [HOSTILE],
        ["--" + HOSTILE],
    ],
    ids=lambda words: " ".join(words).replace(HOSTILE, "HOSTILE"),
)
def test_nothing_of_foreign_text_acts_on_a_terminal(hostile, words):
    _code, said = on_a_terminal(hostile, *words)

    assert said.strip()
    assert not ACTING.search(said)


def test_logs_shows_what_would_act_and_sends_it_if_asked(hostile):
    shown = on_a_terminal(hostile, "logs", "run", "--stdout")[1]
    raw = on_a_terminal(hostile, "logs", "run", "--stdout", "--raw")[1]
    piped = hostile.call("logs", "run", "--stdout").stdout

    assert shown == "\\e]52;c;eA==\\x07\\u202egnp\\x9b2J\\e[31m\nok\n99%\\rtab\tend\n"
    assert raw.startswith(f"{HOSTILE}\n")
    assert piped.startswith(f"{HOSTILE}\n")


def test_the_line_of_a_dry_run_here_is_harmless_and_does_the_same(hostile):
    line = on_a_terminal(hostile, "retry", "run", "s", "--here", "--dry-run")[1]
    bash = subprocess.run(["bash", "-c", line], capture_output=True, check=False)

    assert "$'\\e]52;c;eA==" in line
    assert bash.returncode == 3
    assert bash.stdout.startswith(f"{HOSTILE}\n".encode())


def test_the_next_command_of_a_run_in_such_a_folder_can_be_pasted(tmp_path):
    project = Project(tmp_path)
    project.write(f"{HOSTILE_FOLDER}/run.toml", RUN)

    said = on_a_terminal(project, "run", f"{HOSTILE_FOLDER}/run.toml", "--progress", "plain")[1]

    assert not ACTING.search(said)
    line = re.search(r"procsup logs (.+) --failed", said).group(1)
    read = subprocess.run(["bash", "-c", f"printf %s {line}"], stdout=subprocess.PIPE, check=True)
    assert read.stdout.decode() == f"{HOSTILE_FOLDER}/.procsup/run"

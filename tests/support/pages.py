"""The examples of a page of documentation, carried out in the order in which they stand there.

What a fenced block is, its language and the comment in the line before it say:

    ```console                  commands after `$ ` (with `> ` for further lines), and what they
                                print, stdout and stderr. Each must end with 0 unless the next one
                                begins with `echo $?`.
    <!-- file: work.py -->      the block is a file of the folder in which the page's commands run
    <!-- needs: jq -->          commands that are carried out where this program is
    <!-- not run: REASON -->    the block is only to be read
    ```toml without a comment   a part of a run file: it must be of the schema

Comments of their own, which readers do not see:

    <!-- sh                     commands that prepare the folder, or check what has been made;
    COMMANDS                    they must end with 0
    -->
    <!-- new folder -->         what follows starts in an empty folder

Of an output the order of its lines does not matter, nor do times, sizes in bytes, dates and ids. A
line `...` stands for any lines. ``python -m tests.support.pages PAGE`` brings a page up to date: it
puts what is printed now in the place of outputs that are no longer so, and of those that are only
`?`.
"""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional, Tuple

from tests.support.projects import ROOT

LIMIT_S = 120
SHOWN_HOME = "/home/ann"
SHOWN_FOLDER = f"{SHOWN_HOME}/project"
_BLOCK = re.compile(r"(?:^<!-- ([^\n]*?) ?-->\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"^<!-- ?(sh\n.*?|new folder ?)-->$", re.MULTILINE | re.DOTALL)
_ANY = [
    (r"\d{8}T\d{6}-[0-9a-f]{4,8}", "ID"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?Z?)?", "DATE"),
    (r"\d+(\.\d+)? ?(ms|s|min|h|m|kB|KB|MB|GB|B|K|M)\b( \d+[sm]\b)?", "N"),
    (r"^\[\d+/", "[N/"),
    (r"pid \d+", "pid N"),
    (r"[ -]{2,}|─+", " "),
]


class Step(NamedTuple):
    """One step of a page: a block, or a comment; `line` is where its text begins."""

    line: int
    kind: str  # console, file, sh, new folder, part (of a run file), read (nothing is done)
    text: str
    name: str = ""


class Command(NamedTuple):
    """A command of a console block, and what the page says that it prints."""

    line: int
    text: str
    output: List[str]


def steps_of(page: str) -> List[Step]:
    """Return the steps of a page (its text) in order; ValueError for a block of no known kind."""
    found = []
    for match in _BLOCK.finditer(page):
        line = page.count("\n", 0, match.start(3)) + 1
        found.append((match.start(), _block_step(line, *match.groups())))
    for match in _COMMENT.finditer(page):
        line = page.count("\n", 0, match.start()) + 2
        kind, _, text = match.group(1).partition("\n")
        found.append((match.start(), Step(line, kind.strip(), text)))
    return [step for _, step in sorted(found)]


def _block_step(line: int, mark: Optional[str], language: str, text: str) -> Step:
    word, _, rest = (mark or "").partition(": ")
    if word == "file":
        return Step(line, "file", text, rest.strip())
    if word == "needs" and shutil.which(rest) is None:
        return Step(line, "read", text)
    if (word == "not run" and rest) or language in ("text", "json"):
        return Step(line, "read", text)
    if language == "console":
        return Step(line, "console", text)
    if language == "toml":
        return Step(line, "part", text)
    raise ValueError(f"line {line}: a block of {language} without a word of what it is")


def commands_of(step: Step) -> List[Command]:
    """Return the commands of a console block."""
    commands: List[Command] = []
    for number, line in enumerate(step.text.splitlines(), step.line):
        if line.startswith("$ "):
            commands.append(Command(number, line[2:], []))
        elif line.startswith("> ") and commands and not commands[-1].output:
            last = commands.pop()
            commands.append(last._replace(text=f"{last.text}\n{line[2:]}"))
        else:
            commands[-1].output.append(line)
    return commands


class Session:
    """The folder in which a page's steps are carried out."""

    def __init__(self, folder: Path) -> None:
        self._root, self._count = folder, 0
        self._make_programs(folder / "bin")
        self.enter_new_folder()

    def _make_programs(self, folder: Path) -> None:
        folder.mkdir()
        for name, words in (("python", ""), ("procsup", " -m procsup")):
            program = folder / name
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}"{words} "$@"\n')
            program.chmod(0o755)
        keep = {key: value for key, value in os.environ.items() if not key.startswith("PROCSUP")}
        self._environment = {
            **keep,
            "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder.parent),
            "LC_ALL": "C.UTF-8",
            "COLUMNS": "80",
        }

    def enter_new_folder(self) -> None:
        self._count += 1
        self.folder = self._root / f"folder-{self._count}"
        self.folder.mkdir()

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755 if text.startswith("#!") else 0o644)

    def call(self, commands: List[str]) -> List[Tuple[int, str]]:
        """Carry out commands in one bash; return each one's exit code and what it printed."""
        token = "=== end of a command"
        lines = [f'{text}\nset -- $?; echo "{token}: $1"; (exit $1)' for text in commands]
        with (self._root / "output").open("w+b") as output:
            subprocess.run(
                ["bash", "-c", "\n".join(lines)],
                cwd=str(self.folder), env=self._environment, timeout=LIMIT_S, check=False,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
            output.seek(0)
            text = output.read().decode("utf-8", "replace").replace(str(self.folder), SHOWN_FOLDER)
            text = text.replace(str(self._root), SHOWN_HOME)
        pieces = re.split(rf"{token}: (\d+)\n", text)
        return [(int(code), said) for said, code in zip(pieces[::2], pieces[1::2])]


def carry_out(step: Step, session: Session) -> Iterator[Tuple[Command, str]]:
    """Carry out a step; yield each command whose output is not as the page says, and its output.

    AssertionError if a command ends otherwise than the page says.
    """
    if step.kind == "new folder":
        session.enter_new_folder()
    elif step.kind == "file":
        session.write(step.name, step.text)
    elif step.kind == "sh":
        ((code, said),) = session.call([f"(set -e\n{step.text})"])
        assert code == 0, f"line {step.line}: exit {code}\n{said}"
    elif step.kind == "console":
        yield from _carry_out_console(commands_of(step), session)


def _carry_out_console(commands: List[Command], session: Session) -> Iterator[Tuple[Command, str]]:
    ends = session.call([command.text for command in commands])
    assert len(ends) == len(commands), f"line {commands[0].line}: the shell ended early"
    following = [*(command.text for command in commands[1:]), ""]
    for command, (code, said), then in zip(commands, ends, following):
        told = "$?" in then or "$?" in command.text
        assert code == 0 or told, f"line {command.line}: {command.text}: exit {code}\n{said}"
        if command.output and not is_same(command.output, said.splitlines()):
            yield command, said


def is_same(shown: List[str], printed: List[str]) -> bool:
    """Whether what a page shows is what was printed, but for what may differ each time."""
    cut = "..." in shown
    wanted = Counter(_normal(line) for line in shown if line.strip() and line != "...")
    found = Counter(_normal(line) for line in printed if line.strip())
    return not wanted - found if cut else wanted == found


def _normal(line: str) -> str:
    for pattern, word in _ANY:
        line = re.sub(pattern, word, line)
    return line.strip()


def fill(page: Path, folder: Path) -> None:
    """Put what is printed now into the page, but for outputs with ``...``, which are shown."""
    lines = page.read_text(encoding="utf-8").split("\n")
    session, shift = Session(folder), 0
    for step in steps_of("\n".join(lines)):
        for command, said in carry_out(step, session):
            at = command.line + command.text.count("\n") + shift
            if "..." in command.output:
                print(f"{page.name}:{command.line}: {command.text}\nprints\n{said}")
                continue
            printed = [line.rstrip() for line in said.rstrip("\n").split("\n")]
            lines[at : at + len(command.output)] = printed
            shift += len(printed) - len(command.output)
    page.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    import tempfile

    for argument in sys.argv[1:]:
        place = Path(tempfile.mkdtemp())
        fill(Path(argument), place)
        shutil.rmtree(place)

"""Draw the picture of a run in a terminal: ``python scripts/picture.py``.

It runs procsup on a small run file in a pseudo-terminal, takes what the terminal shows when two
thirds of the time are over, and writes scripts/pictures/run.svg with rich. Times differ from one
picture to the next. Linux and macOS; procsup and rich must be importable.
"""

import fcntl
import os
import pty
import re
import struct
import sys
import tempfile
import termios
import time
from pathlib import Path
from typing import List, Tuple

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).resolve().parent
PICTURE = HERE / "pictures" / "run.svg"
COLUMNS, LINES = 84, 30
SHOWN_AT = 0.66
COMMAND = "procsup run survey.toml"
RUN_FILE = """\
jobs = 4

[stage.measure]
script  = "work.py"
matrix.n.range = "1..24"
args    = ["{n}", "{outputs[0]}"]
outputs = ["out/{n}.txt"]

[stage.plot]
for-each = "measure"
script  = "work.py"
args    = ["0", "{outputs[0]}"]
outputs = ["plots/{n}.txt"]

[stage.report]
shell   = "cat {inputs}"
inputs  = { from = "plot" }
stdout  = "report.txt"
"""
WORK = """\
import sys, time

number, target = int(sys.argv[1]), sys.argv[2]
if number == 9:
    sys.exit("ValueError: no samples in row 9")
time.sleep(0.25 + number % 5 / 10)
open(target, "w").write("done")
"""
_MOVE = re.compile(r"\x1b\[(\d*)([A-Z])|\x1b\[\?\d+[hl]|\x1b\[\d*K|\r|\n")


class Screen:
    """What a terminal shows of a stream in which lines are only written, cleared and redrawn."""

    def __init__(self) -> None:
        self.lines = [""]
        self._row = 0

    def feed(self, text: str) -> None:
        """Take more of the stream."""
        at = 0
        for match in _MOVE.finditer(text):
            self.lines[self._row] += text[at : match.start()]
            at = match.end()
            self._carry_out(match.group(), match.group(1), match.group(2))
        self.lines[self._row] += text[at:]

    def _carry_out(self, sequence: str, count: str, move: str) -> None:
        if sequence == "\n":
            self._row += 1
            if self._row == len(self.lines):
                self.lines.append("")
        elif move == "A":
            self._row = max(self._row - int(count or 1), 0)
        elif sequence.endswith("K"):
            self.lines[self._row] = ""


def record(folder: Path) -> List[Tuple[float, str]]:
    """Run procsup in a pseudo-terminal; return what it wrote, each with its time in seconds."""
    begun, pieces = time.monotonic(), []
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.environ.update(TERM="xterm-256color", PYTHONPATH=str(HERE.parent))
        os.environ.pop("NO_COLOR", None)
        os.execv(sys.executable, [sys.executable, "-m", *COMMAND.split()])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # the terminal of a process that has ended
            break
        if not data:
            break
        pieces.append((time.monotonic() - begun, data.decode("utf-8", "replace")))
    os.waitpid(pid, 0)
    return pieces


def screen_at(pieces: List[Tuple[float, str]], part: float) -> List[str]:
    """Return the lines of the screen when this part of the time was over."""
    limit_s = pieces[-1][0] * part
    screen = Screen()
    for at_s, text in pieces:
        if at_s <= limit_s:
            screen.feed(text)
    return [line for line in screen.lines if line.strip()]


def draw(lines: List[str]) -> str:
    """Return an SVG of a terminal with these lines; it loads nothing from elsewhere."""
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(Text(f"$ {COMMAND}", style="bold"))
    for line in lines:
        console.print(Text.from_ansi(line), no_wrap=True, overflow="crop")
    svg = console.export_svg(title="procsup", unique_id="run")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


def main() -> int:
    """Write the picture."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "survey.toml").write_text(RUN_FILE)
        (folder / "work.py").write_text(WORK)
        pieces = record(folder)
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(draw(screen_at(pieces, SHOWN_AT)) + "\n", encoding="utf-8")
    print(PICTURE)
    return 0


if __name__ == "__main__":
    sys.exit(main())

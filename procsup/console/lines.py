"""One line of text per finished unit: what scripts, logs and `--progress plain` get."""

from procsup.core.outcome import Verdict
from procsup.core.quantities import show_duration
from procsup.core.records import End
from procsup.core.text import visible


def unit_line(end: End, position: str) -> str:
    """Say how an attempt ended: ``[12/240] survey/mod=abc succeeded in 1.2 s``."""
    words = [f"[{position}]", visible(end.unit), end.verdict.value]
    if end.wall_s is not None:
        words.append(f"in {show_duration(end.wall_s)}")
    line = " ".join(words)
    if end.verdict is not Verdict.SUCCEEDED and end.cause:
        line += f": {visible(end.cause)}"
    if not end.final:
        line += "; tries again"
    return line

"""Lines of text about a run that goes on: what scripts, logs and `--progress plain` get."""

from procsup.core.events import Settled
from procsup.core.outcome import Verdict
from procsup.core.quantities import show_duration
from procsup.core.records import End
from procsup.core.text import plural, visible

_NEVER_TRIED = (Verdict.SKIPPED, Verdict.CANCELLED)
_ENDINGS = {
    "interrupted": "interrupted: {units} asked to end; once more ends them at once",
    "stopping": "stopped by request: {units} asked to end",
    "draining": "draining: nothing more is started, {units} still running",
    "on-failure": "on-failure: nothing more is started, {units} still running",
}


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


def is_worth_a_line(order: Settled) -> bool:
    """Whether something happened: a unit that was kept or never tried is only counted."""
    end = order.end
    return not order.kept and not (end.attempt == 0 and end.verdict in _NEVER_TRIED)


def ending_line(ending: str, running: int) -> str:
    """Say that nothing more is started, and why."""
    text = _ENDINGS.get(ending, visible(ending).replace("{", "{{").replace("}", "}}"))
    return f"procsup: {text.format(units=plural(running, 'unit'))}"

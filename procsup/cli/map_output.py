"""What `procsup map` prints while it runs: the output of units, failures, a bar."""

from typing import Callable, List

from procsup.cli.map_job import MapOptions
from procsup.console.bar import BarWatcher
from procsup.console.choose import can_draw
from procsup.console.unit_output import Manner, UnitOutput
from procsup.core.records import End
from procsup.core.text import make_visible
from procsup.report.failures import format_failures, format_phrase
from procsup.store.control import ask
from procsup.store.rundir import RunDir
from procsup.supervisor.requests import Opening

_NO_READER = "the reader of its stdout has gone"


def choose_printer(options: MapOptions) -> Callable[[Opening], UnitOutput]:
    """Return what makes the printer that the options ask for."""
    manner = Manner(
        in_order=options.keep_order,
        by_line=options.line_buffer,
        tagged=options.tag,
        silent=options.as_json or options.no_output,
    )

    def make_printer(opening: Opening) -> UnitOutput:
        def stop() -> None:
            ask(RunDir(opening.directory), "stop", why=_NO_READER)

        def describe(end: End) -> List[str]:
            if manner.silent:  # its last output is not on the screen yet
                return format_failures([end], 1, opening.log_places)
            return [f"{make_visible(end.unit)}: {format_phrase(end)}"]

        bar = None
        if options.bar or (can_draw() and not options.quiet):
            bar = BarWatcher(opening.summary, below_output=True, forced=options.bar)
        return UnitOutput(opening.log_places, stop, describe, manner, bar=bar)

    return make_printer

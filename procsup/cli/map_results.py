"""`--joblog` and `--results` of `procsup map`: what the files say of each unit."""

import io
import os
from functools import partial
from typing import Callable, List, Optional

from procsup.cli.map_job import Job, MapOptions
from procsup.console.results import Line, ResultFiles, Results
from procsup.core.spec import UnitSpec
from procsup.errors import UsageError
from procsup.host.files import describe_error
from procsup.interfaces import Printer
from procsup.supervisor.requests import Opening


def open_results(options: MapOptions) -> Optional[Results]:
    """Return where the files are, None without them; UsageError if they cannot be written."""
    if options.joblog is None and options.results is None:
        return None
    appends = options.joblog is not None and options.joblog.startswith("+")
    joblog = None if options.joblog is None else _open(options.joblog[appends:])
    if options.results is not None:
        try:
            os.makedirs(options.results, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--results: {options.results}: {describe_error(error)}") from None
    folder = None if options.results is None else os.path.abspath(options.results)
    return Results(joblog, folder, appends)


def _open(path: str) -> io.RawIOBase:
    try:
        return open(path, "ab", buffering=0)
    except OSError as error:
        raise UsageError(f"--joblog: {path}: {describe_error(error)}") from None


def write_results(
    results: Optional[Results], job: Job, printers: Callable[[Opening], Printer]
) -> Callable[[Opening], Printer]:
    """Return what makes a printer that writes these files, too, if there are any."""
    if results is None:
        return printers
    describe = partial(_make_line, job)
    return lambda opening: ResultFiles(
        results, describe, opening.log_places, printers(opening), again=opening.sitting > 1
    )


def _make_line(job: Job, unit: UnitSpec) -> Line:
    """Return what the files say of a unit; it is made again from the plan's unit of the job."""
    texts: List[str] = []
    for value in unit.parameters.values():
        texts += map(str, value) if isinstance(value, (list, tuple)) else [str(value)]
    values = job.make_values(tuple(texts), unit.index + 1)
    named = len(job.names) == len(texts)
    names = job.names if named else [str(number) for number in range(1, len(texts) + 1)]
    return Line(values.number, job.show(values), tuple(zip(names, texts)))

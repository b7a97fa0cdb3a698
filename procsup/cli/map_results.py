"""`--joblog` and `--results` of `procsup map`: what the files say of each unit."""

import os
from typing import BinaryIO, Callable, Iterator, Optional

from procsup.cli.map_job import Job, MapOptions
from procsup.console.results import Line, ResultFiles, Results
from procsup.errors import UsageError
from procsup.host.files import describe_error
from procsup.interfaces import Printer
from procsup.runfile.templates.oneliner import Values
from procsup.runfile.units.tables import Names
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
    return Results(joblog, folder, {}, appends)


def _open(path: str) -> BinaryIO:
    try:
        return open(path, "ab")
    except OSError as error:
        raise UsageError(f"--joblog: {path}: {describe_error(error)}") from None


def write_results(
    results: Optional[Results], printers: Callable[[Opening], Printer]
) -> Callable[[Opening], Printer]:
    """Return what makes a printer that writes these files, too, if there are any."""
    if results is None:
        return printers
    return lambda opening: ResultFiles(
        results, opening.log_places, printers(opening), again=opening.sitting > 1
    )


def note_units(results: Results, job: Job, stage: str) -> Job:
    """Return the job with units of which the files know, from when they are made on."""
    return job._replace(units=_note_each(results, job, stage))


def _note_each(results: Results, job: Job, stage: str) -> Iterator[Values]:
    names = Names(spills=True)
    for values in job.units:
        own = names.of(" ".join(values.label))  # as the plan's reader names them
        results.lines[f"{stage}/{own}"] = _make_line(job, values)
        yield values


def _make_line(job: Job, values: Values) -> Line:
    """Return what the files say of a unit."""
    texts = values.label
    named = len(job.names) == len(texts)
    names = job.names if named else [str(number) for number in range(1, len(texts) + 1)]
    return Line(values.number, job.show(values), tuple(zip(names, texts)))

"""A command line of `procsup map` as the run file that does the same."""

import json
from typing import Any, Iterator, List, Mapping, Sequence

from procsup.cli.map_job import Job, MapOptions
from procsup.core.regexes import compile_at_use
from procsup.core.text import make_visible
from procsup.errors import UsageError
from procsup.runfile.templates.oneliner import ShellMaker
from procsup.runfile.units.tables import Names

_UNFIT = compile_at_use("[\ud800-\udfff]")  # bytes that are not UTF-8


def format_run_file(options: MapOptions, job: Job) -> Iterator[str]:
    """Yield its lines; UsageError if a run file cannot have its inputs."""
    units = list(job.units)
    if not units:
        raise UsageError("--as-run-file: there are no inputs, expected at least one")
    if options.resume or options.fresh:
        raise UsageError("--as-run-file: leave out --resume and --fresh, which a run file has not")
    if options.joblog is not None or options.results is not None:
        raise UsageError(
            "--as-run-file: leave out --joblog and --results: the records and logs of a run file"
            " have the same"
        )
    rows = [job.make_row(values) for values in units]
    names = Names()
    own = [names.of(" ".join(values.label)) for values in units]
    has_input = all(row.get("input") == name for row, name in zip(rows, own))
    yield f"name = {_format(options.name or 'map')}"
    settings = options.make_settings(job.jobs)
    if "jobs" in settings:
        yield f"jobs = {settings.pop('jobs')}"
    yield ""
    yield "[stage.map]"
    yield from _format_program(job)
    yield f"id = {_format('{input}' if has_input else '{unit}')}"
    yield from (f"{key} = {_format(value)}" for key, value in settings.items())
    if job.outputs is not None:
        yield f"outputs = {_format(job.outputs.list_texts())}"
    yield "units = ["
    for name, row in zip(own, rows):
        yield f"  {_format_row(row if has_input else {**row, 'unit': name})},"
    yield "]"


def _format_program(job: Job) -> Iterator[str]:
    if isinstance(job.maker, ShellMaker):
        yield f"shell = {_format(job.maker.text)}"
    elif job.script is None:
        yield f"command = {_format(job.maker.list_texts())}"
    else:
        yield f"script = {_format(job.script)}"
        yield f"args = {_format(job.maker.list_texts())}"


def _format_row(row: Mapping[str, Any]) -> str:
    return "{ " + ", ".join(f"{name} = {_format(value)}" for name, value in row.items()) + " }"


def _format(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return _format_list(value)
    if isinstance(value, dict):
        return _format_row(value)
    if not isinstance(value, str):
        return str(value)
    if _UNFIT.search(value):
        raise UsageError(
            f"--as-run-file: {make_visible(value)!r} is not UTF-8, and a run file has only text:"
            " use --name, and `procsup run .procsup/NAME/plan.jsonl`"
        )
    # A basic string of TOML is one of JSON, but for DEL.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _format_list(values: Sequence[str]) -> str:
    words: List[str] = [_format(value) for value in values]
    return f"[{', '.join(words)}]"

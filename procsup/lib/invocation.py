"""Makes the request that the library sends to the supervisor."""

import os
from typing import Dict, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from procsup.core.spec import RunSpec
from procsup.errors import UsageError
from procsup.host.files import AnyPath
from procsup.lib.plain import convert_argument, read_jobs, read_selectors
from procsup.lib.timing import Duration, convert_seconds
from procsup.runfile.load import load as load_file
from procsup.runfile.plan import PLAN_FILE
from procsup.supervisor.requests import Display, Request

SpecOrFile = Union[AnyPath, RunSpec]


class RunOptions(NamedTuple):
    """The options of a run, besides its file."""

    vars: Optional[Mapping[str, object]] = None
    jobs: Optional[int] = None
    only: Sequence[str] = ()
    fresh: bool = False
    dir: Optional[AnyPath] = None
    engine: str = "local"
    adopt: bool = False
    time_limit: Optional[Duration] = None


def make_request(spec_or_file: SpecOrFile, options: RunOptions) -> Request:
    """Return the request for a run file.

    RunFileError lists all errors of the file. A RunSpec means its file, with the variables and the
    directory with which it was loaded.
    """
    only = tuple(map(str, read_selectors("only", options.only)))
    file, given, directory = resolve_request(spec_or_file, options)
    return Request(
        file=file,
        variables=given,
        directory=directory,
        jobs=None if options.jobs is None else read_jobs(options.jobs),
        fresh=bool(options.fresh),
        only=only,
        engine=options.engine,
        adopt=bool(options.adopt),
        time_limit_s=convert_seconds("time_limit", options.time_limit),
    )


def make_display(progress: str) -> Display:
    """Return what stderr shows of a run; this program reads the end as data."""
    silent = progress == "none"
    return Display(progress, quiet=silent, as_json=True, silent=silent)


def resolve_request(
    spec_or_file: SpecOrFile, options: RunOptions
) -> Tuple[str, Dict[str, str], Optional[str]]:
    """Return the file, its variables as texts and the parent of the run directory."""
    given = format_texts(options.vars)
    directory = None if options.dir is None else os.fspath(options.dir)
    if not isinstance(spec_or_file, RunSpec):
        file = os.fspath(spec_or_file)
        if os.path.basename(file) != PLAN_FILE:
            load_file(file, variables=given)
        return file, given, directory
    if spec_or_file.file is None:
        raise UsageError("this RunSpec was not loaded from a run file: give the file")
    file = spec_or_file.file
    own = load_file(file, variables=given).spec
    for name, value in spec_or_file.variables.items():
        if own.variables.get(name) != value and name not in given:
            given[name] = convert_argument(value, f"vars.{name}")
    return file, given, directory or os.path.dirname(spec_or_file.directory)


def format_texts(vars: Optional[Mapping[str, object]]) -> Dict[str, str]:
    """Return variables as the texts that ``--var`` takes."""
    return {
        str(name): convert_argument(value, f"vars.{name}") for name, value in (vars or {}).items()
    }

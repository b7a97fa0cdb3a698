"""Finds the earlier run that a line of `procsup map` continues, by the digests in its name."""

import json
import os
import time
from hashlib import sha256
from typing import Any, List, Optional, Sequence, Tuple

import click
from msgspec import Struct

from procsup.cli.map_inputs import Origin
from procsup.cli.map_job import MapOptions
from procsup.console.terminal import write_stderr
from procsup.core.regexes import compile_at_use
from procsup.core.rooted import HOME
from procsup.host.folders import get_current_folder
from procsup.store.rundir import RunDir
from procsup.store.sitting import is_live

_DIGITS = 6
_OF_A_LINE = compile_at_use(
    rf"map-(\d{{8}}T\d{{6}})-([0-9a-f]{{{_DIGITS}}})([0-9a-f]{{{_DIGITS}}})(?:-(\d+))?"
)


class Line(Struct, frozen=True):
    """Digests of a command line: of what it does in this folder, and of its sources of inputs."""

    command: str
    sources: str

    @classmethod
    def of(cls, options: MapOptions, command: Sequence[str], origins: Sequence[Origin]) -> "Line":
        """Return those of a command line."""
        of_the_command = [get_current_folder(), list(command), *options.making]
        sources = [options.files, options.glob, origins]
        return cls(_make_digest(of_the_command), _make_digest(sources))

    def make_name(self) -> str:
        """Return the name of a new run without a name."""
        return f"map-{time.strftime('%Y%m%dT%H%M%S')}-{self.command}{self.sources}"


def _make_digest(value: Any) -> str:
    return sha256(json.dumps(value).encode("ascii")).hexdigest()[:_DIGITS]


def find_before(options: MapOptions, line: Line) -> Optional[str]:
    """Return the unnamed run that this line takes up: its own last one, if it takes up any.

    With outputs, which tell of each unit whether it is done, also one with other inputs. A live one
    is taken up only if that is asked for.
    """
    if options.resume and options.name is not None:
        raise click.UsageError(
            "--resume is for runs without a name: with --name the same line goes on by itself"
        )
    if not options.resume and (options.name is not None or not options.outputs):
        return None
    home = options.directory or os.path.join(get_current_folder(), HOME)
    runs = _list_runs(home, line.command)
    if not options.resume:
        runs = [run for run in runs if not is_live(RunDir(os.path.join(home, run[0])))]
    found = next((name for name, sources in runs if sources == line.sources), None)
    if found is None and options.outputs and runs:
        found = runs[0][0]
    if found is None and options.resume and not options.quiet:
        write_stderr("no earlier run of this line is here: all of it runs")
    return found


def _list_runs(home: str, command: str) -> List[Tuple[str, str]]:
    """Return the names of unnamed runs of a command, and their sources; the newest first."""
    try:
        names = os.listdir(home)
    except OSError:  # there are no runs yet; another error is reported when the run starts
        return []
    matches = [match for match in map(_OF_A_LINE.fullmatch, names) if match and match[2] == command]
    matches.sort(key=lambda match: (match[1], int(match[4] or 1)), reverse=True)
    return [(match[0], match[3]) for match in matches]

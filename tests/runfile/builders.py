"""Run files and their trees, made in a line."""

import datetime
from textwrap import dedent

import pytest

from procsup.core.outcome import Reading
from procsup.core.slots import Capacity
from procsup.errors import RunFileError
from procsup.runfile.load import load
from tests.support import schemas

STAGE = '[stage.a]\nmodule = "m"\n'
TODAY = datetime.date(2026, 1, 2)
CAPACITY = Capacity(cpus=4.0, memory_bytes=1 << 30)


def grow(folder, *paths):
    """Make these files; a trailing slash makes a folder."""
    for path in paths:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.endswith("/"):
            target.mkdir(exist_ok=True)
        else:
            target.write_text(path, encoding="utf-8")


def load_text(folder, text, **options):
    """Load a run file of this text; a text without a stage is the inside of a stage `a`."""
    if "[stage" not in text:
        text = f'[stage.a]\nmodule = "m"\n{dedent(text)}'
    file = folder / "run.toml"
    file.write_text(dedent(text), encoding="utf-8")
    loaded = load(str(file), today=TODAY, **options)
    schemas.check(dedent(text))
    return loaded


def early(folder, text, **options):
    """Return all units that can be known now, by stage."""
    return load_text(folder, text, **options).expand_early(CAPACITY)


def units(folder, text, stage="a", **options):
    """Return the units of one stage."""
    return early(folder, text, **options)[stage]


def ids(folder, text):
    """Return the ids of the units of the stage `a`, without its name."""
    return [one.id[2:] for one in units(folder, text)]


def unit(folder, text, stage="a", **options):
    """Return the only unit of a stage."""
    (only,) = units(folder, text, stage, **options)
    return only


def args(unit):
    """Return what follows ``-m m``."""
    return list(unit.argv[unit.argv.index("-m") + 2 :])


def problems(folder, text, **options):
    """Return what is wrong with a run file, without the file's name: ``line: key: message``."""
    with pytest.raises(RunFileError) as caught:
        early(folder, text, **options)
    prefix = f"{folder / 'run.toml'}:"
    assert all(problem.startswith(prefix) for problem in caught.value.problems)
    assert caught.value.exit_code == 2
    return [problem[len(prefix) :] for problem in caught.value.problems]


def check_problems(folder, text, expected):
    """Check that the problems of a run file are these, each by its beginning."""
    found = problems(folder, text)
    assert len(found) == len(expected), found
    for problem, beginning in zip(found, expected):
        assert problem.startswith(beginning)


def make_outputs(stage_units):
    """Return readings as if these units had made their outputs."""
    return [
        (unit.id, tuple(Reading(output.path, 1, 1) for output in unit.outputs))
        for unit in stage_units
    ]

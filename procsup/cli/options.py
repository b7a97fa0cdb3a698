"""Options and texts that several verbs share."""

from typing import Any, Callable, List, Optional, Sequence, Set, TypeVar

import click

from procsup.core.quantities import parse_duration_s

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

DRY = ("plain", "static")
_STATIC = "--dry-run-static"

RUN_HELP = """\b
RUN is
  DIR@ID or an ID   the run of that id (what `procsup run --detach` prints)
  a name            of a run in the nearest .procsup, from here upwards; last: the newest there
  a path            of a run directory, or of the run file
"""
UNITS_HELP = """\b
UNIT is
  measure, measure/a, a   a stage; an id; an id without its stage
  mod=abc                 a parameter; several: n=1,mod=abc
  'mod=a*', 'measure/*'   a pattern (*, ?) over ids or values; what is hit exactly wins
  @failed, 'wall_s>10m'   a state or verdict; a number of the record, or a parameter's
  '!measure'              none of these
Several UNITs mean what any of them means.
"""


class Planning(click.Command):
    """A command with `add_dry_run`, whose flag may be written ``--dry-run=static``."""

    def parse_args(self, ctx: click.Context, args: List[str]) -> List[str]:
        """Parse the arguments."""
        end = args.index("--") if "--" in args else len(args)
        ours = [_STATIC if word == "--dry-run=static" else word for word in args[:end]]
        return super().parse_args(ctx, [*ours, *args[end:]])


def add_dry_run(help_text: str) -> Callable[[Decorated], Decorated]:
    """Add ``--dry-run`` to a `Planning` command: None, or one of `DRY`."""
    plain = click.option("--dry-run", "dry_run", flag_value=DRY[0], help=help_text)
    static = click.option(_STATIC, "dry_run", flag_value=DRY[1], hidden=True)
    return lambda command: plain(static(command))


def convert_duration(
    _ctx: click.Context, _param: click.Parameter, value: Optional[str]
) -> Optional[float]:
    """Return the value of an option in seconds; a usage error if it is not a duration."""
    if value is None:
        return None
    try:
        return parse_duration_s(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def add_duration(name: str, help_text: str) -> Callable[[Decorated], Decorated]:
    """Add an option that takes seconds or a text such as ``10m``; None if not given."""
    return click.option(name, metavar="TIME", callback=convert_duration, help=help_text)


def add_json(help_text: str) -> Callable[[Decorated], Decorated]:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help=help_text)


def exit_codes(**meanings: str) -> str:
    """Return the paragraph of a verb's exit codes, for the end of its help."""
    lines = [f"  {name[1:]:4} {meaning}" for name, meaning in meanings.items()]
    return "\n".join(["\b", "Exit codes:", *lines])


def take_options(command: click.Command, words: Sequence[str]) -> List[str]:
    """Return the options of a verb at the start of `words`: what follows them is a command line."""
    valued = {
        name
        for option in command.params
        if isinstance(option, click.Option) and not option.is_flag
        for name in option.opts
    }
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] not in ("-", "--"):
        at += 2 if _takes_the_next(words[at], valued) else 1
    return list(words[:at])


def _takes_the_next(word: str, valued: Set[str]) -> bool:
    """Whether the next word is this option's value; letters may be combined, as in ``-qj 4``."""
    if word.startswith("--"):
        return word in valued
    taking = [at for at, letter in enumerate(word) if f"-{letter}" in valued]
    return bool(taking) and taking[0] == len(word) - 1

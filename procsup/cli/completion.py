"""Completion of command lines in bash, zsh and fish: verbs, options, names of runs, files."""

import os
from typing import List, Sequence

import click
from click.shell_completion import CompletionItem, ShellComplete, get_completion_class

from procsup.cli.init import EXAMPLES
from procsup.cli.topics import TOPICS
from procsup.console.terminal import write_stdout
from procsup.core.text import make_visible
from procsup.errors import ProcsupError, UsageError
from procsup.store.find import find_nearest_home, list_run_dirs

VARIABLE = "_PROCSUP_COMPLETE"
_OF_ONE_RUN = ("status", "logs", "explain", "drain", "stop", "retry")
_OF_RUNS = ("wait", "verify", "prune")


def complete(cli: click.Group, instruction: str) -> int:
    """Print the script for a shell (``bash_source``), or what completes a line of it."""
    shell, _, task = instruction.partition("_")
    known = get_completion_class(shell)
    asked_by_script = task == "complete" and {"COMP_WORDS", "COMP_CWORD"} <= set(os.environ)
    if known is None or not (task == "source" or asked_by_script):
        raise UsageError(f"{VARIABLE}: expected bash_source, zsh_source or fish_source")

    class Completer(known):  # type: ignore[valid-type, misc]  # known at run time only
        def get_completions(self, args: List[str], incomplete: str) -> List[CompletionItem]:
            found: List[CompletionItem] = super().get_completions(args, incomplete)
            return found or _complete_value(args, incomplete)

    completer: ShellComplete = Completer(cli, {}, "procsup", VARIABLE)
    write_stdout(completer.source() if task == "source" else completer.complete())
    return 0


def _complete_value(args: Sequence[str], incomplete: str) -> List[CompletionItem]:
    verb, given = args[0] if args else "", [word for word in args[1:] if not word.startswith("-")]
    if verb in _OF_ONE_RUN and given:
        return []  # the other words select units, which are not completed
    words: List[str] = []
    if verb in _OF_ONE_RUN or verb in _OF_RUNS:
        words = _list_runs()
    elif not given:
        words = {"help": list(TOPICS), "init": list(EXAMPLES)}.get(verb, [])
    found = [CompletionItem(word) for word in words if word.startswith(incomplete)]
    return found or [CompletionItem(incomplete, type="file")]


def _list_runs() -> List[str]:
    """Return the names of runs that a line may hold as they are; none if they cannot be read."""
    try:
        home = find_nearest_home(".")
        names = [] if home is None else [run.path.name for run in list_run_dirs(home)]
    except (ProcsupError, OSError):
        return []  # the verb itself reports the error
    plain = [name for name in names if make_visible(name) == name and "," not in name]
    return [*plain, "last"] if plain else []

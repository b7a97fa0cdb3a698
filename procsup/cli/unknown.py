"""Explains a first word that is not a verb."""

import os
import shutil
from pathlib import Path
from typing import Iterable

from procsup.core.text import find_nearest, quote_word
from procsup.errors import ProcsupError
from procsup.store.find import find


def describe_unknown(word: str, verbs: Iterable[str]) -> str:
    """Return a message: there is no such verb, and the command that is probably meant."""
    names = tuple(verbs)
    cure = _find_meant(word, names) or f"the verbs are {', '.join(names)}"
    return f"there is no verb {word!r}: {cure}"


def _find_meant(word: str, verbs: Iterable[str]) -> str:
    near = find_nearest(word, verbs)
    quoted = quote_word(word)
    if word.endswith(".toml"):
        return f"did you mean `procsup run {quoted}`?"
    if near:
        return f"did you mean {near}?"
    if os.path.isfile(f"{word}.toml"):
        return f"did you mean `procsup run {quote_word(f'{word}.toml')}`?"
    if _is_run(word):
        return f"it is the name of a run, did you mean `procsup status {quoted}`?"
    if os.path.exists(word) or shutil.which(word):
        return (
            "`procsup run FILE` takes a run file, `procsup map` runs a program once for each input"
        )
    return ""


def _is_run(word: str) -> bool:
    try:
        find(word, Path("."))
    except (ProcsupError, OSError):
        return False
    return True

"""What a stage looks at when its units are made: globs, and files that list parameters."""

import os
import re
from typing import Iterator, List, Mapping, NamedTuple, Pattern, Tuple

from procsup.host.names import path_key
from procsup.runfile.axes import single
from procsup.runfile.patterns import Glob, Token, read_glob
from procsup.runfile.problems import KeyPath
from procsup.runfile.recipe import Recipe
from procsup.runfile.tables import ListFile


class Look(NamedTuple):
    """A glob of a stage with its base as an absolute path, or a list: `base` is its folder."""

    stage: str
    at: KeyPath
    source: str  # the glob as written, the absolute path of a list
    base: str
    regex: Pattern[str]  # of what is below the base, as `path_key` has it
    below: Tuple[Token, ...]  # the same as tokens
    is_glob: bool = True

    def sees(self, key: str) -> bool:
        """Tell whether a path, of which the key is given, is looked at."""
        base = path_key(self.base.rstrip(os.sep) + os.sep)
        below = key[len(base) :].replace(os.sep, "/")
        return key.startswith(base) and self.regex.fullmatch(below) is not None

    def tokens(self) -> List[Token]:
        """Return all paths that are looked at, from the root, as one row of tokens."""
        return [self.base.replace(os.sep, "/").rstrip("/") + "/", *self.below]


def looks_of(recipe: Recipe, values: Mapping[str, object], folder: str) -> Iterator[Look]:
    """Yield what a stage looks at that is the same for all its units."""
    stage = recipe.spec.name
    for axis in single(recipe.axes):
        if isinstance(axis.source, Glob):
            yield _at_glob(stage, axis.at, axis.source, folder)
        elif isinstance(axis.source, ListFile):
            yield _at_list(stage, axis.at, axis.source.path, folder)
    for key, wanted in (("inputs", recipe.inputs), ("depends", recipe.depends)):
        for item in wanted.items:
            known = all(field.name in values for field in item.template.fields)
            if item.is_glob and known:
                at = (*recipe.place(key), *item.at)
                yield _at_glob(stage, at, read_glob(item.template, values), folder)


def _at_glob(stage: str, at: KeyPath, glob: Glob, folder: str) -> Look:
    base = os.path.normpath(os.path.join(folder, glob.base))
    regex = _as_keys(glob.regex.pattern)
    return Look(stage, at, glob.source, base, regex, tuple(glob.tokens()))


def _at_list(stage: str, at: KeyPath, path: str, folder: str) -> Look:
    whole = os.path.normpath(os.path.join(folder, path))
    base, name = os.path.split(whole)
    return Look(stage, at, whole, base, _as_keys(re.escape(name)), (name,), is_glob=False)


def _as_keys(pattern: str) -> Pattern[str]:
    return re.compile(pattern, re.IGNORECASE if path_key("A") == path_key("a") else 0)

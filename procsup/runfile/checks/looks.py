"""The globs, and the files with parameters, that a stage reads when its units are made."""

import os
from typing import Iterator, Mapping

from msgspec import Struct

from procsup.core.globs import Glob, escape, parse
from procsup.paths.joining import join_path
from procsup.paths.walk import CASE
from procsup.runfile.parameters.axes import split_zips
from procsup.runfile.parameters.tables import ListFile
from procsup.runfile.stages.recipe import Recipe
from procsup.runfile.syntax.keypath import KeyPath
from procsup.runfile.templates.patterns import read_glob


class Look(Struct, frozen=True):
    """A glob of a stage (from the root), or a list that it reads."""

    stage: str
    at: KeyPath
    source: str  # the glob as written, the absolute path of a list
    glob: Glob
    is_glob: bool = True

    def sees(self, path: str) -> bool:
        """Whether the glob matches a path, or the list is at it."""
        return self.glob.match(path.replace(os.sep, "/"), case=CASE) is not None


def list_looks(recipe: Recipe, values: Mapping[str, object], folder: str) -> Iterator[Look]:
    """Yield the globs and lists that are the same for all units of a stage."""
    stage = recipe.spec.name
    for axis in split_zips(recipe.axes):
        if isinstance(axis.source, Glob):
            yield _place_glob(stage, axis.at, axis.source, folder)
        elif isinstance(axis.source, ListFile):
            whole = join_path(folder, axis.source.path)
            glob = parse(escape(whole.replace(os.sep, "/")))
            yield Look(stage, axis.at, whole, glob, is_glob=False)
    for key, wanted in (("inputs", recipe.inputs), ("depends", recipe.depends)):
        for item in wanted.items:
            known = all(field.name in values for field in item.template.fields)
            if item.is_glob and known:
                at = (*recipe.place(key), *item.at)
                left_out = [
                    read_glob(one.template, values)
                    for one in item.left_out
                    if all(field.name in values for field in one.template.fields)
                ]
                glob = read_glob(item.template, values).exclude(left_out)
                yield _place_glob(stage, at, glob, folder)


def _place_glob(stage: str, at: KeyPath, glob: Glob, folder: str) -> Look:
    def place(base: str) -> str:
        return join_path(folder, base).replace(os.sep, "/")

    return Look(stage, at, glob.source, glob.rebase(place))

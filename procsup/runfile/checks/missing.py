"""Finds missing scripts and inputs of a refused run file, so that one error lists all of them."""

from typing import Iterable

from procsup.core.spec import list_upstream
from procsup.core.text import make_visible
from procsup.paths.opening import is_absent
from procsup.runfile.parameters.axes import split_zips
from procsup.runfile.parameters.rows import make_rows
from procsup.runfile.parameters.walk import Finder
from procsup.runfile.stages.recipe import Recipe
from procsup.runfile.syntax.problems import Problems


def note_missing(recipes: Iterable[Recipe], folder: str, problems: Problems) -> None:
    """Note scripts that are not there, and globs and lists that yield nothing.

    Only of stages with none before them, which could make the files.
    """
    for recipe in recipes:
        if list_upstream(recipe.spec):
            continue
        script, finder = recipe.spec.script, Finder(folder)
        if script is not None and is_absent(script):
            problems.add(recipe.place("script"), f"{make_visible(script)} does not exist")
        for axis in split_zips(recipe.axes):
            with problems.below(axis.at):
                make_rows(axis, folder, finder, empty_ok=recipe.empty_ok)

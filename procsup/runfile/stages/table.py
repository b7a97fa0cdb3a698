"""One stage's table of the run file with `defaults` merged in; reads values from it."""

from typing import Any, Callable, Dict, Mapping, Optional, Tuple, TypeVar

from msgspec import Struct

from procsup.runfile.stages.declared import read_path_text
from procsup.runfile.stages.recipe import PlacedTemplate, Recipe
from procsup.runfile.syntax.keypath import KeyPath
from procsup.runfile.syntax.problems import Problems, Wrong, convert_each
from procsup.runfile.templates.scope import Scope
from procsup.runfile.templates.template import Template

_T = TypeVar("_T")

_SHARED = "all units of the stage share this value, only variables are known here"
_CURES = {
    "python": '; one for each unit is the first word of `command = ["{interpreter}", "x.py"]`',
    "script": '; one for each unit is a word of `command = ["python3", "{script}"]`',
    "module": '; one for each unit is a word of `command = ["python3", "-m", "{module}"]`',
}


class Context(Struct, frozen=True):
    """The run's data that the reader of a stage needs."""

    scope: Scope  # variables and `date`
    values: Mapping[str, Any]
    absolute: Callable[[str], str]  # path as written -> absolute
    stage_names: Tuple[str, ...]
    problems: Problems
    recipes: Dict[str, Recipe]  # of the stages read before


class StageTable:
    """The values of a stage and the place of each; their errors are noted.

    `own` is the stage's table, `defaults` the table that all stages inherit.
    """

    def __init__(
        self, name: str, own: Mapping[str, Any], defaults: Mapping[str, Any], context: Context
    ) -> None:
        self.at: KeyPath = ("stage", name)
        self.own = own
        self.defaults = defaults
        self.values: Dict[str, Any] = {**defaults, **own}
        self.places: Dict[str, KeyPath] = {key: ("defaults", key) for key in defaults}
        self.places.update((key, (*self.at, key)) for key in own)
        self.parameters: Tuple[str, ...] = ()  # set once they are known
        self._context = context

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def note(self, key: str, message: str) -> None:
        """Note a problem with the value of a key."""
        self._context.problems.add(self.places.get(key, self.at), message)

    def take(self, key: str, convert: Callable[[Any], _T], default: _T) -> _T:
        """Convert the value of a key; the default replaces an invalid or missing one."""
        if key not in self.values:
            return default
        try:
            return convert(self.values[key])
        except Wrong as wrong:
            self._context.problems.add_wrong(self.places[key], wrong)
            return default

    def take_fixed(self, key: str, convert: Callable[[Any], _T], default: _T) -> _T:
        """Like `take`, for a value that is the same for all units: only variables are known."""
        why = _SHARED + _CURES.get(key, "")
        return self.take(key, lambda value: convert(self._fill_in(value, why)), default)

    def take_template(
        self, key: str, scope: Scope, accept: Callable[[Any], str] = read_path_text
    ) -> Optional[Template]:
        """Read the text of a key as a template, which each unit fills in."""

        def convert(value: Any) -> Optional[Template]:
            return scope.check(Template(accept(value)))

        return self.take(key, convert, None)

    def take_placed(
        self, key: str, convert: Callable[[Any], Tuple[Template, ...]]
    ) -> Tuple[PlacedTemplate, ...]:
        """Read a list of texts as templates, which each unit fills in."""
        none: Tuple[Template, ...] = ()
        place = self.places.get(key, (*self.at, key))
        templates = self.take(key, convert, none)
        return tuple(PlacedTemplate((*place, index), one) for index, one in enumerate(templates))

    def _fill_in(self, value: Any, why: str) -> Any:
        if isinstance(value, list):
            return convert_each(value, lambda item: self._fill_in(item, why))
        if not isinstance(value, str) or ("{" not in value and "}" not in value):
            return value
        names = (*self.parameters, "index", "inputs", "depends", "outputs", "scratch")
        scope = self._context.scope.extend_scope({}, dict.fromkeys(names, why))
        return scope.render(Template(value), self._context.values)

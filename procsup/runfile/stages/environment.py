"""The `env` of a stage, whose values are recorded, and its `secrets`, of which only names are."""

from typing import Any, Dict, List, Tuple

from procsup.runfile.stages.recipe import PlacedTemplate
from procsup.runfile.stages.table import StageTable
from procsup.runfile.syntax import values as v
from procsup.runfile.syntax.problems import (
    Problems,
    Wrong,
    convert_each,
    convert_entries,
    list_words,
    make_wrong,
    show,
)
from procsup.runfile.templates.scope import Scope
from procsup.runfile.templates.template import Template, double_braces


def read_env(table: StageTable, scope: Scope, problems: Problems) -> Dict[str, PlacedTemplate]:
    """Read `env` of `defaults` and of the stage together; the stage's values take precedence."""
    env: Dict[str, PlacedTemplate] = {}
    for values, at in ((table.defaults, ("defaults", "env")), (table.own, (*table.at, "env"))):
        if "env" in values:
            with problems.below(at):
                entries = _read_entries(values["env"], scope)
                env.update((name, PlacedTemplate((*at, name), one)) for name, one in entries)
    both = [name for name in read_secrets(table) if name in env]
    if both:
        table.note("secrets", f"{list_words(both)} stands in `env` too: secrets are never recorded")
    return env


def read_fixed_env(value: Any) -> Dict[str, str]:
    """Read the environment of a unit of a plan: it has no placeholders."""
    return {name: one.render({}) for name, one in _read_entries(double_braces(value), Scope({}))}


def read_secrets(table: StageTable) -> Tuple[str, ...]:
    """Read the names of variables that are passed through."""
    none: Tuple[str, ...] = ()
    return table.take("secrets", _read_names, none)


def _read_names(value: Any) -> Tuple[str, ...]:
    return tuple(convert_each(v.a_list(value, "names of variables"), _name))


def _name(value: Any) -> str:
    name = v.read_text(value)
    if "=" in name:
        raise Wrong("expected the name of a variable only: its value is never written down")
    return name


def _read_entries(value: Any, scope: Scope) -> List[Tuple[str, Template]]:
    if not isinstance(value, dict):
        raise make_wrong("a table of names and values", value)
    return convert_entries(value, lambda name, content: (name, _read_entry(name, content, scope)))


def _read_entry(name: str, content: Any, scope: Scope) -> Template:
    if not name or "=" in name or "\0" in name:
        raise Wrong("is no name of an environment variable")
    if name.upper().startswith("PROCSUP_"):
        raise Wrong("the names that begin with PROCSUP_ are procsup's own")
    if isinstance(content, bool) or not isinstance(content, (str, int, float)):
        raise Wrong(f'expected text or a number, not {show(content)} (such as "1" or "")')
    return scope.check(Template(v.format_value(content)))

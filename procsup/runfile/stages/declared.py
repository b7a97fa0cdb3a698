"""The files that a stage declares: inputs, depends and outputs, as templates and per unit."""

import os
import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Set, Tuple, Union

from procsup.core.globs import escape
from procsup.core.spec import OutputSpec
from procsup.runfile.parameters.walk import Finder
from procsup.runfile.syntax.problems import (
    Faults,
    KeyPath,
    Wrong,
    below,
    each,
    each_of,
    expected,
    show,
)
from procsup.runfile.syntax.values import Fields, filled, truth
from procsup.runfile.templates.patterns import check_input, check_output, has_wildcards, read_glob
from procsup.runfile.templates.scope import PATH, UNREAD, FileSet, Kind, Many, Scope, Unread
from procsup.runfile.templates.template import Files, Step, Template

_BEHIND_BRACES = re.compile(r"}.*/\.\.(?:/|$)")
_OUTPUT_KEYS = ("path", "empty", "optional", "unchanged")


_NO_FILES = Files(())
_NO_TABLE = Files((), {})


class Item(NamedTuple):
    """One declared path; `at` is its place below the key, `name` its name in a table."""

    at: KeyPath
    name: Optional[str]
    template: Template
    is_glob: bool
    in_list: bool = False  # the name stands for a list
    flags: Mapping[str, bool] = {}


class Wanted(NamedTuple):
    """Declared inputs, depends or outputs of a stage; `is_unread`: they could not be read."""

    items: Tuple[Item, ...] = ()
    is_table: bool = False
    is_unread: bool = False

    @property
    def looks_at_files(self) -> bool:
        """Whether the files depend on the file system: a glob, for example."""
        return any(item.is_glob for item in self.items)

    def kind(self, *, file: bool) -> Kind:
        """Return the form in which placeholders see it."""
        if self.is_unread:
            return UNREAD
        unknown = self.looks_at_files or any(item.template.alone for item in self.items)
        length = None if unknown else len(self.items)
        if not self.is_table:
            return FileSet(None, length, file)
        names: Dict[str, Any] = {}
        for item in self.items:
            many = item.in_list or item.is_glob
            names[str(item.name)] = Many(PATH) if many else PATH
        return FileSet(names, length, file)

    def followed_kind(self) -> Union[FileSet, Unread, None]:
        """Return these outputs as placeholders of following units see them; None without."""
        if self.is_unread:
            return UNREAD
        if not self.items:
            return None
        globs: Set[Step] = set()
        for index, item in enumerate(self.items):
            globs |= {str(item.name) if self.is_table else index} if item.is_glob else set()
        names = {str(item.name): PATH for item in self.items} if self.is_table else None
        return FileSet(dict(names) if names else None, len(self.items), globs=frozenset(globs))


def read_wanted(value: Any) -> Wanted:
    """Read a list or table of paths; in a table, a name may have a list of them."""
    if isinstance(value, dict):
        return Wanted(tuple(_flat(each_of(value, _named))), is_table=True)
    if not isinstance(value, list):
        raise _not_files(value, "paths")
    items = each(list(enumerate(value)), lambda pair: _input((pair[0],), None, pair[1]))
    return Wanted(tuple(items))


def _flat(groups: List[List[Item]]) -> List[Item]:
    return [item for group in groups for item in group]


def _named(name: str, value: Any) -> List[Item]:
    if name == "file":
        raise Wrong("`file` stands for a file that lists the paths: choose another name")
    if not isinstance(value, list):
        return [_input((name,), name, value)]
    if not value:
        raise expected("at least one path", value)
    return each(
        list(enumerate(value)),
        lambda pair: _input((name, pair[0]), name, pair[1])._replace(in_list=True),
    )


def _item(at: KeyPath, name: Optional[str], value: Any) -> Item:
    template = Template(path_text(value), glob=True)
    return Item(at, name, template, has_wildcards(template))


def _input(at: KeyPath, name: Optional[str], value: Any) -> Item:
    item = _item(at, name, value)
    if item.is_glob:
        check_input(item.template)
    return item


def _made(at: KeyPath, name: Optional[str], value: Any) -> Item:
    item = _item(at, name, value)
    if item.is_glob:
        check_output(item.template)
    return item


def path_text(value: Any) -> str:
    """Accept a path as text."""
    path = filled(value)
    if path == "~" or path.startswith("~/"):
        raise Wrong(f"~ is not expanded: write the path in full, not {show(path)}")
    return path


def stream_path(value: Any) -> str:
    """Accept the path of a `stdin`, `stdout` or `stderr`."""
    if isinstance(value, dict):
        cure = 'outputs = [{ path = ... }] and here "{outputs[0]}"'
        raise Wrong(f"expected a path, not a table: what is asked of the file stands in {cure}")
    return path_text(value)


def _not_files(value: Any, what: str) -> Wrong:
    cure = f" (write [{show(value)}])" if isinstance(value, str) else ""
    return Wrong(f"expected a list or a table of {what}, not {show(value)}{cure}")


def read_outputs(value: Any) -> Wanted:
    """Read a list or table of outputs, each a path or a table with `path`."""
    if isinstance(value, dict):
        if "path" in value and any(isinstance(value.get(flag), bool) for flag in _OUTPUT_KEYS):
            raise Wrong("expected a list or a table of outputs: write [{ path = ... }]")
        return Wanted(tuple(each_of(value, lambda name, v: _output((name,), name, v))), True)
    if not isinstance(value, list):
        raise _not_files(value, "outputs")
    items = each(list(enumerate(value)), lambda pair: _output((pair[0],), None, pair[1]))
    return Wanted(tuple(items))


def _output(at: KeyPath, name: Optional[str], value: Any) -> Item:
    if not isinstance(value, dict):
        return _made(at, name, value)
    table = Fields(value, _OUTPUT_KEYS, "path")
    flags = {key: table.take(key, truth, False) for key in _OUTPUT_KEYS if key != "path"}
    item = table.take("path", lambda path: _made(at, name, path), None)
    table.raise_if_any()
    if item is None:
        raise AssertionError("a missing path is a fault")
    return item._replace(flags=flags)


def check_wanted(wanted: Wanted, scope: Scope, *, several: bool = False) -> None:
    """Check the placeholders of declared paths; `several`: one in a list may give many paths."""
    faults = Faults()
    for item in wanted.items:
        with faults.below(*item.at):
            scope.check(item.template, several=several and (item.in_list or item.name is None))
    faults.raise_if_any()


def input_files(
    wanted: Wanted, values: Mapping[str, Any], finder: Finder, *, empty_ok: bool
) -> Files:
    """Return a unit's inputs as written, globs replaced by what they match now."""
    if not wanted.items:
        return _NO_TABLE if wanted.is_table else _NO_FILES
    paths: List[str] = []
    named: Dict[str, Union[str, Tuple[str, ...]]] = {}
    for item in wanted.items:
        with below(*item.at):
            found = _paths(item, values, finder, empty_ok=empty_ok)
        paths += found
        if item.name is not None:
            many = item.in_list or item.is_glob
            before = named.get(item.name, ())
            named[item.name] = (*before, *found) if many else found[0]
    return Files(tuple(paths), named if wanted.is_table else None)


def _paths(
    item: Item, values: Mapping[str, Any], finder: Finder, *, empty_ok: bool
) -> Tuple[str, ...]:
    if not item.is_glob:
        return rendered_paths(item.template, values)
    glob = read_glob(item.template, values)
    found = tuple(finder.find_once(glob))
    if not found and not empty_ok:
        raise Wrong(f"{finder.why_nothing(glob)} (`empty-ok = true` allows that)")
    return found


def rendered_path(template: Template, values: Mapping[str, Any]) -> str:
    """Fill in a path; `Wrong` if it comes out empty."""
    path = template.render(values)
    if not path.strip():
        raise Wrong(f"{show(template.source)} is an empty path for this unit")
    return path


def rendered_paths(template: Template, values: Mapping[str, Any]) -> Tuple[str, ...]:
    """Fill in paths; a path that is only a placeholder may give many."""
    if template.alone is None:
        return (rendered_path(template, values),)
    paths = template.render_all(values)
    if not all(path.strip() for path in paths):
        raise Wrong(f"{show(template.source)} is an empty path for this unit")
    return tuple(paths)


def output_files(wanted: Wanted, values: Mapping[str, Any]) -> Files:
    """Return a unit's outputs as written."""
    if not wanted.items:
        return _NO_TABLE if wanted.is_table else _NO_FILES
    paths = tuple([rendered_path(item.template, values) for item in wanted.items])
    if not wanted.is_table:
        return Files(paths)
    return Files(paths, {str(item.name): path for item, path in zip(wanted.items, paths)})


def output_specs(
    wanted: Wanted, files: Files, values: Mapping[str, Any], folder: str
) -> Tuple[OutputSpec, ...]:
    """Return a unit's outputs for its spec; relative ones are in `folder`."""
    if not files.paths:
        return ()
    return tuple(
        [_output_spec(item, path, values, folder) for item, path in zip(wanted.items, files.paths)]
    )


def _output_spec(item: Item, path: str, values: Mapping[str, Any], folder: str) -> OutputSpec:
    if item.is_glob:
        whole, kind = _whole_pattern(item, values, folder), "glob"
    else:
        whole, kind = os.path.normpath(os.path.join(folder, path)), "file"
        if path.endswith("/"):
            whole, kind = whole + os.sep, "folder"
    if not item.flags:
        return (
            OutputSpec(whole, item.name)
            if kind == "file"
            else OutputSpec(whole, item.name, kind=kind)
        )
    return OutputSpec(
        whole,
        item.name,
        empty=item.flags.get("empty", False),
        optional=item.flags.get("optional", False),
        unchanged=item.flags.get("unchanged", False),
        kind=kind,
    )


def _whole_pattern(item: Item, values: Mapping[str, Any], folder: str) -> str:
    """Return the absolute pattern of a glob; wildcards in the folder's name are escaped."""
    with below(*item.at):
        text = read_glob(item.template, values).text
        if _BEHIND_BRACES.search(text):
            raise Wrong("`..` cannot follow alternatives")
    return os.path.normpath(os.path.join(escape(folder), text))

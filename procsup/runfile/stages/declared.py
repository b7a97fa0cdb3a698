"""The files that a stage declares: inputs, depends and outputs, as templates and per unit."""

import os
import posixpath
from typing import (
    Any,
    Callable,
    Dict,
    List,
    Mapping,
    Optional,
    Sequence,
    Set,
    Tuple,
    Union,
)

from msgspec import Struct
from msgspec.structs import replace

from procsup.core.globs import may_exclude
from procsup.core.regexes import compile_at_use
from procsup.core.spec import OutputSpec
from procsup.paths.joining import join_path
from procsup.paths.links import join_pattern
from procsup.paths.walk import CASE
from procsup.runfile.parameters.walk import Finder
from procsup.runfile.syntax.keypath import KeyPath
from procsup.runfile.syntax.problems import (
    Faults,
    Wrong,
    below,
    convert_each,
    convert_entries,
    make_wrong,
    show,
)
from procsup.runfile.syntax.values import Fields, read_text, truth
from procsup.runfile.templates.patterns import (
    check_input,
    check_output,
    fill_glob,
    has_wildcards,
    read_glob,
)
from procsup.runfile.templates.scope import PATH, UNREAD, FileSet, Kind, Many, Scope, Unread
from procsup.runfile.templates.template import Files, Step, Template

_BEHIND_BRACES = compile_at_use(r"}.*/\.\.(?:/|$)")
_SOME_FOLDER = "/1/2/3/4/5/6/7/8"  # for the run file's: no result depends on it
_OUTPUT_KEYS = ("path", "empty", "optional", "unchanged")


_NO_FILES = Files(())
_NO_TABLE = Files((), {})


class Item(Struct, frozen=True):
    """One declared path; `at` is its place below the key, `name` its name in a table."""

    at: KeyPath
    name: Optional[str]
    template: Template
    is_glob: bool
    in_list: bool = False  # the name stands for a list
    flags: Mapping[str, bool] = {}
    left_out: Tuple["Item", ...] = ()  # entries of its list with a leading `!`, which is removed


class DeclaredFiles(Struct, frozen=True):
    """Declared inputs, depends or outputs of a stage; `is_unread`: they could not be read."""

    items: Tuple[Item, ...] = ()
    is_table: bool = False
    is_unread: bool = False
    left_out: Tuple[Item, ...] = ()  # of all lists

    @property
    def looks_at_files(self) -> bool:
        """Whether the files depend on the file system: a glob, for example."""
        return any(item.is_glob for item in self.items)

    def kind(self, *, file: bool) -> Kind:
        """Return the kind of value that placeholders see."""
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

    def make_followed_kind(self) -> Union[FileSet, Unread, None]:
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


def read_declared(value: Any) -> DeclaredFiles:
    """Read a list or table of paths; in a table, a name may have a list of them."""
    if isinstance(value, dict):
        return _make_declared(convert_entries(value, _read_named), is_table=True)
    if not isinstance(value, list):
        raise _refuse_non_files(value, "paths")
    return _make_declared([_make_list(value, lambda pair: _read_input((pair[0],), None, pair[1]))])


def _make_declared(groups: Sequence[List[Item]], *, is_table: bool = False) -> DeclaredFiles:
    items = [item for group in groups for item in group]
    # All items of a list exclude the same paths.
    left_out = [one for group in groups if group for one in group[0].left_out]
    return DeclaredFiles(tuple(items), is_table, left_out=tuple(left_out))


def _read_named(name: str, value: Any) -> List[Item]:
    if name == "file":
        raise Wrong("`file` stands for a file that lists the paths: choose another name")
    if not isinstance(value, list):
        return [_read_input((name,), name, value)]
    if not value:
        raise make_wrong("at least one path", value)
    return _make_list(
        value,
        lambda pair: replace(_read_input((name, pair[0]), name, pair[1]), in_list=True),
        (name,),
    )


def _make_list(
    values: List[Any], read: Callable[[Tuple[int, Any]], Item], at: KeyPath = ()
) -> List[Item]:
    """Read a list of paths, without those that its entries with a leading `!` exclude."""
    entries = list(enumerate(values))
    if not any(map(_is_excluded, values)):
        return convert_each(entries, read)
    found = convert_each(
        entries,
        lambda pair: (
            _read_excluded((*at, pair[0]), pair[1]) if _is_excluded(pair[1]) else read(pair)
        ),
    )
    items = [item for item, value in zip(found, values) if not _is_excluded(value)]
    left_out: List[Item] = []
    faults = Faults()
    for index, value in entries:
        if _is_excluded(value):
            with faults.below(index):
                _check_excluded(found[index], items)
            left_out.append(found[index])
    faults.raise_if_any()
    return [replace(item, left_out=tuple(left_out)) for item in items]


def _is_excluded(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("!")


def _read_excluded(at: KeyPath, value: str) -> Item:
    item = _read_item(at, None, value[1:])
    check_input(item.template)
    return item


def _check_excluded(excluded: Item, items: Sequence[Item]) -> None:
    if not any(_may_exclude(excluded.template, other.template) for other in items):
        shown = f"!{excluded.template.source}"
        raise Wrong(
            f"`{shown}` leaves nothing out: no other entry of this list is a pattern or a folder in"
            f" which that may be (a name that begins with `!` is written `./{shown}`)"
        )


def _may_exclude(excluded: Template, other: Template) -> bool:
    if excluded.fields or other.fields:
        return True  # depends on the unit
    if os.path.isabs(excluded.source) != os.path.isabs(other.source):
        return True
    glob = read_glob(excluded, {}).rebase(_place_path)
    if not has_wildcards(other):
        return may_exclude(glob, _place_path(other.render({})))
    return read_glob(other, {}).rebase(_place_path).may_be_less(glob)


def _place_path(path: str) -> str:
    return posixpath.normpath(posixpath.join(_SOME_FOLDER, path))


def _read_path(at: KeyPath, name: Optional[str], value: Any) -> Item:
    if _is_excluded(value):
        raise Wrong(
            f"`{value}` leaves out nothing, since it stands in no list with patterns or folders (a"
            f" name that begins with `!` is written `./{value}`)"
        )
    return _read_item(at, name, value)


def _read_item(at: KeyPath, name: Optional[str], value: Any) -> Item:
    template = Template(read_path_text(value), glob=True)
    return Item(at, name, template, has_wildcards(template))


def _read_input(at: KeyPath, name: Optional[str], value: Any) -> Item:
    item = _read_path(at, name, value)
    if item.is_glob:
        check_input(item.template)
    return item


def _read_made(at: KeyPath, name: Optional[str], value: Any) -> Item:
    item = _read_path(at, name, value)
    if item.is_glob:
        check_output(item.template)
    return item


def read_path_text(value: Any) -> str:
    """Accept a path as text."""
    path = read_text(value)
    if path == "~" or path.startswith("~/"):
        raise Wrong(f"~ is not expanded: write the path in full, not {show(path)}")
    return path


def read_stream_path(value: Any) -> str:
    """Accept the path of a `stdin`, `stdout` or `stderr`."""
    if isinstance(value, dict):
        cure = 'outputs = [{ path = ... }] and here "{outputs[0]}"'
        raise Wrong(f"expected a path, not a table: what is asked of the file stands in {cure}")
    return read_path_text(value)


def _refuse_non_files(value: Any, what: str) -> Wrong:
    cure = f" (write [{show(value)}])" if isinstance(value, str) else ""
    return Wrong(f"expected a list or a table of {what}, not {show(value)}{cure}")


def read_outputs(value: Any) -> DeclaredFiles:
    """Read a list or table of outputs, each a path or a table with `path`."""
    if isinstance(value, dict):
        if "path" in value and any(isinstance(value.get(flag), bool) for flag in _OUTPUT_KEYS):
            raise Wrong("expected a list or a table of outputs: write [{ path = ... }]")
        return _make_declared(
            [convert_entries(value, lambda name, v: _read_output((name,), name, v))], is_table=True
        )
    if not isinstance(value, list):
        raise _refuse_non_files(value, "outputs")
    return _make_declared([_make_list(value, lambda pair: _read_output((pair[0],), None, pair[1]))])


def _read_output(at: KeyPath, name: Optional[str], value: Any) -> Item:
    if not isinstance(value, dict):
        return _read_made(at, name, value)
    table = Fields(value, _OUTPUT_KEYS, "path")
    flags = {key: table.take(key, truth, False) for key in _OUTPUT_KEYS if key != "path"}
    item = table.take("path", lambda path: _read_made(at, name, path), None)
    table.raise_if_any()
    if item is None:
        raise AssertionError("a missing path is a fault")
    return replace(item, flags=flags)


def check_declared(wanted: DeclaredFiles, scope: Scope, *, several: bool = False) -> None:
    """Check the placeholders of declared paths; `several`: one in a list may give many paths."""
    faults = Faults()
    for item in wanted.items:
        with faults.below(*item.at):
            scope.check(item.template, several=several and (item.in_list or item.name is None))
    for item in wanted.left_out:
        with faults.below(*item.at):
            scope.check(item.template)
    faults.raise_if_any()


def make_input_files(
    wanted: DeclaredFiles, values: Mapping[str, Any], finder: Finder, *, empty_ok: bool
) -> Files:
    """Return a unit's inputs as written, globs replaced by what they match now."""
    if not wanted.items:
        return _NO_TABLE if wanted.is_table else _NO_FILES
    paths: List[str] = []
    named: Dict[str, Union[str, Tuple[str, ...]]] = {}
    for item in wanted.items:
        with below(*item.at):
            found = _make_paths(item, values, finder, empty_ok=empty_ok)
        paths += found
        if item.name is not None:
            many = item.in_list or item.is_glob
            before = named.get(item.name, ())
            named[item.name] = (*before, *found) if many else found[0]
    return Files(tuple(paths), named if wanted.is_table else None)


def _make_paths(
    item: Item, values: Mapping[str, Any], finder: Finder, *, empty_ok: bool
) -> Tuple[str, ...]:
    if not item.is_glob:
        return render_paths(item.template, values)
    glob = read_glob(item.template, values)
    if item.left_out:
        glob = glob.exclude([read_glob(one.template, values) for one in item.left_out])
    found = tuple(finder.find_once(glob))
    if item.left_out:  # even if the patterns write the same folder in different ways
        placed = glob.rebase(finder.make_absolute)
        found = tuple([p for p in found if not placed.excludes(finder.make_absolute(p), case=CASE)])
    if not found and not empty_ok:
        raise Wrong(f"{finder.explain_nothing(glob)} (`empty-ok = true` allows that)")
    return found


def find_left_out(
    wanted: DeclaredFiles, values: Mapping[str, Any], finder: Finder, folder: str
) -> Dict[str, Tuple[str, ...]]:
    """Return the excluded patterns of declared paths that may be folders, by absolute path."""
    found: Dict[str, Tuple[str, ...]] = {}
    for item in wanted.items:
        if item.left_out and (not item.is_glob or item.template.source.endswith("/")):
            patterns = _list_left_out(item, values, folder)
            for path in _make_paths(item, values, finder, empty_ok=True):
                found[join_path(folder, path)] = patterns
    return found


def _list_left_out(item: Item, values: Mapping[str, Any], folder: str) -> Tuple[str, ...]:
    return tuple([_make_whole_pattern(one, values, folder) for one in item.left_out])


def render_path(template: Template, values: Mapping[str, Any]) -> str:
    """Fill in a path; `Wrong` if the result is empty."""
    path = template.render(values)
    if not path.strip():
        raise Wrong(f"{show(template.source)} is an empty path for this unit")
    return path


def render_paths(template: Template, values: Mapping[str, Any]) -> Tuple[str, ...]:
    """Fill in paths; a path that is only a placeholder may give many."""
    if template.alone is None:
        return (render_path(template, values),)
    paths = template.render_all(values)
    if not all(path.strip() for path in paths):
        raise Wrong(f"{show(template.source)} is an empty path for this unit")
    return tuple(paths)


def make_output_files(wanted: DeclaredFiles, values: Mapping[str, Any]) -> Files:
    """Return a unit's outputs as written."""
    if not wanted.items:
        return _NO_TABLE if wanted.is_table else _NO_FILES
    paths = tuple([render_path(item.template, values) for item in wanted.items])
    if not wanted.is_table:
        return Files(paths)
    return Files(paths, {str(item.name): path for item, path in zip(wanted.items, paths)})


def make_output_specs(
    wanted: DeclaredFiles, files: Files, values: Mapping[str, Any], folder: str
) -> Tuple[OutputSpec, ...]:
    """Return a unit's outputs for its spec; relative ones are in `folder`."""
    if not files.paths:
        return ()
    return tuple(
        [
            _make_output_spec(item, path, values, folder)
            for item, path in zip(wanted.items, files.paths)
        ]
    )


def _make_output_spec(item: Item, path: str, values: Mapping[str, Any], folder: str) -> OutputSpec:
    if item.is_glob:
        whole, kind = _make_whole_pattern(item, values, folder), "glob"
    else:
        whole, kind = join_path(folder, path), "file"
        if path.endswith("/"):
            whole, kind = whole + os.sep, "folder"
    if item.left_out:
        excluded = _list_left_out(item, values, folder)
        return OutputSpec(whole, item.name, **item.flags, kind=kind, excluded=excluded)
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


def _make_whole_pattern(item: Item, values: Mapping[str, Any], folder: str) -> str:
    """Return the absolute pattern of a glob; wildcards in the folder's name are escaped."""
    with below(*item.at):
        text = fill_glob(item.template, values)
        if _BEHIND_BRACES.search(text):
            raise Wrong("`..` cannot follow alternatives")
    return join_pattern(folder, text)

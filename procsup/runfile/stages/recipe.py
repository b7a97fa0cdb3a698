"""A stage of the run file: the settings of all its units, and the templates that make them."""

import os
from typing import Any, Dict, FrozenSet, List, Mapping, Optional, Tuple

from msgspec import Struct

from procsup.core.spec import StageSpec
from procsup.host.shells import Shell
from procsup.paths.joining import join_path
from procsup.runfile.parameters.axes import Axis
from procsup.runfile.parameters.exclude import Exclude
from procsup.runfile.stages.declared import DeclaredFiles
from procsup.runfile.syntax.keypath import KeyPath
from procsup.runfile.templates.scope import Kind
from procsup.runfile.templates.template import Template


class PlacedTemplate(Struct, frozen=True):
    """A template, and the place in the file at which its problems are reported."""

    at: KeyPath
    template: Template


class Program(Struct, frozen=True):
    """The command line: prefix, then a fixed head (an interpreter and its argument) or a command.

    With a `shell`, `command` is its text alone, and the head starts that shell.
    """

    prefix: Tuple[PlacedTemplate, ...]
    head: Tuple[str, ...]  # as started
    shown_head: Tuple[str, ...]  # as fingerprinted: the interpreter as written
    command: Tuple[PlacedTemplate, ...]
    args: Tuple[PlacedTemplate, ...]
    shell: Optional[Shell] = None


class Recipe(Struct, frozen=True):
    """All that is needed to make the units of a stage; `places` has the place of each key."""

    spec: StageSpec
    at: KeyPath
    places: Dict[str, KeyPath]
    axes: Tuple[Axis, ...]
    kinds: Dict[str, Kind]  # of the parameters, including those of followed units
    path_names: FrozenSet[str]  # the parameters that are paths and are watched
    program: Program
    unit_id: Optional[Template]
    cwd: Template
    env: Dict[str, PlacedTemplate]
    streams: Dict[str, Template]  # stdin, stdout, stderr
    inputs: DeclaredFiles
    depends: DeclaredFiles
    outputs: DeclaredFiles
    cpus: Optional[Template]
    memory: Optional[Template]
    empty_ok: bool
    excludes: Tuple[Exclude, ...] = ()
    stop_command: Tuple[PlacedTemplate, ...] = ()
    partial: bool = False  # it has parameters that could not be read, which is a problem

    def place(self, key: str) -> KeyPath:
        """Return the place of a key of this stage (in it, or in `defaults`)."""
        return self.places.get(key, (*self.at, key))

    def looks_at_files(self) -> bool:
        """Whether its units or their inputs depend on the file system."""
        looks = any(axis.looks_at_files for axis in self.axes)
        return looks or self.inputs.looks_at_files or self.depends.looks_at_files

    def list_templates(self) -> List[Template]:
        """Return the templates of argv, env and `stop-command`."""
        program = self.program
        placed = [*program.prefix, *program.command, *program.args, *self.env.values()]
        return [one.template for one in (*placed, *self.stop_command)]

    def stop_templates(self) -> Tuple[Template, ...]:
        """Return the templates of `stop-command`."""
        return tuple(one.template for one in self.stop_command)

    def uses(self, parameter: str) -> bool:
        """Whether a unit may read the file that a parameter names, judged by its templates.

        Templates of names (of the unit, its outputs and its logs) do not count.
        """
        if self.spec.unit_file:
            return True  # all parameters are in it
        files = [item.template for item in (*self.inputs.items, *self.depends.items)]
        streams = [one for key, one in self.streams.items() if key == "stdin"]
        templates = [*self.list_templates(), *files, *streams, self.cwd]
        return any(field.name == parameter for one in templates for field in one.fields)

    def uses_list_file(self) -> bool:
        """Whether a template contains `{inputs.file}`."""
        return any(
            field.name == "inputs" and field.steps == ("file",)
            for template in self.list_templates()
            for field in template.fields
        )


class ExpandContext(Struct, frozen=True):
    """The data that all stages share: the run file's folder, the run directory, the variables."""

    folder: str
    directory: str
    values: Mapping[str, Any]

    def make_absolute(self, path: str) -> str:
        """Return a path in the system's notation; a relative one starts at `folder`."""
        return join_path(self.folder, path)

    def make_relative(self, path: str) -> str:
        """Return an absolute path relative to `folder` if it is below it, always with ``/``."""
        folder = self.folder.rstrip(os.sep) + os.sep
        inside = path[len(folder) :] if path.startswith(folder) else path
        return inside.replace(os.sep, "/")

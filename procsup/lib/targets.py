"""The program that `procsup.map` runs, and the templates of its arguments and outputs."""

import os
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from procsup.core.regexes import compile_at_use
from procsup.errors import UsageError
from procsup.host.files import AnyPath
from procsup.lib.plain import convert_arguments, make_plain
from procsup.runfile.stages.program import read_module_name
from procsup.runfile.syntax.problems import Wrong
from procsup.runfile.templates.scope import PATH, Scope
from procsup.runfile.templates.template import Template

DEFAULT_ARGS = ("{}",)
INPUT = "input"  # the parameter that `{}` stands for

_SCOPE = Scope({INPUT: PATH})
_BARE = compile_at_use(r"\{\{|\}\}|\{(?=[}.])")


class Target(NamedTuple):
    """The program or argv that runs for each input, and the templates of its arguments."""

    program: Mapping[str, str]  # `module` or `script`; empty: `arguments` begin with a program
    arguments: Tuple[Template, ...]
    outputs: Any  # plain data with templates in the place of paths

    def make_table(self, text: str, where: str) -> Dict[str, Any]:
        """Return the unit of one input, as a plan has it; `where` is for messages."""
        values = {INPUT: text}
        try:
            words = [template.render(values) for template in self.arguments]
        except Wrong as wrong:
            raise UsageError(f"{where}: {wrong}") from None
        table: Dict[str, Any] = {"args" if self.program else "argv": words}
        table.update(label=text, parameters={INPUT: text})
        if self.outputs:
            table["outputs"] = _render_outputs(self.outputs, {INPUT: text.replace(os.sep, "/")})
        return table


def make_target(target: Union[AnyPath, Sequence[Any]], args: Sequence[Any], outputs: Any) -> Target:
    """Return the target to run; UsageError says which forms a target may have."""
    program, argv = _read_program(target)
    words = [_read_template(word, f"target[{at}]") for at, word in enumerate(argv)]
    if not (any(word.fields for word in words) and tuple(args) == DEFAULT_ARGS):
        given = convert_arguments(args, "args")
        words += [_read_template(word, f"args[{at}]") for at, word in enumerate(given)]
    if isinstance(outputs, (str, os.PathLike)):
        raise UsageError(f"outputs: expected a list or a table of outputs, such as [{outputs!r}]")
    return Target(
        program, tuple(words), _read_templates(make_plain(outputs, "outputs", paths=True))
    )


def _read_program(target: Union[AnyPath, Sequence[Any]]) -> Tuple[Dict[str, str], List[str]]:
    if isinstance(target, (list, tuple)) and target:
        return {}, convert_arguments(target, "target")
    if isinstance(target, os.PathLike) or (isinstance(target, str) and target.endswith(".py")):
        return {"script": os.fspath(target).replace(os.sep, "/")}, []
    module = _read_module(target)
    if module is None:
        raise UsageError(
            f"target: expected a module such as 'package.module', a Python file such as 'x.py' or"
            f" an argv such as ['gzip', '-9'], not {target!r}"
        )
    return {"module": module}, []


def _read_module(target: Any) -> Optional[str]:
    try:
        return read_module_name(target)
    except Wrong:
        return None


def _read_template(text: str, where: str) -> Template:
    """Return the text as a template in which ``{}`` is a name."""
    named = _BARE.sub(lambda m: m.group() if len(m.group()) == 2 else "{" + INPUT, text)
    try:
        return _SCOPE.check(Template(named))
    except Wrong as wrong:
        said = "; ".join(message for _, message in wrong.faults)
        known = "{} is the input, {.name}, {.stem}, {.suffix} and {.parent} are parts of it"
        raise UsageError(f"{where}: {said} ({known})") from None


def _read_templates(outputs: Any, where: str = "outputs") -> Any:
    if isinstance(outputs, str):
        return _read_template(outputs, where)
    if isinstance(outputs, dict):
        return {key: _read_templates(item, f"{where}.{key}") for key, item in outputs.items()}
    if isinstance(outputs, list):
        return [_read_templates(item, f"{where}[{at}]") for at, item in enumerate(outputs)]
    return outputs


def _render_outputs(outputs: Any, values: Mapping[str, str]) -> Any:
    if isinstance(outputs, Template):
        return outputs.render(values)
    if isinstance(outputs, dict):
        return {key: _render_outputs(item, values) for key, item in outputs.items()}
    return (
        [_render_outputs(item, values) for item in outputs]
        if isinstance(outputs, list)
        else outputs
    )

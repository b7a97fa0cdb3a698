"""Checks before the first unit of a stage starts: one clear error, not 10,000 failures.

Each file or program is checked once, however many units share it. Only the folders of declared
outputs are written, and for a moment a file in the run directory.
"""

import os
import stat
import sys
from typing import Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from msgspec import Struct

from procsup.attempt.declared_outputs import NOTHING, DeclaredOutputs
from procsup.attempt.interpreters import ModuleAnswer, ask, make_environment
from procsup.attempt.output_folders import check_run_directory, join_names, make_output_folders
from procsup.core.spec import OutputSpec, RunSpec, StageSpec, UnitSpec, list_published_files
from procsup.core.task import Program
from procsup.core.text import are, count_more, count_noun, make_visible
from procsup.host import pythons
from procsup.host.files import describe_error
from procsup.host.readings import find_input_files
from procsup.host.shells import SHELLS
from procsup.host.system import find_program
from procsup.paths.identity import compute_digest
from procsup.paths.opening import describe_kind, is_absent, is_folder
from procsup.paths.walk import LinkToNothing

_WALKED_MOST = 1_000  # the most inputs of which folders are searched
_ONE_WORD = (
    "is not found, and it is one text with blanks in it: write the program and its arguments as"
    " separate texts, or give all of it to a shell (sh -c 'TEXT')"
)
_OTHER_UNITS = 'say missing-inputs = "fail-unit" to run the other units'
_ASKED_MOST = 16  # the most different folders and environments in which an interpreter is started

_MOVES_MODULES = frozenset(("PYTHONHOME", "PYTHONSAFEPATH", "PYTHONPLATLIBDIR"))
_modules: Dict[Tuple[str, ...], str] = {}  # the file of a module, for `find_unit_program`
# Answers that `find_unit_program` got, for the next preflight: an interpreter starts in 20 ms.
_answers: Dict[Tuple[object, ...], ModuleAnswer] = {}


class _Way(Struct, frozen=True):
    """All that determines whether a unit's program is found; thousands of units share one."""

    head: Tuple[str, ...]  # argv up to the interpreter, or its first word
    cwd: str
    env: Tuple[Tuple[str, str], ...]  # PATH, PYTHON...


# Good answers of interpreters for one stage, of which units come in many parts.
Answers = Dict[_Way, ModuleAnswer]


def preflight(
    spec: RunSpec,
    stage: StageSpec,
    units: Sequence[UnitSpec],
    environment: Mapping[str, str],
    *,
    promised: DeclaredOutputs = NOTHING,
    touch: bool = True,
    asking: bool = True,
    answers: Optional[Answers] = None,
) -> Tuple[List[str], Dict[str, str]]:
    """Check all that these units need; return the problems of the stage, and the unfit units.

    Unfit (id -> reason) are units with missing inputs if `missing-inputs` is ``fail-unit``.
    Folders of outputs are made, but only if there are no problems; with `touch` false nothing is
    written, with `asking` false no interpreter is started. Files that are `promised` by other units
    need not exist yet. An interpreter with one of the `answers` is not asked again; answers are
    added there. Never raises OSError.
    """
    missing = _find_missing(units, promised, list_published_files(spec))
    unfit = _find_unfit(units, missing) if spec.missing_inputs == "fail-unit" else {}
    fit = [unit for unit in units if unit.id not in unfit] if unfit else units
    asked = _select_to_ask(stage, fit, promised)
    answers = {} if answers is None else answers
    problems = [
        *([] if unfit else _describe_missing(missing, units)),
        *check_secrets(stage, environment),
        *_check_programs(spec, stage, asked, environment, answers if asking else None),
        *(check_run_directory(spec) if touch else []),
    ]
    if touch and not problems:
        problems = make_output_folders(spec, fit)
    return [f"stage {stage.name}: {problem}" for problem in problems], unfit


def find_unit_program(
    stage: StageSpec,
    units: Sequence[UnitSpec],
    *,
    asking: bool = True,
    answers: Optional[Answers] = None,
) -> Optional[Program]:
    """Return the script or module file that these units run, None if there is none.

    With `asking` false no interpreter is started, so that a module's file is unknown; `answers` as
    in `preflight`, which adds to them.
    """
    path = stage.script
    if path is None and stage.module is not None and units and asking:
        (way,) = _group_by_way(stage, units[:1])
        answer = None if answers is None else answers.get(way)
        path = answer.file if answer else _find_module_file(stage, stage.module, units[0])
    if path is None:
        return None
    try:
        return Program(path, compute_digest(path))
    except OSError:
        return Program(path, None)  # `preflight` reports that it is missing


# --- inputs ------------------------------------------------------------------------------------


def _list_needed(unit: UnitSpec) -> Iterable[str]:
    yield from unit.inputs
    yield from unit.depends
    if unit.stdin is not None and not unit.piped:
        yield unit.stdin


def _select_to_ask(
    stage: StageSpec, units: Sequence[UnitSpec], promised: DeclaredOutputs
) -> Sequence[UnitSpec]:
    """Return the units whose program and folder are not declared outputs of another unit."""
    if not promised or not units:
        return units
    if stage.script is not None and stage.script in promised:
        return []
    return [unit for unit in units if unit.argv[0] not in promised and unit.cwd not in promised]


def _find_missing(
    units: Sequence[UnitSpec], promised: DeclaredOutputs, published: Sequence[str]
) -> Dict[str, str]:
    """Return the paths that are missing or unreadable, each with the word for its problem."""
    paths = {path: unit for unit in units for path in _list_needed(unit)}
    bad = [path for path in paths if not os.access(path, os.R_OK) and path not in promised]
    found = {path: "missing" if is_absent(path) else "not readable" for path in bad}
    # With more inputs only an attempt finds broken links: here 100,000 files may be too many.
    walked = paths if len(paths) <= _WALKED_MOST else {}
    for path, unit in walked.items():
        link = _find_broken_link(unit, path, published)
        if link and os.path.realpath(link) not in promised:
            found[path] = f"a folder in which {make_visible(link)} is a link to nothing"
    return found


def _find_broken_link(unit: UnitSpec, path: str, published: Sequence[str]) -> str:
    """Return the first broken link in a folder that is an input; empty if it has none."""
    try:
        if os.path.isdir(path):
            declared = OutputSpec(path, excluded=unit.excluded.get(path, ()))
            find_input_files(unit, declared, published)
    except LinkToNothing as link:
        return str(link.filename)
    except OSError:
        pass  # reported as not readable, or by the attempt
    return ""


def _find_unfit(units: Sequence[UnitSpec], missing: Mapping[str, str]) -> Dict[str, str]:
    if not missing:
        return {}
    found = {unit.id: [p for p in _list_needed(unit) if p in missing] for unit in units}
    return {
        unit: f"input {make_visible(paths[0])} is {missing[paths[0]]}{count_more(len(paths) - 1)}"
        for unit, paths in found.items()
        if paths
    }


def _describe_missing(missing: Mapping[str, str], units: Sequence[UnitSpec]) -> List[str]:
    problems = []
    for what, cure in (("missing", "make them"), ("not readable", "mend that")):
        paths = [path for path, said in missing.items() if said == what]
        if paths:
            wanting = next(unit.id for unit in units if paths[0] in _list_needed(unit))
            count = f"{count_noun(len(paths), 'input')} {are(len(paths))} {what}"
            problems.append(
                f"{count}: {join_names(paths)}"
                f" (the first one for unit {make_visible(wanting)}); {cure},"
                f" or {_OTHER_UNITS}"
            )
    for path, said in missing.items():
        if said not in ("missing", "not readable"):
            cure = f"mend the link or remove it, or {_OTHER_UNITS}"
            problems.append(f"input {make_visible(path)} is {said}; {cure}")
    return problems


def check_secrets(stage: StageSpec, environment: Mapping[str, str]) -> List[str]:
    """Return what is wrong with a stage's secrets: no earlier stage can set them."""
    unset = [name for name in stage.secrets if name not in environment]
    if not unset:
        return []
    names = f"secret{'s' * (len(unset) > 1)} {join_names(unset)}"
    return [
        f"{names} {are(len(unset))} not set in the environment; export what is missing, then run"
    ]


# --- programs ------------------------------------------------------------------------------------


def _check_programs(
    spec: RunSpec,
    stage: StageSpec,
    units: Sequence[UnitSpec],
    environment: Mapping[str, str],
    answers: Optional[Answers],
) -> List[str]:
    """Return what is wrong with the units' programs; without `answers` no interpreter is asked."""
    bad_folders = _find_bad_folders(units)
    problems = [
        f"cwd {join_names(paths)} {reason}; make it, or mend `cwd`"
        for reason, paths in bad_folders.items()
    ]
    bad = {path for paths in bad_folders.values() for path in paths}
    ways = [item for item in _group_by_way(stage, units).items() if item[0].cwd not in bad]
    commands = _check_commands(ways, environment)
    if stage.script is not None and not os.access(stage.script, os.R_OK):
        reason = "does not exist" if is_absent(stage.script) else "cannot be read"
        problems.append(f"script {make_visible(stage.script)} {reason}; mend `script`")
    if commands or answers is None or not stage.interpreter:
        return problems + commands
    return problems + _check_interpreters(spec, stage, ways, environment, answers)


def _find_bad_folders(units: Sequence[UnitSpec]) -> Dict[str, List[str]]:
    """Return the working folders that cannot be entered, by reason."""
    bad: Dict[str, List[str]] = {}
    for cwd in sorted({unit.cwd for unit in units}):
        reason = _explain_not_entered(cwd)
        if reason:
            bad.setdefault(reason, []).append(cwd)
    return bad


def _explain_not_entered(cwd: str) -> str:
    try:
        if not is_folder(cwd):
            return "does not exist" if is_absent(cwd) else "is not a folder"
    except PermissionError:
        return "cannot be entered"
    return "" if os.access(cwd, os.X_OK) else "cannot be entered"


def _group_by_way(stage: StageSpec, units: Sequence[UnitSpec]) -> Dict[_Way, UnitSpec]:
    """Return the distinct ways in which the units' programs are found, with one unit each."""
    length = _count_head_length(stage, units[0].argv) if units else 0
    ways: Dict[_Way, UnitSpec] = {}
    for unit in units:
        env = unit.env and tuple(i for i in unit.env.items() if i[0].startswith(("PATH", "PYTHON")))
        ways.setdefault(_Way(unit.argv[:length], unit.cwd, env or ()), unit)
    return ways


def _count_head_length(stage: StageSpec, argv: Sequence[str]) -> int:
    """Return how many words of an argv start the interpreter (prefixes included), or 1."""
    if stage.module is not None:
        tail: Tuple[str, ...] = ("-m", stage.module)
    else:
        tail = () if stage.script is None else (stage.script,)
    start = stage.interpreter + tail
    for index in range(len(argv) - len(start) + 1) if stage.interpreter else ():
        if tuple(argv[index : index + len(start)]) == start:
            return index + len(stage.interpreter)
    return 1


def _check_commands(
    ways: Sequence[Tuple[_Way, UnitSpec]], environment: Mapping[str, str]
) -> List[str]:
    inherited = environment.get("PATH", os.defpath)
    looked_for: Dict[Tuple[str, str, str], None] = {}
    for way, _unit in ways:
        command, path = way.head[0], dict(way.env).get("PATH", inherited)
        looked_for[command, way.cwd if os.path.dirname(command) else "", path] = None
    groups: Dict[str, Dict[str, None]] = {}
    for command, cwd, path in looked_for:
        reason = _explain_not_runnable(command, cwd, path)
        if reason:
            groups.setdefault(reason, {})[command] = None
    return [f"command {join_names(list(names))} {reason}" for reason, names in groups.items()]


def _explain_not_runnable(command: str, cwd: str, path: str) -> str:
    try:
        program = find_program(command, path, cwd)
        mode = os.stat(program).st_mode
    except PermissionError as error:
        return f"cannot be executed ({describe_error(error)}); chmod +x it, or give another path"
    except OSError:
        if any(character.isspace() for character in command.strip()):
            return _ONE_WORD
        if os.path.dirname(command):
            return f"does not exist (looked for from {make_visible(cwd)}); mend its path"
        if command in SHELLS:
            return "is not found on PATH; install it (`shell` needs it), or use `command`"
        version = pythons.find_version((command,))
        if version is None:
            return "is not found on PATH; install it, or give its path"
        looked = pythons.search(version, {**os.environ, "PATH": path}).explained
        return f"is not found ({looked}); install it, or give its path"
    if not stat.S_ISREG(mode):
        return f"is {describe_kind(mode)}; mend its path"
    if not os.access(program, os.X_OK):
        return "is not executable; chmod +x it, or run it by its interpreter"
    return ""


def _check_interpreters(
    spec: RunSpec,
    stage: StageSpec,
    ways: Sequence[Tuple[_Way, UnitSpec]],
    environment: Mapping[str, str],
    answers: Answers,
) -> List[str]:
    problems: Dict[str, None] = {}
    new = [pair for pair in ways if pair[0] not in answers]
    for way, unit in new[: max(_ASKED_MOST - len(answers), 0)]:
        file = _find_without_asking(stage, way, environment)
        if file is None:
            env = make_environment(stage, unit, environment, scratch=spec.directory)
            known = _answers.pop(_format_question(way.head, stage.module, way.cwd, env), None)
            answer = known or ask(way.head, stage.module, cwd=way.cwd, env=env)
            if answer.problem:
                problems[f"{answer.problem}; mend `python`, `module`, `cwd` or `pythonpath`"] = None
            else:
                answers[way] = answer
            file = answer.file
        if stage.module is not None and file is not None:
            _modules[_find_module_key(stage, way.cwd)] = file
    return list(problems)


def _find_without_asking(
    stage: StageSpec, way: _Way, environment: Mapping[str, str]
) -> Optional[str]:
    """Return the file of a plain module directly in the cwd, if our own interpreter will run it.

    This saves the 20 ms of an interpreter's start if its answer is certain.
    """
    name = stage.module
    if way.head != (sys.executable,) or name is None or "." in name or name in sys.modules:
        return None
    if not _MOVES_MODULES.isdisjoint((*environment, *dict(way.env))):
        return None
    try:
        rivals = [file for file in os.listdir(way.cwd) if file.partition(".")[0] == name]
    except OSError:
        return None  # the interpreter reports the error
    file = os.path.join(way.cwd, f"{name}.py")
    return file if rivals == [f"{name}.py"] and os.access(file, os.R_OK) else None


def _find_module_key(stage: StageSpec, cwd: str) -> Tuple[str, ...]:
    return (stage.module or "", cwd, *stage.pythonpath, "", *stage.interpreter)


def _find_module_file(stage: StageSpec, module: str, unit: UnitSpec) -> Optional[str]:
    known = _modules.get(_find_module_key(stage, unit.cwd))
    if known is not None and os.path.exists(known):
        return known
    env = make_environment(stage, unit, os.environ, scratch=unit.cwd)
    head = unit.argv[: _count_head_length(stage, unit.argv)]
    answer = ask(head, module, cwd=unit.cwd, env=env)
    _answers.clear()  # an answer that no preflight has used may be outdated at the next one
    _answers[_format_question(head, module, unit.cwd, env)] = answer
    return answer.file


def _format_question(
    head: Sequence[str], module: Optional[str], cwd: str, env: Mapping[str, str]
) -> Tuple[object, ...]:
    return (tuple(head), module, cwd, *sorted(env.items()))

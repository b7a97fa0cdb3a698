"""Judges an attempt's outputs, and takes the readings that a resume compares.

Before an attempt starts, `take_stamps` reads the stamps of its files. After a good exit,
`inspect` requires that it wrote every declared output, publishes the declared files of stdout and
stderr, hashes, and syncs all of them to disk. An unknown state is a problem.
"""

import os
import time
from functools import partial
from hashlib import sha256
from typing import (
    Callable,
    Dict,
    Iterable,
    List,
    Mapping,
    Optional,
    Sequence,
    Set,
    Tuple,
    TypeVar,
)

from msgspec import Struct

from procsup.core.events import Inspected
from procsup.core.outcome import AttemptId, Reading
from procsup.core.spec import OutputSpec, UnitSpec
from procsup.core.task import Rules, Task
from procsup.core.text import make_visible
from procsup.host import holders, leases
from procsup.host import readings as look
from procsup.host.files import describe_error, replace
from procsup.host.opened import Identity, is_still
from procsup.host.shortages import retry_on_shortage
from procsup.paths import identity
from procsup.paths.identity import Contents, Stamp
from procsup.paths.walk import LinkToNothing, find_home, list_files
from procsup.seams import seam

_T = TypeVar("_T")
Stamps = Mapping[str, Optional[Stamp]]
Written = Mapping[str, Identity]

_NOTHING: Written = {}

_SHOWN_PROBLEMS = 5
_UNHELD_PAUSES_S = (0.02, 0.08, 0.3, 0.6)
_sleep = time.sleep
_LONGEST_NAME_BYTES, _ENOUGH_CHARACTERS = 255, 40
_UNWRITTEN = "was not written (unchanged since before the start)"
_UNWRITTEN_ANEW = "was not written, and holds nothing that an earlier success of this unit made"
_EMPTY = "is empty (if that is right, declare it with empty = true)"


class _BadOutput(Exception):
    """An output is not as declared; the message is the problem."""


class _MadeOutput(Struct, frozen=True):
    """A declared output and its present files."""

    output: OutputSpec
    readings: List[Reading]
    left_over: Sequence[str] = ()  # files that the attempt did not write


def take_stamps(unit: UnitSpec, published: Sequence[str] = ()) -> Dict[str, Optional[Stamp]]:
    """Return the stamps of a unit's files before an attempt starts; `inspect` needs them.

    Each declared path is a key (None if nothing existed there), and so is each file below a folder
    or matching a glob. If an output is a link to a folder, the link has a stamp, too. A path whose
    stamp cannot be read is left out: `inspect` will refuse it. LinkToNothing if an input is
    a folder with a broken link in it.
    """
    stamps: Dict[str, Optional[Stamp]] = {}
    inputs = [(declared, True) for declared in look.list_inputs(unit)]
    for declared, is_input in [*inputs, *((output, False) for output in unit.outputs)]:
        try:
            find = (
                partial(look.find_input_files, unit, published=published)
                if is_input
                else list_files
            )
            files = find(declared)
            stamps.update((file, identity.read_stamp(file)) for file in files)
            stamps.setdefault(declared.path, None)
            if files and not is_input and _find_link(declared):
                stamps[declared.path] = identity.read_stamp(_strip_separator(declared.path))
        except OSError as error:  # noqa: PERF203
            if is_input and isinstance(error, LinkToNothing):
                raise
            stamps.pop(declared.path, None)  # unknown: refused at the end, not here
    return stamps


def inspect(task: Task, before: Stamps, written: Written = _NOTHING) -> Inspected:
    """Check the files of an attempt that exited well; all faults become its `problem`.

    `before` is the result of `take_stamps`; `written` has the temporary paths of stdout and
    stderr, each with the identity of the file that was made there for the child. Without a
    problem, stdout and stderr are published and all outputs are durable (unless `sync-outputs` is
    off). Never raises OSError.
    """
    rules = task.rules
    try:
        made = _look_at_outputs(task, before, written)
        if rules.sync_outputs:
            _sync(made, rules)
    except _BadOutput as problem:
        return Inspected(task.attempt, problem=str(problem))
    outputs = {reading.path: reading for one in made for reading in one.readings}
    inputs = _look_at_inputs(task.unit, rules, before)
    left_over = [path for one in made for path in one.left_over if path not in outputs]
    found = look.make_leftover_files(left_over, rules.folder) if left_over else None
    return Inspected(task.attempt, tuple(outputs.values()), inputs, leftover_files=found)


# --- outputs -----------------------------------------------------------------------------------


def _look_at_outputs(task: Task, before: Stamps, written: Written) -> List[_MadeOutput]:
    unit, rules = task.unit, task.rules

    def read(output: OutputSpec) -> _MadeOutput:
        return _require_written(output, before, vouched, rules.checksum)

    def check(output: OutputSpec) -> _MadeOutput:
        temporary = temporaries[output.path]
        return _require_publishable(output, temporary, written.get(temporary))

    def publish(output: OutputSpec) -> _MadeOutput:
        if output.path not in published:
            replace(temporaries[output.path], output.path)
            _require_same(output.path, written.get(temporaries[output.path]))
            published.add(output.path)
        return _MadeOutput(output, look.read_output(output, checksum=rules.checksum))

    vouched = {reading.path: reading for reading in task.vouched}
    published: Set[str] = set()
    temporaries = _name_temporaries(unit, task.attempt)
    streams = [output for output in look.list_outputs(unit) if output.path in temporaries]
    made = _act_on_each([o for o in unit.outputs if o.path not in temporaries], read, rules)
    _act_on_each(streams, check, rules)  # nothing is published unless everything is as declared
    return made + _act_on_each(streams, publish, rules)


def _act_on_each(
    outputs: Iterable[OutputSpec], act: Callable[[OutputSpec], _MadeOutput], rules: Rules
) -> List[_MadeOutput]:
    """Act on every output; raise one `_BadOutput` with all their faults."""
    made: List[_MadeOutput] = []
    problems: List[str] = []
    for output in outputs:
        try:
            made.append(_retry_on_shortage(partial(act, output)))
        except _BadOutput as problem:  # noqa: PERF203
            problems.append(
                f"output {display_path(look.unescape_path(output), rules.folder)}: {problem}"
            )
        except OSError as error:
            path = display_path(_find_path(error) or look.unescape_path(output), rules.folder)
            problems.append(f"output {path}: {describe_error(error)}")
    if problems:
        raise _BadOutput(_join_problems(problems))
    return made


def _retry_on_shortage(act: Callable[[], _T]) -> _T:
    """Retry while file descriptors are short: that may pass, and is not the unit's fault."""
    return retry_on_shortage(act, sleep=_sleep)


def _require_written(
    output: OutputSpec, before: Stamps, vouched: Mapping[str, Reading], checksum: str
) -> _MadeOutput:
    """Return an output with the readings of the files that count; the others are left over.

    In a folder or a glob, the files that the attempt wrote count: new and changed ones. If the
    output may stay `unchanged`, files that are still as after the last success (`vouched`) count,
    too. A broken link never counts. A single file that may stay unchanged always counts.
    """

    def counts(path: str) -> bool:
        stamp = identity.read_stamp(path)
        if stamp is None:
            return False  # a broken link
        if linked_anew or before.get(path) != stamp:
            return True
        known = vouched.get(path) if output.unchanged else None
        return known is not None and identity.is_intact(known, checksum=checksum)

    files = list_files(output)
    if not files and not output.optional:
        raise _BadOutput(_explain_missing(output))
    all_count = output.unchanged and files in ([output.path], [])  # a single file
    if not all_count and output.path not in before:
        raise _BadOutput("could not be read before the start, so that its writer is unknown")
    left_over: List[str] = []
    linked_anew = _is_linked_anew(output, before)
    if not all_count:
        counting = [file for file in files if counts(file)]
        if len(counting) < len(files):
            left_over = sorted({*files} - {*counting})
        files = counting
        if not files and not output.optional:
            if not any(map(os.path.exists, left_over)):
                raise _BadOutput(
                    f"holds nothing but links to nothing ({os.path.basename(left_over[0])})"
                )
            raise _BadOutput(_UNWRITTEN_ANEW if output.unchanged else _UNWRITTEN)
    for file in files:
        _require_unheld(file)
    readings = [
        r for r in (identity.read_file(f, checksum=checksum) for f in files) if r is not None
    ]
    _require_content(output, readings)
    return _MadeOutput(output, readings, left_over)


def _is_linked_anew(output: OutputSpec, before: Stamps) -> bool:
    """Whether an output is a link to a folder that the attempt made: all files in it count."""
    link, was = _find_link(output), before.get(output.path)
    return link is not None and (was is None or link != was.link)


def _find_link(output: OutputSpec) -> Optional[identity.Link]:
    # A glob is not a path: Windows refuses such names, and a POSIX file could have that name.
    return None if output.kind == "glob" else identity.find_link(_strip_separator(output.path))


def _strip_separator(path: str) -> str:
    return path.rstrip("/" + os.sep)


def _require_unheld(path: str) -> None:
    """Refuse a file that any process has open for writing: it may be incomplete.

    The unit's own processes have ended; this is another process, which may close it soon.
    """
    for pause_s in (*_UNHELD_PAUSES_S, None):
        if not leases.is_written(path):
            return
        if pause_s is not None:
            _sleep(pause_s)
    who = ", ".join(f"{one.name} (pid {one.pid})" for one in holders.list_writers(path))
    raise _BadOutput(f"is still open for writing by {who or 'another process'}")


def _explain_missing(output: OutputSpec) -> str:
    path = output.path
    if output.kind == "glob":
        return "no file matches"
    if os.path.isdir(path):
        return "has no files in it"
    if os.path.islink(path):
        return "is a link to nothing"
    bare = _strip_separator(path)
    if bare != path and os.path.exists(bare):
        return "is a file where a folder was declared"
    return "was not made"


def _require_content(output: OutputSpec, readings: Sequence[Reading]) -> None:
    empty = [reading for reading in readings if reading.size == 0]
    for reading in empty:
        if not os.path.isfile(reading.path):
            raise _BadOutput("is not a regular file")
    if output.empty or not empty:
        return
    # A folder may hold empty files (markers); a declared file, or one that matches a glob, may not.
    if len(empty) == len(readings) or output.kind == "glob":
        raise _BadOutput(_EMPTY if len(readings) == 1 else f"{empty[0].path} {_EMPTY}")


def _name_temporaries(unit: UnitSpec, attempt: AttemptId) -> Dict[str, str]:
    paths = [path for path in (unit.stdout, unit.stderr) if path is not None]
    return {path: name_temporary_output(path, attempt) for path in paths}


def name_temporary_output(path: str, attempt: AttemptId) -> str:
    """Return the name under which a declared stdout or stderr is written until it is published."""
    folder, name = os.path.split(path)
    end = f".procsup-{attempt.number}"
    raw = os.fsencode(name)
    if len(raw) + len(end) >= _LONGEST_NAME_BYTES:
        name = f"{name[:_ENOUGH_CHARACTERS]}~{sha256(raw).hexdigest()[:16]}"
    return os.path.join(folder, f".{name}{end}")


def _require_same(path: str, written: Optional[Identity]) -> None:
    if not is_still(path, written):
        raise _BadOutput("another file has the place of the one that was written")


def _require_publishable(
    output: OutputSpec, temporary: str, written: Optional[Identity]
) -> _MadeOutput:
    stamp = identity.read_stamp(temporary)
    if stamp is None:
        raise _BadOutput(f"what was written is gone ({os.path.basename(temporary)} is missing)")
    _require_same(temporary, written)
    _require_unheld(temporary)
    if stamp.size == 0 and not output.empty:
        raise _BadOutput(_EMPTY)
    return _MadeOutput(output, [])


@seam("sync outputs")
def _sync(made: Sequence[_MadeOutput], rules: Rules) -> None:
    """Sync the outputs and their names to disk; each folder once, after its files."""
    for path in [r.path for one in made for r in one.readings]:
        _sync_one(look.sync_file, path, rules)
    for folder in dict.fromkeys(folder for one in made for folder in _list_folders(one)):
        _sync_one(look.sync_folder, folder, rules)


def _sync_one(sync: Callable[[str], None], path: str, rules: Rules) -> None:
    try:
        _retry_on_shortage(partial(sync, path))
    except OSError as error:
        where = display_path(path, rules.folder)
        problem = f"output {where}: could not be put on disk: {describe_error(error)}"
        raise _BadOutput(problem) from error


def _list_folders(made: _MadeOutput) -> Iterable[str]:
    """Yield the folders whose entries lead to an output, up to the one that preflight synced."""
    top = find_home(made.output)
    for reading in made.readings:
        folder = os.path.dirname(reading.path)
        while len(folder) > len(top):
            yield folder
            folder = os.path.dirname(folder)
        if os.path.islink(reading.path):
            yield os.path.dirname(os.path.realpath(reading.path))
    if made.readings:
        yield top


# --- inputs ------------------------------------------------------------------------------------


@seam("look at inputs")
def _look_at_inputs(unit: UnitSpec, rules: Rules, before: Stamps) -> Tuple[Reading, ...]:
    """Return readings of the inputs, by which a resume notices changes during the attempt."""
    readings: Dict[str, Reading] = {}
    for declared in look.list_inputs(unit):
        try:
            files = look.find_input_files(unit, declared, rules.published)
        except OSError:
            files = []  # recorded as they were: see _find_gone
        is_own = look.OwnFiles(unit, declared.path, rules.published)
        for file in [*files, *_find_gone(declared.path, files, before, is_own)]:
            reading = _read_input(file, before.get(file), rules.checksum)
            if reading is not None:
                readings[file] = reading
    return tuple(readings.values())


def _find_gone(
    path: str, files: Sequence[str], before: Stamps, is_own: Callable[[str], bool]
) -> List[str]:
    """Return the files of a declared input that existed before and do not exist now."""
    if files == [path]:
        return []
    base = _strip_separator(path)
    below = (base + "/", base + os.sep)
    there = [file for file, stamp in before.items() if stamp is not None]
    now = set(files)
    gone = [f for f in there if f not in now and (f == path or f.startswith(below))]
    return [f for f in gone if not is_own(f)]


_contents = Contents()


def _read_input(path: str, was: Optional[Stamp], checksum: str) -> Optional[Reading]:
    """Return the reading of a file that the attempt used.

    A file that changed after the start may have been read in any state.
    """
    now: Optional[Stamp] = None
    try:
        found = identity.read_stamped(path, checksum=checksum, contents=_contents)
        if found is not None:
            now, reading = found
            if now == was:
                return reading
    except OSError:
        pass  # not readable any more: recorded as it was, and a resume will not keep the unit
    seen = was or now
    return None if seen is None else seen.make_reading(path, changed=True)


# --- messages ----------------------------------------------------------------------------------


def display_path(path: str, folder: str) -> str:
    """Return a path for messages: relative to `folder` if below it, with slashes."""
    path, start = path.replace(os.sep, "/"), folder.replace(os.sep, "/").rstrip("/") + "/"
    return make_visible(path[len(start) :] if path.startswith(start) else path)


def _find_path(error: OSError) -> Optional[str]:
    return os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else None


def _join_problems(problems: Sequence[str]) -> str:
    more = len(problems) - _SHOWN_PROBLEMS
    text = "; ".join(problems[:_SHOWN_PROBLEMS])
    return f"{text}; and {more} more" if more > 0 else text

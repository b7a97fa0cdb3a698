"""The vocabulary of the run file: one row a key.

Every list of keys is made from these rows: the keys that the reader accepts, the schema for
editors (schema.py), the texts that editors show, and the page docs/run-file.md (reference.py).
"""

from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from msgspec import Struct

from procsup.core.quantities import A_DURATION, A_SIZE, NUMBER, UNITS_BYTES, UNITS_S
from procsup.host.signals import NAMES
from procsup.runfile.syntax import values as v
from procsup.runfile.syntax.problems import list_words

Schema = Dict[str, Any]
Convert = Callable[[Any], Any]


def _as_it_is(value: Any) -> Any:
    return value


class Inner(Struct, frozen=True):
    """A key of a table that is a key's value; `since` is the first version that has it."""

    name: str
    help: str
    since: str = "0.1.0"


class Type(Struct, frozen=True):
    """The type of a key's value.

    `says` completes the words *expected ...*; `schema` (JSON Schema, draft 7) checks the value
    alone. `convert` returns the value in the form that the run uses, or raises `Wrong`; it does
    nothing if the key has its own reader. `inner` has a row for each key that a table may have.
    """

    says: str
    schema: Schema
    convert: Convert = _as_it_is
    inner: Tuple[Inner, ...] = ()


class Key(Struct, frozen=True):
    """A key of the run file; `example` is a valid line.

    `field` is its field of RunSpec or StageSpec if the value is the same for all units; `default`
    is then written as in the file, else in words. `since` is the first version that has the key.
    """

    name: str
    type: Type
    help: str
    example: str
    default: str = ""
    field: Optional[str] = None
    since: str = "0.1.0"


# --- schemas ---------------------------------------------------------------------------------

_NUMBER = r"[0-9]+(\.[0-9]+)?"
_AMOUNT = NUMBER.replace("?:", "")  # of a duration or a size
_PLACEHOLDER = {"type": "string", "pattern": r"\{"}
_TEXT: Schema = {"type": "string", "minLength": 1}
_NAME = "^[A-Za-z_][A-Za-z0-9_-]*$"
_SCALAR: Schema = {"type": ["string", "number", "boolean"]}
_BOOLEAN: Schema = {"type": "boolean"}
_CODE: Schema = {"type": "integer", "minimum": 0}
_ROW: Schema = {"type": "object", "minProperties": 1}


def make_union(*schemas: Schema) -> Schema:
    """Return the schema of a value that fits one of these."""
    return {"anyOf": list(schemas)}


def list_of(item: Schema, *, least: int = 0) -> Schema:
    """Return the schema of a list of at least `least` items."""
    return {"type": "array", "items": item, "minItems": least}


def make_table_schema(properties: Mapping[str, Schema], *required: str) -> Schema:
    """Return the schema of a table with these keys and no others."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def named_table(item: Schema, pattern: str = "") -> Schema:
    """Return the schema of a table whose names the user chooses."""
    if not pattern:
        return {"type": "object", "additionalProperties": item}
    return {"type": "object", "patternProperties": {pattern: item}, "additionalProperties": False}


def _either_case(word: str) -> str:
    return "".join(f"[{c.lower()}{c.upper()}]" for c in word)


def _text_of_pattern(pattern: str) -> Schema:
    return make_union({"type": "string", "pattern": f"^ *{pattern} *$"}, _PLACEHOLDER)


def _duration() -> Schema:
    units = "|".join(_either_case(unit) for unit in sorted(UNITS_S, key=len, reverse=True))
    part = rf"{_AMOUNT} *({units})"
    return make_union(
        {"type": "number", "minimum": 0}, _text_of_pattern(rf"({_AMOUNT}|{part}( *{part})*)")
    )


def _size(*words: str) -> Schema:
    units = "|".join(_either_case(unit) for unit in UNITS_BYTES if unit)
    number = {"type": "number", "exclusiveMinimum": 0}
    return make_union(number, _text_of_pattern(rf"{_AMOUNT} ?({units})?"), {"enum": list(words)})


_CPUS = make_union(
    {"enum": ["all"]}, {"type": "number", "exclusiveMinimum": 0}, _text_of_pattern(_NUMBER)
)
_WHOLE_TEXT = _text_of_pattern("[0-9]+")
_TEXTS = list_of(_TEXT)
_OF_TABLES: Mapping[str, Schema] = {
    "columns": _TEXTS,
    "required": _TEXTS,
    "delimiter": {"type": "string", "minLength": 1, "maxLength": 1},
    "comment": _TEXT,
}
_ARGUMENTS = list_of(_SCALAR)
_CELL = make_union(_SCALAR, list_of(_SCALAR))
_AXIS = make_union(
    list_of(_SCALAR, least=1),
    *[make_table_schema({source: {"type": "string"}}, source) for source in v.SOURCES],
    make_table_schema({"glob": list_of(_TEXT, least=1)}, "glob"),
)
_NAMED_FILES = named_table(make_union(_TEXT, list_of(_TEXT, least=1)))
_FILES = make_union(_TEXTS, _NAMED_FILES)
_INPUTS = make_union(
    _TEXTS,
    make_table_schema({"from": _TEXT}, "from"),
    {**_NAMED_FILES, "not": {"required": ["from"]}},
)
_FLAGS = dict.fromkeys(("empty", "optional", "unchanged"), _BOOLEAN)
_OUTPUT = make_union(_TEXT, make_table_schema({"path": _TEXT, **_FLAGS}, "path"))
_PERCENT = {"type": "string", "pattern": f"^{_NUMBER} ?%$"}
_ON_FAILURE = make_union(
    {"enum": list(v.ON_FAILURE)},
    make_table_schema(
        {
            "do": {"enum": list(v.ON_FAILURE)},
            "at": make_union({"type": "integer", "minimum": 1}, _PERCENT),
        },
        "do",
    ),
    _PLACEHOLDER,
)
_ENOUGH = make_union(
    {"type": "integer", "minimum": 1},
    _PERCENT,
    make_table_schema(
        {
            "at": make_union({"type": "integer", "minimum": 1}, _PERCENT),
            "do": {"enum": list(v.ENOUGH_DO)},
            "of": {"enum": list(v.ENOUGH_OF)},
        },
        "at",
    ),
    _PLACEHOLDER,
)
_RETRIES = make_union(
    _CODE,
    _WHOLE_TEXT,
    make_table_schema(
        {
            "times": make_union(_CODE, _WHOLE_TEXT),
            "on": list_of({"enum": list(v.RETRIED)}),
            "delay": _duration(),
            "memory": {"type": "string", "pattern": f"^x{_NUMBER}$"},
        },
        "times",
    ),
)
_PACE = {
    **make_table_schema(
        {
            "delay": _duration(),
            "memory": _size(),
            "load": make_union(
                {"type": "number", "exclusiveMinimum": 0}, _text_of_pattern(_NUMBER), _PERCENT
            ),
        }
    ),
    "minProperties": 1,
}
_SIGNALS = {"enum": [f"{sig}{name}" for sig in ("", "SIG") for name in NAMES]}

# --- types -----------------------------------------------------------------------------------


def _words(*choices: str) -> Type:
    schema = make_union({"enum": list(choices)}, _PLACEHOLDER)
    return Type(f"one of {list_words(choices)}", schema, v.word(*choices))


def _whole(least: int) -> Type:
    schema = make_union({"type": "integer", "minimum": least}, _WHOLE_TEXT)
    return Type(f"a whole number of at least {least}", schema, v.whole(least))


TEXT = Type("text that is not empty", _TEXT)
TEXTS = Type("a list of texts", _TEXTS)
TRUTH = Type("true or false", _BOOLEAN, v.truth)
PATH = Type("a path", _TEXT)
PATHS = Type("a list of paths", _TEXTS)
COMMAND = Type("a program and its arguments", list_of(_SCALAR, least=1))
ARGUMENTS = Type("a list of arguments", _ARGUMENTS)
DURATION = Type(A_DURATION, _duration(), v.duration_s)
LIMIT = Type(
    f'{A_DURATION}, more than 0; or a share such as "200%" of the median of the units that'
    " succeeded, from 5 on",
    make_union(_duration(), _PERCENT),
)
PACE = Type(
    'a table such as { delay = "1s", memory = "2G", load = "100%" }',
    _PACE,
    v.pace,
    (
        Inner("delay", "The pause between two starts.", "0.3.0"),
        Inner("memory", "So much memory of the machine must be free.", "0.3.0"),
        Inner("load", "So many threads, or such a share of the CPUs: fewer must run.", "0.3.0"),
    ),
)
CPUS = Type(v.SOME_CPUS, _CPUS, v.cpus)
MEMORY = Type(f'{A_SIZE}, or "all"', _size("all"), v.memory_bytes)
VALUES = Type(
    f"a table of names, each with a list of values or one of {list_words(v.SOURCES)}",
    named_table(_AXIS, _NAME),
    inner=(
        Inner("range", "Whole numbers with both ends, `1..9`, or with a step, `1..9:2`."),
        Inner("glob", "The files that a pattern, or a list of patterns, matches."),
        Inner("lines", "The lines of a text file that are not blank."),
    ),
)
FILES = Type("a list of paths, or a table of names with a path or several each", _FILES)
ON_FAILURE = Type(
    f'one of {list_words(v.ON_FAILURE)}, or a table such as {{ do = "drain", at = "10%" }}',
    _ON_FAILURE,
    v.on_failure,
    (
        Inner("do", "Go on, start nothing more, or end what runs."),
        Inner("at", "After so many failures, or such a share of the units. Default: 1."),
    ),
)
ENOUGH = Type(
    'a number of units, a share such as "10%", or a table such as { do = "drain", at = 1 }',
    _ENOUGH,
    v.enough,
    (
        Inner("at", "So many units, or such a share of them.", "0.3.0"),
        Inner("do", "End what runs, or start nothing more. Default: stop.", "0.3.0"),
        Inner(
            "of",
            "What is counted: units that succeeded, or all that are done. Default: succeeded.",
            "0.3.0",
        ),
    ),
)
CAPACITY: Dict[str, Type] = {"cpus": CPUS, "memory": MEMORY}

# --- rows ------------------------------------------------------------------------------------

RUN: Tuple[Key, ...] = (
    Key(
        "name",
        TEXT,
        "Names the run and its directory; may hold variables.",
        'name = "daily-{date}"',
        "the name of the file",
    ),
    Key(
        "vars",
        Type("a table of names and values", named_table(_CELL, _NAME)),
        "Placeholders for the whole run; --var k=v wins.",
        'vars = { lib = "lib" }',
    ),
    Key(
        "dir",
        PATH,
        "Where run directories are made.",
        'dir = "state"',
        "`.procsup` beside the run file",
    ),
    Key(
        "capacity",
        Type(
            'a table such as { cpus = 8, memory = "16G" } ("all": as the default)',
            make_table_schema({name: amount.schema for name, amount in CAPACITY.items()}),
            inner=(
                Inner("cpus", "CPUs for all units together."),
                Inner("memory", "Memory for all units together."),
            ),
        ),
        "What the run may use.",
        'capacity = { cpus = 8, memory = "16G" }',
        "what this process may really use",
    ),
    Key("jobs", _whole(1), "Most units that run at once.", "jobs = 4", "what `capacity` allows"),
    Key(
        "on-failure",
        ON_FAILURE,
        "What failures mean for the rest.",
        'on-failure = "drain"',
        '"finish"',
        "on_failure",
    ),
    Key(
        "missing-inputs",
        _words("refuse", "fail-unit"),
        "Refuse the run, or fail the unit.",
        'missing-inputs = "fail-unit"',
        '"refuse"',
        "missing_inputs",
    ),
    Key("stamp", PATH, "A file written when all has succeeded.", 'stamp = "done"'),
    Key("manifest", PATH, "A visible copy of the manifest.", 'manifest = "manifest.json"'),
    Key(
        "checksum",
        _words("auto", "all", "none"),
        "Which outputs get a sha256; auto: those of up to 64 MB.",
        'checksum = "all"',
        '"auto"',
        "checksum",
    ),
    Key(
        "sync-outputs",
        TRUTH,
        "Put outputs on disk before they are told.",
        "sync-outputs = false",
        "true",
        "sync_outputs",
    ),
    Key(
        "logs",
        _words("split", "merged"),
        "One log for each stream, or one for both.",
        'logs = "merged"',
        '"split"',
        "logs",
    ),
    Key(
        "keep-logs",
        _words("all", "failed"),
        "Which logs stay when the run is final.",
        'keep-logs = "failed"',
        '"all"',
        "keep_logs",
    ),
    Key(
        "share",
        _words("none", "group", "all"),
        "Who else may read manifests and wait.",
        'share = "group"',
        '"none"',
        "share",
    ),
    Key(
        "lock",
        TEXT,
        "A name that several runs share, of which only one is at work at a time (exit 75).",
        'lock = "nightly"',
    ),
    Key(
        "defaults",
        Type("a table of stage keys", {}),
        "Keys for all stages.",
        'defaults = { timeout = "1h" }',
    ),
    Key(
        "stage",
        Type("at least one table [stage.NAME]", {}),
        "The stages, each a table.",
        'stage.a.module = "a"',
    ),
)

PROGRAM_KEYS: Tuple[str, ...] = ("module", "script", "command", "shell")

STAGE: Tuple[Key, ...] = (
    Key("module", TEXT, "Runs python -m.", 'module = "package.worker"'),
    Key("script", PATH, "Runs a Python file.", 'script = "worker.py"'),
    Key("command", COMMAND, "Runs any program.", 'command = ["sort", "{source}"]'),
    Key(
        "shell",
        TEXT,
        "A line for bash (Windows: PowerShell), placeholders quoted by procsup.",
        'shell = "sort {f} | uniq > {outputs[0]}"',
    ),
    Key("args", ARGUMENTS, "Arguments.", 'args = ["{source}", "--out", "{outputs[0]}"]'),
    Key("prefix", ARGUMENTS, "Put before the program.", 'prefix = ["nice", "-n", "10"]'),
    Key(
        "python",
        Type("a version, a path or a name", {"type": ["string", "number"]}),
        "The interpreter: version, path or name.",
        'python = "3.12"',
        "that of the active environment, else the one that runs procsup",
    ),
    Key("cwd", PATH, "The working folder.", 'cwd = "work"', "the folder of the run file"),
    Key(
        "env",
        Type("a table of names and values", named_table({"type": ["string", "number"]})),
        "Environment, recorded.",
        'env = { LC_ALL = "C" }',
    ),
    Key("secrets", TEXTS, "Variables passed through, never recorded.", 'secrets = ["TOKEN"]'),
    Key("pythonpath", PATHS, "Folders for imports.", 'pythonpath = ["src"]'),
    Key("stdin", PATH, "A file to read from.", 'stdin = "{source}"', "nothing"),
    Key(
        "stdout",
        PATH,
        "Where stdout is published on success.",
        'stdout = "out/{x}.txt"',
        "a log file",
    ),
    Key(
        "stderr",
        PATH,
        "Where stderr is published on success.",
        'stderr = "out/{x}.err"',
        "a log file",
    ),
    Key("matrix", VALUES, "Every combination is a unit.", 'matrix.source.glob = "in/{name:*}.csv"'),
    Key("zip", VALUES, "Values side by side, equally many.", "zip.x = [1, 2]"),
    Key(
        "units",
        Type(
            'a list of tables, { csv = "FILE" } or { jsonl = "FILE" }; also `columns` (those used),'
            ' `required` (never empty); of a CSV `delimiter = ";"`, `comment = "#"`',
            make_union(
                list_of({**named_table(_CELL, _NAME), **_ROW}, least=1),
                *[
                    make_table_schema({kind: _TEXT, **{key: _OF_TABLES[key] for key in more}}, kind)
                    for kind, more in v.TABLES.items()
                ],
            ),
            inner=(
                Inner("csv", "A CSV file whose first row has the names."),
                Inner("jsonl", "A file with one JSON object a line."),
                Inner("columns", "The columns that are used. Default: all."),
                Inner("required", "Columns that are never empty."),
                Inner("delimiter", "Stands between cells of a CSV. Default: a comma; .tsv: a tab."),
                Inner("comment", "What begins a line of a CSV that is not read."),
            ),
        ),
        "One unit a row.",
        'units = { csv = "samples.csv" }',
    ),
    Key(
        "exclude",
        Type(
            "a list of tables of parameters and their values",
            list_of({**named_table(make_union(_SCALAR, list_of(_SCALAR, least=1)), _NAME), **_ROW}),
        ),
        "Combinations left out.",
        'exclude = [{ x = 1, mode = ["a", "b"] }]',
    ),
    Key(
        "for-each",
        Type("the name of a stage, or a list of them", make_union(_TEXT, list_of(_TEXT, least=1))),
        "One unit for each of another stage.",
        'for-each = "survey"',
    ),
    Key(
        "after",
        Type(
            'a list of stages, or of tables such as { stage = "a", when = "finished" } (default:'
            " `succeeded`)",
            list_of(
                make_union(
                    _TEXT,
                    make_table_schema(
                        {"stage": _TEXT, "when": {"enum": ["succeeded", "finished"]}}, "stage"
                    ),
                )
            ),
            inner=(
                Inner("stage", "The stage that is waited for."),
                Inner("when", "Whether it must succeed, or only finish. Default: succeeded."),
            ),
        ),
        "Waits for stages.",
        'after = [{ stage = "a", when = "finished" }]',
    ),
    Key("id", TEXT, "The unit's name.", 'id = "{name}"', "its parameters, as in `n=1,mode=a`"),
    Key("paths", TEXTS, "Parameters that are paths.", 'paths = ["file"]', "those from globs"),
    Key(
        "inputs",
        Type(
            f"{FILES.says}, or {{ from = STAGE }}",
            _INPUTS,
            inner=(Inner("from", "All outputs of a stage."),),
        ),
        "Files that must exist and are watched.",
        'inputs = { from = "survey" }',
    ),
    Key("depends", FILES, "Files that are watched for changes.", 'depends = ["config.ini"]'),
    Key(
        "outputs",
        Type(
            "a list or a table of paths, or of tables such as { path = PATH, empty = true }; also"
            " `optional` (may be missing), `unchanged` (need not be written anew)",
            make_union(list_of(_OUTPUT), named_table(_OUTPUT)),
            inner=(
                Inner("path", "The file, folder (with a slash at the end) or glob."),
                Inner("empty", "It may be empty. Default: false."),
                Inner("optional", "It may be missing. Default: false."),
                Inner("unchanged", "It need not be written anew. Default: false."),
            ),
        ),
        "Files that must be made.",
        'outputs = { json = "out/{name}.json" }',
    ),
    Key(
        "on-failed-outputs",
        _words("keep", "aside"),
        "What becomes of outputs of an attempt that did not end well, before the unit's next one:"
        " they stay, or are moved into the run directory.",
        'on-failed-outputs = "aside"',
        '"keep"',
        "on_failed_outputs",
    ),
    Key("empty-ok", TRUTH, "A glob may match nothing.", "empty-ok = true", "false"),
    Key("cpus", CPUS, "CPUs of a unit.", "cpus = 2", "1"),
    Key(
        "memory",
        MEMORY,
        "Memory of a unit; K, M, G are powers of 1024.",
        'memory = "4G"',
        "not counted",
    ),
    Key(
        "pin",
        _words("none", "cpus"),
        "Whether a unit is bound to its CPUs.",
        'pin = "cpus"',
        '"none"',
        "pin",
    ),
    Key(
        "on-drift",
        _words("record", "warn", "restore", "fail"),
        "What a changed affinity means.",
        'on-drift = "warn"',
        '"record"',
        "on_drift",
    ),
    Key(
        "timeout",
        LIMIT,
        "Wall time after which a unit is stopped.",
        'timeout = "1h30m"',
    ),
    Key(
        "pace",
        PACE,
        "What must hold before one more unit is started.",
        'pace = { delay = "1s", memory = "2G" }',
        "",
        "pace",
        since="0.3.0",
    ),
    Key(
        "grace",
        DURATION,
        "Between the request to end and the kill.",
        'grace = "10s"',
        '"10s"',
        "grace_s",
    ),
    Key(
        "linger",
        Type(v.A_LINGER, make_union({"enum": [v.AS_LONG_AS_THE_UNIT]}, _duration()), v.linger_s),
        "How long what still writes is waited for after the main process ended; 0: not at all,"
        ' "timeout": as long as the unit may take.',
        'linger = "1m"',
        '"10s"',
        "linger_s",
    ),
    Key(
        "stop-signal",
        Type(v.A_SIGNAL, make_union(_SIGNALS, _PLACEHOLDER), v.stop_signal),
        "The signal that asks a unit to end.",
        'stop-signal = "INT"',
        '"TERM"',
        "stop_signal",
    ),
    Key(
        "stop-to",
        _words("auto", "main", "tree"),
        "Whom it reaches: down the tree to who handles it, the main process, or all at once.",
        'stop-to = "main"',
        '"auto"',
        "stop_to",
    ),
    Key(
        "stop-command",
        COMMAND,
        "Runs instead of the signal; {pid} is the main process.",
        'stop-command = ["docker", "stop", "job-{index}"]',
    ),
    Key(
        "scratch",
        TRUTH,
        "A folder for each attempt, {scratch}.",
        "scratch = true",
        "false",
        "scratch",
    ),
    Key(
        "unit-file",
        TRUTH,
        "A JSON file with all that is known of the unit.",
        "unit-file = true",
        "false",
        "unit_file",
    ),
    Key(
        "success-codes",
        Type(
            "an exit code, or a list of them", make_union(_CODE, list_of(_CODE, least=1)), v.codes
        ),
        "Exit codes that mean success.",
        "success-codes = [0, 3]",
        "[0]",
        "success_codes",
    ),
    Key(
        "retries",
        Type(
            "a number of retries, or a table with `times`; also `on` (a list of"
            f' {list_words(v.RETRIED)}; default: all), `delay`, `memory = "x2"` (each retry is'
            " granted so much more)",
            _RETRIES,
            v.retries,
            (
                Inner("times", "The number of retries."),
                Inner("on", "The verdicts that are tried again. Default: all."),
                Inner("delay", "The pause before each retry. Default: 0."),
                Inner("memory", "Each retry is granted so many times the memory, as in `x2`."),
            ),
        ),
        "Further tries.",
        'retries = { times = 2, on = ["failed"], delay = "5s" }',
        "0",
        "retry",
    ),
    Key(
        "keep",
        _words("unchanged", "never", "always"),
        "When a later run keeps a finished unit. A resumed run repeats none.",
        'keep = "always"',
        '"unchanged"',
        "keep",
    ),
    Key("stamp", PATH, "A file written when the stage has succeeded.", 'stamp = "stage.done"'),
    Key("jobs", _whole(1), "Most units of the stage at once.", "jobs = 2", field="jobs"),
    Key(
        "on-failure",
        ON_FAILURE,
        "As for the run, of the units of this stage alone.",
        'on-failure = { do = "drain", at = "10%" }',
        "",
        "on_failure",
    ),
    Key(
        "enough",
        ENOUGH,
        "From how many units on the others are not needed, and the stage has succeeded.",
        "enough = 1",
        "",
        "enough",
        since="0.3.0",
    ),
)

# Keys that a later version will have.
LATER_KEYS: Tuple[str, ...] = ("gpus", "resources", "memory-limit", "stall", "preload")
RUN_KEYS = tuple([key.name for key in RUN])
STAGE_KEYS = tuple([key.name for key in STAGE])


def settings(keys: Sequence[Key]) -> List[Tuple[str, str, Convert]]:
    """Return (key, field of the spec, converter) of the keys that are the same for all units."""
    return [(key.name, key.field, key.type.convert) for key in keys if key.field is not None]

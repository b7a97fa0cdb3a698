"""The JSON Schema of the run file, made from the tables that its reader uses.

``procsup/schema/runfile.json`` is what `runfile_schema` returned when it was last made:
``python -m procsup.runfile.schema > procsup/schema/runfile.json``. Draft 7, which the TOML
editors know. It catches what can be known of one value; the reader knows more.
"""

import json
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from procsup.core.quantities import NUMBER, UNITS_BYTES, UNITS_S
from procsup.core.spec import RETRY_ON
from procsup.host.signals import NAMES
from procsup.runfile import values as v
from procsup.runfile.axes import SOURCES
from procsup.runfile.keys import PROGRAM_KEYS, RUN_KEYS, STAGE_KEYS
from procsup.runfile.run import CAPACITY, RUN_SETTINGS
from procsup.runfile.schema_texts import RUN_TEXTS, STAGE_TEXTS
from procsup.runfile.stage import SETTINGS
from procsup.runfile.stopping import AS_LONG_AS_THE_UNIT, linger_s, stop_signal

Schema = Dict[str, Any]

SCHEMA = "procsup/runfile/1"

_NUMBER = r"[0-9]+(\.[0-9]+)?"
_AMOUNT = NUMBER.replace("?:", "")  # of a duration or a size
_PLACEHOLDER = {"type": "string", "pattern": r"\{"}
_TEXT: Schema = {"type": "string", "minLength": 1}
_NAME = "^[A-Za-z_][A-Za-z0-9_-]*$"
_SCALAR: Schema = {"type": ["string", "number", "boolean"]}


def _any(*schemas: Schema) -> Schema:
    return {"anyOf": list(schemas)}


def _list(item: Schema, *, least: int = 0) -> Schema:
    return {"type": "array", "items": item, "minItems": least}


def _table(properties: Mapping[str, Schema], *required: str) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def _named(item: Schema, pattern: str = "") -> Schema:
    if not pattern:
        return {"type": "object", "additionalProperties": item}
    return {"type": "object", "patternProperties": {pattern: item}, "additionalProperties": False}


def _either_case(word: str) -> str:
    return "".join(f"[{c.lower()}{c.upper()}]" for c in word)


def _written(pattern: str) -> Schema:
    return _any({"type": "string", "pattern": f"^ *{pattern} *$"}, _PLACEHOLDER)


def _duration() -> Schema:
    units = "|".join(_either_case(unit) for unit in sorted(UNITS_S, key=len, reverse=True))
    part = rf"{_AMOUNT} *({units})"
    return _any({"type": "number", "minimum": 0}, _written(rf"({_AMOUNT}|{part}( *{part})*)"))


def _size(*words: str) -> Schema:
    units = "|".join(_either_case(unit) for unit in UNITS_BYTES if unit)
    number = {"type": "number", "exclusiveMinimum": 0}
    return _any(number, _written(rf"{_AMOUNT} ?({units})?"), *_words(words))


def _cpus() -> Schema:
    number = {"type": "number", "exclusiveMinimum": 0}
    return _any({"enum": ["all"]}, number, _written(_NUMBER))


def _words(words: Sequence[str]) -> List[Schema]:
    return [{"enum": list(words)}] if words else []


_WHOLE_TEXT = _written("[0-9]+")
_CODE: Schema = {"type": "integer", "minimum": 0}
_ON_FAILURE = _any(
    {"enum": list(v.ON_FAILURE)},
    _table(
        {
            "do": {"enum": list(v.ON_FAILURE)},
            "at": _any(
                {"type": "integer", "minimum": 1},
                {"type": "string", "pattern": f"^{_NUMBER} ?%$"},
            ),
        },
        "do",
    ),
    _PLACEHOLDER,
)
_RETRIES = _any(
    {"type": "integer", "minimum": 0},
    _WHOLE_TEXT,
    _table(
        {
            "times": _any({"type": "integer", "minimum": 0}, _WHOLE_TEXT),
            "on": _list({"enum": [verdict.value for verdict in RETRY_ON]}),
            "delay": _duration(),
            "memory": {"type": "string", "pattern": f"^x{_NUMBER}$"},
        },
        "times",
    ),
)
_OF_CONVERTERS: Dict[Callable[[Any], Any], Schema] = {
    v.truth: {"type": "boolean"},
    v.duration_s: _duration(),
    v.limit_s: _duration(),
    linger_s: _any(*_words([AS_LONG_AS_THE_UNIT]), _duration()),
    stop_signal: _any(
        {"enum": [f"{sig}{name}" for sig in ("", "SIG") for name in NAMES]}, _PLACEHOLDER
    ),
    v.cpus: _cpus(),
    v.memory_bytes: _size("all"),
    v.codes: _any(_CODE, _list(_CODE, least=1)),
    v.retries: _RETRIES,
    v.on_failure: _ON_FAILURE,
}


def _of(convert: Callable[[Any], Any]) -> Schema:
    """Return what a converter accepts."""
    if isinstance(convert, v.Word):
        return _any({"enum": list(convert.choices)}, _PLACEHOLDER)
    if isinstance(convert, v.Whole):
        return _any({"type": "integer", "minimum": convert.least}, _WHOLE_TEXT)
    return _OF_CONVERTERS[convert]


# --- keys that have readers of their own ---------------------------------------------------

_TEXTS = _list(_TEXT)
_ARGUMENTS = _list(_SCALAR)
_AXIS = _any(
    _list(_SCALAR, least=1),
    *[_table({source: {"type": "string"}}, source) for source in SOURCES],
)
_FILES = _any(_TEXTS, _named(_any(_TEXT, _list(_TEXT, least=1))))
_FLAGS = {flag: {"type": "boolean"} for flag in ("empty", "optional", "unchanged")}
_OUTPUT = _any(_TEXT, _table({"path": _TEXT, **_FLAGS}, "path"))
_ROW = {"type": "object", "minProperties": 1}
_CELL = _any(_SCALAR, _list(_SCALAR))

_OF_STAGE: Dict[str, Schema] = {
    "module": _TEXT,
    "script": _TEXT,
    "command": _list(_SCALAR, least=1),
    "shell": _TEXT,
    "args": _ARGUMENTS,
    "prefix": _ARGUMENTS,
    "python": {"type": ["string", "number"]},
    "cwd": _TEXT,
    "env": _named({"type": ["string", "number"]}),
    "secrets": _TEXTS,
    "pythonpath": _TEXTS,
    "stdin": _TEXT,
    "stdout": _TEXT,
    "stderr": _TEXT,
    "matrix": _named(_AXIS, _NAME),
    "zip": _named(_AXIS, _NAME),
    "units": _any(
        {**_list({**_named(_CELL, _NAME), **_ROW}, least=1)},
        *[_table({kind: _TEXT, "columns": _TEXTS}, kind) for kind in ("csv", "jsonl")],
    ),
    "exclude": _list({**_named(_any(_SCALAR, _list(_SCALAR, least=1)), _NAME), **_ROW}),
    "for-each": _any(_TEXT, _list(_TEXT, least=1)),
    "after": _list(
        _any(_TEXT, _table({"stage": _TEXT, "when": {"enum": ["succeeded", "finished"]}}, "stage"))
    ),
    "id": _TEXT,
    "paths": _TEXTS,
    "inputs": _FILES,
    "depends": _FILES,
    "outputs": _any(_list(_OUTPUT), _named(_OUTPUT)),
    "empty-ok": {"type": "boolean"},
    "cpus": _cpus(),
    "memory": _size("all"),
    "stop-command": _list(_SCALAR, least=1),
    "stamp": _TEXT,
}
_OF_RUN: Dict[str, Schema] = {
    "name": _TEXT,
    "vars": _named(_CELL, _NAME),
    "dir": _TEXT,
    "jobs": _of(v.whole(1)),
    "stamp": _TEXT,
    "manifest": _TEXT,
}


def _described(text: str, schema: Schema) -> Schema:
    return {"description": text, **schema}


def _stage(more: Optional[Schema] = None) -> Schema:
    own = {**_OF_STAGE, **{key: _of(convert) for key, (_, convert) in SETTINGS.items()}}
    keys = {key: _described(STAGE_TEXTS[key], own[key]) for key in STAGE_KEYS}
    return {**_table(keys), **(more or {})}


def _only_one_program() -> Schema:
    pairs = [(a, b) for i, a in enumerate(PROGRAM_KEYS) for b in PROGRAM_KEYS[i + 1 :]]
    return {"allOf": [{"not": {"required": list(pair)}} for pair in pairs]}


def runfile_schema() -> Schema:
    """Return the schema of a run file, as editors take it."""
    capacity = _table({key: _of(convert) for key, convert in CAPACITY.items()})
    stages = _named({"$ref": "#/definitions/stage"}, "^[a-z][a-z0-9_-]*$")
    own: Dict[str, Schema] = {
        **_OF_RUN,
        **{key: _of(convert) for key, (_, convert) in RUN_SETTINGS.items()},
        "capacity": capacity,
        "defaults": _stage(),
        "stage": {**stages, "minProperties": 1},
    }
    keys = {key: _described(RUN_TEXTS[key], own[key]) for key in RUN_KEYS}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": "urn:" + SCHEMA.replace("/", ":"),  # absolute: some readers want that
        "title": "procsup run file",
        **_table(keys, "stage"),
        "definitions": {"stage": _stage(_only_one_program())},
    }


if __name__ == "__main__":
    print(json.dumps(runfile_schema(), indent=1))

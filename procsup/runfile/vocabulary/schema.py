"""The JSON Schema of the run file, made from its vocabulary.

``python -m procsup.runfile.vocabulary.schema > procsup/schema/runfile.json`` makes the file that
ships. It uses draft 7, which editors of TOML support. It detects errors of single values; the
reader detects more.
"""

import json
from typing import Any, Dict, Mapping, Optional, Sequence

from procsup.runfile.vocabulary.keys import (
    PROGRAM_KEYS,
    RUN,
    STAGE,
    Key,
    Schema,
    make_table_schema,
    named_table,
)

SCHEMA = "procsup/runfile/1"


def _describe_keys(keys: Sequence[Key]) -> Dict[str, Schema]:
    return {
        key.name: {
            "description": f"{key.help} Example: {key.example}",
            **_explain_keys(key.type.schema, {inner.name: inner.help for inner in key.type.inner}),
        }
        for key in keys
    }


def _explain_keys(schema: Any, helps: Mapping[str, str]) -> Any:
    """Return a schema with the texts for the keys of its tables."""
    if isinstance(schema, list):
        return [_explain_keys(one, helps) for one in schema]
    if not isinstance(schema, dict):
        return schema
    explained = {name: _explain_keys(one, helps) for name, one in schema.items()}
    for name, one in explained.get("properties", {}).items():
        explained["properties"][name] = {"description": helps[name], **one}
    return explained


def _make_stage(more: Optional[Schema] = None) -> Schema:
    return {**make_table_schema(_describe_keys(STAGE)), **(more or {})}


def _require_one_program() -> Schema:
    pairs = [(a, b) for i, a in enumerate(PROGRAM_KEYS) for b in PROGRAM_KEYS[i + 1 :]]
    return {"allOf": [{"not": {"required": list(pair)}} for pair in pairs]}


def make_runfile_schema() -> Schema:
    """Return the schema of a run file, for editors."""
    stages = named_table({"$ref": "#/definitions/stage"}, "^[a-z][a-z0-9_-]*$")
    keys = _describe_keys(RUN)
    keys["defaults"].update(_make_stage())
    keys["stage"].update({**stages, "minProperties": 1})
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": "urn:" + SCHEMA.replace("/", ":"),  # absolute: some readers require that
        "title": "procsup run file",
        **make_table_schema(keys, "stage"),
        "definitions": {"stage": _make_stage(_require_one_program())},
    }


if __name__ == "__main__":
    print(json.dumps(make_runfile_schema(), indent=1))

import json
from pathlib import Path

import msgspec

import procsup
from procsup.core.manifest import SCHEMA, AttemptRecord, Head, StageCounts, UnitRecord
from procsup.report.schema import make_manifest_schema

SHIPPED = json.loads((Path(procsup.__file__).parent / "schema/manifest.json").read_text())


def names(record):
    return {field.encode_name for field in msgspec.structs.fields(record)}


def test_the_shipped_schema_has_every_name_that_a_manifest_has():
    assert set(SHIPPED["properties"]) == names(Head) | {"units"}
    assert SHIPPED["properties"]["schema"] == {"const": SCHEMA}
    for record in (UnitRecord, AttemptRecord, StageCounts):
        assert set(SHIPPED["$defs"][record.__name__]["properties"]) == names(record)


def test_the_shipped_schema_is_the_one_that_the_types_make():
    made = make_manifest_schema()

    assert set(made["$defs"]) == set(SHIPPED["$defs"])
    assert made["required"] == SHIPPED["required"]

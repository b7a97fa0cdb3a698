"""The JSON Schema of the completion manifest, made from the types of its records.

``python -m procsup.report.schema > procsup/schema/manifest.json`` makes the file that ships.
"""

import json
from typing import Any, Dict

import msgspec

from procsup.core.manifest import SCHEMA, Head, UnitRecord


def make_manifest_schema() -> Dict[str, Any]:
    """Return the schema: the head's fields, and `units`. A text that is not UTF-8 adds `base64`."""
    (head, unit), definitions = msgspec.json.schema_components(
        [Head, UnitRecord], ref_template="#/$defs/{name}"
    )
    fields = definitions.pop(head["$ref"].rsplit("/", 1)[-1])
    fields["properties"]["units"] = {"type": "array", "items": unit}
    fields["properties"]["schema"] = {"const": SCHEMA}
    fields["required"] = [*fields.get("required", ()), "units"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:" + SCHEMA.replace("/", ":"),  # absolute: some readers require that
        "title": "procsup completion manifest",
        **{name: value for name, value in fields.items() if name != "title"},
        "$defs": definitions,
    }


if __name__ == "__main__":
    print(json.dumps(make_manifest_schema(), indent=1, sort_keys=True))

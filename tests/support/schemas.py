"""Run files against the schema that editors use."""

from functools import lru_cache
from importlib.util import find_spec
from typing import Any, List

import pytest

from procsup.runfile.syntax.reading import parse
from procsup.runfile.vocabulary.schema import make_runfile_schema


@lru_cache(maxsize=None)
def _validator() -> Any:
    jsonschema = pytest.importorskip("jsonschema")
    return jsonschema.Draft7Validator(make_runfile_schema())


def check(text: str) -> None:
    """Check that what the reader accepts, editors do too; where jsonschema is not there, pass."""
    if find_spec("jsonschema") is not None:
        assert problems_of(text) == []


def problems_of(text: str) -> List[str]:
    """Return what the schema finds wrong with a run file."""
    return [f"{list(one.path)}: {one.message}" for one in _validator().iter_errors(parse(text))]

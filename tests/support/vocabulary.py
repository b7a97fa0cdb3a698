"""The rows of the vocabulary, and the tests that show what each of them does.

A row is a key (``stage.retries``), a key of its table (``stage.retries.on``) or one of its words
(``stage.retries.on = failed``); all of them are read from the schema that the keys have.
"""

from typing import Any, Callable, Dict, Iterator, List, TypeVar

from procsup.runfile.vocabulary.keys import RUN, STAGE, Key, Schema

_Test = TypeVar("_Test", bound=Callable[..., Any])
_OF_THE_SYSTEM = ("stop-signal",)  # its words are the names of signals, not ours


def rows() -> List[str]:
    """Return all rows, in the order of the tables."""
    found: Dict[str, None] = {}
    for table, keys in (("run", RUN), ("stage", STAGE)):
        for key in keys:
            found.update(dict.fromkeys([f"{table}.{key.name}", *rows_of(f"{table}.", key)]))
    return list(found)


def rows_of(table: str, key: Key) -> List[str]:
    """Return the rows within a key: those of its table, and its words."""
    within = dict.fromkeys(_within(key.type.schema, f"{table}{key.name}"))
    return [] if key.name in _OF_THE_SYSTEM else list(within)


def _within(schema: Schema, at: str) -> Iterator[str]:
    for word in schema.get("enum", ()):
        yield f"{at} = {word}"
    for name, below in schema.get("properties", {}).items():
        yield f"{at}.{name}"
        yield from _within(below, f"{at}.{name}")
    others = [schema.get("items"), schema.get("additionalProperties")]
    others += [*schema.get("anyOf", ()), *schema.get("patternProperties", {}).values()]
    for below in others:
        if isinstance(below, dict):
            yield from _within(below, at)


class Uses:
    """The rows that tests say they use: row -> names of the tests."""

    def __init__(self) -> None:
        self.tests: Dict[str, List[str]] = {}

    def __call__(self, *used: str) -> Callable[[_Test], _Test]:
        """Note that a test fails if one of these rows does nothing."""

        def note(test: _Test) -> _Test:
            assert test.__name__.startswith("test_"), "it would never run"
            for row in used:
                self.tests.setdefault(row, []).append(test.__name__)
            return test

        return note

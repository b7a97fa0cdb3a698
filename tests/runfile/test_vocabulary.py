"""The vocabulary and what is made from it; the schema has tests of its own."""

import json
import re
from pathlib import Path

import pytest

import procsup
from procsup.core.spec import RunSpec, StageSpec
from procsup.runfile.syntax.problems import Wrong
from procsup.runfile.syntax.reading import parse
from procsup.runfile.vocabulary.keys import LATER_KEYS, RUN, STAGE, settings
from procsup.runfile.vocabulary.reference import make_reference
from procsup.runfile.vocabulary.schema import make_runfile_schema
from tests.support.vocabulary import rows_of

PAGE = Path(procsup.__file__).parent / "docs" / "run-file.md"
SETTINGS = [(spec, key) for keys, spec in ((RUN, RunSpec), (STAGE, StageSpec)) for key in keys]
SETTINGS = [(spec, key) for spec, key in SETTINGS if key.field is not None]


def of_nothing(spec):
    """Return a spec with all its defaults."""
    if spec is StageSpec:
        return StageSpec("s")
    return RunSpec("r", "f", "/f", "/d", ())


@pytest.mark.parametrize("keys", [RUN, STAGE])
def test_no_key_stands_twice_or_is_both_there_and_for_later(keys):
    names = [key.name for key in keys]

    assert len(set(names)) == len(names)
    assert not set(names) & set(LATER_KEYS)


@pytest.mark.parametrize(("spec", "key"), SETTINGS)
def test_the_default_that_is_told_is_what_holds(spec, key):
    told = key.type.convert(parse(f"x = {key.default}")["x"]) if key.default else None

    assert getattr(of_nothing(spec), key.field) == told


@pytest.mark.parametrize(("spec", "key"), SETTINGS)
def test_each_setting_refuses_what_it_does_not_take(spec, key):
    with pytest.raises(Wrong):
        key.type.convert([{}])


def test_settings_are_the_keys_with_a_field():
    assert [key.name for _, key in SETTINGS] == [
        name for keys in (RUN, STAGE) for name, _, _ in settings(keys)
    ]


def test_the_shipped_page_is_the_one_that_the_rows_make():
    assert PAGE.read_text(encoding="utf-8") == make_reference()


@pytest.mark.parametrize("key", [*RUN, *STAGE], ids=lambda key: key.name)
def test_the_page_tells_what_a_key_takes_with_each_word_and_each_key_of_its_table(key):
    assert key.type.says
    assert key.help.endswith(".")
    pages = make_reference().split("### ")
    told = [page for page in pages if page.startswith(f"`{key.name}`\n") and key.example in page]
    assert len(told) == 1
    assert key.help in told[0]

    named = [re.split(r" = |[.]", row)[-1] for row in rows_of("", key)]
    words = set(re.findall(r"[a-z-]+", told[0]))
    assert [name for name in named if name not in words] == []


@pytest.mark.parametrize("key", [*RUN, *STAGE], ids=lambda key: key.name)
def test_each_key_of_a_table_has_a_row_which_the_page_and_the_schema_show(key):
    of_tables = {row.split(".")[-1] for row in rows_of("", key) if " = " not in row}
    assert {inner.name for inner in key.type.inner} == of_tables

    schema = json.dumps(make_runfile_schema())
    for inner in key.type.inner:
        assert inner.help.endswith(".")
        assert f"- `{inner.name}`: {inner.help}\n" in make_reference()
        assert json.dumps(inner.help) in schema

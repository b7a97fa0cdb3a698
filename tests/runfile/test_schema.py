import json
import re
from pathlib import Path

import pytest

import procsup
from procsup.cli.main import main
from procsup.errors import RunFileError
from procsup.runfile.syntax.reading import parse
from procsup.runfile.vocabulary.keys import (
    LATER_KEYS,
    PROGRAM_KEYS,
    RUN,
    RUN_KEYS,
    STAGE,
    STAGE_KEYS,
)
from procsup.runfile.vocabulary.schema import runfile_schema
from tests.runfile.builders import load_text
from tests.support.schemas import problems_of

SHIPPED = Path(procsup.__file__).parent / "schema/runfile.json"
CONFIGS = sorted((Path(procsup.__file__).parents[1] / "configs").glob("*.toml"))


def in_a_run_file(text, *, of_a_stage):
    if of_a_stage and text.startswith(PROGRAM_KEYS):
        return f"[stage.a]\n{text}"
    if of_a_stage:
        return f'[stage.a]\nmodule = "m"\n{text}'
    return text if text.startswith("stage.") else f'{text}\n[stage.b]\nmodule = "m"\n'


def test_the_shipped_schema_is_the_one_that_the_tables_make():
    assert json.loads(SHIPPED.read_text(encoding="utf-8")) == runfile_schema()


def test_it_knows_every_key_and_no_other():
    schema = runfile_schema()
    stage = schema["definitions"]["stage"]["properties"]

    assert (tuple(schema["properties"]), tuple(stage)) == (RUN_KEYS, STAGE_KEYS)
    assert tuple(schema["properties"]["defaults"]["properties"]) == STAGE_KEYS
    assert not set(LATER_KEYS).intersection(stage)


def test_it_is_a_schema():
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft7Validator.check_schema(runfile_schema())


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_the_configs_are_valid(config):
    assert problems_of(config.read_text(encoding="utf-8")) == []


EXAMPLES = [(of_a_stage, key) for of_a_stage in (False, True) for key in (RUN, STAGE)[of_a_stage]]


@pytest.mark.parametrize(("of_a_stage", "key"), EXAMPLES)
def test_every_example_is_right_as_it_stands(of_a_stage, key, tmp_path):
    example = key.example
    assert example.startswith(key.name)
    assert key.help.endswith(".")
    assert problems_of(in_a_run_file(example, of_a_stage=of_a_stage)) == []
    if of_a_stage and not re.search(r"\{[a-z]|\"survey\"|\.csv|after|exclude|paths", example):
        load_text(tmp_path, in_a_run_file(example, of_a_stage=True))  # a wrong one raises


@pytest.mark.parametrize(
    "text",
    [
        "cpu = 1",
        "timeout = 'soon'",
        "timeout = '10 y'",
        "timeout = true",
        "memory = '4 gigs'",
        "memory = 0",
        "cpus = 0",
        "cpus = 'some'",
        "keep = 'often'",
        "retries = { on = ['failed'] }",
        "retries = { times = 1, on = ['bad'] }",
        "retries = -1",
        "args = '--x'",
        "matrix = [1]",
        "matrix.x = { rnge = '1..2' }",
        "matrix.x = []",
        "zip.x = 1",
        "units = { tsv = 'x' }",
        "exclude = { x = 1 }",
        "outputs = 'x'",
        "outputs = [{ path = 'x', empy = true }]",
        "env = { A = true }",
        "success-codes = []",
        "after = 'x'",
        "after = ['x', { stage = 'y', when = 'done' }]",
        "on-failure = { at = 1 }",
        "scratch = 'yes'",
        "linger = 'for ever'",
        "linger = -1",
        "stop-signal = 'KILL'",
        "stop-signal = 'term'",
        "stop-signal = 15",
        "stop-to = 'group'",
        "stop-command = []",
        "stop-command = 'x'",
        "args = []\ncommand = ['x']",
        "gpus = 1",
        "stall = '1m'",
    ],
)
def test_mistakes_that_it_catches(text, tmp_path):
    assert problems_of(in_a_run_file(text, of_a_stage=True))
    with pytest.raises(RunFileError):
        load_text(tmp_path, text)


@pytest.mark.parametrize(
    "text", ["capacity = { cpu = 1 }", "jobs = 0", "logs = 'none'", "modul = 'x'", "vars = 1"]
)
def test_mistakes_of_the_run_that_it_catches(text):
    assert problems_of(in_a_run_file(text, of_a_stage=False))


def test_the_verb_prints_both(capsys):
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == runfile_schema()
    assert main(["schema", "manifest"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "procsup completion manifest"


def test_it_is_plain_json_and_what_toml_gives_is_valid():
    text = "[stage.a]\ncommand = ['x', 1, 1.50, true]\ncpus = 0.5\n"
    assert problems_of(text) == []
    assert parse(text)["stage"]["a"]["cpus"] == 0.5


def test_its_id_is_a_whole_uri_as_editors_want_it():
    assert runfile_schema()["$id"] == "urn:procsup:runfile:1"

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
from procsup.runfile.vocabulary.schema import make_runfile_schema
from tests.runfile.builders import load_text
from tests.support.schemas import problems_of
from tests.support.vocabulary import rows

SHIPPED = Path(procsup.__file__).parent / "schema/runfile.json"
CONFIGS = sorted((Path(procsup.__file__).parents[1] / "configs").glob("*.toml"))


def in_a_run_file(text, *, of_a_stage):
    if of_a_stage and text.startswith(PROGRAM_KEYS):
        return f"[stage.a]\n{text}"
    if of_a_stage:
        return f'[stage.a]\nmodule = "m"\n{text}'
    return text if text.startswith("stage.") else f'{text}\n[stage.b]\nmodule = "m"\n'


def test_the_shipped_schema_is_the_one_that_the_tables_make():
    assert json.loads(SHIPPED.read_text(encoding="utf-8")) == make_runfile_schema()


def test_it_knows_every_key_and_no_other():
    schema = make_runfile_schema()
    stage = schema["definitions"]["stage"]["properties"]

    assert (tuple(schema["properties"]), tuple(stage)) == (RUN_KEYS, STAGE_KEYS)
    assert tuple(schema["properties"]["defaults"]["properties"]) == STAGE_KEYS
    assert not set(LATER_KEYS).intersection(stage)


def test_it_is_a_schema():
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft7Validator.check_schema(make_runfile_schema())


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


# --- rows: what editors accept, the reader does too, and the other way round ---------------------

WORDS = [row for row in rows() if " = " in row]
# The words of all other keys are their values.
WRITTEN = {
    "run.capacity.cpus": 'capacity = { cpus = "WORD" }',
    "run.capacity.memory": 'capacity = { memory = "WORD" }',
    "run.on-failure.do": 'on-failure = { do = "WORD" }',
    "stage.after.when": 'after = [{ stage = "b", when = "WORD" }]',
    "stage.enough.do": 'enough = { at = 1, do = "WORD" }',
    "stage.enough.of": 'enough = { at = 1, of = "WORD" }',
    "stage.linger": 'timeout = "1m"\nlinger = "WORD"',
    "stage.on-failure.do": 'on-failure = { do = "WORD" }',
    "stage.retries.on": 'retries = { times = 1, on = ["WORD"] }',
}
# Keys of tables, as they stand in a run file beside a key that there is not.
STRANGE = {
    "run.capacity": "capacity = { cpus = 1, strange = 1 }",
    "run.on-failure": 'on-failure = { do = "stop", strange = 1 }',
    "stage.after": 'after = [{ stage = "b", strange = 1 }]',
    "stage.enough": "enough = { at = 1, strange = 1 }",
    "stage.inputs": 'inputs = { from = "b", strange = "x" }',
    "stage.matrix": 'matrix.x = { range = "1..2", strange = 1 }',
    "stage.on-failure": 'on-failure = { do = "stop", strange = 1 }',
    "stage.outputs": 'outputs = [{ path = "x", strange = true }]',
    "stage.pace": 'pace = { delay = "1s", strange = 1 }',
    "stage.retries": "retries = { times = 1, strange = 1 }",
    "stage.units": 'units = { csv = "x.csv", strange = 1 }',
    "stage.zip": 'zip.x = { range = "1..2", strange = 1 }',
}


def of_row(row, line):
    """A run file with a line that is about a row of the vocabulary."""
    other = '[stage.b]\nmodule = "m"\noutputs = ["b"]\n'
    if row.startswith("stage."):
        return f'{other}[stage.a]\nmodule = "m"\n{line}\n'
    return f"{line}\n{other}"


def refused_by_both(folder, text):
    with pytest.raises(RunFileError) as refused:
        load_text(folder, text)
    return bool(problems_of(text)) and str(refused.value)


@pytest.mark.parametrize("row", WORDS)
def test_each_word_is_taken_and_no_other(row, tmp_path):
    key, _, word = row.partition(" = ")
    line = WRITTEN.get(key, f'{key.partition(".")[2]} = "WORD"')
    text = of_row(row, line.replace("WORD", word))

    assert problems_of(text) == []
    load_text(tmp_path, text)  # a wrong one raises
    assert refused_by_both(tmp_path, of_row(row, line.replace("WORD", "strange")))


@pytest.mark.parametrize("row", [row for row in rows() if row.count(".") == 1 and " " not in row])
def test_each_key_refuses_what_it_does_not_take(row, tmp_path):
    table, _, key = row.partition(".")
    alone = table == "stage" and key in PROGRAM_KEYS
    text = f"[stage.a]\n{key} = [[]]" if alone else of_row(row, f"{key} = [[]]")
    if key == "stage":
        text = "stage = [[]]  # not [stage.a]"

    assert f"{key}" in (refused_by_both(tmp_path, text) or "")


def test_strange_keys_are_tried_in_each_table():
    keys = {row.partition(" ")[0] for row in rows()}
    assert {key.rpartition(".")[0] for key in keys if key.count(".") == 2} == set(STRANGE)


@pytest.mark.parametrize("row", STRANGE)
def test_no_table_takes_another_key(row, tmp_path):
    assert refused_by_both(tmp_path, of_row(row, STRANGE[row]))


@pytest.mark.parametrize("word", ["over-memory", "stalled"])
def test_verdicts_that_no_unit_ends_with_are_for_later(word, tmp_path):
    text = of_row("stage.retries.on", WRITTEN["stage.retries.on"].replace("WORD", word))

    said = refused_by_both(tmp_path, text)
    assert f"stage.a.retries.on[0]: `{word}` is not there yet in this version" in said


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
    assert json.loads(capsys.readouterr().out) == make_runfile_schema()
    assert main(["schema", "manifest"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "procsup completion manifest"


def test_it_is_plain_json_and_what_toml_gives_is_valid():
    text = "[stage.a]\ncommand = ['x', 1, 1.50, true]\ncpus = 0.5\n"
    assert problems_of(text) == []
    assert parse(text)["stage"]["a"]["cpus"] == 0.5


def test_its_id_is_a_whole_uri_as_editors_want_it():
    assert make_runfile_schema()["$id"] == "urn:procsup:runfile:1"

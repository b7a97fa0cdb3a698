"""The run files of configs/, each run for real in a copy, and read as other programs read it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import procsup
from tests.scripts.pipelines import Copy
from tests.support import schemas
from tests.support.projects import ROOT

HERE = "{}.{}".format(*sys.version_info[:2])
DAY = "2026-11-20"
NAMES = sorted(path.stem for path in (ROOT / "configs").glob("*.toml"))
RUN = [name for name in NAMES if name != "stdlib-survey"]  # the demo, which has tests of its own

needs_bash = pytest.mark.skipif(
    os.name == "nt" or shutil.which("bash") is None, reason="its pipelines are for bash"
)
EACH = [pytest.param(name, marks=needs_bash if name == "word-count" else ()) for name in RUN]


def run_small(name, copy):
    """Run one to its end, as small as it can be; return the name of its run."""
    if name == "paired-samples":
        copy.simulate_samples(2)
        copy.run(name)
    elif name == "sweep":
        copy.run(name, "--var", "seeds=1")
    elif name == "nightly":
        copy.deliver(DAY)
        copy.run(name, "--var", f"day={DAY}")
        return f"nightly-{DAY}"
    elif name == "test-shards":
        copy.run(name, "--var", f"only={HERE}", "--var", "shards=2")
    elif name == "word-count":
        copy.run(name, *copy.texts(one="To be, or not to be.\n", none="\n"))
    else:
        copy.run(name, "--var", "runs=3", "--var", "walks=50")
    return name


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Give each run file's copy and the name of its run, run once for all tests."""
    made = {}

    def get(name):
        if name not in made:
            copy = Copy(tmp_path_factory.mktemp(name))
            made[name] = copy, run_small(name, copy)
        return made[name]

    return get


PLANNED = {
    "nightly": {"load": 5, "report": 1},
    "paired-samples": {"trim": 2, "align": 2, "quality": 2, "call": 2},
    "sweep": {"train": 61, "table": 1},
    "test-shards": {"find": 1, "test": 2, "merge": 1},
    "waited": {"simulate": 3, "pack": 3},
    "word-count": {"count": 2, "total": 1},
}


@pytest.mark.parametrize("name", NAMES)
def test_a_run_file_loads(name):
    path = ROOT / "configs" / f"{name}.toml"

    assert procsup.load(path).name.startswith(name)
    schemas.check(path.read_text(encoding="utf-8"))  # an editor finds no mistake either


@pytest.mark.parametrize("name", EACH)
def test_a_run_file_runs_and_its_units_are_those_meant(name, finished):
    copy, run = finished(name)
    manifest = copy.manifest(run)

    assert {stage: counts.planned for stage, counts in manifest.stages.items()} == PLANNED[name]
    assert manifest.ok
    assert all(copy.out(name) in path.parents for path in manifest.outputs())


@pytest.mark.parametrize("name", EACH)
def test_run_again_it_has_nothing_to_do(name, finished):
    copy, run = finished(name)
    copy.run(name, *(word for pair in small_variables(name) for word in ("--var", pair)))

    kept = {stage: counts.kept for stage, counts in copy.manifest(run).stages.items()}
    looks = {"find": 0} if name == "test-shards" else {}  # every time, and nothing hangs on it
    assert kept == {**PLANNED[name], **looks}


def small_variables(name):
    return {
        "nightly": [f"day={DAY}"],
        "sweep": ["seeds=1"],
        "test-shards": [f"only={HERE}", "shards=2"],
        "waited": ["runs=3", "walks=50"],
        "word-count": ["texts=../texts", "suffix=.txt"],
    }.get(name, [])


# --- read by others --------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
@pytest.mark.parametrize("name", EACH)
def test_jq_reads_the_manifest(name, finished):
    copy, run = finished(name)
    path = str(copy.manifest(run).path)

    def jq(*query):
        done = subprocess.run(["jq", *query, path], stdout=subprocess.PIPE, check=True)
        return done.stdout.decode("utf-8").split("\n")[:-1]

    assert jq("-r", ".status") == ["succeeded"]
    assert jq("-r", '.units[] | select(.verdict != "succeeded") | .id') == []
    assert len(jq("-r", ".units[] | [.id, .wall_s, .outputs[0].path] | @tsv")) == sum(
        PLANNED[name].values()
    )


@pytest.mark.parametrize("name", EACH)
def test_pandas_reads_the_manifest(name, finished):
    pandas = pytest.importorskip("pandas")
    copy, run = finished(name)
    manifest = copy.manifest(run)

    rows = pandas.DataFrame(manifest.rows())
    plain = pandas.json_normalize(json.loads(manifest.path.read_text(encoding="utf-8"))["units"])

    assert list(rows["id"]) == list(plain["id"]) == [unit.id for unit in manifest.units]
    assert rows.groupby("stage")["wall_s"].count().to_dict() == PLANNED[name]
    assert (plain["verdict"] == "succeeded").all()
    assert list(plain.columns[plain.columns.str.startswith("parameters.")]) == [
        f"parameters.{key}" for key in parameters(manifest)
    ]


def parameters(manifest):
    return list(dict.fromkeys(key for unit in manifest.units for key in unit.parameters))


# --- paired samples --------------------------------------------------------------------------


def test_the_differences_of_each_sample_are_found_again(finished):
    copy, _ = finished("paired-samples")

    found = [path.read_text() for path in sorted((copy.out("paired-samples") / "calls").iterdir())]

    assert [text.count("\n") for text in found] == [3, 3]
    assert found[0] != found[1]


def test_a_broken_sample_loses_its_own_branch_alone(tmp_path):
    copy = Copy(tmp_path)
    raw = copy.simulate_samples(3)
    broken = raw / "S002_R1.fastq.gz"
    broken.write_bytes(broken.read_bytes()[:-20])

    done = copy.run("paired-samples", expect=1)

    assert "trim/sample=S002 failed" in done.stderr
    assert copy.not_succeeded("paired-samples") == {
        "trim/sample=S002": "failed",
        "align/sample=S002": "skipped",
        "quality/sample=S002": "skipped",
        "call/sample=S002": "skipped",
    }
    copy.simulate_samples(3)
    copy.run("paired-samples")
    assert copy.manifest("paired-samples").stages["call"].kept == 2


def test_a_sample_without_its_mate_is_named_before_anything_starts(tmp_path):
    copy = Copy(tmp_path)
    (copy.simulate_samples(2) / "S001_R2.fastq.gz").unlink()

    done = copy.run("paired-samples", expect=2)

    assert "S001_R2.fastq.gz" in done.stderr
    assert not (copy.out("paired-samples") / "trimmed").exists()


# --- sweep -----------------------------------------------------------------------------------


def test_a_sweep_goes_on_with_what_there_is(tmp_path):
    copy = Copy(tmp_path)
    copy.edit("configs/sweep.toml", "    { rate = 1.0, degree = [3, 5, 7] },", "#")
    copy.edit("configs/sweep.toml", "[0.05, 0.1, 0.3, 1.0]", "[0.3, 1.0]")

    copy.run("sweep", "--var", "seeds=1", expect=1)

    failed = copy.not_succeeded("sweep")
    assert set(failed.values()) == {"failed"}
    assert all("rate=1.0" in unit for unit in failed)
    table = (copy.out("sweep") / "table.csv").read_text(encoding="utf-8").splitlines()
    assert len(table) - 1 == 2 * 19 - len(failed)
    best = json.loads((copy.out("sweep") / "best.json").read_text(encoding="utf-8"))
    assert table[1] == ",".join(map(str, best.values()))


# --- nightly ---------------------------------------------------------------------------------


def test_a_source_that_is_late_fails_alone_and_is_the_only_one_to_run_in_the_morning(tmp_path):
    copy = Copy(tmp_path)
    late = copy.deliver(DAY) / "cardiff.csv"
    kept = late.read_bytes()
    late.unlink()
    day, run = copy.out("nightly") / DAY, f"nightly-{DAY}"

    copy.run("nightly", "--var", f"day={DAY}", expect=1)

    assert copy.not_succeeded(run) == {"load/cardiff": "not-started"}
    assert "cardiff,missing,,GBP" in (day / "report.csv").read_text(encoding="utf-8")
    assert not (day / "DONE").exists()

    late.write_bytes(kept)
    copy.run("nightly", "--var", f"day={DAY}")

    assert copy.manifest(run).stages["load"].kept == 4
    assert "missing" not in (day / "report.csv").read_text(encoding="utf-8")
    assert (day / "DONE").exists()
    assert (day / "manifest.json").read_bytes() == copy.manifest(run).path.read_bytes()


def test_each_day_has_a_directory_of_its_own(finished):
    copy, _ = finished("nightly")
    copy.deliver("2026-11-21")
    copy.run("nightly", "--var", "day=2026-11-21")

    assert copy.manifest(f"nightly-{DAY}").run_id != copy.manifest("nightly-2026-11-21").run_id
    logs = copy.folder / "configs" / ".procsup" / f"nightly-{DAY}" / "logs"
    assert [path for path in logs.rglob("*") if path.is_file()] == []  # nothing failed


# --- test shards -----------------------------------------------------------------------------


def test_a_shard_that_fails_stands_in_the_table_and_its_results_beside_it(tmp_path):
    copy = Copy(tmp_path)
    copy.edit("scripts/shards/words.py", '(1, "I")', '(1, "J")')

    copy.run("test-shards", "--var", f"only={HERE}", "--var", "shards=11", expect=1)

    (failed,) = copy.not_succeeded("test-shards")
    shard = failed.rpartition("-")[2]
    out = copy.out("test-shards")
    table = [line.split(",") for line in (out / "table.csv").read_text("utf-8").splitlines()]
    assert [name for name, cell in zip(*table) if cell == "FAILED"] == [f"shard {shard}"]
    assert "MMXXVJ" in (out / f"{HERE}-{shard}.xml").read_text(encoding="utf-8")


@pytest.fixture
def with_python_2(tmp_path):
    """Give a copy on a machine that has Python 2.7, and the options for that and this Python."""
    copy = Copy(tmp_path)
    listed = tmp_path / "listed.csv"
    if copy.script("shards/interpreters.py", "--only", "2.7", "--out", str(listed)).returncode:
        pytest.skip("there is no Python 2.7 on this machine")
    return copy, ["--var", f"only=2.7,{HERE}", "--var", "shards=2"]


def test_the_units_run_under_python_2_too(with_python_2):
    copy, options = with_python_2

    copy.run("test-shards", *options)

    table = (copy.out("test-shards") / "table.csv").read_text(encoding="utf-8").splitlines()
    assert table == ["version,shard 1,shard 2", "2.7,6,5", f"{HERE},6,5"]


def test_a_failure_in_another_script_is_reported_alike_by_python_2(with_python_2):
    copy, options = with_python_2
    copy.edit("scripts/shards/words.py", 'title.replace("ß", "ss")', "title")

    copy.run("test-shards", *options, expect=1)

    failed = copy.not_succeeded("test-shards")
    (shard,) = {unit.rpartition("-")[2] for unit in failed}
    for version in ("2.7", HERE):
        text = (copy.out("test-shards") / f"{version}-{shard}.xml").read_text(encoding="utf-8")
        assert 'failures="1"' in text
        assert 'words.slug("Füße, 2.")' in text


# --- word count ------------------------------------------------------------------------------


@needs_bash
def test_words_are_counted_and_a_text_may_have_none(finished):
    copy, _ = finished("word-count")
    out = copy.out("word-count")

    assert (out / "total.txt").read_text() == "2 be\n2 to\n1 not\n1 or\n"
    assert (out / "words" / "none.txt").read_text() == ""


# --- waited ----------------------------------------------------------------------------------


def test_the_downstream_step_works_on_the_stage_it_waited_for(tmp_path):
    copy = Copy(tmp_path)

    done = copy.script("downstream.py", "--var", "runs=3", "--var", "walks=50")

    assert done.returncode == 0, done.stderr
    assert "mean distance of 150 walks" in done.stdout
    assert done.stdout.endswith("succeeded, 6 units\n")


def test_the_downstream_step_says_what_failed(tmp_path):
    copy = Copy(tmp_path)

    done = copy.script("downstream.py", "--var", "runs=1", "--var", "walks=many")

    assert done.returncode == 1
    assert "simulate/seed=1: failed, log: " in done.stderr
    log = Path(done.stderr.rpartition("log: ")[2].strip())
    assert "invalid int value: 'many'" in log.read_text(encoding="utf-8")

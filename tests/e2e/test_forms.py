"""Records of each form that procsup ever wrote can be read, verified and resumed."""

import json
import os
import shutil
import sys
import zlib
from pathlib import Path

import pytest

from procsup.core.records import JOURNAL_VERSION
from procsup.host import identity
from tests.support.projects import Project

FORMS = Path(__file__).resolve().parents[1] / "fixtures"
CONTENTS = {
    **{f"{folder}/{name}.txt": f"{name}\n" for folder in ("raw", "out") for name in "ab"},
    **{f"said/{name}.txt": f"copied {name}\n" for name in "ab"},
    "all.txt": "a\ncopied a\nb\ncopied b\n",
}
UNITS = ["copy/name=a", "copy/name=b", "join"]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the runs were of a POSIX system")


def lines(records):
    for number, record in enumerate(records, 1):
        body = f"{number} {json.dumps(record)}".encode()
        yield b"%08x %s\n" % (zlib.crc32(body), body)


@pytest.fixture(params=["first-form", "second-form"])
def old(request, tmp_path):
    """A project whose run has ended, copied to another folder."""
    project = Project(tmp_path)
    project.rundir.mkdir(parents=True, mode=0o700)
    form = FORMS / request.param
    shutil.copy(form / "run.toml", tmp_path)
    for name in ("journal.jsonl", "manifest.json"):
        shutil.copy(form / name, project.rundir)
        os.chmod(project.rundir / name, 0o600)
    for name, text in CONTENTS.items():
        project.write(name, text)
    for end in project.records("end"):
        for reading in [*end["outputs"], *end["inputs"]]:
            path = tmp_path / os.path.relpath(
                os.path.join("/data/project", reading["path"]), "/data/project"
            )
            os.utime(path, ns=(0, reading["mtime_ns"]))
    return project


def ran(project):
    return sorted(unit for unit in project.starts()[len(UNITS) :])


def test_its_manifest_is_verified_where_the_project_is_now(old):
    assert old.call("verify", "run").returncode == 0
    assert old.call("wait", "run", "--verify").returncode == 0
    old.write("out/b.txt", "B\n")
    assert old.call("verify", "run").returncode == 4


def test_its_units_stay_finished_and_the_next_begin_is_of_the_form_of_now(old):
    old.run("--adopt")

    assert ran(old) == []
    assert old.records("begin")[-1]["version"] == JOURNAL_VERSION
    assert old.records("begin")[-1]["root"] == "../.."
    outputs = old.manifest["units"][0]["outputs"]
    assert [one["relative"] for one in outputs] == ["out/a.txt", "said/a.txt"]
    assert [one["path"] for one in outputs] == [
        str(old.folder / "out/a.txt"),
        str(old.folder / "said/a.txt"),
    ]
    old.run()
    assert ran(old) == []


def test_parameters_that_are_nowhere_recorded_are_not_known(old):
    old.folder.joinpath("run.toml").unlink()
    old.rundir.joinpath("manifest.json").unlink()
    are_recorded = any("made" in plan for plan in old.records("planned"))

    rows = old.call("status", ".procsup/run", "--format", "jsonl")
    asked = old.call("status", ".procsup/run", "name=a")

    assert (rows.returncode, len(rows.stdout.splitlines())) == (0, 3)
    unknown = "what parameters some units have is not known: the run file" in rows.stderr
    assert unknown is not are_recorded
    assert asked.returncode == (0 if are_recorded else 2)


def test_what_changed_since_runs_again(old):
    old.write("raw/b.txt", "B\n")

    old.run("--adopt")

    assert ran(old) == ["copy/name=b#2", "join#2"]


def test_its_logs_and_units_are_found(old):
    assert old.call("logs", "run", "copy/name=a", "--stdout").stdout == "copied a\n"
    seen = json.loads(old.call("status", "run", "--json").stdout)
    assert seen["run_id"] == old.records("begin")[0]["run_id"]


def test_version_1_says_less_and_is_resumed_all_the_same(old):
    records = old.all_records()
    for name in ("thread_caps", "mark_base", "pid_namespace", "journal", "root"):
        records[0].pop(name, None)
    if records[0]["version"] > 2:
        pytest.skip("it says more than version 1 could")
    records[0]["version"] = 1
    (old.rundir / "journal.jsonl").write_bytes(b"".join(lines(records)))

    said = f"is of host {records[0]['host']} and an older procsup, so it may be a copy"
    assert said in old.run(expect=2).stderr
    old.run("--adopt")
    assert ran(old) == []
    assert old.records("begin")[-1]["adopted"] is True


def test_a_journal_of_an_older_procsup_on_this_host_needs_no_word(old):
    records = old.all_records()
    if records[0].get("journal"):
        pytest.skip("it says which file it is")
    for record in records:
        if record["t"] == "begin":
            record["host"] = identity.get_host_name()
    (old.rundir / "journal.jsonl").write_bytes(b"".join(lines(records)))

    old.run()

    assert ran(old) == []

import os

import pytest
from msgspec.structs import replace

from procsup.errors import OutputsChanged, RecordError, RunFailed, RunUnfinished, UsageError
from procsup.lib.library import check_manifest, read_manifest
from procsup.lib.manifest import Manifest
from procsup.store.manifest import read_head
from tests.support.sittings import Supervised, result


@pytest.fixture
def made(tmp_path):
    paths = [tmp_path / name for name in ("a", "b")]
    for path in paths:
        path.write_text("content")
    run = Supervised(tmp_path).begin().publish(result(0, *paths), result(1, code=7))
    return run, paths


def manifest_of(run):
    return Manifest(run.rundir.manifest, read_head(run.rundir.manifest))


def test_the_head_is_there_at_once_and_the_units_when_they_are_asked_for(made):
    run, paths = made
    manifest = manifest_of(run)

    assert (manifest.run_id, manifest.status, manifest.ok) == ("r1", "succeeded", True)
    assert manifest.directory == run.rundir.path
    assert (manifest.stages["s"].planned, manifest.stages["s"].failed) == (2, 1)
    assert [unit.id for unit in manifest.units] == ["s/x=0", "s/x=1"]
    assert manifest.units is manifest.units
    assert manifest.outputs() == manifest.outputs("s") == paths


def test_a_stage_that_there_is_not_has_no_outputs_to_go_on_with(made):
    run, _ = made

    with pytest.raises(UsageError, match=r"has no stage 'sruvey': .* has s"):
        manifest_of(run).outputs("sruvey")
    with pytest.raises(UsageError, match=r"has no stage 'sruvey': it has s"):
        read_manifest(run.rundir.path, stage="sruvey")


def test_rows_are_flat_and_hold_the_parameters(made):
    first, second = manifest_of(made[0]).rows()

    assert (first["id"], first["verdict"], first["parameters.x"]) == ("s/x=0", "succeeded", 0)
    assert (second["exit_code"], second["cause"], second["peak_memory_bytes"]) == (
        7,
        "exit 7",
        None,
    )
    assert all(not isinstance(value, (dict, list)) for value in first.values())


def test_a_unit_is_named_by_its_id(made):
    manifest = manifest_of(made[0])

    assert manifest["s/x=1"] is manifest.units[1]
    assert (manifest["s/x=0"].ok, manifest["s/x=1"].ok) == (True, False)
    assert [unit.id for unit in manifest.failed] == ["s/x=1"]
    with pytest.raises(KeyError) as missing:
        manifest["s/x=2"]
    assert isinstance(missing.value, UsageError)
    assert str(missing.value) == "demo has no unit 's/x=2' (did you mean 's/x=1'?)"


def test_a_unit_gives_what_it_wrote(made):
    run, _ = made
    never_started = manifest_of(run)["s/x=0"]
    unit = replace(never_started, stdout_path="logs/a.out", stderr_path=str(run.rundir.path / "b"))
    (run.rundir.path / "logs").mkdir(exist_ok=True)
    (run.rundir.path / "logs/a.out").write_bytes(b"out \xff\n")

    assert (unit.stdout(), unit.stdout("latin-1")) == ("out \ufffd\n", "out ÿ\n")
    assert never_started.stdout() == ""
    with pytest.raises(RecordError, match=r"^unit s/x=0: .*(No such file|not found|cannot find)"):
        unit.stderr()


def test_outputs_that_differ_are_named_and_never_handed_out(made):
    run, (one, other) = made
    one.write_text("longer content")
    other.unlink()

    with pytest.raises(OutputsChanged) as caught:
        manifest_of(run).outputs()

    assert str(caught.value).split("\n") == [
        "2 outputs are no longer as recorded:",
        f"  {one}: size 7 → 14",
        f"  {other}: missing",
    ]


def test_a_touched_output_without_a_checksum_has_changed(made):
    run, (one, _) = made
    os.utime(str(one), ns=(5, 5))

    with pytest.raises(OutputsChanged, match="1 output is no longer as recorded"):
        manifest_of(run).verify()


def test_of_many_changed_outputs_ten_are_named(tmp_path):
    paths = [tmp_path / f"o{number}" for number in range(13)]
    for path in paths:
        path.write_text("x")
    run = Supervised(tmp_path).begin().publish(result(0, *paths))
    for path in paths:
        path.unlink()

    with pytest.raises(OutputsChanged, match=r"13 outputs(.|\n)*\.\.\. and 3 more$"):
        manifest_of(run).verify()


def test_units_are_never_those_of_another_run(made):
    run, _ = made
    manifest = manifest_of(run)
    run.begin("r2", 2).publish(result(0))

    with pytest.raises(RunUnfinished, match="it was begun again"):
        manifest.rows()
    run.rundir.manifest.unlink()
    with pytest.raises(RunUnfinished, match="it was begun again"):
        manifest.outputs()


def test_a_failed_run_is_an_exception_that_carries_its_manifest(made):
    run = made[0].begin("r2", 2).publish(result(0), result(1, code=7), status="failed")
    manifest = manifest_of(run)

    with pytest.raises(RunFailed, match="demo failed: 1 of 2 units succeeded") as caught:
        check_manifest(manifest)
    assert caught.value.manifest is manifest
    assert check_manifest(manifest, check=False) is manifest

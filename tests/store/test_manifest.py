import hashlib
import json
import os
import stat

import msgspec
import pytest

from procsup.core import text
from procsup.core.manifest import StageCounts, format_rfc3339, make_unit_record
from procsup.errors import RecordError
from procsup.host import files
from procsup.store.journal import JournalWriter
from procsup.store.manifest import ManifestPublisher, encode_manifest, read_head, read_manifest
from procsup.store.rundir import RunDir
from tests.store.builders import WALL, begin, records, result, spec
from tests.support.users import EVE, root_only

posix = pytest.mark.skipif(os.name == "nt", reason="modes, read-only folders and names of POSIX")
COUNTS = StageCounts("succeeded", 3, succeeded=3)


class Released:
    """Stands for the sitting: notes who was woken, and what stood then."""

    def __init__(self, rundir):
        self.rundir, self.folder, self.woken = rundir, rundir.open(), []
        self.is_replaced = False

    def check(self):
        if self.is_replaced:
            raise RecordError("replaced")

    def release_stage(self, stage):
        assert self.rundir.get_stage_manifest(stage).exists()
        self.woken.append(stage)

    def release_run(self):
        assert self.rundir.manifest.exists()
        self.woken.append(None)


class House:
    """A run directory with a journal and a publisher."""

    def __init__(self, folder, run_begin=None, **settings):
        self.rundir = RunDir(folder / ".procsup" / "demo")
        self.rundir.create(settings.get("share", "none"))
        self.journal = JournalWriter.open(self.rundir.journal, on_synced=lambda: None)
        self.journal.append(records())
        self.sitting = Released(self.rundir)
        self.publisher = ManifestPublisher(
            self.rundir,
            spec(self.rundir, **settings),
            run_begin or begin(),
            self.journal,
            self.sitting,
            started=WALL,
            wall=lambda: WALL + 10,
        )

    def publish(self, count=3, status="succeeded"):
        counts = StageCounts(status, count, succeeded=count)
        self.publisher.publish_stage("s", counts, (result(n) for n in range(count)))
        self.publisher.publish_run(status, [("s", counts)], (result(n) for n in range(count)))


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    yield made
    made.journal.close()
    made.sitting.folder.close()


@pytest.mark.survives("F87")
def test_a_manifest_in_an_exchanged_folder_wakes_no_waiter(tmp_path):
    house = House(tmp_path, stamp=str(tmp_path / "stamp"))
    house.sitting.is_replaced = True

    with house.journal:
        with pytest.raises(RecordError, match="replaced"):
            house.publish()
        with pytest.raises(RecordError, match="replaced"):
            house.publisher.publish_run("succeeded", [("s", COUNTS)], iter(()))

    assert house.sitting.woken == []
    assert not (tmp_path / "stamp").exists()


@root_only
def test_a_manifest_that_is_another_user_s_by_now_is_not_copied(tmp_path):
    house = House(tmp_path, manifest=str(tmp_path / "visible.json"))
    house.sitting.check = lambda: os.chown(house.rundir.manifest, EVE, EVE)

    with house.journal, pytest.raises(RecordError, match=f"it belongs to uid {EVE}"):
        house.publisher.publish_run("succeeded", [("s", COUNTS)], iter(()))

    assert house.sitting.woken == []
    assert not (tmp_path / "visible.json").exists()


def test_a_manifest_is_json_with_the_head_and_each_unit_on_a_line_of_its_own(house):
    house.publish()

    lines = house.rundir.manifest.read_text().splitlines()
    whole = json.loads("\n".join(lines))
    assert next(iter(whole)) == "schema"
    assert (whole["schema"], whole["run_id"], whole["status"]) == (
        "procsup/manifest/1",
        "r1",
        "succeeded",
    )
    assert whole["started"] == "2023-11-14T22:13:20.000000Z"
    assert whole["stages"]["s"]["timed-out"] == 0
    assert [unit["id"] for unit in whole["units"]] == ["s/x=0", "s/x=1", "s/x=2"]
    assert len(lines) == 5
    assert json.loads(lines[2].rstrip(",")) == whole["units"][1]


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (None, None),
        (0.0, "1970-01-01T00:00:00.000000Z"),
        (WALL + 0.000001, "2023-11-14T22:13:20.000001Z"),
        (WALL + 0.9999999, "2023-11-14T22:13:21.000000Z"),
        (WALL - 0.25, "2023-11-14T22:13:19.750000Z"),
        (1e12, None),
        (-1e308, None),
    ],
)
def test_times_are_rfc_3339_to_the_microsecond(at, expected):
    assert format_rfc3339(at) == expected


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_units_or_none_are_json_too(house, count):
    house.publish(count)

    assert len(json.loads(house.rundir.manifest.read_bytes())["units"]) == count
    assert len(list(read_manifest(house.rundir.manifest)[1])) == count


def test_a_part_is_named_only_of_a_log_that_is_one_and_unknown_times_are_null():
    whole, packed = result(0), result(1)
    end = msgspec.structs.replace(packed.ends[0], stdout_part=(4, 10), linger_s=None)
    packed = msgspec.structs.replace(packed, ends=(end,))

    first, second = (msgspec.to_builtins(make_unit_record(one)) for one in (whole, packed))

    assert not [name for name in (*first, *first["attempts"][0]) if name.endswith("_part")]
    assert (second["stdout_part"], second["attempts"][0]["stdout_part"]) == ((4, 10), (4, 10))
    assert "stderr_part" not in second
    assert second["linger_s"] is None


def test_what_was_published_is_read_again(house):
    house.publish()

    head, units = read_manifest(house.rundir.get_stage_manifest("s"))

    assert head == read_head(house.rundir.get_stage_manifest("s"))
    assert (head.stage, head.status, head.stages["s"].succeeded) == ("s", "succeeded", 3)
    assert list(units) == [make_unit_record(result(number)) for number in range(3)]


def test_it_carries_the_length_and_digest_of_the_journal_that_is_on_disk(house):
    house.publish()
    content = house.rundir.journal.read_bytes()
    mark = read_head(house.rundir.manifest).journal

    assert mark.length == len(content)
    assert mark.sha256 == hashlib.sha256(content).hexdigest()


def test_the_head_is_read_without_the_units(house):
    house.publish()
    content = house.rundir.manifest.read_bytes()
    house.rundir.manifest.write_bytes(content[: content.index(b"\n") + 1] + b"\xff broken")

    assert read_head(house.rundir.manifest).run_id == "r1"
    with pytest.raises(RecordError, match="cannot be read"):
        list(read_manifest(house.rundir.manifest)[1])


def test_waiters_are_woken_when_the_manifest_stands(house):
    house.publish()

    assert house.sitting.woken == ["s", None]


def test_there_may_be_none(tmp_path):
    assert read_head(tmp_path / "manifest.json") is None
    assert read_head(tmp_path / "no" / "manifest.json") is None
    with pytest.raises(RecordError, match="cannot be read"):
        read_manifest(tmp_path / "manifest.json")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b'{"schema":"procsup/manifest/1","units":[\n]}\n',
        b'[,"units":[\n]}\n',
        b'{"schema":"procsup/manifest/2","units":[\n]}\n',
        b'{"a":' * 100_000 + b',"units":[\n',
        b"\xff" * 100,
    ],
)
def test_what_is_no_manifest_of_this_schema_is_refused_with_the_reason(tmp_path, content):
    path = tmp_path / "manifest.json"
    path.write_bytes(content)

    with pytest.raises(RecordError, match=r"manifest\.json cannot be read"):
        read_head(path)
    with pytest.raises(RecordError, match=r"manifest\.json cannot be read"):
        read_manifest(path)


def test_a_manifest_that_was_cut_is_noticed_wherever_it_was_cut(house):
    house.publish()
    content = house.rundir.manifest.read_bytes()
    for length in range(len(content) - 2):
        house.rundir.manifest.write_bytes(content[:length])
        with pytest.raises(RecordError, match="cannot be read"):
            list(read_manifest(house.rundir.manifest)[1])


@pytest.mark.survives("F41")
@pytest.mark.parametrize("step", ["sync_fd", "replace"])
def test_a_failure_before_the_replacement_leaves_the_old_manifest(house, monkeypatch, step):
    house.publish()
    before = house.rundir.manifest.read_bytes()

    def fails(*_arguments, **_more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, step, fails)
    with pytest.raises(RecordError, match=r"manifest\.json cannot be written: No space left"):
        house.publisher.publish_run("failed", [("s", COUNTS)], iter([result(9)]))

    assert house.rundir.manifest.read_bytes() == before
    assert house.sitting.woken == ["s", None]
    assert not list(house.rundir.path.glob(".procsup-*"))


def test_a_journal_that_failed_gets_no_manifest(house):
    house.journal._failure = RecordError("the journal cannot be synced")

    with pytest.raises(RecordError, match="cannot be synced"):
        house.publish()

    assert not house.rundir.manifest.exists()
    assert not house.rundir.get_stage_manifest("s").exists()
    assert house.sitting.woken == []


# --- stamps, copies, withdrawal -----------------------------------------------------------


@pytest.fixture
def stamped(tmp_path):
    made = House(
        tmp_path,
        stamp=str(tmp_path / "new" / "all.done"),
        manifest=str(tmp_path / "visible.json"),
        stage_stamp=str(tmp_path / "s.done"),
    )
    yield made
    made.journal.close()


def claims(house, tmp_path):
    paths = [
        house.rundir.manifest,
        house.rundir.get_stage_manifest("s"),
        tmp_path / "new" / "all.done",
        tmp_path / "visible.json",
        tmp_path / "s.done",
    ]
    return [path.name for path in paths if path.exists()]


ALL_CLAIMS = ["manifest.json", "s.json", "all.done", "visible.json", "s.done"]


def test_success_is_stamped_and_copied(stamped, tmp_path):
    stamped.publish()

    assert claims(stamped, tmp_path) == ALL_CLAIMS
    assert (tmp_path / "s.done").read_text() == "r1 2023-11-14T22:13:30.000000Z\n"
    assert (tmp_path / "visible.json").read_bytes() == stamped.rundir.manifest.read_bytes()


def test_failure_gets_no_stamp_and_takes_an_old_one_away(stamped, tmp_path):
    stamped.publish()
    stamped.publish(status="failed")

    assert claims(stamped, tmp_path) == ["manifest.json", "s.json", "visible.json"]


def test_withdrawing_a_stage_takes_back_its_claims_and_those_of_the_run(stamped, tmp_path):
    stamped.publish()
    stamped.publisher.withdraw(["t"])
    assert claims(stamped, tmp_path) == ["s.json", "s.done"]
    stamped.publisher.withdraw(["s", "t"])
    assert claims(stamped, tmp_path) == []
    stamped.publisher.withdraw(["s", "t"])


def test_withdrawal_is_durable_even_where_a_dead_sitting_had_begun_it(house, monkeypatch):
    house.publish()
    synced = []
    monkeypatch.setattr(
        "procsup.store.manifest.sync_folder",
        lambda path, **_how: synced.append(os.fspath(path)),
    )
    house.rundir.manifest.unlink()
    house.rundir.get_stage_manifest("s").unlink()

    house.publisher.withdraw(["s"])

    assert sorted(synced) == [str(house.rundir.path), str(house.rundir.stages)]


MARKS = ["new/all.done", "visible.json", "s.done"]


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize(
    "content",
    [b"precious", b"r1 2023-11-14T22:13:30.000000Z\nmore", b'{"schema":"other/1"}', b"{}\n"],
)
def test_what_is_not_procsups_is_not_withdrawn(stamped, tmp_path, mark, content):
    stamped.publish()
    (tmp_path / mark).write_bytes(content)

    with pytest.raises(
        RecordError, match="that procsup has written, and is left as it is"
    ) as found:
        stamped.publisher.withdraw(["s"])

    assert found.value.exit_code == 74
    assert str(tmp_path / mark) in str(found.value)
    assert (tmp_path / mark).read_bytes() == content
    assert claims(stamped, tmp_path) == ALL_CLAIMS


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("status", ["succeeded", "failed"])
def test_what_is_not_procsups_is_not_replaced(stamped, tmp_path, mark, status):
    (tmp_path / "new").mkdir()
    (tmp_path / mark).write_bytes(b"precious")

    with pytest.raises(RecordError, match="is left as it is: move it away"):
        stamped.publish(status=status)

    assert (tmp_path / mark).read_bytes() == b"precious"


@pytest.mark.parametrize("mark", MARKS)
def test_a_mark_of_the_other_kind_is_not_the_right_one(stamped, tmp_path, mark):
    stamped.publish()
    other = "s.done" if mark == "visible.json" else "visible.json"
    (tmp_path / mark).write_bytes((tmp_path / other).read_bytes())

    with pytest.raises(RecordError, match="that procsup has written"):
        stamped.publisher.withdraw(["s"])


def test_empty_files_are_replaced_and_withdrawn(stamped, tmp_path):
    (tmp_path / "new").mkdir()
    for mark in MARKS:
        (tmp_path / mark).touch()
    stamped.publish()
    assert claims(stamped, tmp_path) == ALL_CLAIMS

    for mark in MARKS:
        (tmp_path / mark).write_bytes(b"")
    stamped.publisher.withdraw(["s"])
    assert claims(stamped, tmp_path) == []


def test_marks_of_another_version_and_line_ending_are_procsups(stamped, tmp_path):
    stamped.publish()
    copy = tmp_path / "visible.json"
    copy.write_bytes(copy.read_bytes().replace(b"procsup/manifest/1", b"procsup/manifest/2"))
    (tmp_path / "s.done").write_bytes(b"r0 2023-11-14T22:13:30Z\r\n")

    stamped.publisher.withdraw(["s"])

    assert claims(stamped, tmp_path) == []


def test_a_folder_at_the_place_of_a_stamp_is_left_alone(stamped, tmp_path):
    (tmp_path / "s.done").mkdir()

    with pytest.raises(RecordError, match="is no regular file, and is left as it is"):
        stamped.publisher.withdraw(["s"])


@posix
def test_what_cannot_be_withdrawn_is_an_error(house, tmp_path):
    house.rundir.manifest.mkdir()

    with pytest.raises(RecordError, match=r"manifest\.json cannot be removed"):
        house.publisher.withdraw(["s"])


@posix
@pytest.mark.parametrize(("share", "mode"), [("none", 0o600), ("group", 0o640), ("all", 0o644)])
def test_who_may_read_is_as_the_run_file_says(tmp_path, share, mode):
    house = House(tmp_path, share=share, manifest=str(tmp_path / "visible.json"))
    before = os.umask(0o027)
    try:
        house.publish()
    finally:
        os.umask(before)
    house.journal.close()

    for path in (house.rundir.manifest, house.rundir.get_stage_manifest("s")):
        assert stat.S_IMODE(path.stat().st_mode) == mode
    assert stat.S_IMODE(house.rundir.journal.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "visible.json").stat().st_mode) == 0o640


# --- text that is not UTF-8 ---------------------------------------------------------------

STRANGE = ["s/x=\udcff", "s/x=\ud800", "s/x=\\xff\udcff", "s/\udce9t\udce9/~1"]


@pytest.mark.survives("F15")
@pytest.mark.parametrize("strange", STRANGE, ids=ascii)
def test_text_that_is_not_utf8_is_escaped_and_given_in_base64(tmp_path, strange):
    house = House(tmp_path, begin(run_file=f"/r/{strange}.toml", variables={"a/b": [strange]}))
    odd = result(1, strange, parameters={"x": strange}, inputs=(), outputs=())
    house.publisher.publish_run("succeeded", [("s", COUNTS)], iter([result(0), odd, result(2)]))
    house.journal.close()

    whole = json.loads(house.rundir.manifest.read_bytes().decode("utf-8"))
    assert whole["units"][1]["id"] == text.escape(strange)
    assert set(whole["units"][1]["base64"]) == {"/id", "/parameters/x"}
    assert set(whole["base64"]) == {"/run_file", "/variables/a~1b/0"}
    assert "base64" not in whole["units"][0]
    head, units = read_manifest(house.rundir.manifest)
    assert head.run_file == f"/r/{strange}.toml"
    assert head.variables == {"a/b": [strange]}
    assert list(units) == [make_unit_record(one) for one in (result(0), odd, result(2))]


@pytest.mark.survives("F15")
def test_base64_holds_the_very_bytes():
    _shown, found = text.escape_bytes({"path": b"/caf\xe9/a".decode("utf-8", "surrogateescape")})

    assert found == {"/path": "L2NhZukvYQ=="}


def test_a_parameter_named_like_the_armour_is_left_alone(house):
    odd = result(0, parameters={"base64": "x", "y": "base64"})
    house.publisher.publish_run("succeeded", [("s", COUNTS)], iter([odd]))

    assert list(read_manifest(house.rundir.manifest)[1]) == [make_unit_record(odd)]


def test_many_units_are_written_and_read_in_constant_memory(house):
    tracemalloc = pytest.importorskip("tracemalloc")
    tracemalloc.start()
    try:
        house.publish(5000)
        count = sum(1 for _unit in read_manifest(house.rundir.manifest)[1])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert count == 5000
    assert peak < 1_500_000


def test_the_lines_of_a_manifest_are_those_of_the_shapes(house):
    house.publish()
    head, units = read_manifest(house.rundir.manifest)
    again = b"".join(encode_manifest(head, units))

    assert again == house.rundir.manifest.read_bytes()
    assert msgspec.json.decode(again)["units"][0]["id"] == "s/x=0"

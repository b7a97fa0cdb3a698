import os
import random
import stat
import string

import pytest

from procsup.core.outcome import AttemptId
from procsup.errors import RecordError
from procsup.host.opened import Folder
from procsup.store.rundir import RunDir, make_safe_name, name_stage
from tests.support.users import EVE, as_user, give, open_folder, root_only

posix = pytest.mark.skipif(os.name == "nt", reason="symbolic links, owners and modes of POSIX")
ALLOWED = set(string.ascii_lowercase + string.digits + "=._,+-~")
HOSTILE = [
    "../x",
    "../../etc/passwd",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "c:\\x",
    "\x00",
    "a\x00b",
    ".",
    "..",
    "",
    " ",
    "a ",
    "a.",
    ".a",
    "-rf",
    "x" * 300,
    "é" * 100,
    "CON",
    "con",
    "con.txt",
    "NUL",
    "com1",
    "lpt9.log",
    "a\nb",
    "A",
    "a",
    "ﬁ",
    "\udcff",
    "\ud800",
    "\u202e",
    "a~1",
    "aux.h",
    "~",
    "*",
    "?",
    "a:b",
    "%00",
    "$HOME",
]


def test_plain_ids_are_their_own_names():
    for plain in ("mod=abc", "x=1,y=2", "a.b+c_d-e", "0"):
        assert make_safe_name(plain) == plain


@pytest.mark.survives("F50")
@pytest.mark.parametrize("hostile", HOSTILE, ids=repr)
def test_a_hostile_id_becomes_a_harmless_name(hostile):
    check_harmless(make_safe_name(hostile))


def check_harmless(name):
    assert set(name) <= ALLOWED
    assert 1 <= len(name) <= 100
    assert name[0] not in ".-"
    assert name[-1] != "."
    assert name.split(".")[0] not in ("con", "prn", "aux", "nul", "com1", "lpt9")


@pytest.mark.survives("F50")
def test_no_two_hostile_ids_get_one_name():
    assert len({make_safe_name(hostile) for hostile in HOSTILE}) == len(HOSTILE)


@pytest.mark.survives("F50")
def test_names_are_harmless_and_differ_where_case_does_not_count():
    dice = random.Random(7)
    alphabets = ["aA", "a./\\~-", "conCON.1 ", "\x00\n é\udcff\U0001f600", "\u0130iI\u0131ﬁ"]
    ids = {
        "".join(dice.choice(alphabet) for _ in range(dice.randrange(12)))
        for alphabet in alphabets
        for _ in range(600)
    }
    names = [make_safe_name(one) for one in ids]

    for name in names:
        check_harmless(name)
    assert len({name.casefold() for name in names}) == len(ids)


def test_a_name_that_looks_like_a_digest_is_digested_itself():
    digested = make_safe_name("A")

    assert make_safe_name(digested) != digested


def test_stages_keep_their_names_where_these_are_safe():
    assert name_stage("Fit-2_b") == "Fit-2_b"
    check_harmless(name_stage("con"))
    check_harmless(name_stage("../x"))


def test_log_paths_lie_in_the_stage_folder_and_tell_attempts_and_units_apart(tmp_path):
    rundir = RunDir(tmp_path / "demo")
    ids = [f"s/{hostile}" for hostile in HOSTILE] + [*HOSTILE, "s"]
    found = set()
    for unit in ids:
        for number in (1, 2):
            for path in rundir.make_log_paths(AttemptId(unit, number), "s"):
                assert os.path.dirname(path) == str(tmp_path / "demo" / "logs" / "s")
                assert len(os.path.basename(path)) < 140
                found.add(path)

    assert len(found) == len(set(ids)) * 4
    assert rundir.make_log_paths(AttemptId("s/x=1", 3), "s") == (
        str(tmp_path / "demo" / "logs" / "s" / "x=1.3.out"),
        str(tmp_path / "demo" / "logs" / "s" / "x=1.3.err"),
    )


def test_every_other_name_lies_in_the_run_directory(tmp_path):
    rundir = RunDir(tmp_path / "demo")
    attempt = AttemptId("s/../../x", 1)
    paths = [
        rundir.get_failed_folder(attempt, "s"),
        rundir.get_stage_manifest("../s"),
        rundir.get_sitting_lock(3, "../s"),
        rundir.get_sitting_lock(3),
        rundir.get_manifest(None),
        rundir.get_manifest("s"),
    ]

    for path in paths:
        assert ".." not in path.parts
        assert str(path).startswith(str(tmp_path / "demo") + os.sep)
    assert rundir.get_sitting_lock(3).name == "3-run.lock"
    assert rundir.get_sitting_lock(3, "fit").name == "3-stage-fit.lock"


def test_a_run_directory_is_made_with_what_it_needs_and_hidden_from_git(tmp_path):
    rundir = RunDir(tmp_path / ".procsup" / "demo")
    rundir.create()
    rundir.create()

    assert sorted(os.listdir(rundir.path)) == [".gitignore", "control", "locks", "logs", "stages"]
    assert (rundir.path / ".gitignore").read_text() == "*\n"


@pytest.mark.survives("F49")
@posix
def test_who_may_read_is_set_whatever_the_umask_and_can_be_changed(tmp_path):
    rundir = RunDir(tmp_path / "demo")
    before = os.umask(0o077)
    try:
        modes = []
        for share in ("none", "group", "all", "none"):
            rundir.create(share)
            folders = (rundir.path, rundir.stages, rundir.locks, rundir.logs, rundir.control)
            modes.append([oct(stat.S_IMODE(folder.stat().st_mode)) for folder in folders])
    finally:
        os.umask(before)

    assert modes == [
        ["0o700"] * 5,
        ["0o750"] * 3 + ["0o700"] * 2,
        ["0o755"] * 3 + ["0o700"] * 2,
        ["0o700"] * 5,
    ]


@pytest.mark.survives("F47")
@posix
def test_planted_links_and_files_are_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "logs").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(RecordError, match="a symbolic link"):
        RunDir(tmp_path / "link").create()
    with pytest.raises(RecordError, match="not a folder"):
        RunDir(tmp_path / "file").create()
    with pytest.raises(RecordError, match="not a folder: refused"):
        RunDir(tmp_path / "demo").create()
    assert os.listdir(tmp_path / "elsewhere") == []


@posix
def test_a_planted_gitignore_is_not_followed(tmp_path):
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / ".gitignore").symlink_to(tmp_path / "victim")

    RunDir(tmp_path / "demo").create()

    assert (tmp_path / "victim").read_bytes() == b"precious"


@pytest.mark.survives("F49")
@posix
def test_a_directory_of_another_user_is_refused(tmp_path, monkeypatch):
    rundir = RunDir(tmp_path / "demo")
    rundir.create()
    monkeypatch.setattr(Folder, "is_ours", lambda self: False)

    with pytest.raises(RecordError, match="another user"):
        rundir.create()


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="nothing is read-only for root")
def test_a_directory_that_cannot_be_written_is_refused_with_the_reason(tmp_path):
    (tmp_path / "demo").mkdir(0o500)

    with pytest.raises(RecordError, match="Permission denied"):
        RunDir(tmp_path / "demo").create()


def test_a_directory_under_a_file_is_refused_with_the_reason(tmp_path):
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(RecordError, match="run directory"):
        RunDir(tmp_path / "file" / "demo").create()


@posix
@root_only
def test_a_directory_that_its_user_has_closed_stays_closed():
    with open_folder() as folder:
        (folder / "demo").mkdir(mode=0o500)
        give(folder, EVE)

        with pytest.raises(RecordError, match="Permission denied"):
            as_user(EVE, lambda: RunDir(folder / "demo").create())

        assert stat.S_IMODE((folder / "demo").stat().st_mode) == 0o500


def test_a_trial_file_that_the_holder_clears_away_is_no_fault(tmp_path, monkeypatch):
    """Who has the directory removes temporary files when it begins, whoever made them."""
    made = Folder.create

    def create_for_a_moment(folder, name, mode=0o600):
        fd = made(folder, name, mode)
        folder.unlink(name)
        return fd

    rundir = RunDir(tmp_path / ".procsup/run")
    assert rundir.create()
    monkeypatch.setattr(Folder, "create", create_for_a_moment)

    assert not rundir.create()

"""The removal of runs where others exchange folders, plant names, mount and hold what they can."""

import os
import shutil
from pathlib import Path

import msgspec
import pytest

from procsup.cli.main import main
from procsup.core.records import End, Launch, encode_line
from procsup.errors import RecordError
from procsup.host.opened import Folder, make_identity
from procsup.store import removal
from procsup.store.reader import read_journal
from procsup.store.removal import (
    Mounted,
    list_half_removed,
    make_target,
    remove_files,
    remove_run,
    remove_unbegun,
)
from procsup.store.rundir import RunDir
from tests.support.mounts import bound
from tests.support.projects import Project
from tests.support.swaps import Swapper, can_exchange, exchange
from tests.support.users import BOB, EVE, as_user, give, open_folder, root_only

posix = pytest.mark.skipif(os.name == "nt", reason="links, and calls relative to open folders")
pytestmark = posix
ROUNDS = 50


@pytest.fixture
def home(tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / ".procsup").mkdir(mode=0o755)
    return tmp_path / ".procsup"


@pytest.fixture
def victim(home):
    """A folder that nobody asked to remove, with names in it as those of procsup."""
    folder = home / "victim"
    (folder / "logs").mkdir(parents=True)
    (folder / "logs" / "thesis").write_text("years")
    (folder / "scratch").mkdir()
    return folder


@pytest.fixture
def exchanges(tmp_path):
    if not can_exchange(tmp_path):
        pytest.skip("this system exchanges no names in one step")


def is_whole(victim):
    return (victim / "logs" / "thesis").exists() and (victim / "scratch").exists()


def made(home, name="run"):
    """A run directory with some files in it."""
    rundir = RunDir(home / name)
    rundir.create()
    rundir.journal.write_text("{}\n")
    (rundir.logs / "s").mkdir()
    for number in range(3):
        (rundir.logs / "s" / f"{number}.out").write_text("x")
    return rundir


def prune(rundir):
    remove_run(rundir, make_target(rundir))


def names(folder):
    return sorted(os.listdir(folder))


def test_a_run_goes_with_everything_in_it(home):
    rundir = made(home)
    (rundir.logs / "away").symlink_to(home)

    prune(rundir)

    assert names(home) == []


# --- whose folders --------------------------------------------------------------------------


@pytest.fixture
def lab():
    """A folder that everybody may enter."""
    with open_folder() as folder:
        (folder / ".procsup").mkdir(mode=0o755)
        yield folder / ".procsup"


def pruned(rundir):
    try:
        prune(rundir)
    except RecordError as error:
        return str(error)
    return ""


@root_only
@pytest.mark.parametrize(
    ("who", "home", "mode", "run", "why"),
    [
        (0, 0, 0o755, 0, ""),
        (0, 0, 0o1777, 0, ""),
        (0, 0, 0o777, 0, "chmod go-w"),
        (0, EVE, 0o755, 0, f"uid {EVE}"),
        (0, 0, 0o755, EVE, f"uid {EVE}"),
        (EVE, EVE, 0o755, EVE, ""),
        (EVE, EVE, 0o775, EVE, ""),
        (EVE, 0, 0o777, EVE, "chmod go-w"),
        (EVE, 0, 0o1777, EVE, ""),
        (EVE, BOB, 0o777, EVE, f"uid {BOB}"),
        (EVE, EVE, 0o755, 0, "user root"),
    ],
)
def test_who_removes_which_run(lab, who, home, mode, run, why):
    prune(made(lab, "first"))  # all modules are loaded: the user may not be able to read them
    rundir = made(lab)
    give(rundir.path, run)
    os.chown(lab, home, home)
    lab.chmod(mode)

    said = pruned(rundir) if who == 0 else as_user(who, lambda: pruned(rundir))

    assert why in said
    assert bool(said) == bool(why)
    assert rundir.path.exists() == bool(why)


@pytest.mark.survives("F84")
@root_only
def test_root_is_not_led_by_what_a_user_planted_as_a_rest(home, victim):
    """The planter replaces the folder by a link while the question stands."""
    planted = home / ".procsup-1-abc-old.part"
    planted.mkdir()
    give(planted, EVE)
    assert list_half_removed(home) == []

    os.chown(home, EVE, EVE)
    os.chown(planted, 0, 0)
    assert list_half_removed(home) == []
    os.chown(home, 0, 0)

    (rest,) = list_half_removed(home)
    planted.rmdir()
    planted.symlink_to(victim)
    with pytest.raises(RecordError, match="link"):
        removal.finish(rest)
    assert is_whole(victim)


@root_only
def test_a_refused_start_is_undone_in_another_s_folder_too(lab):
    rundir = RunDir(lab / "run")
    rundir.create()
    os.chown(lab, EVE, EVE)

    remove_unbegun(rundir, rundir.checked)

    assert names(lab) == []


# --- what was planned -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_what_takes_a_run_s_place_after_the_plan_stays(home, victim, kind):
    rundir = made(home)
    planned = make_target(rundir)
    os.rename(rundir.path, home / "moved")
    if kind == "folder":
        os.rename(victim, rundir.path)
    else:
        rundir.path.symlink_to(victim)

    with pytest.raises(RecordError, match=r"another folder has taken its place|link"):
        remove_run(rundir, planned)
    with pytest.raises(RecordError, match=r"another folder has taken its place|link"):
        removal.remove_logs(rundir, planned, [str(rundir.logs / "thesis")])
    remove_unbegun(rundir, make_identity(os.stat(home / "moved")))

    assert is_whole(rundir.path)
    assert (home / "moved" / "journal.jsonl").exists()


def test_another_home_under_the_same_path_is_refused(home):
    rundir = made(home)
    planned = make_target(rundir)
    os.rename(home, home.parent / "old")
    home.mkdir()
    os.rename(home.parent / "old" / "run", home / "run")

    with pytest.raises(RecordError, match="another folder has taken its place"):
        remove_run(rundir, planned)
    assert rundir.journal.exists()


def test_a_link_as_the_folder_of_runs_is_refused_by_name(home):
    rundir = made(home)
    (home.parent / "link").symlink_to(home)

    with pytest.raises(RecordError, match=r"link: it is a link .* its own path"):
        make_target(RunDir(home.parent / "link" / "run"))
    assert rundir.journal.exists()


@pytest.mark.parametrize(
    ("name", "content", "is_one"),
    [
        (".procsup-77-18f-run.part", "logs", True),
        (".procsup-77-18f-run.part", "thesis.tex", False),
        (".procsup-run.part", "logs", False),
        (".procsup-77-3.part", "logs", False),  # a temporary file's
    ],
)
def test_a_rest_has_the_name_and_the_content_that_a_removal_leaves(home, name, content, is_one):
    (home / name / content).mkdir(parents=True)

    assert [rest.path.name for rest in list_half_removed(home)] == [name] * is_one


def test_what_is_put_into_a_run_while_it_is_removed_stays_and_is_named(home, monkeypatch):
    rundir = made(home)
    clear = removal._remove

    def and_put(folder, name):
        clear(folder, name)
        Path(folder.path, "thesis.tex").write_text("years")

    monkeypatch.setattr(removal, "_remove", and_put)
    with pytest.raises(RecordError, match=r"it holds thesis\.tex, which is not procsup's"):
        prune(rundir)

    (rest,) = names(home)
    assert names(home / rest) == ["journal.jsonl", "run.lock", "thesis.tex"]


def test_a_lock_of_another_folder_is_no_hold_on_this_one(home, victim, monkeypatch, exchanges):
    rundir = made(home)
    planned = make_target(rundir)
    locks_work, read_owner = removal.locks_work, removal.read_owner

    def there(folder):
        exchange(rundir.path, victim)
        return locks_work(folder)

    def and_back(rundir):
        exchange(rundir.path, victim)
        return read_owner(rundir)

    monkeypatch.setattr(removal, "locks_work", there)
    monkeypatch.setattr(removal, "read_owner", and_back)
    monkeypatch.setattr(Folder, "place", property(lambda self: self.path))  # without /proc
    with pytest.raises(RecordError, match="another folder has taken its place"):
        remove_run(rundir, planned)

    assert is_whole(victim)
    assert rundir.journal.exists()


# --- mounts ---------------------------------------------------------------------------------


def test_a_mount_in_a_run_is_known_before_anything_is_removed(home, victim):
    from procsup.queries.pruning import Choice, plan_removal

    rundir = made(home)
    (rundir.logs / "data").mkdir()
    with bound(victim, rundir.logs / "data"):
        found = plan_removal(Choice([str(rundir.path)]), None)
        assert found.items == []
        assert found.left == [
            f"{rundir.path} is left alone: {rundir.logs / 'data'} is a mount point:"
            " unmount it first"
        ]


def test_prune_says_what_a_mount_keeps_and_that_not_all_is_removed(home, victim, capfd):
    rundir = made(home)
    (rundir.logs / "data").mkdir()
    other = made(home, "other")
    words = ["prune", "--dir", str(home), "--keep", "0", "--yes"]
    with bound(victim, rundir.logs / "data"):
        assert main(words) == 1

    said = capfd.readouterr().err
    assert f"{rundir.path} is left alone: {rundir.logs / 'data'} is a mount point" in said
    assert (rundir.path.exists(), other.path.exists()) == (True, False)
    assert is_whole(victim)
    assert main(words) == 0
    assert not rundir.path.exists()


@pytest.mark.survives("F84")
@pytest.mark.parametrize("where", ["logs/data", "logs"])
def test_a_mount_that_comes_after_the_plan_is_left_as_it_is(home, victim, where):
    rundir = made(home)
    (rundir.logs / "data").mkdir()
    planned = make_target(rundir)
    with bound(victim, rundir.path / where):
        with pytest.raises(RecordError, match="cannot be removed: it is a mount point") as caught:
            remove_run(rundir, planned)
        assert is_whole(victim)
        (rest,) = list_half_removed(home)
        assert f"{rest.path / where} cannot be removed" in str(caught.value)
        with pytest.raises(RecordError, match="mount point"):
            removal.finish(rest)
        assert is_whole(victim)

    (rest,) = list_half_removed(home)
    removal.finish(rest)
    assert names(home) == ["victim"]
    assert is_whole(victim)


def test_a_mounted_folder_is_not_taken_for_the_run_or_a_rest(home, victim):
    rundir = made(home)
    with bound(victim, rundir.path), pytest.raises(Mounted, match="mount point"):
        make_target(rundir)
    rest = home / ".procsup-1-1-x.part"
    rest.mkdir()
    with bound(victim, rest):
        assert list_half_removed(home) == []


def test_logs_are_found_by_their_files_and_not_by_a_number_in_a_journal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project = Project(tmp_path, '[stage.s]\nmatrix.n = [1, "1.1"]\ncommand = ["true"]\n')
    project.run()
    journal = project.rundir / "journal.jsonl"
    lines = []
    for entry in list(read_journal(journal)):
        record = entry.record
        if isinstance(record, (Launch, End)) and record.unit == "s/n=1":
            record = msgspec.structs.replace(record, attempt=1 << 62)
        lines.append(encode_line(entry.seq, record))
    journal.write_bytes(b"".join(lines))
    (project.rundir / "logs" / "s" / "other").write_text("no log")

    assert main(["prune", "--logs", "--keep", "0", "--yes"]) == 0
    assert names(project.rundir / "logs" / "s") == ["other"]


# --- single files ---------------------------------------------------------------------------


def test_files_are_removed_by_their_paths_below_the_run(home, victim):
    rundir = made(home)
    (rundir.logs / "away").symlink_to(victim / "logs")
    (rundir.logs / "s" / "1.out").unlink()

    paths = [
        "logs/s/0.out",
        "logs/s/1.out",
        "logs/gone/1.out",
        "logs/s/2.out",
        "logs/away/thesis",
        "logs/../../victim/logs/thesis",
        "../victim/logs/thesis",
    ]
    with rundir.open() as folder:
        errors = remove_files(folder, paths)

    assert names(rundir.logs / "s") == []
    assert is_whole(victim)
    said = [error.strerror for error in errors]
    assert sorted(said).count("it leads out of the run directory") == 2
    assert len(said) == 3


# --- races ----------------------------------------------------------------------------------

STEPS = ["open", "replace", "scandir", "rmdir", "unlink", "listdir"]


@pytest.mark.survives("F84")
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("kind", ["folder", "link"])
def test_at_whatever_step_a_run_is_exchanged_nothing_else_is_touched(
    home, victim, monkeypatch, exchanges, step, nth, kind
):
    rundir = made(home)
    planned = make_target(rundir)
    other = victim
    if kind == "link":
        other = home / "link"
        other.symlink_to(victim)
    real, calls = getattr(os, step), [0]

    def swap(*arguments, **keywords):
        calls[0] += 1
        if calls[0] == nth:
            exchange(current(home), other)
        return real(*arguments, **keywords)

    monkeypatch.setattr(os, step, swap)
    try:
        remove_run(rundir, planned)
    except RecordError:
        pass  # it was noticed
    monkeypatch.undo()

    assert calls[0] >= nth or step in ("replace", "rmdir")
    assert any(is_whole(home / name) for name in os.listdir(home) if name != "link")


def current(home):
    """The run directory under its name, or under that of what is left of it."""
    rest = [name for name in os.listdir(home) if name.startswith(".procsup-")]
    return home / (rest[0] if rest else "run")


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_what_is_renamed_is_looked_at_again_and_given_back(
    home, victim, monkeypatch, exchanges, kind
):
    rundir = made(home)
    planned = make_target(rundir)
    if kind == "link":
        other = home / "link"
        other.symlink_to(victim)
    else:
        other = victim
    replace = os.replace

    def swap(*arguments, **keywords):
        monkeypatch.undo()
        exchange(rundir.path, other)
        return replace(*arguments, **keywords)

    monkeypatch.setattr(os, "replace", swap)
    with pytest.raises(RecordError, match="cannot be removed: another folder has taken its place"):
        remove_run(rundir, planned)

    assert is_whole(rundir.path)
    assert (other / "journal.jsonl").exists()


@pytest.mark.survives("F84")
@pytest.mark.parametrize("kind", ["folder", "link"])
def test_a_swapper_never_leads_a_removal_to_another_folder(home, exchanges, kind):
    run_the_race(home, kind, ROUNDS)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["folder", "link"])
def test_a_thousand_times_a_swapper_leads_no_removal(home, exchanges, kind):
    removed, noticed = run_the_race(home, kind, 1000)

    assert removed > 10
    assert noticed > 10


def run_the_race(home, kind, rounds):
    """Exchange a run with a folder of the same kind, or with a link to it, while it is removed."""
    other, away = home / "other", home.parent / "away"
    removed = noticed = 0
    with Swapper(home / "run", other) as swapper:
        for _ in range(rounds):
            place = other if kind == "folder" else away
            made(place.parent, place.name)
            if kind == "link":
                other.symlink_to(away)
            precious = os.stat(place).st_ino
            rundir = made(home)
            planned = make_target(rundir)
            swapper.go()
            try:
                remove_run(rundir, planned)
                removed += 1
            except RecordError:
                noticed += 1
            swapper.halt()
            found = [path for path in [away, *home.iterdir()] if is_still_there(path, precious)]
            assert len(found) == 1, names(home)
            for path in (away, *home.iterdir()):
                if path.is_symlink():
                    path.unlink()
                elif path.exists():
                    shutil.rmtree(path)
        assert swapper.swaps > rounds
    return removed, noticed


def is_still_there(path, inode):
    return (
        not path.is_symlink()
        and path.is_dir()
        and path.stat().st_ino == inode
        and names(path / "logs" / "s") == ["0.out", "1.out", "2.out"]
        and (path / "journal.jsonl").exists()
    )

"""Folders that are opened once: what is made and removed in them, whatever others do to names."""

import errno
import os
import shutil
import stat
from pathlib import Path

import pytest

from procsup.host import opened
from procsup.host.opened import Folder, create, make_identity, refuse_replaced
from tests.support.mounts import bound
from tests.support.swaps import Swapper, can_exchange, exchange
from tests.support.users import BOB, EVE, as_user, give, open_folder, root_only

posix = pytest.mark.skipif(os.name == "nt", reason="links and modes of POSIX")
root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away"
)
ROUNDS = 100


@pytest.fixture(params=["by descriptor", "by path"], autouse=True)
def form(request, monkeypatch):
    """Both forms of every call: that of POSIX, and that of systems without such calls."""
    if request.param == "by path":
        monkeypatch.setattr(opened, "_BY_DESCRIPTOR", False)
    elif not opened._BY_DESCRIPTOR:
        pytest.skip("this system has no such calls")
    return request.param


@pytest.fixture
def by_descriptor(form):
    if form != "by descriptor":
        pytest.skip("what is raced for is held on POSIX only")


@pytest.fixture
def victim(tmp_path):
    """A folder of the caller's, which has nothing to do with any of it."""
    folder = tmp_path / "victim"
    (folder / "sub").mkdir(parents=True)
    (folder / "thesis").write_text("years")
    (folder / "sub" / "data").write_text("months")
    return folder


def is_whole(victim):
    return (victim / "thesis").exists() and (victim / "sub" / "data").exists()


@pytest.fixture
def exchanges(tmp_path):
    if not can_exchange(tmp_path):
        pytest.skip("this system exchanges no names in one step")


def tree(path, files=3, depth=2):
    path.mkdir()
    for number in range(files):
        (path / f"file-{number}").write_text("x")
    if depth:
        tree(path / "sub", files, depth - 1)
    return path


def identity(path):
    return make_identity(os.lstat(path))


def remove(path, planned=None):
    with Folder.open(path.parent) as folder:
        folder.remove_tree(path.name, planned or identity(path))


def names(path):
    return sorted(os.listdir(path))


# --- files that are made --------------------------------------------------------------------


@posix
def test_a_file_is_made_with_its_exact_mode_whatever_the_umask(tmp_path):
    before = os.umask(0o077)
    try:
        with Folder.open(tmp_path) as folder:
            os.close(folder.create("shared", 0o644))
            os.close(folder.create("users", None))
    finally:
        os.umask(before)

    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("shared", "users")]
    assert modes == [0o644, 0o600]


def test_a_planted_file_is_replaced_and_the_planter_writes_to_the_old_one(tmp_path):
    planted = tmp_path / "a"
    planted.write_text("planted")
    held = None if os.name == "nt" else planted.open("a")  # Windows removes no open file

    fd = create(planted)
    os.write(fd, b"ours")
    if held is not None:
        held.write("more")
        held.close()
    os.close(fd)

    assert planted.read_bytes() == b"ours"


@posix
def test_a_planted_link_is_replaced_and_not_followed(tmp_path, victim):
    (tmp_path / "a").symlink_to(victim / "thesis")

    os.close(create(tmp_path / "a"))

    assert (victim / "thesis").read_text() == "years"
    assert not (tmp_path / "a").is_symlink()


def test_a_name_that_is_planted_again_and_again_is_an_error_and_no_endless_loop(
    tmp_path, monkeypatch
):
    unlink = os.unlink

    def and_plant(path, *, dir_fd=None):
        unlink(path, dir_fd=dir_fd)
        Path(path).touch()

    (tmp_path / "a").touch()
    monkeypatch.setattr(os, "unlink", and_plant)

    with pytest.raises(FileExistsError, match="again and again"):
        create(tmp_path / "a")


# --- folders --------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize("kind", ["link", "file", "fifo", "nothing"])
def test_what_is_no_folder_is_not_opened(tmp_path, victim, kind):
    path = tmp_path / "a"
    if kind == "link":
        path.symlink_to(victim)
    elif kind == "file":
        path.touch()
    elif kind == "fifo":
        os.mkfifo(path)

    kinds = FileNotFoundError if kind == "nothing" else NotADirectoryError
    with pytest.raises(kinds) as caught:
        Folder.open(f"{path}/")
    assert caught.value.filename == str(path)
    with Folder.open(tmp_path) as folder, pytest.raises(kinds) as caught:
        folder.child("a")
    assert caught.value.filename == str(path)


def test_a_folder_stays_the_one_that_was_opened(tmp_path, by_descriptor, victim):
    with Folder.open(tree(tmp_path / "a")) as folder:
        os.rename(tmp_path / "a", tmp_path / "b")
        (tmp_path / "a").symlink_to(victim)
        os.close(folder.create("new"))
        folder.unlink("file-0")
        folder.rename("file-1", "renamed")
        folder.make("made").close()
        with Folder.open(victim) as source:
            folder.take(source, "thesis", "taken")

        there = ["file-2", "made", "new", "renamed", "sub", "taken"]
        assert sorted(folder.list_names()) == there
    assert names(tmp_path / "b") == there
    assert names(victim) == ["sub"]


@posix
def test_a_folder_is_made_with_its_exact_mode_and_a_link_in_its_place_is_refused(tmp_path, victim):
    (tmp_path / "there").mkdir(0o777)
    (tmp_path / "link").symlink_to(victim)
    before = os.umask(0o027)
    try:
        with Folder.open(tmp_path) as folder:
            folder.make("there").close()
            folder.make("new", 0o755).close()
            with pytest.raises(NotADirectoryError):
                folder.make("link", 0o777)
    finally:
        os.umask(before)

    assert stat.S_IMODE(victim.stat().st_mode) != 0o777
    if opened._BY_DESCRIPTOR:
        modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("there", "new")]
        assert modes == [0o700, 0o755]


@root
def test_a_folder_of_another_user_in_our_own_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    os.chown(tmp_path / "a", 60001, 60001)

    with Folder.open(tmp_path) as folder, pytest.raises(PermissionError, match="another user"):
        folder.make("a")


@root
def test_whose_a_folder_is(tmp_path):
    (tmp_path / "a").mkdir()
    os.chown(tmp_path / "a", 60001, 60001)

    with Folder.open(tmp_path) as ours, Folder.open(tmp_path / "a") as theirs:
        assert (ours.is_ours(), theirs.is_ours()) == (True, False)
        assert theirs.list_names() == []


def test_a_file_system_that_maps_users_tells_whom_it_takes_us_for(tmp_path, monkeypatch):
    if not hasattr(os, "geteuid"):
        pytest.skip("no users")
    monkeypatch.setattr(os, "geteuid", lambda: 60002)

    with Folder.open(tmp_path) as folder:
        assert folder.is_ours()
        assert folder.list_names() == []


def test_what_had_the_name_of_a_new_folder_goes_first(tmp_path, victim):
    tree(tmp_path / "a")
    (tmp_path / "file").touch()
    with Folder.open(tmp_path) as folder:
        for name in ("a", "file", "new"):
            with folder.make_anew(name) as made:
                assert made.list_names() == []

    assert names(tmp_path) == ["a", "file", "new", "victim"]


# --- removal --------------------------------------------------------------------------------


@posix
def test_a_tree_goes_and_links_in_it_are_not_followed(tmp_path, victim):
    made = tree(tmp_path / "a", depth=4)
    (made / "sub" / "away").symlink_to(victim)
    (made / "sub" / "nowhere").symlink_to(tmp_path / "missing")
    os.mkfifo(made / "fifo")

    remove(made)

    assert names(tmp_path) == ["victim"]
    assert is_whole(victim)


def test_a_tree_of_any_depth_goes_with_few_open_folders(tmp_path, by_descriptor):
    made = tmp_path / "a"
    made.mkdir()
    fd = os.open(made, os.O_RDONLY)
    for _ in range(400):  # its path is longer than any path may be
        os.mkdir("deep-folder", dir_fd=fd)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
        fd, above = os.open("deep-folder", os.O_RDONLY, dir_fd=fd), fd
        os.close(above)
    os.close(fd)

    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
    try:
        remove(made)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert names(tmp_path) == []


def test_another_folder_under_the_name_is_left_alone(tmp_path, victim):
    made = tree(tmp_path / "a")
    planned = identity(made)
    os.rename(made, tmp_path / "elsewhere")
    os.rename(victim, made)

    with pytest.raises(OSError, match="another folder has taken its place") as caught:
        remove(made, planned)

    assert caught.value.errno == errno.ESTALE
    assert is_whole(made)


@posix
def test_a_link_under_the_name_is_left_alone(tmp_path, victim):
    (tmp_path / "a").symlink_to(victim)

    with pytest.raises(NotADirectoryError):
        remove(tmp_path / "a")

    assert is_whole(victim)


def test_a_removal_that_fails_in_one_place_goes_on_in_others_and_names_the_first(
    tmp_path, monkeypatch
):
    made = tree(tmp_path / "a", depth=2)
    unlink = os.unlink

    def refused(path, *, dir_fd=None):
        if os.path.basename(path) == "file-1":
            raise PermissionError(errno.EPERM, "not this one", path)
        unlink(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", refused)
    with pytest.raises(PermissionError, match="not this one") as caught:
        remove(made)

    assert os.path.basename(caught.value.filename) == "file-1"
    assert os.path.isabs(caught.value.filename)
    assert sorted(path.name for path in made.rglob("*")) == ["file-1"] * 3 + ["sub"] * 2


def test_what_another_removal_took_first_is_no_error(tmp_path, monkeypatch):
    made = tree(tmp_path / "a")
    unlink = os.unlink

    def was_faster(path, *, dir_fd=None):
        unlink(path, dir_fd=dir_fd)
        raise FileNotFoundError(errno.ENOENT, "gone", path)

    monkeypatch.setattr(os, "unlink", was_faster)
    remove(made)

    assert names(tmp_path) == []


# --- mounts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["sub", "sub/sub"])
def test_what_is_mounted_in_a_tree_is_named_and_left_as_it_is(
    tmp_path, victim, where, by_descriptor
):
    made = tree(tmp_path / "a")
    with bound(victim, made / where):
        with pytest.raises(OSError, match="mount point: unmount it first") as caught:
            remove(made)
        assert caught.value.filename == str(made / where)
        assert is_whole(victim)
        assert not (made / "file-0").exists()
        with pytest.raises(OSError, match="mount point"):
            remove(made)  # again

    remove(made)
    assert is_whole(victim)


def test_a_folder_that_is_mounted_over_is_named_as_a_mount_point(tmp_path, victim, by_descriptor):
    made = tree(tmp_path / "a")
    planned = identity(made)
    with bound(victim, made), Folder.open(tmp_path) as folder:
        with pytest.raises(OSError, match="mount point"):
            folder.remove_tree("a", planned)
        with pytest.raises(OSError, match="mount point"):
            folder.remove("a")
        with pytest.raises(OSError, match="mount point"):
            folder.make_anew("a")
        assert is_whole(victim)

    with Folder.open(tmp_path) as folder:
        folder.remove("a")
    assert names(tmp_path) == ["victim"]


def test_a_mounted_file_stays(tmp_path, victim, by_descriptor):
    made = tree(tmp_path / "a")
    with bound(victim / "thesis", made / "file-1"):
        with pytest.raises(OSError, match="busy") as caught:
            remove(made)
        assert caught.value.filename == str(made / "file-1")
    assert is_whole(victim)


class Listed:
    """An entry as a file system lists it whose listed inodes are not those that it shows."""

    def __init__(self, entry):
        self.name, self.is_dir = entry.name, entry.is_dir

    def inode(self):
        return 1


class Listing(list):
    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


@pytest.mark.parametrize("tells", ["of two mounts", "nothing"])
def test_a_folder_with_another_inode_than_listed_is_a_mount_unless_the_kernel_knows_better(
    tmp_path, monkeypatch, by_descriptor, tells
):
    made = tree(tmp_path / "a")
    scandir, numbers = os.scandir, iter(range(9))
    monkeypatch.setattr(opened.os, "scandir", lambda fd: Listing(map(Listed, list(scandir(fd)))))
    mount = (lambda _: b"") if tells == "nothing" else (lambda _: b"%d" % next(numbers))
    monkeypatch.setattr(Folder, "_read_mount", mount)
    with pytest.raises(OSError, match="mount point"):
        remove(made)
    assert (made / "sub" / "file-0").exists()

    monkeypatch.setattr(Folder, "_read_mount", lambda _: b"7")
    remove(made)
    assert names(tmp_path) == []


def test_where_the_kernel_tells_nothing_of_mounts_the_device_decides(tmp_path, monkeypatch):
    tree(tmp_path / "a")
    monkeypatch.setattr(Folder, "_read_mount", lambda _: b"")

    with Folder.open(tmp_path) as folder:
        folder.remove("a")

    assert names(tmp_path) == []


def test_another_device_is_another_mount(tmp_path, monkeypatch):
    made = tree(tmp_path / "a")
    with Folder.open(tmp_path) as folder:
        planned = identity(made)
        real = Folder.child

        def elsewhere(self, name):
            child = real(self, name)
            if name == "sub":
                other = list(child.status)
                other[2] += 1
                child.status = os.stat_result(other)
            return child

        monkeypatch.setattr(Folder, "child", elsewhere)
        with pytest.raises(OSError, match="mount point"):
            folder.remove_tree("a", planned)
    assert (made / "sub" / "file-0").exists()


# --- races ----------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["open", "scandir", "rmdir", "unlink"])
@pytest.mark.parametrize("swapped", ["a folder", "a link"])
def test_whatever_is_swapped_at_any_step_nothing_outside_is_touched(
    tmp_path, monkeypatch, victim, by_descriptor, exchanges, step, swapped
):
    """The seam: right before the first call of each kind, the name is another one's."""
    made = tree(tmp_path / "a")
    planned = identity(made)
    other = victim if swapped == "a folder" else tmp_path / "link"
    if swapped == "a link":
        other.symlink_to(victim)
    real, left = getattr(os, step), [1 if step != "open" else 2]

    def swap(*arguments, **keywords):
        left[0] -= 1
        if left[0] == 0:
            exchange(made, other)
        return real(*arguments, **keywords)

    monkeypatch.setattr(os, step, swap)
    try:
        remove(made, planned)
    except OSError:
        pass  # whatever it says: the swap was noticed, or the swapped folder is not empty

    assert left[0] <= 0
    monkeypatch.undo()
    assert is_whole(made if swapped == "a folder" else victim)


@pytest.mark.parametrize("swapped", ["a folder", "a link", "a link within"])
def test_a_swapper_never_leads_a_removal_outside(
    tmp_path, victim, by_descriptor, exchanges, swapped
):
    run_the_race(tmp_path, victim, swapped, ROUNDS)


@pytest.mark.slow
@pytest.mark.parametrize("swapped", ["a folder", "a link"])
def test_a_thousand_times_a_swapper_leads_nowhere(
    tmp_path, victim, by_descriptor, exchanges, swapped
):
    noticed, whole = run_the_race(tmp_path, victim, swapped, 1000)

    assert noticed > 10
    assert whole > 10


def run_the_race(folder, victim, swapped, rounds):
    made, link = folder / "a", folder / "link"
    one, other = (made, victim if swapped == "a folder" else link)
    if swapped == "a link within":
        one, other = made / "sub", made / "zzz"
    noticed = whole = 0
    with Swapper(one, other) as swapper:
        for _ in range(rounds):
            if swapped == "a link":
                link.symlink_to(victim)
            tree(made, files=2, depth=1)
            planned = identity(made)
            if swapped == "a link within":
                other.symlink_to(victim)
            swapper.go()
            try:
                remove(made, planned)
                whole += 1
            except OSError:
                noticed += 1
            swapper.halt()
            if swapped == "a folder" and made.exists() and identity(made) != planned:
                exchange(made, victim) if victim.exists() else os.rename(made, victim)
            assert is_whole(victim)
            for path in (made, link):
                if path.is_symlink():
                    path.unlink()
                elif path.exists():
                    shutil.rmtree(path)
        assert swapper.swaps > rounds
    assert noticed + whole == rounds
    return noticed, whole


@pytest.mark.survives("F87")
@posix
def test_a_file_is_ours_only_in_a_folder_of_ours_and_under_its_name(tmp_path, by_descriptor):
    (tmp_path / "a").mkdir()
    fd = os.open(tmp_path / "a" / "file", os.O_RDWR | os.O_CREAT)
    try:
        refuse_replaced(tmp_path / "a" / "file", fd)
        os.rename(tmp_path / "a", tmp_path / "b")
        (tmp_path / "a").symlink_to(tmp_path / "b")
        with pytest.raises(NotADirectoryError):
            refuse_replaced(tmp_path / "a" / "file", fd)
        (tmp_path / "a").unlink()
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "file").touch()
        with pytest.raises(OSError, match="another folder has taken its place"):
            refuse_replaced(tmp_path / "a" / "file", fd)
    finally:
        os.close(fd)


@posix
@root
def test_a_file_in_a_folder_of_another_user_is_refused(tmp_path, by_descriptor):
    (tmp_path / "a").mkdir()
    fd = os.open(tmp_path / "a" / "file", os.O_RDWR | os.O_CREAT)
    os.chown(tmp_path / "a", 60001, 60001)
    try:
        with pytest.raises(OSError, match="another folder has taken its place"):
            refuse_replaced(tmp_path / "a" / "file", fd)
    finally:
        os.close(fd)


# --- the way to a folder ----------------------------------------------------------------------


@posix
def test_a_folder_is_reached_by_links_of_ours_as_the_system_reaches_it(tmp_path, victim):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "to").symlink_to("../victim/./sub")
    (tmp_path / "whole").symlink_to(tmp_path / "sub")
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "nowhere").symlink_to("missing")

    for path in ("whole/to", "sub/to", "victim/sub", "whole/to/../sub"):
        with Folder.open_followed(tmp_path / path) as folder:
            assert folder.has("data")
            assert folder.identity == identity(victim / "sub")
            with folder.read("data") as file:
                assert file.read() == b"months"
    for path in ("round", "nowhere", "missing", "victim/thesis", "victim/thesis/sub"):
        with pytest.raises(OSError):
            Folder.open_followed(tmp_path / path)


@posix
@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_only_a_regular_file_is_read(tmp_path, victim, kind):
    if kind == "link":
        (tmp_path / "a").symlink_to(victim / "thesis")
    elif kind == "fifo":
        os.mkfifo(tmp_path / "a")
    else:
        (tmp_path / "a").mkdir()

    with Folder.open(tmp_path) as folder, pytest.raises(OSError):
        folder.read("a")


@root_only
def test_a_folder_that_may_be_passed_and_not_listed_is_reached(by_descriptor):
    with open_folder() as top:
        (top / "home" / "mine").mkdir(parents=True)
        (top / "home").chmod(0o711)
        give(top / "home" / "mine", BOB)

        def make():
            with Folder.open_followed(top / "home" / "mine") as folder:
                os.close(folder.create("a"))

        as_user(BOB, make)
        assert names(top / "home" / "mine") == ["a"]


@root_only
def test_a_thousand_times_no_link_of_another_user_leads_to_a_folder(
    by_descriptor, tmp_path, victim, exchanges
):
    (tmp_path / "shared" / "own").mkdir(parents=True)
    (tmp_path / "shared" / "trap").symlink_to(victim)
    os.lchown(tmp_path / "shared" / "trap", EVE, EVE)
    refused = 0
    with Swapper(tmp_path / "shared" / "own", tmp_path / "shared" / "trap") as swapper:
        swapper.go()
        for _round in range(1000):
            try:
                with Folder.open_followed(tmp_path / "shared" / "own") as folder:
                    assert folder.identity != identity(victim)
            except OSError:  # noqa: PERF203
                refused += 1
        swapper.halt()

    assert swapper.swaps > 0
    assert 0 < refused < 1000

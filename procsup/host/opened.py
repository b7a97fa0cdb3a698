"""Folders that are opened once: all later calls act in this folder, even if its path changes.

The system looks up a path anew in every call. If other users may write to a folder on the way, they
can put a link or another folder in its place between a check and an action. A `Folder` stays the
one that was opened: its entries are named relative to its descriptor, and links are not followed.

Windows has no such calls. There each call joins the name to the path, and the folder is only
compared when it is opened: a process that may write beside it can replace it later.
"""

import errno
import os
import stat
from typing import BinaryIO, Callable, List, Optional

from msgspec import Struct

from procsup.host.files import AnyPath, check_record, make_temporary_name, set_mode
from procsup.host.owners import MOST_LINKS, explain_by_mode, explain_foreign_link
from procsup.paths.opening import read_part, refuse_irregular, refuse_kind

_NEEDED = {os.open, os.stat, os.mkdir, os.rename, os.unlink, os.rmdir, os.readlink}
_BY_DESCRIPTOR = os.supports_dir_fd >= _NEEDED and os.scandir in os.supports_fd
_FOLDER = (
    os.O_RDONLY
    | getattr(os, "O_DIRECTORY", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
)
_PASSED = _FOLDER | getattr(os, "O_PATH", 0)  # to open names in it, even if not listed
_READ = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NOINHERIT", 0)
)
_NEW = (
    os.O_WRONLY
    | os.O_CREAT
    | os.O_EXCL
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NOINHERIT", 0)
)
_NO_NAMES = ("", os.curdir, os.pardir)
_JUNCTION = 0xA0000003  # the reparse tag of a mount point of Windows
_PLANTED_MOST = 100  # limits a loop against a process that makes the name again and again
_DEEPEST = 60  # folders that a removal has open at once
_PASSES = 10_000


class Identity(Struct, frozen=True):
    """Identifies a file or a folder on this machine; its name may change."""

    device: int
    inode: int


def make_identity(status: os.stat_result) -> Identity:
    """Return the identity of the file with this status."""
    return Identity(status.st_dev, status.st_ino)


def create(path: AnyPath, mode: Optional[int] = 0o600, *, dir_fd: Optional[int] = None) -> int:
    """Make a file and return its descriptor, which no child inherits, open for writing.

    It is always a new file of ours, which no other process has open: an existing entry is removed
    first (a link, not its target). `mode` None: by the user's umask. OSError if it cannot be made.
    """
    for _attempt in range(_PLANTED_MOST):
        try:
            return _create_new(path, mode, dir_fd)
        except FileExistsError:  # noqa: PERF203
            os.unlink(path, dir_fd=dir_fd)
    raise FileExistsError(errno.EEXIST, "another process makes it again and again", path)


def _create_new(path: AnyPath, mode: Optional[int], dir_fd: Optional[int]) -> int:
    fd = os.open(path, _NEW, 0o666 if mode is None else mode, dir_fd=dir_fd)
    if mode is not None:
        set_mode(fd, mode)
    return fd


def refuse_replaced(path: AnyPath, fd: int) -> None:
    """Raise OSError unless an open file is the one of this name in a folder of ours.

    Its folder may have been replaced, by a link or a folder of another user, before the file was
    opened.
    """
    folder_path, name = os.path.split(os.path.abspath(os.fspath(path)))
    with Folder.open(folder_path) as folder:
        if not (folder.shows(name, fd) and folder.is_ours()):
            raise make_replaced_error(folder_path)


class Folder:
    """An open folder. `status` is its `stat` from its opening, `path` is for messages only.

    Names are those of its own entries: ValueError for others, such as ``..`` or ``a/b``.
    """

    __slots__ = ("_fd", "path", "status")

    def __init__(self, path: str, fd: Optional[int], status: os.stat_result) -> None:
        self.path = path
        self.status = status
        self._fd = fd

    @classmethod
    def open(cls, path: AnyPath) -> "Folder":
        """Open a folder; OSError if it is a link, is not a folder, or cannot be read.

        Links among the folders above it are followed.
        """
        return cls._open(os.path.abspath(os.fspath(path)))

    @classmethod
    def open_followed(cls, path: AnyPath) -> "Folder":
        """Open a folder as the system follows a whole path, but through no link of another user.

        Its entries can be used by name, even if we may not list them. OSError names the link.
        """
        whole = os.fspath(path)
        if not os.path.isabs(whole):
            raise ValueError(f"{whole!r} is no whole path")
        if not _BY_DESCRIPTOR:
            return cls.open(os.path.realpath(whole))
        names, links = whole.split(os.sep)[::-1], 0
        folder = cls._open(os.sep, flags=_PASSED)
        try:
            while names:
                name = names.pop()
                if name in ("", os.curdir):
                    continue
                try:
                    following = cls._open(
                        os.path.join(folder.path, name), name, folder._fd, flags=_PASSED
                    )
                except NotADirectoryError:
                    target, links = folder._link_of_ours(name), links + 1
                    if links > MOST_LINKS:
                        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), whole) from None
                    names += target.split(os.sep)[::-1]
                    if not os.path.isabs(target):
                        continue
                    following = cls._open(os.sep, flags=_PASSED)
                folder.close()
                folder = following
        except BaseException:
            folder.close()
            raise
        return folder

    def _link_of_ours(self, name: str) -> str:
        """Return the target of a link; OSError if it is not a link, or is another user's."""
        path, status = os.path.join(self.path, name), self.look(name)
        if not stat.S_ISLNK(status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        why = explain_foreign_link(status)
        if why is not None:
            raise OSError(errno.ELOOP, f"{path} {why}", path)
        return os.readlink(name, dir_fd=self._fd)

    @classmethod
    def _open(
        cls,
        path: str,
        name: Optional[str] = None,
        dir_fd: Optional[int] = None,
        *,
        flags: int = _FOLDER,
    ) -> "Folder":
        if not _BY_DESCRIPTOR:
            status = os.lstat(path)
            if not _is_folder(status):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
            return cls(path, None, status)
        try:
            fd = os.open(path if name is None else name, flags, dir_fd=dir_fd)
        except OSError as error:
            if error.errno == errno.ELOOP:  # the error of some systems for a link
                error = NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            error.filename = path
            raise error from None
        try:
            return cls(path, fd, os.fstat(fd))
        except BaseException:
            os.close(fd)
            raise

    def close(self) -> None:
        """Close it; a second call does nothing."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def __enter__(self) -> "Folder":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # --- the folder itself -------------------------------------------------------------------

    @property
    def fd(self) -> Optional[int]:
        """Its descriptor, as `dir_fd` for other calls; None on Windows."""
        return self._fd

    @property
    def identity(self) -> Identity:
        """Its identity."""
        return make_identity(self.status)

    @property
    def place(self) -> str:
        """A path that leads to this very folder while it is open (Linux); elsewhere its path."""
        place = f"/proc/self/fd/{self._fd}"
        try:
            return place if make_identity(os.stat(place)) == self.identity else self.path
        except OSError:
            return self.path

    def require(self, planned: Identity) -> None:
        """Raise OSError if it is another folder than the planned one."""
        if self.identity != planned:
            raise make_replaced_error(self.path)

    def is_ours(self) -> bool:
        """Whether it belongs to the caller.

        Some network file systems map user ids: there the owner of a new file shows our id.
        """
        geteuid: Optional[Callable[[], int]] = getattr(os, "geteuid", None)
        return (
            geteuid is None
            or self.status.st_uid == geteuid()
            or self.status.st_uid == self._find_owner_of_new_file()
        )

    def _find_owner_of_new_file(self) -> Optional[int]:
        name = make_temporary_name()
        try:
            fd = self.create(name)
        except OSError:
            return None
        try:
            return os.fstat(fd).st_uid
        finally:
            os.close(fd)
            self.unlink(name)

    def explain_others_may_write(self) -> Optional[str]:
        """Return why other users may rename and remove its entries; None if they may not."""
        return explain_by_mode(self.status, self.place)

    def is_closed(self) -> bool:
        """Whether only we may rename and remove its entries."""
        return self.is_ours() and self.explain_others_may_write() is None

    # --- its entries -------------------------------------------------------------------------

    def list_names(self) -> List[str]:
        """Return the names in it."""
        return os.listdir(self.path if self._fd is None else self._fd)

    def look(self, name: str) -> os.stat_result:
        """Return the `lstat` of an entry."""
        return os.lstat(self._at(name), dir_fd=self._fd)

    def has(self, name: str) -> bool:
        """Whether an entry has this name."""
        try:
            self.look(name)
        except FileNotFoundError:
            return False
        return True

    def shows(self, name: str, fd: int) -> bool:
        """Whether this descriptor is of the file that has this name in the folder."""
        if self._fd is None:
            return True
        return self.has(name) and make_identity(self.look(name)) == make_identity(os.fstat(fd))

    def is_still(self, name: str, made: Optional[Identity]) -> bool:
        """Whether an entry is the file that was made there; see the function `is_still`."""
        return make_identity(self.look(name)) == made or self.is_closed()

    def read(self, name: str) -> BinaryIO:
        """Open a regular file in it for reading; OSError if it is anything else, or a link.

        It is read up to the end that it has now. Its kind is checked before it is opened, as by
        `open_regular`.
        """
        path = os.path.join(self.path, name)
        try:
            mode = self.look(name).st_mode
            if not stat.S_ISLNK(mode):
                refuse_kind(mode, path)
            fd = os.open(self._at(name), _READ, dir_fd=self._fd)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise OSError(errno.EINVAL, "it is a symbolic link", path) from None
            error.filename = path
            raise
        try:
            refuse_irregular(fd, path)
        except BaseException:
            os.close(fd)
            raise
        return read_part(fd)

    def record(self, name: str) -> BinaryIO:
        """Open a record of the run whose folder it is, as `open_record` does."""
        return check_record(self.read(name), os.path.join(self.path, name), self.status.st_uid)

    def above(self) -> "Folder":
        """Open its parent folder, by its descriptor and not by its path; OSError as `open`."""
        path = os.path.dirname(self.path)
        return self._open(path, None if self._fd is None else os.pardir, self._fd)

    def child(self, name: str) -> "Folder":
        """Open a folder in it; OSError as `open`."""
        at = self._at(name)
        return self._open(os.path.join(self.path, name), at, self._fd)

    def open_plain_child(self, name: str) -> "Folder":
        """Open a folder in it on which nothing is mounted; OSError if something is."""
        child = self.child(name)
        try:
            child.refuse_mount(self)
        except BaseException:
            child.close()
            raise
        return child

    def refuse_mount(self, above: "Folder", listed_inode: Optional[int] = None) -> None:
        """Raise OSError if this is on another mount than a folder above it.

        On Linux that includes another place of the same device (a bind mount). If nothing is
        mounted on a folder, its inode is the listed one, except on a few file systems: if they
        differ, the mount numbers are compared.
        """
        is_mount = self.status.st_dev != above.status.st_dev
        if not is_mount and self._fd is not None and self.status.st_ino != listed_inode:
            mount = above._read_mount()
            is_mount = mount != self._read_mount() if mount else listed_inode is not None
        if is_mount:
            raise OSError(errno.EBUSY, "it is a mount point: unmount it first", self.path)

    def _read_mount(self) -> bytes:
        """Return the line with the number of its mount; empty where the system tells none.

        OSError if it cannot be read for another reason, such as a shortage of descriptors.
        """
        try:
            with open(f"/proc/self/fdinfo/{self._fd}", "rb") as file:
                return next((line for line in file if line.startswith(b"mnt_id:")), b"")
        except (FileNotFoundError, PermissionError):  # no Linux, or no /proc
            return b""

    def make(self, name: str, mode: int = 0o700) -> "Folder":
        """Open a folder in it that has exactly this mode; make it if it is missing.

        OSError if it cannot be made, is a link, or belongs to another user than this folder.
        """
        try:
            os.mkdir(self._at(name), mode, dir_fd=self._fd)
        except FileExistsError:
            pass  # an existing entry is checked below
        folder = self.child(name)
        try:
            if folder.status.st_uid != self.status.st_uid:
                raise PermissionError(errno.EPERM, "it belongs to another user", folder.path)
            if stat.S_IMODE(folder.status.st_mode) & ~stat.S_ISGID != mode:
                folder.set_mode(mode)
        except BaseException:
            folder.close()
            raise
        return folder

    def make_anew(self, name: str) -> "Folder":
        """Make a private folder in it; an entry of that name is removed first, as by `remove`."""
        try:
            os.mkdir(self._at(name), 0o700, dir_fd=self._fd)
        except FileExistsError:
            self.remove(name)
            os.mkdir(self._at(name), 0o700, dir_fd=self._fd)
        return self.make(name)

    def create(self, name: str, mode: Optional[int] = 0o600) -> int:
        """Make a file in it; see the function `create`."""
        return create(self._at(name), mode, dir_fd=self._fd)

    def create_new(self, name: str, mode: Optional[int] = 0o600) -> int:
        """Make a file in it, as `create`; FileExistsError if something has the name."""
        return _create_new(self._at(name), mode, self._fd)

    def set_mode(self, mode: int) -> None:
        """Set its own permissions; a setgid bit is kept, by which new entries get its group."""
        if self._fd is not None:
            set_mode(self._fd, mode | self.status.st_mode & stat.S_ISGID)

    def rename(self, name: str, new: str) -> None:
        """Rename an entry within the folder; a file that has the new name is replaced."""
        os.replace(self._at(name), self._at(new), src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def take(self, source: "Folder", name: str, new: str) -> None:
        """Move an entry of another folder, or the link itself, into this one."""
        os.rename(source._at(name), self._at(new), src_dir_fd=source._fd, dst_dir_fd=self._fd)

    def unlink(self, name: str) -> None:
        """Remove a file or a link; OSError for a folder."""
        os.unlink(self._at(name), dir_fd=self._fd)

    def _at(self, name: str) -> str:
        if name in _NO_NAMES or os.sep in name:
            raise ValueError(f"{name!r} is no name of an entry of {self.path}")
        return name if self._fd is not None else os.path.join(self.path, name)

    # --- removal -----------------------------------------------------------------------------

    def remove(self, name: str) -> None:
        """Remove an entry: a folder with everything in it, or a file or a link.

        OSError as `remove_tree`; also for a mount point.
        """
        if not _is_folder(self.look(name)):
            self.unlink(name)
            return
        with self.open_plain_child(name) as folder:
            planned = folder.identity
        self.remove_tree(name, planned)

    def remove_tree(self, name: str, planned: Identity) -> None:
        """Remove the planned folder, which is no mount point, with everything in it.

        Links in it are removed and not followed, mount points are left as they are. All entries
        that can be removed are; then OSError names the first one that could not be. If another
        folder has the name, nothing is removed.
        """
        with self.child(name) as folder:
            if folder.identity != planned:
                folder.refuse_mount(self)
            folder.require(planned)
            _Removal(folder).run()
        self.remove_empty(name, planned)

    def remove_empty(self, name: str, planned: Identity) -> None:
        """Remove the planned folder, which is empty; OSError if it is another, or not empty."""
        status = self.look(name)
        if make_identity(status) != planned:
            raise make_replaced_error(os.path.join(self.path, name))
        os.rmdir(self._at(name), dir_fd=self._fd)


def make_replaced_error(path: str) -> OSError:
    """Return the error that another folder has taken the place of this one."""
    return OSError(errno.ESTALE, "another folder has taken its place", path)


def is_still(path: AnyPath, made: Optional[Identity]) -> bool:
    """Whether the file at a path is the one that was made there.

    In a folder where only we may write, any file counts as that one: some file systems change the
    inode number of an unused file. OSError if there is no file.
    """
    if make_identity(os.lstat(path)) == made:
        return True
    folder_path, name = os.path.split(path)
    with Folder.open(folder_path) as folder:
        return folder.is_still(name, made)


def _is_folder(status: os.stat_result) -> bool:
    return stat.S_ISDIR(status.st_mode) and getattr(status, "st_reparse_tag", 0) != _JUNCTION


class _Removal:
    """Empties a folder, down to its mount points.

    A deep folder is moved up first, so that few folders are open at once at any depth.
    """

    def __init__(self, root: Folder) -> None:
        self._root = root
        self._error: Optional[OSError] = None
        self._was_deep = False

    def run(self) -> None:
        for _pass in range(_PASSES):
            self._was_deep = False
            self._clear(self._root, 0)
            if not self._was_deep:
                break
        if self._error is not None:
            raise self._error

    def _clear(self, folder: Folder, depth: int) -> None:
        # Some file systems skip entries if one is removed while they are listed.
        with os.scandir(folder.path if folder._fd is None else folder._fd) as entries:
            listed = list(entries)
        for entry in listed:
            try:
                self._remove(folder, entry, depth)
            except FileNotFoundError:  # noqa: PERF203
                pass  # another removal was faster
            except OSError as error:
                self._note(error, os.path.join(folder.path, entry.name))

    def _note(self, error: OSError, path: str) -> None:
        if self._error is None:
            error.filename = path
            self._error = error

    def _remove(self, folder: Folder, entry: "os.DirEntry[str]", depth: int) -> None:
        dir_fd = folder._fd
        name = entry.name if dir_fd is not None else entry.path
        if not entry.is_dir(follow_symlinks=False) or (
            dir_fd is None and not _is_folder(os.lstat(name))
        ):
            os.unlink(name, dir_fd=dir_fd)
            return
        if depth >= _DEEPEST:
            up = self._root._at(make_temporary_name())
            os.rename(name, up, src_dir_fd=dir_fd, dst_dir_fd=self._root._fd)
            self._was_deep = True
            return
        with folder.child(entry.name) as child:
            child.refuse_mount(self._root, entry.inode())
            self._clear(child, depth + 1)
        os.rmdir(name, dir_fd=dir_fd)

"""Opens, syncs and replaces files, in the way of each system.

The promises are the same everywhere: when `sync_fd` returns, the data is on the disk; when
`write_atomically` returns, the file is complete and durable; a file that another user planted
under one of our names is never opened.

`dir_fd` is the descriptor of an open folder: then only the last name of a path is looked up, in
that folder, and the whole path is for messages. Windows has no such descriptors.
"""

import errno
import os
import stat
import sys
from typing import BinaryIO, Iterable, Optional

from procsup.errors import RecordError
from procsup.host.folders import find_keeper, find_refusal
from procsup.host.owners import refuse_foreign
from procsup.paths.opening import AnyPath as AnyPath
from procsup.paths.opening import open_regular, read_part, refuse_irregular

_WRITE_BYTES = 1 << 16
_TEMPORARY = (".procsup-", ".part")
_LARGE_BYTES = 1 << 30
_MOST_COMPRESSED = 64  # file systems that compress store a journal in a tenth
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)

if sys.platform == "win32":
    import ctypes
    import msvcrt
    import time
    from ctypes import wintypes
    from typing import Callable, List

    _BUSY = (5, 32, 33)  # access denied, sharing violation, lock violation
    _RETRY_S = 2.5
    _SAFE_FLAGS = os.O_BINARY | os.O_NOINHERIT

    def sync_fd(fd: int) -> None:
        """Return when everything written to the file is on the disk; OSError if that failed."""
        os.fsync(fd)

    def sync_folder(path: AnyPath, *, dir_fd: Optional[int] = None) -> None:
        """Do nothing: Windows cannot sync folders, and `replace` writes through."""

    def replace(source: AnyPath, target: AnyPath, *, dir_fd: Optional[int] = None) -> None:  # noqa: ARG001
        """Replace `target` by `source`, atomically; durable on return.

        A scanner or a reader may hold the target for a moment: so it is retried for 2.5 s.
        """
        _retry_while_busy(lambda: _move_file(os.fspath(source), os.fspath(target)))

    def remove(path: AnyPath, *, dir_fd: Optional[int] = None) -> bool:  # noqa: ARG001
        """Remove a file, retrying while a process holds it; False if there was none."""
        try:
            _retry_while_busy(lambda: os.unlink(path))
        except FileNotFoundError:
            return False
        return True

    def open_reading(path: AnyPath) -> BinaryIO:
        """Open a regular file for reading such that it can be removed and replaced meanwhile.

        It is read up to the end that it has now. OSError if it is anything else: a device may have
        no end.
        """
        refuse_irregular(os.fspath(path), os.fspath(path))
        kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel32.CreateFileW.restype = wintypes.HANDLE
        generic_read, share_all, open_existing, normal = 0x80000000, 7, 3, 0x80
        handle = kernel32.CreateFileW(
            os.fspath(path), generic_read, share_all, None, open_existing, normal, None
        )
        if handle in (None, wintypes.HANDLE(-1).value):
            raise _make_windows_error(os.fspath(path))
        file = read_part(msvcrt.open_osfhandle(handle, os.O_RDONLY | os.O_BINARY))
        try:
            refuse_irregular(file.fileno(), os.fspath(path))
        except BaseException:
            file.close()
            raise
        return file

    def _move_file(source: str, target: str) -> None:
        kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
        replace_existing, write_through = 1, 8
        if not kernel32.MoveFileExW(
            ctypes.c_wchar_p(source), ctypes.c_wchar_p(target), replace_existing | write_through
        ):
            raise _make_windows_error(target)

    def _make_windows_error(path: str) -> OSError:
        code = ctypes.get_last_error()
        return OSError(0, ctypes.FormatError(code).strip(), path, code)

    def _open_patiently(name: str, flags: int, mode: int, dir_fd: Optional[int]) -> int:  # noqa: ARG001
        """Open a file; try again while it is denied because it is being removed."""
        found: List[int] = []
        _retry_while_busy(lambda: found.append(os.open(name, flags, mode)))
        return found[0]

    def _retry_while_busy(act: Callable[[], None]) -> None:
        deadline, pause_s = time.monotonic() + _RETRY_S, 0.005
        while True:
            try:
                act()
            except PermissionError as error:
                if error.winerror not in (*_BUSY, None) or time.monotonic() >= deadline:
                    raise
            else:
                return
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, 0.1)

    def set_mode(fd: int, mode: int) -> None:
        """Do nothing: the folder's access list decides who may read."""

    def is_terminal(fd: int) -> bool:
        """Whether it is a console; `os.isatty` is true for NUL, too. OSError if it is closed."""
        mode, kernel32 = wintypes.DWORD(), ctypes.WinDLL("kernel32")
        handle = wintypes.HANDLE(msvcrt.get_osfhandle(fd))
        return bool(kernel32.GetConsoleMode(handle, ctypes.byref(mode)))

else:
    import fcntl

    _SAFE_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK

    def _open_patiently(name: str, flags: int, mode: int, dir_fd: Optional[int]) -> int:
        return os.open(_look_below(name, dir_fd), flags, mode, dir_fd=dir_fd)

    if sys.platform == "darwin":
        _F_BARRIERFSYNC = 85

        def sync_fd(fd: int) -> None:
            """Return when everything written to the file is on the disk; OSError if that failed."""
            # On macOS fsync leaves data in the drive's cache; not every file system has these two.
            if not any(_try_flush(fd, how) for how in (fcntl.F_FULLFSYNC, _F_BARRIERFSYNC)):
                os.fsync(fd)

        def _try_flush(fd: int, how: int) -> bool:
            try:
                fcntl.fcntl(fd, how)
            except OSError:
                return False
            return True

    else:

        def sync_fd(fd: int) -> None:
            """Return when everything written to the file is on the disk; OSError if that failed."""
            # Not every system has fdatasync. Data and length are enough: nothing else of a record
            # matters.
            getattr(os, "fdatasync", os.fsync)(fd)

    def sync_folder(path: AnyPath, *, dir_fd: Optional[int] = None) -> None:
        """Return when the names in the folder are on the disk; `dir_fd` is the folder's own."""
        name = path if dir_fd is None else os.curdir
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=dir_fd)
        try:
            os.fsync(fd)
        except OSError as error:
            # Network file systems that cannot do it make names durable by themselves.
            if error.errno not in _NO_FOLDER_SYNC:
                raise
        finally:
            os.close(fd)

    def replace(source: AnyPath, target: AnyPath, *, dir_fd: Optional[int] = None) -> None:
        """Replace `target` by `source`, atomically; `sync_folder` makes it durable."""
        names = _look_below(source, dir_fd), _look_below(target, dir_fd)
        os.replace(*names, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)

    def remove(path: AnyPath, *, dir_fd: Optional[int] = None) -> bool:
        """Remove a file; False if there was none."""
        try:
            os.unlink(_look_below(path, dir_fd), dir_fd=dir_fd)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def open_reading(path: AnyPath) -> BinaryIO:
        """Open a regular file for reading such that it can be removed and replaced meanwhile.

        It is read up to the end that it has now. OSError if it is anything else: a FIFO would
        block, a device may have no end.
        """
        return read_part(open_regular(os.fspath(path)))

    def set_mode(fd: int, mode: int) -> None:
        """Set the permissions of an open file: open() has applied the umask."""
        os.fchmod(fd, mode)

    def is_terminal(fd: int) -> bool:
        """Whether it is a terminal; false if it is closed."""
        return os.isatty(fd)


_HARD_LINKED = (
    "another file too (it has a second hard link): refused. If the project was copied by hard links"
    " (cp -al), replace the run directory of that copy by one with files of its own (cp -a)"
)


def read_file_id(path: AnyPath, *, dir_fd: Optional[int] = None) -> str:
    """Return an id of this file, different from its copies': device and inode in hexadecimal.

    ``:`` if it does not exist. After a boot the device may have another number.
    """
    try:
        status = os.stat(_look_below(path, dir_fd), dir_fd=dir_fd)
    except OSError:
        return ":"
    return f"{status.st_dev:x}:{status.st_ino:x}"


def open_record(path: AnyPath) -> BinaryIO:
    """Open a record of a run for reading, as `open_reading` does; it must belong to the run's user.

    Another user may have put a file there while the folder was open to others. OSError for such a
    file, and for a huge sparse one, which would take very long to read.
    """
    name = os.path.abspath(os.fspath(path))
    file = open_reading(name)
    try:
        owner = os.lstat(os.path.dirname(name)).st_uid
    except OSError:
        file.close()  # its folder was removed just now
        raise
    return check_record(file, name, owner)


def check_record(file: BinaryIO, path: str, owner: int) -> BinaryIO:
    """Return an open file if it can be a record of this user's run; close it and raise OSError."""
    try:
        refuse_foreign(file.fileno(), path, owner)
        _refuse_empty(os.fstat(file.fileno()), path)
    except BaseException:
        file.close()
        raise
    return file


def _refuse_empty(status: os.stat_result, path: str) -> None:
    on_disk = getattr(status, "st_blocks", status.st_size) * 512  # unknown on Windows
    if status.st_size > _LARGE_BYTES and on_disk * _MOST_COMPRESSED < status.st_size:
        problem = f"it is no record: of its {status.st_size} bytes only {on_disk} are on the disk"
        raise OSError(errno.EINVAL, problem, path)


def describe_error(error: OSError) -> str:
    """Return the system's words for an error, for messages that name the file themselves.

    For a path without permission it names the folder that is closed, or the file that may not be
    replaced, and the owner.
    """
    words = error.strerror or str(error)
    if isinstance(error, PermissionError):
        paths = [one for one in (error.filename, error.filename2) if isinstance(one, str)]
        asked = (
            (find_keeper, find_refusal)
            if error.errno == errno.EPERM
            else (find_refusal, find_keeper)
        )
        who = next(filter(None, (ask(path) for ask in asked for path in paths)), "")
        return f"{words}: {who}" if who else words
    return words


def _look_below(path: AnyPath, dir_fd: Optional[int]) -> str:
    """Return the name to look up: with `dir_fd` only the last one of the path."""
    return os.fspath(path) if dir_fd is None else os.path.basename(path)


def open_private(
    path: AnyPath, flags: int, mode: int = 0o600, *, dir_fd: Optional[int] = None
) -> int:
    """Open a regular file of ours and return its descriptor, which no child inherits.

    RecordError for anything else under its name (a symbolic link, a FIFO, a device, another
    file's hard link): it is not followed, opened or written to.
    """
    name = os.fspath(path)
    try:
        fd = _open_patiently(name, flags | _SAFE_FLAGS, mode, dir_fd)
    except OSError as error:
        planted = _find_planted(name, dir_fd)
        if planted is None:
            error.filename = name
            raise
        raise RecordError(f"{name} is {planted}") from error
    try:
        status = os.fstat(fd)
        planted = _explain_not_ours(status.st_mode, status.st_nlink)
        if planted is None and sys.platform == "win32":
            planted = _find_planted(name, dir_fd)
        if planted is not None:
            raise RecordError(f"{name} is {planted}")
    except BaseException:
        os.close(fd)
        raise
    return fd


def _find_planted(path: str, dir_fd: Optional[int]) -> Optional[str]:
    try:
        status = os.lstat(_look_below(path, dir_fd), dir_fd=dir_fd)
    except OSError:
        return None
    return _explain_not_ours(status.st_mode, status.st_nlink)


def _explain_not_ours(mode: int, links: int) -> Optional[str]:
    if stat.S_ISLNK(mode):
        return "a symbolic link: refused, remove it"
    if stat.S_ISDIR(mode):
        return "a folder: refused, remove it"
    if not stat.S_ISREG(mode):
        return "no regular file: refused, remove it"
    return _HARD_LINKED if links > 1 else None


def write_atomically(
    path: AnyPath,
    chunks: Iterable[bytes],
    *,
    mode: Optional[int] = 0o600,
    dir_fd: Optional[int] = None,
) -> None:
    """Write a file such that its name holds the old content or the new, whole, durably.

    `mode` None: by the user's umask (for files that the user named). OSError if it failed: then
    the old content is unchanged and no temporary file is left.
    """
    target = os.path.abspath(os.fspath(path))
    temporary = os.path.join(os.path.dirname(target), make_temporary_name())
    fd = _open_patiently(
        temporary,
        os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE_FLAGS,
        0o666 if mode is None else 0o600,
        dir_fd,
    )
    try:
        try:
            if mode is not None:
                set_mode(fd, mode)
            write_all(fd, chunks)
            sync_fd(fd)
        finally:
            os.close(fd)
        replace(temporary, target, dir_fd=dir_fd)
    except BaseException:
        remove(temporary, dir_fd=dir_fd)
        raise
    sync_folder(os.path.dirname(target), dir_fd=dir_fd)


def make_folders(path: AnyPath, mode: int = 0o777, *, above: int = 0o777) -> bool:
    """Make a folder, and those above it that are missing; on return their names are on the disk.

    `above` is the mode of the missing ones above it; the umask applies to both modes. A folder that
    existed is synced, too: its maker may have been killed before the sync. True if the folder was
    made now; OSError if it cannot be.
    """
    name = os.path.abspath(os.fspath(path))
    parent, made = os.path.dirname(name), False
    if not os.path.isdir(name):
        make_folders(parent, above, above=above)
        try:
            os.mkdir(name, mode)
            made = True
        except FileExistsError:
            if not os.path.isdir(name):
                raise
    try:
        sync_folder(parent)
    except PermissionError:
        pass  # a folder without read permission: it cannot be opened for a sync
    return made


def make_temporary_name() -> str:
    """Return a new name for a temporary file or folder, which no other user can plant before us."""
    return f"{os.getpid()}-{os.urandom(8).hex()}".join(_TEMPORARY)


def is_temporary(name: str) -> bool:
    """Whether this is the name of a temporary file or folder of procsup."""
    return name.startswith(_TEMPORARY[0]) and name.endswith(_TEMPORARY[1])


def write_all(fd: int, chunks: Iterable[bytes]) -> None:
    """Write these bytes to a file; OSError if that failed."""
    buffer = bytearray()
    for chunk in chunks:
        buffer += chunk
        if len(buffer) >= _WRITE_BYTES:
            _write_fully(fd, buffer)
            buffer = bytearray()
    _write_fully(fd, buffer)


def _write_fully(fd: int, data: bytearray) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]

"""Windows' Job Objects: they count and end a process with all processes that it starts."""

import ctypes
import sys
from ctypes import wintypes
from typing import List, Optional

assert sys.platform == "win32"

_LIMIT_KILL_ON_JOB_CLOSE = 0x2000
_BASIC_ACCOUNTING, _PROCESS_IDS, _EXTENDED_LIMITS = 1, 3, 9  # JOBOBJECTINFOCLASS
_MORE_DATA = 234
_KILLED = 1  # the exit code of killed processes

_kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
_kernel32.CreateJobObjectW.restype = wintypes.HANDLE


class _Accounting(ctypes.Structure):
    """JOBOBJECT_BASIC_ACCOUNTING_INFORMATION; times in units of 100 ns."""

    _fields_ = (
        ("user_time", ctypes.c_int64),
        ("kernel_time", ctypes.c_int64),
        ("period_user_time", ctypes.c_int64),
        ("period_kernel_time", ctypes.c_int64),
        ("page_faults", wintypes.DWORD),
        ("total_processes", wintypes.DWORD),
        ("active_processes", wintypes.DWORD),
        ("terminated_processes", wintypes.DWORD),
    )


class _Pids(ctypes.Structure):
    """JOBOBJECT_BASIC_PROCESS_ID_LIST."""

    _fields_ = (
        ("assigned", wintypes.DWORD),
        ("listed", wintypes.DWORD),
        ("pids", ctypes.c_size_t * 1000),
    )


class _Limits(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION."""

    _fields_ = (
        ("process_user_time", ctypes.c_int64),
        ("job_user_time", ctypes.c_int64),
        ("flags", wintypes.DWORD),
        ("minimum_working_set", ctypes.c_size_t),
        ("maximum_working_set", ctypes.c_size_t),
        ("active_processes", wintypes.DWORD),
        ("affinity", ctypes.c_size_t),
        ("priority_class", wintypes.DWORD),
        ("scheduling_class", wintypes.DWORD),
        ("io_counters", ctypes.c_uint64 * 6),
        ("process_memory", ctypes.c_size_t),
        ("job_memory", ctypes.c_size_t),
        ("peak_process_memory", ctypes.c_size_t),
        ("peak_job_memory", ctypes.c_size_t),
    )


class Job:
    """A Job Object; its handle is not inheritable, so that it is closed when we die."""

    def __init__(self) -> None:
        self._handle: Optional[int] = _kernel32.CreateJobObjectW(None, None)
        if not self._handle:
            raise ctypes.WinError(ctypes.get_last_error())
        limits = _Limits(flags=_LIMIT_KILL_ON_JOB_CLOSE)
        _kernel32.SetInformationJobObject(
            wintypes.HANDLE(self._handle),
            _EXTENDED_LIMITS,
            ctypes.byref(limits),
            ctypes.sizeof(limits),
        )

    def take(self, process_handle: int) -> bool:
        """Put a process into the job; False if it is in one that forbids that."""
        job, process = wintypes.HANDLE(self._handle), wintypes.HANDLE(process_handle)
        return bool(_kernel32.AssignProcessToJobObject(job, process))

    def read_account(self) -> Optional[_Accounting]:
        """Return the system's accounting of the whole job; None if it fails."""
        found = _Accounting()
        return found if self._query(_BASIC_ACCOUNTING, found) else None

    def count_active(self) -> int:
        """Return how many of its processes live; 1 if the system call fails.

        A job counts as empty only if that is known: the next call tries again.
        """
        account = self.read_account()
        return 1 if account is None else int(account.active_processes)

    def read_pids(self) -> Optional[List[int]]:
        """Return the pids of its processes, at most a thousand; None if the system call fails."""
        found = _Pids()
        if not self._query(_PROCESS_IDS, found) and ctypes.get_last_error() != _MORE_DATA:
            return None
        return [int(pid) for pid in found.pids[: found.listed]]

    def _query(self, kind: int, into: ctypes.Structure) -> bool:
        if self._handle is None:
            return False  # without a handle the call is about our own job
        return bool(
            _kernel32.QueryInformationJobObject(
                wintypes.HANDLE(self._handle), kind, ctypes.byref(into), ctypes.sizeof(into), None
            )
        )

    def end(self) -> None:
        """Kill all its processes."""
        _kernel32.TerminateJobObject(wintypes.HANDLE(self._handle), _KILLED)

    def close(self) -> None:
        """Release it; processes that are still in it end."""
        if self._handle is not None:
            _kernel32.CloseHandle(wintypes.HANDLE(self._handle))
            self._handle = None

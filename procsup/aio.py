"""The library for programs on asyncio: the same functions as coroutines.

::

    manifest = await procsup.aio.run("survey.toml")

An awaited run belongs to its task: a cancellation of the task (a timeout of `asyncio.wait_for`,
too) stops the run, and the CancelledError continues when no process of it is left; a second
cancellation kills the remaining processes at once. Neither child watchers nor the default
executor are used, and the event loop's signal handlers stay as they are.
"""

import asyncio
import os
import threading
from typing import (
    Any,
    Callable,
    Dict,
    Hashable,
    Iterable,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Union,
)

from procsup.host.attached import CancelToken
from procsup.host.files import AnyPath
from procsup.host.folders import make_absolute
from procsup.lib import library
from procsup.lib import units as listed
from procsup.lib.answers import check_manifest
from procsup.lib.invocation import RunOptions, SpecOrFile, make_request
from procsup.lib.manifest import Manifest
from procsup.lib.running import Invocation, Progress, make_invocation
from procsup.lib.targets import DEFAULT_ARGS
from procsup.lib.timing import Duration

_Work = Callable[[], Manifest]
_Subscriber = Tuple[asyncio.AbstractEventLoop, "asyncio.Future[Manifest]"]


async def run(
    file: SpecOrFile = "procsup.toml",
    *,
    vars: Optional[Mapping[str, object]] = None,
    jobs: Optional[int] = None,
    only: Sequence[str] = (),
    fresh: bool = False,
    dir: Optional[AnyPath] = None,
    engine: str = "local",
    time_limit: Optional[Duration] = None,
    progress: Progress = "auto",
    check: bool = True,
    adopt: bool = False,
) -> Manifest:
    """Bring a run to completion; see `procsup.run`."""
    options = RunOptions(vars, jobs, only, fresh, dir, engine, adopt, time_limit)
    return await _carry_out(
        lambda: make_invocation(make_request(file, options), progress, check=check)
    )


async def run_units(
    units: Iterable[listed.AnyUnit],
    *,
    name: Optional[str] = None,
    jobs: Optional[int] = None,
    on_failure: Union[str, Mapping[str, object]] = "finish",
    keep: str = "never",
    adopt: bool = False,
    dir: Optional[AnyPath] = None,
    progress: Progress = "auto",
    check: bool = True,
    time_limit: Optional[Duration] = None,
    **defaults: object,
) -> Manifest:
    """Run units; see `procsup.run_units`. A thread iterates over a generator of units."""
    options = listed.UnitOptions(
        name, jobs, on_failure, keep, dir, progress, check, defaults, adopt, time_limit
    )
    return await _carry_out(lambda: listed.make_units_invocation(units, options))


async def map(
    target: Union[AnyPath, Sequence[listed.Argument]],
    inputs: Iterable[listed.Argument],
    *,
    args: Sequence[listed.Argument] = DEFAULT_ARGS,
    outputs: listed.Outputs = (),
    name: Optional[str] = None,
    check: bool = True,
    jobs: Optional[int] = None,
    on_failure: Union[str, Mapping[str, object]] = "finish",
    keep: str = "never",
    adopt: bool = False,
    dir: Optional[AnyPath] = None,
    progress: Progress = "auto",
    time_limit: Optional[Duration] = None,
    **defaults: object,
) -> Manifest:
    """Run one child per input; see `procsup.map`."""
    options = listed.UnitOptions(
        name, jobs, on_failure, keep, dir, progress, check, defaults, adopt, time_limit
    )
    return await _carry_out(
        lambda: listed.make_map_invocation(target, inputs, args, outputs, options)
    )


async def wait_for(
    run: AnyPath,
    *,
    stage: Optional[str] = None,
    timeout: Optional[Duration] = None,
    max_age: Optional[Duration] = None,
    verify: bool = False,
    check: bool = True,
) -> Manifest:
    """Wait until a run, or a stage of it, is final; see `procsup.wait_for`.

    Another process works on the run: cancelling the wait does not stop it.
    """

    def wait() -> Manifest:
        return library.wait_for(
            run, stage=stage, timeout=timeout, max_age=max_age, verify=verify, check=False
        )

    # Waits for the same run share a thread: it ends with the run, and a caller that
    # gives up and asks again, every second, would leave one behind each time.
    where = "" if os.path.isabs(run) else make_absolute(os.curdir)
    key = (where, os.fspath(run), stage, timeout, max_age, verify)
    future = _waits.join(key, wait)
    try:
        manifest = await asyncio.shield(future)
    finally:
        _waits.leave(key, future)
    return check_manifest(Manifest(manifest.path, manifest.head), check=check)


async def _carry_out(invocation: Callable[[], Invocation]) -> Manifest:
    """Carry out on a separate thread; if cancelled, stop the run and wait for its processes."""
    cancel_token = CancelToken()
    future = asyncio.get_running_loop().create_future()
    subscriber = (future.get_loop(), future)
    _begin_thread(lambda: _deliver([subscriber], lambda: invocation().carry_out(cancel_token)))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        cancel_token.cancel()
        await _wait_until_over(future, cancel_token)
        raise


async def _wait_until_over(future: "asyncio.Future[Manifest]", cancel_token: CancelToken) -> None:
    while not future.done():
        await _wait_patiently(future, cancel_token)
    future.exception()  # read, so that asyncio does not report it as never retrieved


async def _wait_patiently(future: "asyncio.Future[Manifest]", cancel_token: CancelToken) -> None:
    try:
        await asyncio.wait({future})
    except asyncio.CancelledError:
        cancel_token.cancel()  # the first cancellation continues when no process is left


def _begin_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="procsup-aio", daemon=True).start()


def _deliver(subscribers: Sequence[_Subscriber], work: _Work) -> None:
    """Do the work here, and set its result or exception in all futures, each on its loop."""
    result: Optional[Manifest] = None
    error: Optional[BaseException] = None
    try:
        result = work()
    except BaseException as raised:  # noqa: BLE001 - it is raised where it is awaited
        error = raised
    for loop, future in subscribers:
        _tell(loop, future, result, error)


def _tell(
    loop: asyncio.AbstractEventLoop,
    future: "asyncio.Future[Manifest]",
    result: Optional[Manifest],
    error: Optional[BaseException],
) -> None:
    try:
        loop.call_soon_threadsafe(_settle, future, result, error)
    except RuntimeError:
        pass  # that loop is closed: no task awaits the future


def _settle(
    future: "asyncio.Future[Any]", result: Optional[Manifest], error: Optional[BaseException]
) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


class _Waits:
    """The futures of each wait: equal waits share one thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: Dict[Hashable, List[_Subscriber]] = {}

    def join(self, key: Hashable, work: _Work) -> "asyncio.Future[Manifest]":
        """Return a future of this thread's loop for the result of the work."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        with self._lock:
            subscribers = self._waiting.get(key)
            if subscribers is not None:
                subscribers.append((loop, future))
                return future
            self._waiting[key] = [(loop, future)]
        _begin_thread(lambda: self._work(key, work))
        return future

    def leave(self, key: Hashable, future: "asyncio.Future[Manifest]") -> None:
        """Forget a future: its loop is closed or its task was cancelled."""
        with self._lock:
            subscribers = self._waiting.get(key, [])
            subscribers[:] = [one for one in subscribers if one[1] is not future]

    def _work(self, key: Hashable, work: _Work) -> None:
        done: List[_Subscriber] = []

        def work_and_close() -> Manifest:
            try:
                return work()
            finally:
                with self._lock:
                    done.extend(self._waiting.pop(key))

        _deliver(done, work_and_close)


_waits = _Waits()

__all__ = ["map", "run", "run_units", "wait_for"]

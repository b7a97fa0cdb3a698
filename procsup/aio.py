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
from collections import deque
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import (
    Any,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Deque,
    Dict,
    Hashable,
    Iterable,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Type,
    TypeVar,
    Union,
)

from procsup.host.attached import CancelToken, Feed
from procsup.host.files import AnyPath
from procsup.host.folders import make_absolute
from procsup.lib import library, running
from procsup.lib import units as listed
from procsup.lib.answers import check_manifest
from procsup.lib.feeding import iterate_any, iterate_apart
from procsup.lib.invocation import RunOptions, SpecOrFile, make_display, make_request
from procsup.lib.manifest import Manifest
from procsup.lib.running import Invocation, Progress, make_invocation
from procsup.lib.status import Status
from procsup.lib.targets import DEFAULT_ARGS
from procsup.lib.timing import Duration
from procsup.queries.events import Event
from procsup.runfile.plan import KEEP_LAST
from procsup.supervisor.requests import Display

T = TypeVar("T")

_Subscriber = Tuple[asyncio.AbstractEventLoop, "asyncio.Future[T]"]
_MOST_EVENTS = 1000  # read ahead of their reader


class Run:
    """A run that was started by `start` or `start_units`; see `procsup.Run`.

    As an async context manager: after an exception, a cancellation too, the run is stopped, and the
    exception continues when no process of it is left. Without one the end of the run is awaited.
    """

    def __init__(self, run: running.Run) -> None:
        self._run = run

    def __repr__(self) -> str:
        return repr(self._run)

    def __str__(self) -> str:
        return str(self._run)

    @property
    def id(self) -> str:
        """The id of the run."""
        return self._run.id

    @property
    def dir(self) -> Path:
        """The run directory."""
        return self._run.dir

    async def events(self) -> AsyncIterator[Event]:
        """Yield the events of the run from its beginning; the last one is a `RunEnded`.

        Leaving them does not touch the run. May be called several times.
        """
        stream = _EventStream(self._run)
        try:
            while True:
                event = await stream.take()
                if event is None:
                    return
                yield event
        finally:
            stream.leave()

    async def wait(
        self,
        timeout: Optional[Duration] = None,
        *,
        stage: Optional[str] = None,
        check: bool = True,
    ) -> Manifest:
        """Wait until the run, or a stage of it, is final; a cancellation does not stop the run."""
        manifest = await _waits.ask(
            (self, timeout, stage), lambda: self._run.wait(timeout, stage=stage, check=False)
        )
        return check_manifest(Manifest(manifest.path, manifest.head), check=check)

    async def status(self) -> Status:
        """Read how the run stands."""
        return await asyncio.shield(_work_apart(self._run.status))

    async def drain(self) -> None:
        """Start no more units; running ones finish. Nothing happens if the run is over."""
        await asyncio.shield(_work_apart(self._run.drain))

    async def stop(self, grace: Optional[Duration] = None, *, only: Sequence[str] = ()) -> None:
        """Ask the units to end, kill them after `grace`, and return when no process is left.

        `only` as in `procsup.Run.stop`. A cancellation meanwhile kills them at once, and continues
        when none is left; with `only` it just ends the wait.
        """
        future = _work_apart(lambda: self._run.stop(grace, only=only))
        try:
            await asyncio.shield(future)
        except asyncio.CancelledError:
            if not only:
                await _wait_until_over(_work_apart(lambda: self._run.stop(0.0)))
                await _wait_until_over(future)
            raise

    async def __aenter__(self) -> "Run":
        return self

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if kind is not None:
            await self.stop()
        elif not self._run.is_told:
            await self.wait()


async def start(
    file: SpecOrFile = "procsup.toml",
    *,
    vars: Optional[Mapping[str, object]] = None,
    jobs: Optional[int] = None,
    only: Sequence[str] = (),
    fresh: bool = False,
    dir: Optional[AnyPath] = None,
    engine: str = "local",
    time_limit: Optional[Duration] = None,
    detach: bool = False,
    adopt: bool = False,
) -> Run:
    """Start a run and return once it holds its run directory; see `procsup.start`."""
    options = RunOptions(vars, jobs, only, fresh, dir, engine, adopt, time_limit)
    return await _start(
        lambda _: make_invocation(make_request(file, options), "none", check=True), detach=detach
    )


async def start_units(
    units: Union[Iterable[listed.AnyUnit], AsyncIterable[listed.AnyUnit]],
    *,
    name: Optional[str] = None,
    jobs: Optional[int] = None,
    on_failure: Union[str, Mapping[str, object]] = "finish",
    keep: str = "never",
    adopt: bool = False,
    dir: Optional[AnyPath] = None,
    detach: bool = False,
    time_limit: Optional[Duration] = None,
    keep_last: Optional[int] = KEEP_LAST,
    **defaults: object,
) -> Run:
    """Start a run of units; see `procsup.start_units`. Units as for `run_units`."""
    options = listed.UnitOptions(
        name, jobs, on_failure, keep, dir, "none", True, defaults, adopt, time_limit, keep_last
    )
    loop = asyncio.get_running_loop()
    return await _start(
        lambda token: listed.make_units_invocation(iterate_any(units, loop, token), options),
        detach=detach,
    )


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
        lambda _: make_invocation(make_request(file, options), progress, check=check)
    )


async def run_units(
    units: Union[Iterable[listed.AnyUnit], AsyncIterable[listed.AnyUnit]],
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
    keep_last: Optional[int] = KEEP_LAST,
    **defaults: object,
) -> Manifest:
    """Run units; see `procsup.run_units`.

    A thread iterates over a generator of units; an async one is iterated over here.
    """
    options = listed.UnitOptions(
        name, jobs, on_failure, keep, dir, progress, check, defaults, adopt, time_limit, keep_last
    )
    loop = asyncio.get_running_loop()
    return await _carry_out(
        lambda token: listed.make_units_invocation(iterate_any(units, loop, token), options)
    )


async def map(
    target: Union[AnyPath, Sequence[listed.Argument]],
    inputs: Union[Iterable[listed.Argument], AsyncIterable[listed.Argument]],
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
    keep_last: Optional[int] = KEEP_LAST,
    **defaults: object,
) -> Manifest:
    """Run one child per input; see `procsup.map`. Inputs as the units of `run_units`."""
    loop = asyncio.get_running_loop()
    options = listed.UnitOptions(
        name, jobs, on_failure, keep, dir, progress, check, defaults, adopt, time_limit, keep_last
    )
    return await _carry_out(
        lambda token: listed.make_map_invocation(
            target, iterate_any(inputs, loop, token), args, outputs, options
        )
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
    manifest = await _waits.ask(key, wait)
    return check_manifest(Manifest(manifest.path, manifest.head), check=check)


async def _start(invocation: Callable[[CancelToken], Invocation], *, detach: bool) -> Run:
    """Start it on a separate thread; if cancelled, stop what was started."""
    cancel_token = CancelToken()

    def work() -> running.Run:
        feed = _make_feed(invocation(cancel_token), cancel_token, make_display("none"), True)
        return running.begin(feed, detach=detach, cancel_token=cancel_token)

    future = _work_apart(work)
    try:
        return Run(await asyncio.shield(future))
    except asyncio.CancelledError:
        cancel_token.cancel()
        await _wait_until_over(future, cancel_token)
        if future.exception() is None:
            await _wait_until_over(_work_apart(future.result().stop))
        raise


async def _carry_out(invocation: Callable[[CancelToken], Invocation]) -> Manifest:
    """Carry out on a separate thread; if cancelled, stop the run and wait for its processes."""
    cancel_token = CancelToken()

    def work() -> Manifest:
        made = invocation(cancel_token)
        apart = made._replace(make_feed=partial(_make_feed, made, cancel_token))
        return apart.carry_out(cancel_token)

    future = _work_apart(work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        cancel_token.cancel()
        await _wait_until_over(future, cancel_token)
        raise


def _make_feed(made: Invocation, token: CancelToken, display: Display, announce: bool) -> Feed:
    feed = made.make_feed(display, announce)
    return feed._replace(plan=iterate_apart(feed.plan, token)) if feed.plan else feed


async def _wait_until_over(
    future: "asyncio.Future[T]", cancel_token: Optional[CancelToken] = None
) -> None:
    while not future.done():
        await _wait_patiently(future, cancel_token)
    future.exception()  # read, so that asyncio does not report it as never retrieved


async def _wait_patiently(future: "asyncio.Future[T]", cancel_token: Optional[CancelToken]) -> None:
    try:
        await asyncio.wait({future})
    except asyncio.CancelledError:
        if cancel_token is not None:
            cancel_token.cancel()  # the first cancellation continues when no process is left


def _work_apart(work: Callable[[], T]) -> "asyncio.Future[T]":
    """Do the work on a thread; return a future of this thread's loop for its result."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    _begin_thread(lambda: _deliver([(loop, future)], work))
    return future


def _begin_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="procsup-aio", daemon=True).start()


def _deliver(subscribers: "Sequence[_Subscriber[T]]", work: Callable[[], T]) -> None:
    """Do the work here, and set its result or exception in all futures, each on its loop."""
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
        settle = partial(_settle, error=error)
    else:
        settle = partial(_settle, result=result)
    for loop, future in subscribers:
        _tell(loop, settle, future)


class _EventStream:
    """Events that a thread reads from the journal, for one reader on a loop."""

    def __init__(self, run: running.Run) -> None:
        self._run = run
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._events: Deque[Optional[Event]] = deque()
        self._room = threading.Semaphore(_MOST_EVENTS)
        self._is_left = threading.Event()
        self._reading = _work_apart(self._read)
        self._reading.add_done_callback(_read_exception)

    def _read(self) -> None:
        try:
            for event in self._run._read_events(given_up=self._is_left.is_set):
                self._room.acquire()
                if self._is_left.is_set():
                    return
                self._hand_over(event)
        finally:
            self._hand_over(None)

    def _hand_over(self, event: Optional[Event]) -> None:
        self._events.append(event)
        try:
            self._loop.call_soon_threadsafe(self._ready.set)
        except RuntimeError:
            self._is_left.set()  # that loop is closed

    async def take(self) -> Optional[Event]:
        """Wait for the next event; None after the last one. Raises what the reading raised."""
        while not self._events:
            self._ready.clear()
            await self._ready.wait()
        event = self._events.popleft()
        if event is None:
            await self._reading
            return None
        self._room.release()
        return event

    def leave(self) -> None:
        """End the reading; returns at once."""
        self._is_left.set()
        self._room.release()


def _read_exception(future: "asyncio.Future[T]") -> None:
    """Read it, so that asyncio does not report it as never retrieved."""
    future.exception()


def _tell(
    loop: asyncio.AbstractEventLoop, settle: Callable[..., None], future: "asyncio.Future[T]"
) -> None:
    try:
        loop.call_soon_threadsafe(settle, future)
    except RuntimeError:
        pass  # that loop is closed: no task awaits the future


def _settle(
    future: "asyncio.Future[T]", *, result: Any = None, error: Optional[BaseException] = None
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
        self._waiting: Dict[Hashable, List[_Subscriber[Manifest]]] = {}

    async def ask(self, key: Hashable, work: Callable[[], Manifest]) -> Manifest:
        """Return the result of the work."""
        future = self._join(key, work)
        try:
            return await asyncio.shield(future)
        finally:
            self._leave(key, future)

    def _join(self, key: Hashable, work: Callable[[], Manifest]) -> "asyncio.Future[Manifest]":
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

    def _leave(self, key: Hashable, future: "asyncio.Future[Manifest]") -> None:
        """Forget a future: its loop is closed or its task was cancelled."""
        with self._lock:
            subscribers = self._waiting.get(key, [])
            subscribers[:] = [one for one in subscribers if one[1] is not future]

    def _work(self, key: Hashable, work: Callable[[], Manifest]) -> None:
        done: List[_Subscriber[Manifest]] = []

        def work_and_close() -> Manifest:
            try:
                return work()
            finally:
                with self._lock:
                    done.extend(self._waiting.pop(key))

        _deliver(done, work_and_close)


_waits = _Waits()

__all__ = ["Run", "map", "run", "run_units", "start", "start_units", "wait_for"]

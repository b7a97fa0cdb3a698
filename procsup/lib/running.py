"""A run beside the program that started it: `start`, and the object that it returns."""

import os
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import (
    Any,
    Callable,
    Dict,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Type,
    Union,
)

from procsup.errors import ProcsupError, RunUnfinished, WaitTimeout
from procsup.host.attached import CancelToken, Feed, SupervisorProcess, run_attached
from procsup.host.boot import Announcing
from procsup.host.detach import start_detached
from procsup.host.files import AnyPath
from procsup.lib.answers import check_manifest, describe_exit, get_manifest, make_error
from procsup.lib.invocation import (
    RunOptions,
    SpecOrFile,
    make_display,
    make_request,
)
from procsup.lib.manifest import Manifest
from procsup.lib.plain import read_selectors
from procsup.lib.status import Status, read_status
from procsup.lib.timing import Duration, convert_seconds
from procsup.queries.control import request, stop_units
from procsup.queries.control import stop as ask_to_stop
from procsup.queries.events import Event, read_events
from procsup.queries.view import RunView
from procsup.queries.waiting import Limits, await_final
from procsup.store.rundir import RunDir
from procsup.store.sitting import Owner, is_live, wait_sitting
from procsup.supervisor.requests import Display, HostedRequest, Request

Progress = Union[str, Callable[[Event], object]]

_GUARD_ENDS_S = 10.0  # after its supervisor's last message


def start(
    spec_or_file: SpecOrFile = "procsup.toml",
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
) -> "Run":
    """Start a run and return once it holds its run directory.

    The run is a separate process: this program's signals, children, threads and streams stay as
    they are, and Ctrl-C in its terminal does not reach the run. The run ends when this program
    ends, even by SIGKILL; with `detach` it does not, as with ``procsup run --detach``.
    RunFileError, UsageError, RunBusy and RecordError as `run`.
    """
    request = make_request(
        spec_or_file, RunOptions(vars, jobs, only, fresh, dir, engine, adopt, time_limit)
    )
    feed = make_invocation(request, "none", check=True).make_feed(make_display("none"), True)
    return begin(feed, detach=detach)


def begin(feed: Feed, *, detach: bool = False, cancel_token: Optional[CancelToken] = None) -> "Run":
    """Start the run of the feed's request, which announces itself; errors as `start`."""
    if detach:
        lines = chain([feed.request], feed.plan)
        detached = start_detached(feed.label, lines, feed.called_off, relay=len)
        return Run(_check_ready(detached), None)
    supervisor = SupervisorProcess(feed, cancel_token)
    if supervisor.ready is None and supervisor.problem is not None:
        raise supervisor.problem
    return Run(_check_ready(supervisor), supervisor)


class Invocation(NamedTuple):
    """A run to bring to completion; `progress` as in `run`.

    The arguments of `make_feed` are what is shown of the run, and whether it announces itself.
    """

    make_feed: Callable[[Display, bool], Feed]
    progress: Progress = "auto"
    check: bool = True

    def carry_out(self, cancel_token: Optional[CancelToken] = None) -> Manifest:
        """Run it to its end; errors as `procsup.run`."""
        if isinstance(self.progress, str):
            feed = self.make_feed(make_display(self.progress), False)
            ended = run_attached(feed, cancel_token=cancel_token)
            return get_manifest(ended, check=self.check)
        feed = self.make_feed(make_display("none"), True)
        with begin(feed, cancel_token=cancel_token) as run:
            for event in run.events():
                self.progress(event)
            return run.wait(check=self.check)


def make_invocation(request: Request, progress: Progress, *, check: bool) -> Invocation:
    """Return the invocation of a run of a file."""

    def make_feed(display: Display, announce: bool) -> Feed:
        return Feed(request.file, HostedRequest(request, display, announce=announce).encode())

    return Invocation(make_feed, progress, check)


def _check_ready(started: Announcing) -> Dict[str, Any]:
    """Return the supervisor's announcement; raise the error if the run did not begin."""
    if started.ready is None:
        words = started.said.strip() or f"the supervisor {describe_exit(started.exit_code or 0)}"
        raise RunUnfinished(f"the run has not begun: {words}")
    if "error" in started.ready:
        raise make_error(started.ready["error"])
    return started.ready


class Run:
    """A run that was started by `start`.

    As a context manager, it stops the run after an exception, which continues when no process of
    the run is left. Without an exception it waits for the end of the run: RunFailed or
    RunUnfinished are raised, unless `wait` or `stop` has reported the end already. A fork of the
    program may use it as well; if the fork leaves the block, the run goes on.
    """

    def __init__(self, ready: Mapping[str, Any], supervisor: Optional[SupervisorProcess]) -> None:
        self.id: str = ready["id"]
        self.dir = Path(ready["directory"])
        self._sitting: int = ready["sitting"]
        self._rundir = RunDir(self.dir)
        self._supervisor = supervisor
        self._owner = RunView(self._rundir).owner
        self.is_told = False  # its end was reported already
        self._pid = os.getpid()

    def __repr__(self) -> str:
        return f"<Run {self}>"

    def __str__(self) -> str:
        return f"{self.dir}@{self.id}"

    def wait(
        self,
        timeout: Optional[Duration] = None,
        *,
        stage: Optional[str] = None,
        check: bool = True,
    ) -> Manifest:
        """Block until the run, or a stage of it, is final; return its manifest.

        WaitTimeout after `timeout` (the run continues), RunFailed unless all units succeeded (with
        `check`), RunUnfinished if it ended before it was final. What a generator of units raised
        goes on here.
        """
        limits = Limits(timeout_s=convert_seconds("timeout", timeout))
        try:
            waited = await_final(str(self), stage=stage, limits=limits)
        except WaitTimeout:
            raise
        except ProcsupError:
            self.is_told = True
            if self._supervisor is not None and self._supervisor.problem is not None:
                raise self._supervisor.problem from None
            raise
        if stage is None:
            self.is_told = True
            self._wait_for_guard()
        return check_manifest(Manifest(waited.path, waited.head), check=check)

    def status(self) -> Status:
        """Read the status of the run."""
        return read_status(RunView(self._rundir, self.id))

    def events(self) -> Iterator[Event]:
        """Yield the events of the run from its beginning; the last one is a `RunEnded`.

        An end is yielded when it is on disk. May be called several times, and from any thread.
        """
        return self._read_events(given_up=bool)

    def _read_events(self, *, given_up: Callable[[], bool]) -> Iterator[Event]:
        return read_events(self._rundir, self._find_own(), given_up=given_up)

    def drain(self) -> None:
        """Start no more units; running ones finish. Nothing happens if the run is over."""
        owner = self._find_live()
        if owner is not None:
            request(self._rundir, owner, "drain")

    def stop(self, grace: Optional[Duration] = None, *, only: Sequence[str] = ()) -> None:
        """Ask the units to end, kill them after `grace` (the stage's, by default), and return
        when no process of the run is left. Nothing happens if it is over.

        With `only` (selectors), only these units are cancelled; UsageError if one selects none.
        Ctrl-C during the wait for the whole run kills it at once.
        """
        grace_s = convert_seconds("grace", grace)
        words = read_selectors("only", only)
        if words:
            owner = self._find_live()
            if owner is not None:
                stop_units(self._rundir, owner, words, grace_s=grace_s)
            return
        self.is_told = True
        try:
            self._stop(grace_s)
        except ProcsupError:
            raise
        except BaseException:  # Ctrl-C, or an exception of a signal handler
            self._stop(0.0)
            raise

    def _stop(self, grace_s: Optional[float]) -> None:
        owner = self._find_live()
        if owner is not None:
            ask_to_stop(self._rundir, owner, grace_s=grace_s)
        self._wait_for_guard()

    def __enter__(self) -> "Run":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if self._pid != os.getpid():
            return  # a fork that leaves the block: the run is its parent's
        if kind is not None:
            self.stop()
        elif not self.is_told:
            self.wait()

    def _find_own(self) -> Owner:
        """Return the supervisor of this run; RunUnfinished if another one took its place."""
        owner = self._owner
        if owner is None or (owner.run_id, owner.sitting) != (self.id, self._sitting):
            raise RunUnfinished(f"run {self.id} is superseded")
        return owner

    def _find_live(self) -> Optional[Owner]:
        owner = self._find_own()
        return owner if is_live(self._rundir, owner) else None

    def _wait_for_guard(self) -> None:
        """Return when the guard has ended, too: it ends last, when every tree is empty."""
        if self._supervisor is not None and self._pid == os.getpid():
            self._supervisor.wait(_GUARD_ENDS_S)
        else:
            wait_sitting(self._rundir, self._find_own())


__all__: List[str] = ["Run", "start"]

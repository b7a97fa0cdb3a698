"""Builds and runs one sitting: the only module that connects the edges with the loop."""

import os
import sys
import time
from contextlib import ExitStack
from functools import partial
from typing import Any, Callable, Collection, Dict, List, Mapping, Optional, Tuple

import msgspec
from msgspec import Struct

from procsup import __version__
from procsup.attempt.context import RunContext
from procsup.attempt.environment import find_thread_cap_origins
from procsup.core.events import Expanded, Fact, Interrupted, TimeLimitReached
from procsup.core.plan.outlook import count_outlook, format_first_line, list_notes
from procsup.core.plan.reactor import open_sitting
from procsup.core.plan.rehearsal import RehearsedStage, rehearse
from procsup.core.plan.stages import find_doubt
from procsup.core.plan.state import Plan, Selector
from procsup.core.quantities import show_duration
from procsup.core.records import JOURNAL_VERSION, Begin
from procsup.core.relocation import Root
from procsup.engines.gauge import MachineGauge
from procsup.engines.local import LocalEngine
from procsup.engines.worker import SideExpander
from procsup.errors import RunBusy
from procsup.host import guard, identity, marks
from procsup.host.birth import read_born_ns
from procsup.host.clock import SystemClock, make_dated_id
from procsup.host.files import read_file_id
from procsup.host.inherited import get_inherited_environment
from procsup.host.interrupts import SignalInterrupts
from procsup.host.leftovers import end_leftovers
from procsup.host.parent_watch import ParentWatch
from procsup.interfaces import Engine, Watcher
from procsup.loop import World, carry_out, supervise
from procsup.runfile.load import LoadedRun
from procsup.seams import seam
from procsup.store.control import ControlInbox
from procsup.store.journal import JournalWriter
from procsup.store.place import find_way
from procsup.store.rundir import RunDir, has_records
from procsup.store.shared_lock import hold_shared_lock
from procsup.store.sitting import Owner, Sitting, is_live, read_owner
from procsup.supervisor.expansion import Expander
from procsup.supervisor.observers import Observers
from procsup.supervisor.old_runs import OldRuns
from procsup.supervisor.previous_run import PreviousRun, make_lost_ends
from procsup.supervisor.publishing import GrowingPlan, open_queue
from procsup.supervisor.requests import DryRun, Ending, Opening, Request
from procsup.supervisor.resolved_request import (
    ResolvedRequest,
    begin_anew,
    list_notices,
    make_directory,
    read,
)

_LEFTOVERS_END_S = 10.0
_NOT_ASKED = (
    "static: no interpreter was asked whether it runs, whether it finds its `module`, and whether"
    " that has changed"
)


EngineMaker = Callable[[RunContext], Engine]


def make_local_engine(context: RunContext) -> Engine:
    """Make the engine that runs units on this machine, as children of this process."""
    return LocalEngine(context, clock=SystemClock())


class _HeldRun(Struct, frozen=True):
    """The run directory whose lock we hold, and its journal as read."""

    rundir: RunDir
    sitting: Sitting
    past: PreviousRun
    begin: Begin


class Waker:
    """Wakes the engine's wait from another thread."""

    def __init__(self) -> None:
        self.engine: Optional[Engine] = None

    def wake(self) -> None:
        """Make the engine's wait return."""
        if self.engine is not None:
            self.engine.wake()


class ControlSources:
    """Interrupts from outside: signals, control files, the guard's death, and the time limit.

    Also the end of the program that owns the run, if there is one. The time limit, if there is one,
    counts from now.
    """

    def __init__(
        self,
        signals: SignalInterrupts,
        inbox: ControlInbox,
        owner: Optional[ParentWatch] = None,
        time_limit_s: Optional[float] = None,
    ) -> None:
        self._signals = signals
        self._inbox = inbox
        self._owner = owner
        self._limit_s = time_limit_s
        self._deadline = None if time_limit_s is None else time.monotonic() + time_limit_s

    def next_look(self) -> Optional[float]:
        """The monotonic time at which `drain` may have something without a wake-up."""
        look = self._inbox.next_look
        return look if self._deadline is None else min(look, self._deadline)

    def drain(self) -> List[Fact]:
        """Return the interrupts since the last call."""
        is_gone = self._owner is not None and self._owner.is_gone  # read before its reason
        facts = [*self._signals.drain(ask_guard=is_gone), *self._inbox.drain()]
        if any(isinstance(fact, Interrupted) and fact.signum is None for fact in facts):
            self._owner = None  # the guard died, and the program closed its pipe for that reason
        elif is_gone:
            self._owner = None
            facts.append(Interrupted(None, "the program that started the run has ended"))
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self._deadline = None
            facts.append(
                TimeLimitReached(f"its time limit of {show_duration(self._limit_s or 0.0)} is over")
            )
        return facts


def bring_to_completion(
    request: Request,
    *,
    watchers: Callable[[Opening], Watcher],
    on_ready: Optional[Callable[[Opening], None]] = None,
    make_engine: EngineMaker = make_local_engine,
) -> Ending:
    """Bring the run of a run file to completion, and return how this sitting ended.

    `watchers` is called once the run directory is held and the plan is known; `on_ready` when older
    manifests are withdrawn; `make_engine` makes the engine. Signals are handled only if it is
    called on the main thread.

    Raises RunFileError or UsageError (nothing was started), RunBusy if a live run holds the
    directory, RecordError if records cannot be written: then every tree was ended first.
    """
    old_runs = OldRuns(request.keep_last)
    with ExitStack() as stack:
        asked, held = _hold(stack, read(request))
        waker = Waker()
        # From now on a signal becomes a fact: it ends the run, and `Ending.signum` has its number.
        signals = stack.enter_context(
            SignalInterrupts(guard_link=guard.find_guard_link(), wake=waker.wake)
        )
        base = held.past.history.last_seq
        plan = _make_plan(asked, held)
        lost = make_lost_ends(held.past.history, time.time())
        held.past.extend([held.begin, *lost], base)
        asked.weigh_words(held.past.history)
        expander = Expander(asked, held.past.history, os.environ, folder=held.sitting.folder)
        early = expander.expand_early(asked.units)
        opening = _make_opening(asked, held, plan, early)
        growing = _keep_plan(stack, asked, held, expander, plan)
        held.sitting.begin(held.begin.sitting, held.begin.run_id, [s.name for s in plan.stages])
        observers = Observers(watchers(opening), partial(_tell_ready, opening, old_runs, on_ready))
        stack.callback(observers.close)
        engine = _make_engine(stack, held, make_engine)
        waker.engine = engine
        world = _make_world(stack, asked, held, expander, observers, signals, engine, growing)
        begin = _place_begin(held)
        carry_out(open_sitting(plan, begin, lost), plan, world)
        supervise(plan, world, [*early.values(), *world.interrupts.drain()])
        is_open = growing is not None and growing.check()
    old_runs.wait_for_first()  # the run directory is released
    return _make_ending(plan, held, observers, is_plan_open=is_open)


def _tell_ready(
    opening: Opening, old_runs: OldRuns, on_ready: Optional[Callable[[Opening], None]]
) -> None:
    """A run that is refused does not come here: it removes nothing."""
    if on_ready is not None:
        on_ready(opening)
    old_runs.begin_to_remove(opening.directory)


def rehearse_run(request: Request, *, wanted: Collection[str] = (), static: bool = False) -> DryRun:
    """Return what a run would do and why; nothing is written or locked, and no unit is started.

    Interpreters that the run file names are started, to ask for versions and modules, unless
    `static`. `wanted` are ids of units whose changes are always described, however many others
    changed. RunFileError lists all errors.
    """
    asked = read(request, may_be_open=True)
    past = PreviousRun(RunDir(asked.spec.directory), asked.spec)
    past.refuse_other_file(asked.spec)
    refusal = past.explain_copy(request)  # before `extend` adds records of this directory
    past.extend([_begin(asked, past)], past.history.last_seq)
    asked.weigh_words(past.history)
    owner = read_owner(RunDir(asked.spec.directory))
    live = owner if owner is not None and is_live(RunDir(asked.spec.directory), owner) else None
    how: Dict[str, Any] = {"live": live is not None, "touch": False, "asking": not static}
    expander = Expander(asked, past.history, os.environ, wanted=wanted, **how)
    selector = asked.only
    foreseen = rehearse(
        asked.spec,
        asked.capacity,
        past.history,
        expander.expand_early(asked.units),
        selector=selector,
        expand=expander.expand_late,
    )
    doubts = asked.refuse_unmatched(foreseen)
    seen = count_outlook(foreseen, selector)
    lines = [
        format_first_line(seen, past.before, fresh=request.runs_all_or_again),
        *([_describe_live(live)] if live is not None else []),
        *([f"refused as it is: {refusal}"] if refusal else []),
        *list_notices(asked),
        *list_notes(seen, asked.spec),
        *_note_not_asked(asked, static=static),
        *doubts,
    ]
    if selector is not None:
        foreseen = {name: _select_units(stage, selector) for name, stage in foreseen.items()}
    return DryRun(asked.spec, asked.capacity, foreseen, lines, live is not None, refusal)


def _note_not_asked(asked: ResolvedRequest, *, static: bool) -> List[str]:
    return [_NOT_ASKED] if static and any(one.interpreter for one in asked.spec.stages) else []


def _describe_live(owner: Owner) -> str:
    return f"this run is live (pid {owner.pid}): what stands here is what would be left to do now"


def _select_units(stage: RehearsedStage, selector: Selector) -> RehearsedStage:
    pairs = [pair for pair in zip(stage.units, stage.standings) if selector(pair[0])]
    units, standings = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return stage._replace(units=units, standings=standings)


def _hold(stack: ExitStack, asked: ResolvedRequest) -> Tuple[ResolvedRequest, _HeldRun]:
    """Lock the run directory, read the journal, end processes that a dead sitting left alive."""
    asked, rundir, sitting = _lock(stack, asked)
    if asked.spec.lock is not None:
        who = f"run {asked.spec.name} (process {os.getpid()} on {identity.get_host_name()})"
        stack.enter_context(hold_shared_lock(sitting.folder, asked.spec.lock, holder=who))
    past = PreviousRun(rundir, asked.spec, sitting.folder)
    past.refuse_other_file(asked.spec)
    past.refuse_copy(asked.request)
    _end_leftovers(sitting, past)
    return asked, _HeldRun(rundir, sitting, past, _begin(asked, past))


def _lock(stack: ExitStack, asked: ResolvedRequest) -> Tuple[ResolvedRequest, RunDir, Sitting]:
    """Make and lock the run directory, or that of a new run if this one is busy and may be."""
    asked, rundir, made = make_directory(asked)
    if made:
        stack.callback(_remove_unbegun, rundir)
    try:
        sitting = Sitting.open(rundir, share=asked.spec.share, at=time.time())
    except RunBusy:
        if asked.request.name_if_busy is None:
            raise
        return _lock(stack, begin_anew(asked, asked.request.name_if_busy))
    return asked, rundir, stack.enter_context(sitting)


def _remove_unbegun(rundir: RunDir) -> None:
    """Remove the directory of a refused run, if this start made it and it has no records."""
    if rundir.checked is not None and not has_records(rundir):
        from procsup.store.removal import remove_unbegun

        remove_unbegun(rundir, rundir.checked)


@seam("end leftovers")
def _end_leftovers(sitting: Sitting, past: PreviousRun) -> None:
    """End the processes of a dead sitting, then take the lock that every unit inherits."""
    recorded = past.list_recorded()

    def end() -> List[str]:
        ended = end_leftovers(recorded, limit_s=_LEFTOVERS_END_S)
        past.ended.extend(ended)
        return [f"process {pid} of {unit or 'an unknown unit'}" for pid, unit in ended]

    died = sitting.previous is not None and sitting.previous.ended is None
    if died or past.is_open:
        end()
        past.refuse_doubt()
    sitting.take_units_lock(end, timeout_s=_LEFTOVERS_END_S)


def _make_plan(asked: ResolvedRequest, held: _HeldRun) -> Plan:
    history, named = held.past.history, asked.selections
    return Plan(asked.spec, asked.capacity, history, selector=asked.only, named=named)


def _begin(asked: ResolvedRequest, past: PreviousRun) -> Begin:
    whole_fresh = asked.request.fresh and not asked.request.only
    # A copy gets a new id: with the old one its next sitting would end the original's units.
    resumed = not (past.finished or past.is_copy or whole_fresh)
    run_id = past.history.run_id if resumed else None
    return Begin(
        version=JOURNAL_VERSION,
        run_id=run_id or make_dated_id(4),
        sitting=past.history.sitting + 1,
        name=asked.spec.name,
        at=time.time(),
        host=identity.get_host_name(),
        boot_id=identity.read_boot_id(),
        pid=os.getpid(),
        procsup=__version__,
        python=".".join(map(str, sys.version_info[:3])),
        platform=identity.describe_platform(),
        run_file=asked.spec.file,
        resumed=run_id is not None,
        fresh=whole_fresh,
        variables=asked.spec.variables,
        thread_caps=find_thread_cap_origins(os.environ),
        mark_base=marks.draw_base(),
        pid_namespace=identity.read_pid_namespace(),
        root=find_way(asked.spec.folder, asked.spec.directory),
        capacity=asked.capacity.amounts,
        jobs=asked.capacity.jobs,
        selected=asked.request.only or asked.request.again or (),
        adopted=past.is_copy and asked.request.adopt,
    )


def _place_begin(held: _HeldRun) -> Begin:
    """Return the record that begins the sitting, with the identity of the journal file."""
    journal, dir_fd = held.rundir.journal, held.sitting.folder.fd
    written_to = read_file_id(journal, dir_fd=dir_fd)
    born = read_born_ns(journal, dir_fd=dir_fd)
    return msgspec.structs.replace(held.begin, journal=written_to, born_ns=born)


def _keep_plan(
    stack: ExitStack, asked: ResolvedRequest, held: _HeldRun, expander: Expander, plan: Plan
) -> Optional[GrowingPlan]:
    """Write a program's plan into the run directory; return it if it grows."""
    plan_file = asked.keep_plan(held.sitting.folder)
    if plan_file is None:
        return None
    stack.callback(plan_file.close)
    expander.grow_into(plan_file)
    return GrowingPlan(plan_file, plan.stages[0])


def _make_opening(
    asked: ResolvedRequest, held: _HeldRun, plan: Plan, early: Mapping[str, Expanded]
) -> Opening:
    history, selector = held.past.history, asked.only
    seen = count_outlook(
        rehearse(asked.spec, asked.capacity, history, early, selector=selector), selector
    )
    seen = msgspec.structs.replace(seen, grows=asked.loaded.grows)
    lines = [*list_notices(asked), *held.past.list_notices(), *list_notes(seen, asked.spec)]
    again = asked.request.runs_all_or_again
    is_open_queue = asked.loaded.grows and asked.spec.stages[0].is_queue
    first_line = "" if is_open_queue else format_first_line(seen, held.past.before, fresh=again)
    return Opening(
        asked.spec,
        held.begin.run_id,
        held.begin.sitting,
        held.sitting.folder,
        held.sitting.log_places,
        first_line,
        lines,
        plan.summary,
        held.begin.resumed and history.has_units,
    )


def _make_world(
    stack: ExitStack,
    asked: ResolvedRequest,
    held: _HeldRun,
    expander: Expander,
    observers: Observers,
    signals: SignalInterrupts,
    engine: Engine,
    growing: Optional[GrowingPlan],
) -> World:
    _tell_guard(held.begin)
    journal = stack.enter_context(
        JournalWriter.open(
            held.rundir.journal,
            held.past.read,
            on_synced=engine.wake,
            check=held.sitting.check,
            durable=asked.request.durable,
            root=Root(asked.spec.folder, held.begin.root),
            folder=held.sitting.folder,
        )
    )
    side_expander = _open_expander(stack, asked.loaded, expander, engine.wake)
    publisher = open_queue(
        asked.spec,
        held.begin,
        held.sitting,
        journal,
        started=held.past.started,
        wake=engine.wake,
        growing=growing,
    )
    stack.callback(publisher.close)
    # Closed first, since other callbacks may wait for a disk: after any error trees end at once.
    stack.callback(engine.close)
    inbox = ControlInbox(held.sitting.folder, held.begin.sitting)
    owner = _watch_owner(asked, engine)
    calls = ControlSources(signals, inbox, owner, asked.request.time_limit_s)
    edges = (calls, observers, SystemClock(), MachineGauge(engine.wake))
    return World(engine, journal, side_expander, publisher, *edges)


def _open_expander(
    stack: ExitStack, loaded: LoadedRun, expander: Expander, wake: Callable[[], None]
) -> SideExpander:
    side_expander = SideExpander(
        expander.expand_late,
        expander.weigh_again,
        wake=wake,
        is_ready=lambda: loaded.is_ready,
    )
    stack.callback(side_expander.close)
    stack.callback(loaded.stop_growing)
    return side_expander


def _tell_guard(begin: Begin) -> None:
    guard_link = guard.find_guard_link()
    if guard_link is not None:
        guard_link.wait_until_ready()
        guard_link.tell_run_id(begin.run_id, begin.mark_base)


def _watch_owner(asked: ResolvedRequest, engine: Engine) -> Optional[ParentWatch]:
    parent_watch = asked.request.owner
    if parent_watch is not None:
        parent_watch.set_callback(engine.wake)
    return parent_watch


def _make_engine(stack: ExitStack, held: _HeldRun, make_engine: EngineMaker) -> Engine:
    context = RunContext(
        run_id=held.begin.run_id,
        environment=get_inherited_environment(),
        log_paths=held.rundir.make_log_paths,
        run_dir=held.rundir.path,
        open_inherited=held.sitting.units_lock.share,
        mark_base=held.begin.mark_base,
        units_lock_path=held.sitting.units_lock.shared_path,
    )
    engine = make_engine(context)
    stack.callback(engine.close)
    return engine


def _make_ending(plan: Plan, held: _HeldRun, observers: Observers, *, is_plan_open: bool) -> Ending:
    return Ending(
        status=plan.outcome or None,
        run_id=held.begin.run_id,
        log_places=held.sitting.log_places,
        summary=plan.summary,
        reason=plan.closing,
        complaint=plan.complaint,
        doubt=find_doubt(plan),
        signum=plan.interrupted_by,
        failures=tuple(observers.failures),
        failed_total=observers.failed_total,
        manifest_path=str(held.rundir.manifest) if plan.outcome else None,
        is_plan_open=is_plan_open,
    )

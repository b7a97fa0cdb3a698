"""The far end of a piped engine: a local engine, with orders as lines in and facts as lines out.

It runs as a separate process, under a separate guard. It ends every tree, and then itself, at the
end of its stdin, a signal, the death of the guard, or if its stdout has no reader any more.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Iterable, Tuple

from procsup.attempt.context import RunContext
from procsup.core.events import Kill, Start
from procsup.engines.local import LocalEngine
from procsup.engines.wire import ORDERS, SAID, SETTINGS, EngineOrder, Failed, Said, Setting
from procsup.errors import RecordError
from procsup.host import guard
from procsup.host.clock import SystemClock
from procsup.host.inherited import get_inherited_environment
from procsup.host.interrupts import SignalInterrupts
from procsup.host.pipes import Wire, open_standard_wire
from procsup.host.units_lock import UnitsLock
from procsup.store.rundir import RunDir


def serve() -> int:
    """Serve one supervisor to the end of stdin; return the exit code."""
    wire = open_standard_wire()
    first = wire.wait_for_first_line()
    if first:
        _serve(wire, SETTINGS.decode(first))
    wire.wait_until_told()
    return 0


def _serve(wire: Wire, setting: Setting) -> None:
    with ExitStack() as stack:
        try:
            engine = _make_engine(stack, setting)
        except RecordError as error:
            _tell(wire, [Failed(str(error))])
            return
        is_asked = False
        try:
            is_asked = _obey(wire, engine, setting.run_id)
        except RecordError as error:
            _tell(wire, [Failed(str(error))])
        finally:
            facts = engine.close()
            # Ends that the lost connection caused are not the unit's fault.
            _tell(wire, facts if is_asked else ())


def _make_engine(stack: ExitStack, setting: Setting) -> LocalEngine:
    rundir = RunDir(setting.run_dir)
    open_inherited = _share_nothing
    if setting.units_lock_path is not None:
        lock = UnitsLock(setting.units_lock_path)
        lock.join()
        stack.callback(lock.close)
        open_inherited = lock.share
    context = RunContext(
        run_id=setting.run_id,
        environment=get_inherited_environment(),
        log_paths=rundir.make_log_paths,
        run_dir=Path(rundir.path),
        open_inherited=open_inherited,
        mark_base=setting.mark_base,
    )
    return LocalEngine(context, clock=SystemClock, sampling=setting.sampling)


def _share_nothing() -> Tuple[int, ...]:
    return ()


def _obey(wire: Wire, engine: LocalEngine, run_id: str) -> bool:
    """Carry out orders until the pipe closes, or until a signal or the guard's death.

    True if the pipe closed: then the supervisor wants every attempt ended.
    """
    guard_link = guard.find_guard_link()
    with SignalInterrupts(guard_link=guard_link, wake=engine.wake) as signals:
        if guard_link is not None:
            guard_link.wait_until_ready()
            guard_link.tell_run_id(run_id)
        wire.listen(engine.wake)
        while not signals.drain():
            is_over = wire.is_over or wire.is_broken  # read before the last lines are taken
            for line in wire.take():
                _perform(engine, ORDERS.decode(line))
            if is_over:
                return True
            _tell(wire, engine.wait(None))
    return False


def _perform(engine: LocalEngine, order: EngineOrder) -> None:
    if isinstance(order, Start):
        engine.start(order)
    elif isinstance(order, Kill):
        engine.kill(order.attempt)
    else:
        engine.stop(order)


def _tell(wire: Wire, said: Iterable[Said]) -> None:
    lines = [SAID.encode(one) + b"\n" for one in said]
    if lines:
        wire.tell(b"".join(lines))

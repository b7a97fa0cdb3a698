"""Play histories of facts to a planner and read its orders as short lines.

``start a#1`` · ``stop a#1 timeout`` · ``kill a#1`` · ``settled a#1 succeeded`` ·
``withdraw s t`` · ``expand s`` · ``publish s succeeded`` · ``publish run failed``
"""

from typing import Any, Dict, Iterable, List, Optional, Sequence, Set, Tuple, Union

from procsup.core.events import (
    Asked,
    Ended,
    Expand,
    Expanded,
    Fact,
    Inspected,
    Interrupted,
    Kill,
    Measure,
    Order,
    Publish,
    Published,
    Rerun,
    Reuse,
    Sampled,
    Settled,
    Spill,
    Standing,
    Start,
    Started,
    Stop,
    Synced,
    TakenBack,
    Weigh,
    Withdraw,
    Write,
)
from procsup.core.outcome import (
    AttemptId,
    Exit,
    Exited,
    NotStarted,
    Reading,
    Signaled,
    Vanished,
    Verdict,
)
from procsup.core.plan.reactor import handle, open_sitting
from procsup.core.plan.state import Plan
from procsup.core.records import JOURNAL_VERSION, Begin, Record, decode_line, encode_line
from procsup.core.replay import History
from procsup.core.slots import Capacity
from procsup.core.spec import OutputSpec, RunSpec, StageSpec, UnitSpec
from procsup.core.task import Task

WALL = 1_700_000_000.0
GOOD = Exited(0)


def fold(records: Iterable[Tuple[int, Record]]) -> History:
    """Fold (sequence number, record) pairs, in order."""
    history = History()
    for seq, record in records:
        history.add(seq, record)
    return history


def stage(name: str = "s", **settings: Any) -> StageSpec:
    return StageSpec(name, **settings)


def unit(name: str, *, outputs: Sequence[str] = (), **settings: Any) -> UnitSpec:
    """A unit of stage ``s``, or of the stage before the slash of its name."""
    of = name.split("/")[0] if "/" in name else "s"
    made = tuple(OutputSpec(path) for path in outputs)
    settings.setdefault("fingerprint", "f")
    return UnitSpec(name, of, 0, ("true",), "/", outputs=made, **settings)


class Play:
    """One sitting, fact by fact.

    What is withdrawn or published is done at once, unless the test says when (`by_hand`, `done`).
    With `grows` the stages begin with these units, and `more` brings the others.
    """

    def __init__(
        self,
        stages: Sequence[StageSpec],
        units: Sequence[UnitSpec],
        *,
        cpus: float = 2,
        history: Optional[History] = None,
        standings: Optional[Dict[str, Standing]] = None,
        fresh: bool = False,
        selector: Any = None,
        memory_bytes: Optional[int] = None,
        jobs: Optional[int] = None,
        by_hand: bool = False,
        grows: bool = False,
        **run: Any,
    ) -> None:
        self.now = 1000.0
        self.by_hand = by_hand
        self._grows = grows
        self.in_line: List[Order] = []  # withdrawals and publications that are not done
        self.records: List[Record] = []
        self.orders: List[str] = []
        self.given: List[Order] = []
        self.spilled: List[str] = []  # ids of the units that were forgotten
        self.live: Dict[str, int] = {}
        self.tasks: Dict[AttemptId, Task] = {}
        self.reached: Set[AttemptId] = set()  # attempts that a stop reached before their end
        self._checked_anew: List[str] = []
        self._standings = standings or {}
        self.spec = RunSpec("run", None, run.pop("folder", "/"), "/d", tuple(stages), **run)
        self.units = units
        self.history = history or History()
        self.base = self.history.last_seq
        capacity = Capacity(cpus, memory_bytes, tuple(range(int(cpus))), jobs, "h")
        self.plan = Plan(self.spec, capacity, self.history, selector=selector)
        resumed = self.history.run_id is not None and self.history.run_final is None and not fresh
        run_id = self.history.run_id if resumed else f"run-{self.history.sitting + 1}"
        begin = Begin(
            JOURNAL_VERSION, run_id or "", self.history.sitting + 1, "run", WALL, "h", "b", 1,
            "0", "3", "linux", None, resumed, fresh,
        )  # fmt: skip
        self.history.add(self.base + 1, begin)  # as the sitting does: it is part of the history
        self._note(open_sitting(self.plan, begin, []))
        early = [self._expanded(s.name, self._standings) for s in stages if not s.late]
        self.tell(*early)

    def _expanded(self, name: str, standings: Dict[str, Standing]) -> Expanded:
        units = tuple(u for u in self.units if u.stage == name)
        new = Rerun("new")
        found = tuple(standings.get(u.id, new) for u in units)
        return Expanded(name, units, found, last=not self._grows)

    def more(self, *names: Union[str, UnitSpec], last: bool = False, **found: Any) -> "Play":
        """Bring more units of stage s, as an answer to an order."""
        units = tuple(unit(one) if isinstance(one, str) else one for one in names)
        standings = tuple(self._standings.get(one.id, Rerun("new")) for one in units)
        return self.tell(Expanded("s", units, standings, last=last, **found))

    def tell(self, *facts: Fact, after_s: float = 0.0) -> "Play":
        """Hand facts to the planner, some seconds later."""
        self.now += after_s
        self._note(handle(self.plan, facts, self.now, WALL + self.now))
        while self._checked_anew:
            again = self._expanded(self._checked_anew.pop(), self._standings)
            self._note(handle(self.plan, [again], self.now, WALL + self.now))
        if self.in_line and not self.by_hand:
            self.done()
        return self

    def done(self) -> "Play":
        """The withdrawal or publication that is first in line is done."""
        order = self.in_line.pop(0)
        if isinstance(order, Withdraw):
            return self.tell(TakenBack(order.stages))
        assert isinstance(order, Publish)
        return self.tell(Published(order.stage))

    def _note(self, orders: Sequence[Order]) -> None:
        for order in orders:
            self.given.append(order)
            if isinstance(order, Write):
                self.records.append(order.record)
                continue
            if isinstance(order, Start):
                assert order.attempt.unit not in self.live, "two live attempts of one unit"
                self.live[order.attempt.unit] = order.attempt.number
                self.tasks[order.attempt] = order.task
            if isinstance(order, Spill):
                self.spilled += [result.unit.id for result in order.results]
                continue
            if isinstance(order, (Stop, Kill)):
                self.reached.add(order.attempt)
            is_early = isinstance(order, Expand) and not self.spec.stage(order.stage).late
            if isinstance(order, Expand) and is_early and not self._grows:
                self._checked_anew.append(order.stage)  # known early: nothing new comes of it
                continue
            if isinstance(order, (Withdraw, Publish)):
                self.in_line.append(order)
            self.orders.append(say(order))

    # --- facts in short ------------------------------------------------------------------

    def attempt(self, name: str) -> AttemptId:
        return AttemptId(name, self.live[name])

    def ended(
        self,
        name: str,
        exit: Exit = GOOD,
        *,
        after_s: float = 0.0,
        stopped: Optional[bool] = None,
        **more: Any,
    ) -> "Play":
        """An attempt ended; a unit without files is inspected in the same moment if it did well.

        `stopped`: whether a stop reached it, by default if one was ordered.
        """
        attempt = AttemptId(name, self.live.pop(name))
        task = self.tasks[attempt]
        stopped = attempt in self.reached if stopped is None else stopped
        facts: List[Fact] = [Ended(attempt, exit, WALL, WALL, 1.0, 42, stopped=stopped, **more)]
        is_well = isinstance(exit, Exited) and task.rules.is_success(exit.code)
        if is_well and not stopped and not task.is_inspected and not more.get("fault"):
            facts.append(Inspected(attempt))
        return self.tell(*facts, after_s=after_s)

    def inspected(
        self, name: str, number: int = 1, problem: str = "", outputs: Sequence[Reading] = ()
    ) -> "Play":
        readings = () if problem else (tuple(outputs) or (Reading("/out", 1, 1),))
        return self.tell(Inspected(AttemptId(name, number), readings, (), problem))

    def synced(self) -> "Play":
        return self.tell(Synced(self.base + len(self.records)))

    def interrupted(self, signum: Optional[int] = 2) -> "Play":
        return self.tell(Interrupted(signum, f"signal {signum}"))

    def asked(
        self,
        verb: str,
        grace_s: Optional[float] = None,
        units: Sequence[str] = (),
        problem: str = "",
    ) -> "Play":
        return self.tell(Asked("r1", verb, grace_s, tuple(units), problem))

    def sampled(self, name: str) -> "Play":
        return self.tell(Sampled(self.attempt(name), [0]))

    def started(self, name: str) -> "Play":
        return self.tell(Started(self.attempt(name), 42, WALL))

    # --- what came of it -----------------------------------------------------------------

    def take_orders(self) -> List[str]:
        """The orders since the last look, records aside."""
        orders, self.orders = self.orders, []
        return orders

    def verdict(self, name: str) -> Optional[Verdict]:
        for result in self.plan.results():
            if result.unit.id == name and result.ends[-1].final:
                return result.ends[-1].verdict
        return None

    def verdicts(self) -> Dict[str, str]:
        results = self.plan.results()
        return {r.unit.id: r.ends[-1].verdict.value for r in results if r.ends[-1].final}

    def state(self, name: str) -> str:
        for candidate in self.plan.stages:
            if name in candidate.by_id:
                return type(candidate.by_id[name].state).__name__
        raise KeyError(name)

    def replayed(self) -> History:
        """What a later sitting reads in the journal: this one's records after the earlier ones."""
        lines = [encode_line(self.base + n + 1, r) for n, r in enumerate(self.records)]
        decoded = [decode_line(line[:-1]) for line in lines]
        if self.base == 0:
            return fold(decoded)
        for seq, record in decoded[1:]:  # the Begin is in it already
            self.history.add(seq, record)
        return self.history

    def again(self, **settings: Any) -> "Play":
        """Sit down once more over the same journal; what succeeded and ended well is intact."""
        history = self.replayed()
        standings = settings.pop("standings", None)
        if standings is None:
            standings = {name: _standing(history, name) for name in history.units}
        settings.setdefault("on_failure", self.spec.on_failure)
        return Play(
            settings.pop("stages", self.spec.stages),
            settings.pop("units", self.units),
            cpus=self.plan.capacity.cpus,
            history=history,
            standings=standings,
            **settings,
        )


def _standing(history: History, name: str) -> Standing:
    unit = history.units[name]
    good = unit.last is not None and unit.last.final and unit.last.verdict is Verdict.SUCCEEDED
    if good and unit.open_launch is None:
        return Reuse()
    return Rerun("" if good else "failed before")


def say(order: Order) -> str:
    """One order as a short line."""
    if isinstance(order, Start):
        return f"start {order.attempt}"
    if isinstance(order, Stop):
        extra = " dump" if order.dump else ""
        return f"stop {order.attempt} {order.reason.value}{extra}"
    if isinstance(order, Kill):
        return f"kill {order.attempt}"
    if isinstance(order, Expand):
        return f"expand {order.stage}"
    if isinstance(order, Withdraw):
        return "withdraw " + " ".join(order.stages)
    if isinstance(order, Weigh):
        return f"weigh {' '.join(order.units)}"
    if isinstance(order, Publish):
        return f"publish {order.stage or 'run'} {order.status}"
    if isinstance(order, Measure):
        return "measure"
    if isinstance(order, Settled):
        return f"settled {order.end.unit}#{order.end.attempt} {order.end.verdict.value}"
    raise AssertionError(f"an order that nobody knows: {order}")


FAILED: Tuple[Exit, ...] = (Exited(7), Signaled(9))
LOST = Vanished("no child of that number")
NO_START = NotStarted("no such file: nowhere")
SHORTAGE = NotStarted("no process slot free", True)

"""Selects units by words: one grammar for every verb and for the library.

A word names units by a stage (``measure``), an id (``measure/mod=abc``, also without its stage), a
parameter (``mod=abc``), a pattern over any of these (``*``, ``?``), a state
(``@failed``) or a number of their record (``wall_s>60``). All parts that commas join must match,
and those after a ``!`` must not. At least one of several words must match, and none that begins
with ``!``. A literal match takes precedence over a match as a pattern.
"""

import operator
import re
from typing import (
    Any,
    Callable,
    Collection,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Protocol,
    Sequence,
    Tuple,
)

from msgspec import Struct

from procsup.core.globs import make_names_matcher
from procsup.core.manifest import exit_numbers
from procsup.core.outcome import Verdict
from procsup.core.quantities import NoQuantity, parse_duration_s, parse_size_bytes
from procsup.core.records import End
from procsup.core.regexes import compile_at_use
from procsup.core.text import find_nearest, format_value
from procsup.errors import UsageError

STATES = ("waiting", "running", *(verdict.value for verdict in Verdict))
# Names of record fields, never of parameters; the first are numbers.
_READ: Mapping[str, Callable[[Any], float]] = {
    "tries": float,
    "exit_code": float,
    "signal": float,
    "wall_s": parse_duration_s,
    "linger_s": parse_duration_s,
    "cpu_s": parse_duration_s,
    "peak_memory_bytes": parse_size_bytes,
}
COLUMNS = (*_READ, "verdict")

_COMPARED = compile_at_use(r"([^\W\d][\w-]*)(<=|>=|<|>|=)(.*)", re.DOTALL)
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ENOUGH = 5000  # units searched for a hint


class Nameable(Protocol):
    """The attributes of a unit that words can select by."""

    @property
    def id(self) -> str:
        """Its id, with the stage."""

    @property
    def stage(self) -> str:
        """The name of its stage."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Its parameters; empty if they are not known."""


class Named(Struct, frozen=True):
    """A unit without a spec."""

    id: str
    stage: str
    parameters: Mapping[str, Any] = {}


class Facts(Struct, frozen=True):
    """A unit's states, of `STATES`, and the known values of `COLUMNS`."""

    states: Collection[str] = ("waiting",)
    columns: Mapping[str, Any] = {}


FactsOf = Callable[[Nameable], Facts]
_Pair = Tuple[Nameable, Optional[Facts]]


def make_facts(ends: Sequence[End], *, running_s: Optional[float] = None) -> Facts:
    """Return the facts of a unit from its ends; the last one counts, as in a row of `status`.

    `running_s` is the age of a live attempt. A failure of any kind also has the state ``failed``.
    """
    tries = sum(1 for end in ends if end.attempt > 0)
    if running_s is not None:
        return Facts(("running",), {"tries": tries + 1, "wall_s": running_s})
    last = ends[-1] if ends else None
    if last is None:
        return Facts(("waiting",), {"tries": tries})
    exit_code, signal = exit_numbers(last)
    columns = {
        "tries": tries,
        "verdict": last.verdict.value if last.final else None,
        "exit_code": exit_code,
        "signal": signal,
        "wall_s": last.wall_s,
        "linger_s": last.linger_s,
        "cpu_s": last.usage.cpu_s,
        "peak_memory_bytes": last.usage.peak_memory_bytes,
    }
    known = {name: value for name, value in columns.items() if value is not None}
    if not last.final:
        return Facts(("waiting",), known)
    failed = (Verdict.FAILED.value,) if last.verdict.is_failure else ()
    return Facts((last.verdict.value, *failed), known)


class Selection:
    """The units that several words select together; without words, all units.

    The units passed to `learn` decide which words match literally. `facts` returns the facts of
    a unit; while it is None, words that need facts match nothing.
    """

    def __init__(self, words: Sequence[str], facts: Optional[FactsOf] = None) -> None:
        self.words = tuple(words)
        self._facts = facts
        self._words = [_Word(word) for word in words]
        self._known: List[Sequence[Nameable]] = []
        self._selects = False  # the words together select some unit
        self._stages: Mapping[str, str] = {}  # and why the units of a stage are not known
        self._settle()

    def __call__(self, unit: Nameable) -> bool:
        """Whether a unit is selected."""
        facts = self._facts(unit) if self._facts is not None and self._asks_facts else None
        meant = self._only_leaves_out
        for word in self._words:
            if (word.leaves_out or not meant) and word.hits(unit, facts):
                if word.leaves_out:
                    return False
                meant = True
        return meant

    def learn(self, units: Sequence[Nameable], *stages: str) -> None:
        """Add newly known units and the names of their stages, some of which may have no units."""
        for word in self._words:
            word.is_met = word.is_met or word.text in stages
            for unit in units:
                word.learn(unit)
        self._settle()
        self._known.append(units)
        self._look()

    def set_facts(self, facts: FactsOf) -> None:
        """Set the function that returns the facts of a unit."""
        self._facts = facts
        self._look()

    def set_stages(self, stages: Mapping[str, str]) -> None:
        """Set all stages, for complaints: why units of each are not known; empty if they are."""
        self._stages = stages

    @property
    def asks_facts(self) -> bool:
        """Whether some word depends on facts of units (a state or a number)."""
        return self._asks_facts

    def needs_parameters(self, ids: Collection[str]) -> bool:
        """Whether some word needs parameters; `ids` are those of all units."""
        return any(word.text not in ids and word.asks_parameters for word in self._words)

    def find_complaint(self, later: Collection[str] = ()) -> str:
        """Return a complaint about the first word that matches nothing; empty if all match.

        Units of the stages in `later` are not known yet, and a word may match them.
        """
        unclear = False
        for word in self._words:
            if word.is_met:
                continue
            problem = word.problem()
            if problem:
                return f"{word.text!r}: {problem}"
            if (word.asks_facts and self._facts is None) or self._may_be_of(word, later):
                unclear = True
                continue
            return self._describe_unmet(word, [] if word.asks_facts else self._unknown)
        if self._selects or unclear or later or not self._words:
            return ""
        return f"{' '.join(map(repr, self.words))} together select no unit"

    def find_doubt(self) -> str:
        """Return a sentence about the first word that only units not known yet may match."""
        for word in self._words:
            if not word.is_met and self._may_be_of(word, self._unknown):
                return self._describe_unmet(word, self._unknown)
        return ""

    @property
    def _unknown(self) -> List[str]:
        """The stages whose units are not known."""
        return [name for name, why in self._stages.items() if why]

    def _may_be_of(self, word: "_Word", stages: Collection[str]) -> bool:
        """Whether a word may match units of these stages, which are not known yet."""
        return word.may_be_of(stages, self._stages.keys() - set(stages))

    def _settle(self) -> None:
        self._only_leaves_out = all(word.leaves_out for word in self._words)
        self._asks_facts = any(word.asks_facts for word in self._words)

    def _look(self) -> None:
        """Update which words match a unit; then drop units that no hint needs."""
        for word in self._words:
            if not word.is_met and not (word.asks_facts and self._facts is None):
                word.is_met = word.is_met_by(self._pair_words(word.asks_facts))
        if all(word.is_met for word in self._words):
            self._selects = self._selects or any(map(self, self._list_units()))
            if self._selects:
                self._known.clear()

    def _pair_words(self, asks_facts: bool) -> List[_Pair]:
        facts = self._facts if asks_facts else None
        return [(unit, None if facts is None else facts(unit)) for unit in self._list_units()]

    def _list_units(self) -> Iterator[Nameable]:
        for units in self._known:
            yield from units

    def _describe_unmet(self, word: "_Word", unknown: Sequence[str]) -> str:
        """Say that a word matches nothing; units of the stages in `unknown` are not known."""
        named = next(filter(word.names_stage, unknown), None)
        if named is not None:
            return f"{word.text!r}: {self._stages[named]}"
        if not self._may_be_of(word, unknown):
            hint = self._find_hint(word) or self._describe_known(word)
            return f"{word.text!r} selects no unit{hint}"
        why = self._stages[unknown[0]]
        if len(unknown) > 1:
            why = f"the units of stages {', '.join(unknown)} are not known yet"
        return f"{word.text!r} selects no unit that is known{self._find_hint(word)}: {why}"

    def _find_hint(self, word: "_Word") -> str:
        few = [unit for units in self._known for unit in units[:_ENOUGH]]
        if len(word.parts) > 1:  # the cure is not a single part, but perhaps an id with commas
            ids = [name for unit in few for name in (unit.id, strip_stage(unit)) if "," in name]
            return _find_near(word.text, ids)
        (part,) = word.parts
        if part.asks_facts:
            return ""
        names = dict.fromkeys([*part.names(few), *self._stages])
        return _find_near(part.text, names) or part.find_near_stage(self._stages)

    def _describe_known(self, word: "_Word") -> str:
        if word.asks_facts:
            return " now"
        stages = self._stages or dict.fromkeys(unit.stage for unit in self._list_units())
        return f": stages are {', '.join(stages)}" if stages else ""


class _Word:
    """One word: parts that must match or, with a ``!``, must not."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.is_name = False  # the whole text is an id or a stage, despite any special characters
        self.is_met = False  # it matches some unit
        self._excludes = text.startswith("!")
        self.parts = [_Part(one) for one in text[self._excludes :].split(",")]

    @property
    def leaves_out(self) -> bool:
        """Whether it excludes the units that it matches."""
        return self._excludes and not self.is_name

    @property
    def asks_facts(self) -> bool:
        """Whether it needs the facts of units."""
        return not self.is_name and any(part.asks_facts for part in self.parts)

    @property
    def asks_parameters(self) -> bool:
        """Whether it needs the parameters of units."""
        return any(part.asks_parameters for part in self.parts)

    def learn(self, unit: Nameable) -> None:
        """Note literal matches of a unit."""
        self.is_name = self.is_name or is_name_of(self.text, unit)
        for part in self.parts:
            part.is_exact = part.is_exact or part.is_literally_hit(unit)

    def hits(self, unit: Nameable, facts: Optional[Facts]) -> bool:
        """Whether it matches a unit."""
        if self.is_name and (is_name_of(self.text, unit) or not self._is_values):
            return is_name_of(self.text, unit)
        return all(part.hits(unit, facts) is not part.is_negative for part in self.parts)

    def is_met_by(self, pairs: Sequence[_Pair]) -> bool:
        """Whether it matches one of these units, and so does each part after a ``!``."""
        if not any(self.hits(*pair) for pair in pairs):
            return False
        negative = [] if self.is_name else [part for part in self.parts if part.is_negative]
        return all(any(part.hits(*pair) for pair in pairs) for part in negative)

    def problem(self) -> str:
        """Return what is wrong with it regardless of the units; empty if nothing is."""
        return next(filter(None, (part.problem() for part in self.parts)), "")

    def may_be_of(self, stages: Collection[str], others: Collection[str]) -> bool:
        """Whether it may match units of these stages, but not of the others."""
        return bool(stages) and all(
            part.is_negative or part.may_be_of(stages, others) for part in self.parts
        )

    def names_stage(self, stage: str) -> bool:
        """Whether some part of it names this stage, or units of it."""
        return any(part.names_stage(stage) for part in self.parts)

    @property
    def _is_values(self) -> bool:
        """Whether it is like ``a=1,b=2``: all units with these values, even if one has this id."""
        return all(part.sign == "=" and not part.is_negative for part in self.parts)


class _Part:
    """One condition: literal text if that matches a unit, otherwise a pattern."""

    def __init__(self, text: str) -> None:
        self.is_negative = text.startswith("!")
        self.text = text = text[self.is_negative :]
        self.is_exact = False  # it matches some unit literally
        self.state = text[1:] if text.startswith("@") else None
        match = _COMPARED.fullmatch(text)
        self.stage, slash, rest = "", "", text
        if match is None:
            self.stage, slash, rest = text.partition("/")
            match = _COMPARED.fullmatch(rest) if slash else None
        self.name, self.sign, self.value = match.groups() if match else ("", "", "")

    @property
    def asks_facts(self) -> bool:
        """Whether it needs the facts of units."""
        return not self.is_exact and (self.state is not None or self.name in COLUMNS)

    @property
    def asks_parameters(self) -> bool:
        """Whether it needs the parameters of units."""
        return bool(self.sign) and self.name not in COLUMNS

    def hits(self, unit: Nameable, facts: Optional[Facts]) -> bool:
        """Whether it matches a unit."""
        if self.is_exact:
            return self.is_literally_hit(unit)
        if self.state is not None:
            return facts is not None and self.state in facts.states
        if not self.sign:
            return _matches(self.text, unit.id) or _matches(self.text, strip_stage(unit))
        if self.stage and not _matches(self.stage, unit.stage):
            return False
        values = self._list_values(unit, facts)
        if self.sign == "=":
            return any(_matches(self.value, format_value(one)) for one in values) or _matches(
                self.text, unit.id if self.stage else strip_stage(unit)
            )
        return any(self._compares(one) for one in values)

    def is_literally_hit(self, unit: Nameable) -> bool:
        """Whether it is a unit's id or stage, or the value of a parameter."""
        if is_name_of(self.text, unit):
            return True
        if not self.asks_parameters or self.sign != "=" or self.stage not in ("", unit.stage):
            return False
        return any(_says(one, self.value) for one in self._list_values(unit, None))

    def problem(self) -> str:
        """Return what is wrong with it regardless of the units; empty if nothing is."""
        if not self.text:
            return "expected something before and after each comma, and behind `!`"
        if self.state is not None and self.state not in STATES:
            there_are = ", ".join(f"@{state}" for state in STATES)
            near = _find_near(self.text, there_are.split(", "))
            return f"unknown state{near}: expected one of {there_are}"
        if self.sign not in _COMPARE:
            return ""
        try:
            _READ.get(self.name, float)(self.value)
        except NoQuantity as error:
            return str(error)
        except ValueError:
            return f"expected a number behind {self.sign}, not {self.value!r}"
        return ""

    def may_be_of(self, stages: Collection[str], others: Collection[str]) -> bool:
        """Whether it may match units of these stages; it does not if it is one of the others."""
        if self.text in others:
            return False
        stage, slash, _ = self.text.partition("/")
        is_value = bool(self.sign) and not self.stage
        return not slash or is_value or any(_matches(stage, name) for name in stages)

    def names_stage(self, stage: str) -> bool:
        """Whether it names this stage, or units of it."""
        if self.state is not None or (self.sign and not self.stage):
            return False
        return _matches(self.stage or self.text, stage)

    def names(self, units: Iterable[Nameable]) -> Iterator[str]:
        """Yield the texts that it may be a misspelling of."""
        for unit in units:
            yield unit.stage
            yield unit.id if "/" in self.text else strip_stage(unit)
            for name, value in unit.parameters.items() if self.sign else ():
                head = f"{self.stage and unit.stage + '/'}{name}{self.sign}"
                yield head + (format_value(value) if self.sign == "=" else self.value)

    def find_near_stage(self, stages: Collection[str]) -> str:
        """Return a hint if it misspells one of these stages before a slash."""
        stage, slash, rest = self.text.partition("/")
        return _find_near(stage, stages, slash + rest) if slash and stage not in stages else ""

    def _list_values(self, unit: Nameable, facts: Optional[Facts]) -> Sequence[Any]:
        if self.name in COLUMNS:
            value = None if facts is None else facts.columns.get(self.name)
        else:
            value = unit.parameters.get(self.name)
        if value is None:
            return ()
        return value if isinstance(value, (list, tuple)) else (value,)

    def _compares(self, value: Any) -> bool:
        try:
            limit = _READ.get(self.name, float)(self.value)
            return not isinstance(value, bool) and _COMPARE[self.sign](float(value), limit)
        except ValueError:
            return False  # text is not comparable with a number


def strip_stage(unit: Nameable) -> str:
    """Return a unit's id without its stage; the whole id if it is the stage."""
    head = f"{unit.stage}/"
    return unit.id[len(head) :] if unit.id.startswith(head) else unit.id


def is_name_of(text: str, unit: Nameable) -> bool:
    """Whether a text is a unit's id, with its stage or without, or the stage."""
    return text in (unit.id, unit.stage) or text == strip_stage(unit)


def _matches(pattern: str, text: str) -> bool:
    return make_names_matcher(pattern)(text)


def _says(value: Any, text: str) -> bool:
    """Whether a text equals a value as it is written; numbers are compared as numbers."""
    if format_value(value) == text:
        return True
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return float(text) == value
    except ValueError:
        return False


def _find_near(word: str, known: Iterable[str], rest: str = "") -> str:
    near = find_nearest(word, known)
    return f" (did you mean {near + rest!r}?)" if near else ""


def make_selection(words: Optional[Sequence[str]]) -> Optional[Selection]:
    """Return the selection of these selectors; None without any, for all units."""
    return Selection(words) if words else None


def refuse(selection: Optional[Selection], later: Collection[str] = (), option: str = "") -> None:
    """Raise UsageError for a selector that certainly selects no unit.

    Units of the stages in `later` are not known yet.
    """
    complaint = selection.find_complaint(later) if selection is not None else ""
    if complaint:
        raise UsageError(f"{option}{complaint}")

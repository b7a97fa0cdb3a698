"""Decides whether a glob can read one path in two ways, and whether two globs can meet.

Both are walks over pairs of states of small automata, breadth first, so that the example for the
message is a shortest one. That wildcards match no hidden names is left out of account.
"""

from collections import deque
from itertools import cycle
from string import ascii_lowercase
from typing import Deque, Dict, Iterable, List, NamedTuple, Optional, Set, Tuple

from procsup.runfile.patterns import DEEP, Glob, Token, Wild

_NAME = "name"  # any character but a slash
_ANY = "any"
_FREE = "\0"  # stands for any letter
_OUTSIDE = -1  # the label of what no capture holds


class _Edge(NamedTuple):
    accepts: str
    target: int
    label: int


class _Pair(NamedTuple):
    one: int
    two: int
    differ: bool
    slash: bool  # the last character was one: there are never two in a row, nor one at the end


_Trail = Dict[_Pair, Tuple[Optional[_Pair], str, int, int]]


class Automaton:
    """The strings that a row of tokens matches; edges are labelled with the capture they fill."""

    def __init__(self, tokens: Iterable[Token]) -> None:
        self._edges: List[List[_Edge]] = [[]]
        self._skips: List[Set[int]] = [set()]
        self._end = 0
        captures = 0
        for token in tokens:
            if isinstance(token, str):
                self._add_text(token)
            elif token.capture is not None:
                self._add_capture(token.kind, captures)
                captures += 1
            else:
                self._add_wildcard(token)
        self._closed = [self._reach(state) for state in range(len(self._edges))]
        self._steps = [
            [edge for near in closed for edge in self._edges[near]] for closed in self._closed
        ]

    def steps(self, state: int) -> List[_Edge]:
        """Return the edges that leave a state."""
        return self._steps[state]

    def accepts(self, state: int) -> bool:
        """Tell whether a string may end here."""
        return self._end in self._closed[state]

    def _state(self) -> int:
        self._edges.append([])
        self._skips.append(set())
        return len(self._edges) - 1

    def _add_text(self, text: str) -> None:
        for character in text:
            state = self._state()
            self._edges[self._end].append(_Edge(character, state, _OUTSIDE))
            self._end = state

    def _add_capture(self, kind: str, label: int) -> None:
        state = self._state()
        accepts = _ANY if kind == "**" else _NAME
        self._edges[self._end].append(_Edge(accepts, state, label))
        if kind != "?":
            self._edges[state].append(_Edge(accepts, state, label))
        self._end = state

    def _add_wildcard(self, token: Wild) -> None:
        state = self._state()
        if token.kind == "?":
            self._edges[self._end].append(_Edge(_NAME, state, _OUTSIDE))
            self._end = state
            return
        self._skips[self._end].add(state)
        if token == DEEP:
            inside = self._state()
            self._edges[state].append(_Edge(_NAME, inside, _OUTSIDE))
            self._edges[inside] += [_Edge(_NAME, inside, _OUTSIDE), _Edge("/", state, _OUTSIDE)]
        else:
            self._edges[state].append(_Edge(_NAME, state, _OUTSIDE))
        self._end = self._state()
        self._skips[state].add(self._end)

    def _reach(self, state: int) -> Set[int]:
        reached, todo = {state}, [state]
        while todo:
            for target in self._skips[todo.pop()] - reached:
                reached.add(target)
                todo.append(target)
        return reached


class Reading(NamedTuple):
    """A path that a glob reads in two ways: what the captures are in each."""

    path: str
    one: Tuple[str, ...]
    two: Tuple[str, ...]


def find_two_readings(glob: Glob) -> Optional[Reading]:
    """Return a path (below the glob's base) that it can read in two ways, or None."""
    tokens = list(glob.tokens())
    stretching = [token for token in tokens if isinstance(token, Wild) and token.kind != "?"]
    if len(stretching) < 2 or not glob.captures:
        return None  # everything else has a fixed length
    automaton = Automaton(tokens)
    trail: _Trail = {}
    end = _meet(automaton, automaton, trail, differing=True)
    if end is None:
        return None
    steps = _walk_back(trail, end, glob.source)
    labels = range(len(glob.captures))
    return Reading(
        "".join(character for character, _, _ in steps),
        tuple("".join(c for c, label, _ in steps if label == wanted) for wanted in labels),
        tuple("".join(c for c, _, label in steps if label == wanted) for wanted in labels),
    )


def find_common_path(one: Iterable[Token], two: Iterable[Token]) -> Optional[str]:
    """Return a path that both rows of tokens match, or None."""
    trail: _Trail = {}
    end = _meet(Automaton(one), Automaton(two), trail, differing=False)
    if end is None:
        return None
    return "".join(character for character, _, _ in _walk_back(trail, end))


def _meet(one: Automaton, two: Automaton, trail: _Trail, *, differing: bool) -> Optional[_Pair]:
    start = _Pair(0, 0, not differing, differing)
    trail[start] = (None, "", _OUTSIDE, _OUTSIDE)
    todo: Deque[_Pair] = deque([start])
    while todo:
        pair = todo.popleft()
        if _is_end(pair, one, two):
            return pair
        for first in one.steps(pair.one):
            for second in two.steps(pair.two):
                character = _common(first.accepts, second.accepts)
                differ = pair.differ or first.label != second.label
                reached = _Pair(first.target, second.target, differ, character == "/")
                possible = character and not (reached.slash and pair.slash)
                if possible and reached not in trail:
                    trail[reached] = (pair, character, first.label, second.label)
                    todo.append(reached)
    return None


def _is_end(pair: _Pair, one: Automaton, two: Automaton) -> bool:
    whole = pair.differ and not pair.slash
    return whole and one.accepts(pair.one) and two.accepts(pair.two)


def _common(one: str, two: str) -> str:
    if one in (_NAME, _ANY) and two in (_NAME, _ANY):
        return _FREE
    if one == two:
        return one
    literal, wildcard = (two, one) if one in (_NAME, _ANY) else (one, two)
    if wildcard == _ANY or (wildcard == _NAME and literal != "/"):
        return literal
    return ""


def _walk_back(trail: _Trail, end: _Pair, avoid: str = "") -> List[Tuple[str, int, int]]:
    steps: List[Tuple[str, int, int]] = []
    previous, character, one, two = trail[end]
    while previous is not None:
        steps.append((character, one, two))
        previous, character, one, two = trail[previous]
    # Letters that differ, and are not in the pattern, show best how the readings differ.
    letters = cycle([c for c in ascii_lowercase if c not in avoid] or ascii_lowercase)
    return [
        (next(letters) if character == _FREE else character, one, two)
        for character, one, two in reversed(steps)
    ]

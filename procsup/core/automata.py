"""Globs as automata: match in linear time, and find paths that two match or one reads twice.

States are numbers, and edges are labelled with the capture that they fill. Searches are breadth
first, so that messages show a shortest example.
"""

from collections import deque
from itertools import cycle
from string import ascii_lowercase
from typing import Deque, Dict, FrozenSet, Iterable, List, Optional, Sequence, Tuple

from msgspec import Struct

from procsup.core.wildcards import ANY, DEEP, NAME, Chars, Part, Span, Token

_FREE = "\0"  # a placeholder for any letter
_OUTSIDE = -1  # the label of edges outside all captures
_SLASH = Chars((("/", "/"),), negated=False, slash=True)
_WIDE = (NAME, ANY)
_MOST_SETS = 2_000  # sets of states cached while matching
_MOST_SPOTS = 1_000  # visited in the search for a common path that is not excluded


class _Edge(Struct, frozen=True):
    chars: Chars
    target: int
    label: int
    dot: bool  # it may match a dot at the beginning of a name


class _Pair(Struct, frozen=True):
    one: int
    two: int
    differ: bool
    slash: bool  # at the start or after a slash: a path never has two in a row


class _Spot(Struct, frozen=True):
    one: int
    two: int
    excluded: FrozenSet[int]  # the states that the excluded patterns may be in
    slash: bool


_Trail = Dict[_Pair, Tuple[Optional[_Pair], str, int, int]]
_States = FrozenSet[int]


class Automaton:
    """Matches paths by any of several patterns; captures are numbered as in `captures`."""

    def __init__(
        self,
        patterns: Iterable[Sequence[Part]],
        captures: Sequence[str] = (),
        *,
        case: bool = True,
    ) -> None:
        self.case = case
        self._labels = {name: number for number, name in enumerate(captures)}
        self._edges: List[List[_Edge]] = [[]]
        self._skips: List[List[int]] = [[]]
        ends = {self._add_pattern(parts) for parts in patterns}
        closed_over = [self._reach(state) for state in range(len(self._edges))]
        self._steps = [
            [edge for near in closed for edge in self._edges[near]] for closed in closed_over
        ]
        self._accepting = [not ends.isdisjoint(closed) for closed in closed_over]
        self._moves: Dict[Tuple[_States, str], _States] = {}

    def list_edges(self, state: int) -> List[_Edge]:
        """Return the edges that leave a state."""
        return self._steps[state]

    def accepts(self, state: int) -> bool:
        """Whether a path may end here."""
        return self._accepting[state]

    # --- construction ------------------------------------------------------------------------

    def _add_pattern(self, parts: Sequence[Part]) -> int:
        at = self._add_new_state()
        self._skips[0].append(at)
        for index, part in enumerate(parts):
            if part == (DEEP,):
                at = self._add_deep(at)
                continue
            first = True
            for token in part:
                at = self._add_token(at, token, first=first)
                first = isinstance(token, str) and token.endswith("/")
            if index < len(parts) - 1:
                at = self._step(at, _SLASH, _OUTSIDE)
        return at

    def _add_new_state(self) -> int:
        self._edges.append([])
        self._skips.append([])
        return len(self._edges) - 1

    def _step(self, at: int, chars: Chars, label: int, *, dot: bool = False) -> int:
        state = self._add_new_state()
        self._edges[at].append(_Edge(chars, state, label, dot))
        return state

    def _add_token(self, at: int, token: Token, *, first: bool) -> int:
        if isinstance(token, str):
            for place, character in enumerate(token):
                head = token[place - 1] == "/" if place else first
                at = self._step(at, _get_only(character), _OUTSIDE, dot=head)
            return at
        return self._add_span(at, token)

    def _add_span(self, at: int, span: Span) -> int:
        label = _OUTSIDE if span.capture is None else self._labels.get(span.capture, _OUTSIDE)
        for _ in range(span.least):
            at = self._step(at, span.chars, label, dot=span.hidden)
        if span.most is None:
            loop = self._add_new_state()
            self._skips[at].append(loop)
            self._edges[loop].append(_Edge(span.chars, loop, label, span.hidden))
            at = loop
        for _ in range((span.most or 0) - span.least):
            state = self._step(at, span.chars, label, dot=span.hidden)
            self._skips[at].append(state)
            at = state
        return at

    def _add_deep(self, at: int) -> int:
        outside, inside = self._add_new_state(), self._add_new_state()
        self._skips[at].append(outside)
        self._edges[outside].append(_Edge(NAME, inside, _OUTSIDE, False))
        self._edges[inside] += [
            _Edge(NAME, inside, _OUTSIDE, False),
            _Edge(_SLASH, outside, _OUTSIDE, False),
        ]
        end = self._add_new_state()
        self._skips[outside].append(end)
        return end

    def _reach(self, state: int) -> List[int]:
        reached, todo = {state: None}, [state]
        while todo:
            for target in self._skips[todo.pop()]:
                if target not in reached:
                    reached[target] = None
                    todo.append(target)
        return list(reached)

    # --- matching ----------------------------------------------------------------------------

    def matches(self, path: str) -> bool:
        """Whether it matches a whole path, in time linear in its length."""
        states: _States = frozenset((0,))
        before = "/"
        for character in path:
            key = (states, "./"[: 1 + (before == "/")] if character == "." else character)
            following = self._moves.get(key)
            if following is None:
                if len(self._moves) >= _MOST_SETS:
                    self._moves.clear()
                following = self.after(states, character, before)
                self._moves[key] = following
            if not following:
                return False
            states, before = following, character
        return any(self.accepts(state) for state in states)

    def after(self, states: Iterable[int], character: str, before: str) -> _States:
        """Return the states after one more character; `before` is the one before it."""
        fitting = (edge for s in states for edge in self._list_fitting(s, character, before))
        return frozenset([edge.target for edge in fitting])

    def _list_fitting(self, state: int, character: str, before: str) -> Iterable[_Edge]:
        hidden = character == "." and before == "/"
        for edge in self._steps[state]:
            if (edge.dot or not hidden) and self._has(edge.chars, character):
                yield edge

    def _has(self, chars: Chars, character: str) -> bool:
        if chars.has(character):
            return True
        swapped = character.swapcase()
        return not self.case and len(swapped) == 1 and chars.has(swapped)

    def split(self, path: str) -> Optional[Tuple[str, ...]]:
        """Return the captured texts, None if the path does not match."""
        if not self.matches(path):
            return None
        if not self._labels:
            return ()
        came: List[Dict[int, Tuple[int, int]]] = []
        states: Iterable[int] = (0,)
        before = "/"
        for character in path:
            step: Dict[int, Tuple[int, int]] = {}
            for state in states:
                for edge in self._list_fitting(state, character, before):
                    step.setdefault(edge.target, (state, edge.label))
            came.append(step)
            states, before = step, character
        return self._collect_captures(path, came, next(s for s in states if self.accepts(s)))

    def _collect_captures(
        self, path: str, came: Sequence[Dict[int, Tuple[int, int]]], state: int
    ) -> Tuple[str, ...]:
        held = [""] * len(self._labels)
        for character, step in zip(reversed(path), reversed(came)):
            state, label = step[state]
            if label != _OUTSIDE:
                held[label] = character + held[label]
        return tuple(held)


def _get_only(character: str) -> Chars:
    return _SLASH if character == "/" else Chars(((character, character),), negated=False)


class TwoReadings(Struct, frozen=True):
    """A path that a glob can match in two ways, with the captures of each."""

    path: str
    one: Tuple[str, ...]
    two: Tuple[str, ...]


def find_two_readings(automaton: Automaton, count: int, *, avoid: str) -> Optional[TwoReadings]:
    """Return a path whose `count` captures may be read in two ways, or None.

    Where any letter matches, the example uses none of `avoid`.
    """
    trail: _Trail = {}
    end = _meet(automaton, automaton, trail, differing=True)
    if end is None:
        return None
    steps = _walk_back(trail, end, avoid)
    return TwoReadings(
        "".join(character for character, _, _ in steps),
        tuple("".join(c for c, label, _ in steps if label == wanted) for wanted in range(count)),
        tuple("".join(c for c, _, label in steps if label == wanted) for wanted in range(count)),
    )


def find_common_path(
    one: Automaton, two: Automaton, excluded: Optional[Automaton] = None
) -> Optional[str]:
    """Return a path that both match, and `excluded` does not, or None.

    A search with `excluded` that becomes very long ends with a path that both match.
    """
    trail: _Trail = {}
    end = _meet(one, two, trail, differing=False)
    if end is None:
        return None
    common = "".join(character for character, _, _ in _walk_back(trail, end))
    if excluded is None or not excluded.matches(common):
        return common
    return _find_outside(one, two, excluded, common)


def _find_outside(
    one: Automaton, two: Automaton, excluded: Automaton, common: str
) -> Optional[str]:
    """Return a path that both match and `excluded` does not; `common` if that takes too long."""
    start = _Spot(0, 0, frozenset((0,)), slash=True)
    came: Dict[_Spot, str] = {start: ""}
    todo: Deque[_Spot] = deque([start])
    from_root = all(any(e.dot and e.chars.slash for e in each.list_edges(0)) for each in (one, two))
    while todo:
        spot = todo.popleft()
        path = came[spot]
        ends_well = not spot.slash and one.accepts(spot.one) and two.accepts(spot.two)
        if ends_well and not any(map(excluded.accepts, spot.excluded)):
            return path
        if len(came) > _MOST_SPOTS:
            return common
        for character in _choose_representatives(one, two, excluded, spot):
            if character == "/" and spot.slash and not (spot == start and from_root):
                continue
            before = path[-1:] or "/"
            left = excluded.after(spot.excluded, character, before)
            for first in one.after((spot.one,), character, before):
                for second in two.after((spot.two,), character, before):
                    reached = _Spot(first, second, left, character == "/")
                    if reached not in came:
                        came[reached] = path + character
                        todo.append(reached)
    return None


def _choose_representatives(
    one: Automaton, two: Automaton, excluded: Automaton, spot: _Spot
) -> Iterable[str]:
    """Return characters: at least one of each set whose members no edge here distinguishes."""
    edges = [*one.list_edges(spot.one), *two.list_edges(spot.two)]
    edges += [edge for state in spot.excluded for edge in excluded.list_edges(state)]
    near = {character for edge in edges for character in edge.chars.list_edges()}
    if not (one.case and two.case and excluded.case):
        near |= {character.swapcase()[:1] for character in near}
    letter = next((c for c in ascii_lowercase if c not in near), "a")
    return list(dict.fromkeys([letter, *sorted(near), ".", "/"]))


def _meet(one: Automaton, two: Automaton, trail: _Trail, *, differing: bool) -> Optional[_Pair]:
    start = _Pair(0, 0, not differing, slash=True)
    trail[start] = (None, "", _OUTSIDE, _OUTSIDE)
    todo: Deque[_Pair] = deque([start])
    case = one.case and two.case
    while todo:
        pair = todo.popleft()
        if pair.differ and not pair.slash and one.accepts(pair.one) and two.accepts(pair.two):
            return pair
        for first in one.list_edges(pair.one):
            for second in two.list_edges(pair.two):
                character = _find_common(first, second, begins=pair.slash, case=case)
                is_root = pair == start and first.dot and second.dot
                if not character or (character == "/" and pair.slash and not is_root):
                    continue
                differ = pair.differ or first.label != second.label
                reached = _Pair(first.target, second.target, differ, character == "/")
                if reached not in trail:
                    trail[reached] = (pair, character, first.label, second.label)
                    todo.append(reached)
    return None


def _find_common(one: _Edge, two: _Edge, *, begins: bool, case: bool) -> str:
    """Return a character that both edges match, "" if there is none."""
    if one.chars in _WIDE and two.chars in _WIDE:
        return _FREE
    if one.chars == two.chars == _SLASH:
        return "/"
    dot = not begins or (one.dot and two.dot)
    found = (c for c in _list_candidates(one.chars, two.chars, case=case) if dot or c != ".")
    return next(found, "")


def _list_candidates(one: Chars, two: Chars, *, case: bool) -> Iterable[str]:
    for edge in (*one.list_edges(), *two.list_edges(), *ascii_lowercase, "/"):
        for character in (edge,) if case else (edge, edge.swapcase()):
            if _holds(one, character, case=case) and _holds(two, character, case=case):
                yield character


def _holds(chars: Chars, character: str, *, case: bool) -> bool:
    return chars.has(character) or (not case and chars.has(character.swapcase()[:1]))


def _walk_back(trail: _Trail, end: _Pair, avoid: str = "") -> List[Tuple[str, int, int]]:
    steps: List[Tuple[str, int, int]] = []
    previous, character, one, two = trail[end]
    while previous is not None:
        steps.append((character, one, two))
        previous, character, one, two = trail[previous]
    # Different letters that are not in the pattern show the difference best.
    letters = cycle([c for c in ascii_lowercase if c not in avoid] or ascii_lowercase)
    return [
        (next(letters) if character == _FREE else character, one, two)
        for character, one, two in reversed(steps)
    ]

"""The rungs of a stop, on a tree that only notes what is done to it."""

from typing import List

from procsup.attempt.ladder import Ladder


class Tree:
    """Notes what it is told; `hidden` of it can be told only when everybody is."""

    def __init__(self, *, hidden: bool = False) -> None:
        self.done: List[str] = []
        self.hidden = hidden

    def signal(self, *, everybody: bool = False, dump: bool = False) -> bool:
        word = "tell" + (" everybody" if everybody else "") + (" dump" if dump else "")
        if not self.done or self.done[-1] != word:
            self.done.append(word)
        return self.hidden and not everybody

    def kill(self, *, spare: bool = False) -> int:
        word = "kill some" if spare else "kill all"
        if not self.done or self.done[-1] != word:
            self.done.append(word)
        return 0

    def request_dump(self) -> None:
        self.done.append("request dump")


def climb(ladder: Ladder, until_s: float) -> List[float]:
    """Tend whenever it asks for it; return the times."""
    times = []
    while ladder.look_at <= until_s:
        now = ladder.look_at
        ladder.advance(now)
        assert ladder.look_at > now
        times.append(now)
    return times


def test_everybody_is_told_at_half_of_the_grace_and_killed_when_it_is_over():
    tree = Tree(hidden=True)
    ladder = Ladder(tree, grace_s=10.0, now=0.0)

    climb(ladder, 4.99)
    assert tree.done == ["tell"]
    climb(ladder, 9.99)
    assert tree.done == ["tell", "tell everybody"]
    climb(ladder, 10.5)
    assert tree.done == ["tell", "tell everybody", "kill some"]
    climb(ladder, 12.0)
    assert tree.done == ["tell", "tell everybody", "kill some", "kill all"]


def test_a_tree_that_was_told_whole_is_left_alone_until_its_grace_is_over():
    ladder = Ladder(Tree(), grace_s=10.0, now=0.0)

    assert climb(ladder, 9.9) == [5.0]


def test_stacks_are_asked_for_first_and_once_more_before_the_kill():
    tree = Tree()
    ladder = Ladder(tree, grace_s=2.0, now=0.0, request_dump=tree.request_dump)

    climb(ladder, 2.0)
    assert tree.done == ["tell dump", "tell everybody", "request dump"]
    climb(ladder, 3.0)
    assert tree.done[-1] == "kill some"


def test_force_kills_everything_at_once():
    tree = Tree(hidden=True)
    ladder = Ladder(tree, grace_s=10.0, now=0.0, request_dump=tree.request_dump)

    ladder.force(0.1)
    climb(ladder, 1.0)

    assert tree.done == ["tell", "kill all"] or tree.done == ["tell dump", "kill all"]


def test_a_grace_may_be_shortened_and_not_lengthened():
    tree = Tree(hidden=True)
    ladder = Ladder(tree, grace_s=60.0, now=0.0)

    ladder.shorten(1.0, 2.0)
    ladder.shorten(50.0, 2.0)
    climb(ladder, 3.0)

    assert tree.done == ["tell", "tell everybody", "kill some"]


def test_no_grace_is_no_waiting():
    tree = Tree(hidden=True)
    ladder = Ladder(tree, grace_s=0.0, now=0.0)

    ladder.advance(0.0)

    assert tree.done == ["kill some"]

"""How the stages of a run hang together: who waits for whom, and that nobody waits in a circle."""

from typing import Dict, FrozenSet, Iterable, List, Mapping, Optional, Sequence, Set

from procsup.core.spec import StageSpec, upstream


def find_cycle(waits_for: Mapping[str, Sequence[str]]) -> Optional[List[str]]:
    """Return stages of which each waits for the next, the first one again at the end; or None."""
    done: Set[str] = set()
    for start in waits_for:
        path: List[str] = []
        todo = [(start, iter(waits_for[start]))]
        while todo:
            name, rest = todo[-1]
            if len(path) < len(todo):
                if name in path:
                    return [*path[path.index(name) :], name]
                path.append(name)
            following = next((other for other in rest if other not in done), None)
            if following is None:
                done.add(path.pop())
                todo.pop()
            else:
                todo.append((following, iter(waits_for.get(following, ()))))
    return None


def all_upstream(stages: Iterable[StageSpec]) -> Dict[str, FrozenSet[str]]:
    """Return, for each stage, every stage that is done before it starts. No cycles allowed."""
    direct = {stage.name: upstream(stage) for stage in stages}
    whole: Dict[str, FrozenSet[str]] = {}
    for start in direct:
        reached: Set[str] = set()
        todo = list(direct[start])
        while todo:
            name = todo.pop()
            if name not in reached:
                reached.add(name)
                todo += direct.get(name, [])
        whole[start] = frozenset(reached)
    return whole

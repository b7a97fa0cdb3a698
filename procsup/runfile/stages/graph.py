"""The dependencies between the stages of a run; cycles are refused."""

from typing import Dict, FrozenSet, Iterable, List, Mapping, Optional, Sequence, Set

from procsup.core.spec import StageSpec, list_upstream, list_whole_upstream


def find_cycle(waits_for: Mapping[str, Sequence[str]]) -> Optional[List[str]]:
    """Return a cycle: stages that each wait for the next, ending with the first; or None."""
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


def list_all_upstream(stages: Iterable[StageSpec]) -> Dict[str, FrozenSet[str]]:
    """Return, for each stage, every stage that it depends on. No cycles allowed."""
    by_name = {stage.name: stage for stage in stages}
    return {name: list_before(name, by_name) for name in by_name}


def list_before(name: str, stages: Mapping[str, StageSpec]) -> FrozenSet[str]:
    """Return every stage that this one depends on, directly or not. No cycles allowed."""
    reached: Set[str] = set()
    todo = list_upstream(stages[name])
    while todo:
        one = todo.pop()
        if one not in reached:
            reached.add(one)
            todo += list_upstream(stages[one]) if one in stages else []
    return frozenset(reached)


def list_done_before(stage: StageSpec, stages: Mapping[str, StageSpec]) -> FrozenSet[str]:
    """Return the stages that are done as a whole before any unit of this one starts."""
    done: Set[str] = set()
    whole = list_whole_upstream(stage) if stage.unit_wise else list_upstream(stage)
    for name in whole:
        done |= {name, *list_before(name, stages)}
    for name in stage.for_each if stage.unit_wise else ():
        done |= list_done_before(stages[name], stages)
    return frozenset(done)

"""Puts broken operations into procsup, in this process: the seeds of the fault suite.

An operation is named by its seam (`procsup.seams`), or is a public function or method of procsup.
"""

import functools
import importlib
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable, Iterator, Tuple, Union

import procsup
from procsup.core.events import Start
from procsup.seams import SEAMS

PACKAGE = Path(procsup.__file__).parent
Operation = Union[str, Callable[..., Any]]
Put = Callable[[Any, str, Any], Any]  # as `setattr`, or what takes it out again at some time
Seed = Callable[[Put], None]


def plant(operation: Operation, make: Callable[[Any], Any], put: Put = setattr) -> None:
    """Put `make(operation)` in the place of an operation, wherever procsup has it."""
    real = find(operation) if isinstance(operation, str) else operation
    broken = functools.update_wrapper(make(real), real)  # so that it can be replaced, too
    for owner, name in list(places(real)):
        put(owner, name, broken)


def leave_out(part: Operation, within: Operation, put: Put = setattr) -> None:
    """Have one operation do nothing as long as another one is at work, in the same thread."""
    state = threading.local()

    def outer(real: Callable[..., Any]) -> Callable[..., Any]:
        def work(*args: Any, **more: Any) -> Any:
            before = getattr(state, "at_work", False)
            state.at_work = True
            try:
                return real(*args, **more)
            finally:
                state.at_work = before

        return work

    def inner(real: Callable[..., Any]) -> Callable[..., Any]:
        def work(*args: Any, **more: Any) -> Any:
            return None if getattr(state, "at_work", False) else real(*args, **more)

        return work

    plant(within, outer, put)
    plant(part, inner, put)


def nothing(_real: Any = None) -> Callable[..., None]:
    """Return an operation that does nothing."""
    return lambda *_args, **_more: None


def starts_first(carry_out: Callable[..., None]) -> Callable[..., None]:
    """Return a `carry_out` that starts units, and then writes down that it will."""

    def carry_out_starts_first(orders: Any, *rest: Any) -> None:
        for is_start in (True, False):
            carry_out([one for one in orders if isinstance(one, Start) is is_start], *rest)

    return carry_out_starts_first


def planted(seed: Seed) -> ExitStack:
    """Put a seed in; it is taken out when the context that is returned is left."""
    from unittest import mock  # loads much, which the start programs need not

    stack = ExitStack()
    seed(lambda *place: stack.enter_context(mock.patch.object(*place)))
    return stack


def find(name: str) -> Callable[..., Any]:
    """Return the operation of a seam; load the module that has it."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if name in SEAMS:
            break
        if f'@seam("{name}")' in path.read_text(encoding="utf-8"):
            parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
            importlib.import_module(".".join(parts))
    return SEAMS[name]


def places(real: Callable[..., Any]) -> Iterator[Tuple[Any, str]]:
    """Yield where an operation is: (the class of a method, name), (a module with it, name)."""
    home, _, name = real.__qualname__.rpartition(".")
    if home:
        owner: Any = sys.modules[real.__module__]
        for part in home.split("."):
            owner = getattr(owner, part)
        yield owner, name
        return
    for module in list(sys.modules.values()):
        if module is not None and getattr(module, "__name__", "").split(".")[0] == "procsup":
            yield from ((module, own) for own, value in list(vars(module).items()) if value is real)

"""Named seams: operations that the fault suite replaces by broken ones, wherever their code moves.

The calls of the system, and public methods such as those of `interfaces`, need no name here.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:  # the guard's process loads no `typing`
    from typing import Any, Callable, Dict, TypeVar

    _Operation = TypeVar("_Operation", bound=Callable[..., Any])

SEAMS: "Dict[str, Callable[..., Any]]" = {}  # by name, as far as their modules are loaded


def seam(name: str) -> "Callable[[_Operation], _Operation]":
    """Put a function or a method into `SEAMS`; it is returned unchanged, so calls cost nothing."""

    def note(operation: "_Operation") -> "_Operation":
        SEAMS[name] = operation
        return operation

    return note

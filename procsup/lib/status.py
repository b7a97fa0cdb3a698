"""How a run stands, for programs and notebooks."""

from procsup.queries import status
from procsup.queries.view import RunView


class Status(status.Status):
    """How a run stands, as ``procsup status`` shows it; a notebook shows it as tables."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        from procsup.report.html import format_status_html  # only notebooks need it

        return format_status_html(self)


def read_status(view: RunView) -> Status:
    """Read how the run stands; errors as `queries.status.read_status`."""
    return Status(*status.read_status(view))

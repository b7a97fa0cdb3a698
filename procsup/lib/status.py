"""The status of a run, for programs and notebooks."""

from procsup.queries import status
from procsup.queries.view import RunView


class Status(status.Status):
    """The status of a run, as ``procsup status`` shows it; a notebook shows it as tables."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        from procsup.report.html import format_status_html  # only notebooks need it

        return format_status_html(self)


def read_status(view: RunView) -> Status:
    """Read the status of a run; errors as `queries.status.read_status`."""
    return Status(*status.read_status(view))

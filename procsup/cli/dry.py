"""`procsup run --dry-run`: the plan with its reasons; nothing is written."""

from typing import Optional

from procsup.console.terminal import write_stderr, write_stdout
from procsup.report.plan import format_graph, format_plan, make_plan_data
from procsup.report.tables import format_json
from procsup.supervisor.requests import Display, Request
from procsup.supervisor.session import rehearse_run


def show_plan(
    request: Request,
    display: Display,
    *,
    kept_too: bool = False,
    graph: Optional[str] = None,
    static: bool = False,
) -> int:
    """Print which units would run; problems of the preflight are raised.

    With `kept_too` each kept unit has a line, too; `graph` is a form of `report.plan.format_graph`;
    with `static` nothing that the run file names is executed.
    """
    plan = rehearse_run(request, static=static)
    if not display.quiet:
        write_stderr(*plan.notes)
    if display.as_json:
        write_stdout(
            format_json(make_plan_data(plan.spec, plan.stages, live=plan.live, notes=plan.notes))
        )
    elif graph is not None:
        write_stdout(*format_graph(plan.spec, plan.stages, graph))
    else:
        write_stdout(*format_plan(plan.spec, plan.stages, kept_too=kept_too))
    return 0

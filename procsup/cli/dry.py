"""`procsup run --dry-run`: the plan with its reasons; nothing is written."""

from typing import Optional

from procsup.console.terminal import write_stderr, write_stdout
from procsup.report.plan import graph_lines, plan_data, plan_lines
from procsup.report.tables import json_text
from procsup.supervisor.requests import Display, Request
from procsup.supervisor.session import dry_run


def show_plan(
    request: Request,
    display: Display,
    *,
    kept_too: bool = False,
    graph: Optional[str] = None,
    static: bool = False,
) -> int:
    """Print which units would run; problems of the preflight are raised.

    `kept_too`: each kept unit has a line, too; `graph` is a form of `report.plan.graph_lines`;
    `static`: nothing that the run file names is executed.
    """
    plan = dry_run(request, static=static)
    if not display.quiet:
        write_stderr(*plan.notes)
    if display.as_json:
        write_stdout(json_text(plan_data(plan.spec, plan.stages, live=plan.live, notes=plan.notes)))
    elif graph is not None:
        write_stdout(*graph_lines(plan.spec, plan.stages, graph))
    else:
        write_stdout(*plan_lines(plan.spec, plan.stages, kept_too=kept_too))
    return 0

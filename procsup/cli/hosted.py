"""`procsup run` as the library starts it: stdin may carry the plan; its end stops the run."""

import msgspec

from procsup.cli.foreground import bring_to_completion
from procsup.cli.run_options import Options, request_of
from procsup.errors import UsageError
from procsup.host.parent_watch import ParentWatch
from procsup.runfile.plan import CalledOff, read_text

PLAN_BY_STDIN = "-"


def run_for(owner: int, options: Options, *, announce: bool) -> int:
    """Run for the process `owner`; a FILE named ``-`` is a plan that it sends."""
    tie = ParentWatch(owner)
    request = msgspec.structs.replace(request_of(options), owner=tie)
    if options.file == PLAN_BY_STDIN:
        try:
            plan = read_text(tie.lines(), "plan")
        except CalledOff:
            return UsageError.exit_code
        request = msgspec.structs.replace(request, plan=plan)
    tie.watch_stdin()
    return bring_to_completion(options, request, announce=announce)

"""procsup with its units behind a pipe: the same command line, through the seam of a sitting."""

import os
import sys
from functools import partial

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))

from procsup.__main__ import is_guarded, open_standard_streams  # noqa: E402
from procsup.host.guard import fork_supervisor  # noqa: E402

open_standard_streams()
if is_guarded(sys.argv[1:]):
    fork_supervisor()

from procsup.cli.main import main  # noqa: E402
from procsup.engines.piped import PipedEngine  # noqa: E402
from procsup.host.clock import SystemClock  # noqa: E402
from procsup.supervisor import session as sitting  # noqa: E402

sitting.bring_to_completion = partial(
    sitting.bring_to_completion, make_engine=partial(PipedEngine, clock=SystemClock())
)
sys.exit(main(sys.argv[1:]))

"""How a unit is asked to end, and how long what it leaves behind is waited for."""

from typing import Any, Dict, Optional, Tuple

from procsup.host.signals import NAMES, NO_REQUESTS, can_be_sent
from procsup.runfile import values as v
from procsup.runfile.problems import Wrong, did_you_mean, expected, show
from procsup.runfile.program import command
from procsup.runfile.recipe import Placed
from procsup.runfile.scope import TEXT, Scope
from procsup.runfile.table import StageTable
from procsup.runfile.template import Template

AS_LONG_AS_THE_UNIT = "timeout"
_A_LINGER = 'seconds, a duration such as "10s", 0, or "timeout"'
_A_SIGNAL = 'the name of a signal such as "TERM", "INT" or "USR1"'


def linger_s(value: Any) -> Optional[float]:
    """Accept a duration; None stands for ``timeout``: as long as the unit may take."""
    if value == AS_LONG_AS_THE_UNIT:
        return None
    try:
        return v.duration_s(value)
    except Wrong:
        if v.is_number(value) and value > 0:
            raise  # it is too long
        raise expected(_A_LINGER, value) from None


def stop_signal(value: Any) -> str:
    """Accept the name of a signal, with or without ``SIG``; return it without."""
    if v.is_number(value):
        cure = "the numbers differ from system to system"
        raise Wrong(f"expected {_A_SIGNAL}, not {show(value)}: {cure}")
    name = v.filled(value)
    short = name[3:] if name.upper().startswith("SIG") else name
    if short.upper() in NO_REQUESTS:
        cure = "; `grace = 0` kills at once" if short.upper() == "KILL" else ""
        raise Wrong(f"no program can listen to {short.upper()}: expected {_A_SIGNAL}{cure}")
    if name not in (short, f"SIG{short}") or short not in NAMES:
        raise Wrong(f"expected {_A_SIGNAL}, not {show(name)}{did_you_mean(short, NAMES)}")
    if not can_be_sent(short):
        raise Wrong(f"this system has no signal {short}: expected {_A_SIGNAL}")
    return short


def read_stop_command(table: StageTable, scope: Scope) -> Tuple[Placed, ...]:
    """Read `stop-command`, an argv that also knows `{pid}`, the unit's main process."""
    key = "stop-command"
    if key in table and "pid" in scope.known:
        what = "parameter" if "pid" in table.parameters else "variable"
        table.note(key, f"{{pid}} is the process here: give the {what} `pid` another name")
    pid: Dict[str, Any] = {"pid": TEXT}
    return table.take_placed(key, command(scope.plus(pid)))


def read_stop(value: Any) -> Tuple[Template, ...]:
    """Read the `stop_command` of a unit that is written out; it knows `{pid}` and `{index}`."""
    return command(Scope({"pid": TEXT, "index": TEXT}))(value)


def check_linger(table: StageTable, *, seconds: Optional[float], limit_s: Optional[float]) -> None:
    """Note it if the end of `linger` is that of a `timeout` which the stage has not."""
    if seconds is None and limit_s is None and "timeout" not in table:
        message = '"timeout" means as long as the unit may take, and the stage has no `timeout`'
        table.note("linger", f"{message}: give it one, or write how long")

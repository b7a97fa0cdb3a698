"""`--halt` of `procsup map`: when the rest is not run, in the words of GNU Parallel."""

from typing import Any, Dict, Union

import click

from procsup.core.regexes import compile_at_use

_HALT = compile_at_use(r"(now|soon),(fail|success|done)=([1-9][0-9]*)(%?)")
_SHORT = {
    "1": "soon,fail=1",
    "2": "now,fail=1",
    "-1": "soon,success=1",
    "-2": "now,success=1",
}
_OF = {"success": "succeeded", "done": "done"}


def read_halt(text: str) -> Dict[str, Any]:
    """Return the settings that `--halt` stands for; a usage error if it is none."""
    if text in ("never", "0"):
        return {}
    match = _HALT.fullmatch(_SHORT.get(text, text))
    if match is None or (match[4] and int(match[3]) > 100):
        raise click.UsageError(
            f"--halt: {text!r}: expected now or soon, a comma, and fail, success or done with a"
            " number or share, such as now,fail=1 or soon,success=10%"
        )
    when, why, number, percent = match.groups()
    at: Union[int, str] = f"{number}%" if percent else int(number)
    do = "stop" if when == "now" else "drain"
    if why == "fail":
        return {"on-failure": {"do": do, "at": at}}
    return {"enough": {"do": do, "at": at, "of": _OF[why]}}

"""The text of `retry --here`: program, folder and environment of the unit."""

from typing import Dict, List

from procsup.core.text import make_visible, quote_word
from procsup.queries.run_here import PreparedRun

_MOST_NAMED = 5


def format_run_here(ready: PreparedRun, env: Dict[str, str]) -> List[str]:
    """Return the unit, its folder, its command, what its environment adds, and a warning."""
    start, outputs = ready.by_hand, ready.outputs
    lines = [
        f"{make_visible(ready.unit.id)}, in the foreground: nothing of this is recorded",
        f"  cwd      {make_visible(start.cwd)}",
        f"  command  {' '.join(map(quote_word, start.argv))}",
    ]
    if start.stdin_path is not None:
        lines.append(f"  stdin    {make_visible(start.stdin_path)}")
    lines += [
        f"  env      {make_visible(f'{name}={value}')}" for name, value in sorted(env.items())
    ]
    if outputs:
        named = ", ".join(map(make_visible, outputs[:_MOST_NAMED]))
        more = ", ..." if len(outputs) > _MOST_NAMED else ""
        lines.append(
            f"  it may overwrite {named}{more}: then `procsup verify` reports it as changed"
        )
    return lines

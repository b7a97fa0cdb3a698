"""The text of `retry --here`: program, folder and environment of the unit."""

from typing import Dict, List, Optional, Sequence

from procsup.core.text import shell_word, visible

_MOST_NAMED = 5


def by_hand_lines(
    unit: str,
    argv: Sequence[str],
    cwd: str,
    env: Dict[str, str],
    stdin: Optional[str],
    outputs: Sequence[str],
) -> List[str]:
    """Return the unit, its folder, its command, what its environment adds, and a warning."""
    lines = [
        f"{visible(unit)}, by hand: nothing of this is recorded",
        f"  cwd      {visible(cwd)}",
        f"  command  {' '.join(map(shell_word, argv))}",
    ]
    if stdin is not None:
        lines.append(f"  stdin    {visible(stdin)}")
    lines += [f"  env      {visible(f'{name}={value}')}" for name, value in sorted(env.items())]
    if outputs:
        named = ", ".join(map(visible, outputs[:_MOST_NAMED]))
        more = ", ..." if len(outputs) > _MOST_NAMED else ""
        lines.append(
            f"  it may overwrite {named}{more}: then the run vouches for that no longer"
            " (`procsup verify` tells)"
        )
    return lines

"""The shell of each system: how a line is started, how a value is quoted for it.

Linux, macOS: bash, which stops at the first command that fails, in a pipe too. Windows:
PowerShell (7's `pwsh` where it is found), which stops at the first error; `pwsh` from 7.4 also at
the first program that fails, Windows PowerShell ends with the exit code of the last one.
"""

import shlex
import sys
from typing import Callable, NamedTuple, Sequence, Tuple

# Windows PowerShell takes typographic single quotes for plain ones.
_SINGLE_QUOTES = "'\u2018\u2019\u201a\u201b"

SHELLS = frozenset(("bash", "pwsh", "powershell"))

_BEFORE = (
    "$ErrorActionPreference='Stop'; $PSNativeCommandUseErrorActionPreference=$true;"
    " $global:LASTEXITCODE=0;"
    " trap { [Console]::Error.WriteLine($_); if ($LASTEXITCODE) { exit $LASTEXITCODE }; exit 1 }"
    "\n& {\n"
)
_AFTER = "\nexit $LASTEXITCODE"


class Shell(NamedTuple):
    """A shell: `head` is its argv before the text, `name` is its kind."""

    name: str  # "bash" or "powershell"
    head: Tuple[str, ...]
    quote: Callable[[str], str]
    tail: Callable[[str, Sequence[str]], Tuple[str, ...]]  # text, arguments -> rest of the argv
    scratch: str  # the text for the attempt's scratch folder


def bash() -> Shell:
    """Return bash; arguments are its ``"$1"``, ``"$2"`` and ``"$@"``."""
    head = ("bash", "-euo", "pipefail", "-c")
    return Shell("bash", head, shlex.quote, _bash_tail, '"$PROCSUP_SCRATCH"')


def _bash_tail(text: str, arguments: Sequence[str]) -> Tuple[str, ...]:
    return (text, "bash", *arguments) if arguments else (text,)


def powershell(program: str) -> Shell:
    """Return PowerShell; arguments are its ``$args[0]`` and so on."""
    head = (program, "-NoProfile", "-NonInteractive", "-Command")
    return Shell("powershell", head, quoted, _powershell_tail, "${env:PROCSUP_SCRATCH}")


def quoted(text: str) -> str:
    """Quote a text for PowerShell."""
    return "'" + "".join(c * 2 if c in _SINGLE_QUOTES else c for c in text) + "'"


def _powershell_tail(text: str, arguments: Sequence[str]) -> Tuple[str, ...]:
    words = "".join(f" {quoted(argument)}" for argument in arguments)
    return (f"{_BEFORE}{text}\n}}{words}{_AFTER}",)


def native_shell() -> Shell:
    """Return the shell of this system."""
    if sys.platform == "win32":
        import shutil

        return powershell("pwsh" if shutil.which("pwsh") else "powershell")
    return bash()

"""The shell of each system: how it starts a line, quotes a value, and starts a process.

Linux, macOS: bash, which stops at the first command that fails, in a pipe too. Windows:
PowerShell (7's `pwsh` where it is found), which stops at the first error; `pwsh` from 7.4 also at
the first program that fails, while Windows PowerShell ends with the exit code of the last one.
"""

import shlex
import subprocess
import sys
from typing import Callable, Mapping, NamedTuple, Optional, Sequence, Tuple

from msgspec import Struct

from procsup.core.text import quote_word, split_acting

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


class Process(Struct, frozen=True):
    """A process; `variables` are those that differ from the environment that it is started in."""

    argv: Sequence[str]
    cwd: str
    variables: Mapping[str, str]
    stdin_path: Optional[str]


class Shell(NamedTuple):
    """A shell: `head` is its argv before the text, `name` is its kind."""

    name: str  # "bash" or "powershell"
    head: Tuple[str, ...]
    quote: Callable[[str], str]
    tail: Callable[[str, Sequence[str]], Tuple[str, ...]]  # text, arguments -> rest of the argv
    scratch: str  # the text for the attempt's scratch folder
    line: Callable[[Process], str]  # starts the process; has no terminal control characters


def make_bash() -> Shell:
    """Return bash; arguments are its ``"$1"``, ``"$2"`` and ``"$@"``."""
    head = ("bash", "-euo", "pipefail", "-c")
    return Shell(
        "bash", head, shlex.quote, _format_bash_tail, '"$PROCSUP_SCRATCH"', _format_bash_line
    )


def _format_bash_tail(text: str, arguments: Sequence[str]) -> Tuple[str, ...]:
    return (text, "bash", *arguments) if arguments else (text,)


def _format_bash_line(process: Process) -> str:
    def word(text: str) -> str:
        return quote_word(text, in_lines=True)

    settings = [f"{name}={value}" for name, value in process.variables.items()]
    line = " ".join(map(word, ["env", *settings, *process.argv]))
    stdin = "" if process.stdin_path is None else f" < {word(process.stdin_path)}"
    return f"cd {word(process.cwd)} && {line}{stdin}"


def make_powershell(program: str) -> Shell:
    """Return PowerShell; arguments are its ``$args[0]`` and so on."""
    head = (program, "-NoProfile", "-NonInteractive", "-Command")
    return Shell(
        "powershell",
        head,
        quote_powershell,
        _format_powershell_tail,
        "${env:PROCSUP_SCRATCH}",
        _format_powershell_line,
    )


def quote_powershell(text: str) -> str:
    """Quote a text for PowerShell."""
    return "'" + "".join(c * 2 if c in _SINGLE_QUOTES else c for c in text) + "'"


def _format_powershell_tail(text: str, arguments: Sequence[str]) -> Tuple[str, ...]:
    words = "".join(f" {quote_powershell(argument)}" for argument in arguments)
    return (f"{_BEFORE}{text}\n}}{words}{_AFTER}",)


def _format_powershell_line(process: Process) -> str:
    program, *arguments = process.argv
    # By `&`, PowerShell before 7.3 would lose double quotes and empty arguments.
    start = f"Start-Process -NoNewWindow -Wait -FilePath {_quote_visible(program)}"
    if arguments:
        start += f" -ArgumentList {_quote_visible(subprocess.list2cmdline(arguments))}"
    if process.stdin_path is not None:
        start += f" -RedirectStandardInput {_quote_visible(process.stdin_path)}"
    settings = [
        f"${{env:{name}}} = {_quote_visible(value)}" for name, value in process.variables.items()
    ]
    return "; ".join([f"Set-Location -LiteralPath {_quote_visible(process.cwd)}", *settings, start])


def _quote_visible(text: str) -> str:
    """Quote a text for PowerShell, without the characters that act on a terminal."""
    pieces = split_acting(text)
    pieces[::2] = map(quote_powershell, pieces[::2])
    pieces[1::2] = map(_format_char, pieces[1::2])
    return f"({' + '.join(pieces)})" if len(pieces) > 1 else pieces[0]


def _format_char(char: str) -> str:
    number = ord(char)  # one of more than 16 bits is two characters there
    return f"[char]{number}" if number < 1 << 16 else f"[char]::ConvertFromUtf32({number})"


def get_native_shell() -> Shell:
    """Return the shell of this system."""
    if sys.platform == "win32":
        import shutil

        return make_powershell("pwsh" if shutil.which("pwsh") else "powershell")
    return make_bash()

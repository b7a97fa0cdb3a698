"""What the manual of GNU Parallel tests other tools for: ``python scripts/rivals.py [--long]``.

Each test of "TESTING OTHER TOOLS" (`man parallel_alternatives`) is tried with xargs, GNU Parallel
and `procsup map`; the table (Markdown) says what each did. ``--long`` adds a line of over 4 GB.
Left out are NUMWORDS, which asks for the time alone, and an output larger than the real memory.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Sequence, Tuple

ROOT = Path(__file__).resolve().parent.parent
LIMIT_S = 120.0
MEMORY_KB = 400_000
PARTS = 300_000  # characters that are written at once
GONE_S = 5.0
PROCSUP = "procsup map"


class Tool(NamedTuple):
    """A tool, and its command line for one input a line and four units at once."""

    name: str
    argv: Sequence[str]
    by_nul: str = "-0"
    shell: Sequence[str] = ()  # what makes one text a command line
    fills_in: Sequence[str] = ()  # what makes {} the input, wherever it stands

    @property
    def is_here(self) -> bool:
        """Whether it is installed; `parallel` may be another program."""
        if shutil.which(self.argv[0]) is None:
            return False
        said = subprocess.run([self.argv[0], "--version"], stdout=subprocess.PIPE)
        return self.argv[0] != "parallel" or said.stdout.startswith(b"GNU parallel")

    def call(self, folder: Path, stdin: bytes, *words: str, **more: Any) -> "Called":
        """Run it in a folder."""
        more.setdefault("stdout", subprocess.PIPE)
        with self.start(folder, *words, stdin=subprocess.PIPE, **more) as child:
            out, err = child.communicate(stdin, timeout=LIMIT_S)
        return Called(child.returncode, out or b"", err or b"")

    def start(self, folder: Path, *words: str, **more: Any) -> "subprocess.Popen[bytes]":
        """Start it in a folder, whose `tmp` is the one for temporary files."""
        for name in ("tmp", "home"):
            (folder / name).mkdir(exist_ok=True)
        (folder / "home" / "will-cite").touch()
        env = {
            **{key: value for key, value in os.environ.items() if key != "PROCSUP_RUN"},
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(folder / "tmp"),
            "PARALLEL_HOME": str(folder / "home"),
        }
        limit = more.pop("limit", "")
        argv = [*self.argv, *words]
        if limit:
            argv = ["sh", "-c", f'{limit}; exec "$@"', "limit", *argv]
        more.setdefault("stderr", subprocess.PIPE)
        return subprocess.Popen(argv, cwd=str(folder), env=env, **more)


class Called(NamedTuple):
    """How it ended, and what it printed."""

    code: int
    out: bytes
    err: bytes


TOOLS = (
    Tool("xargs", ("xargs", "-n1", "-P4"), fills_in=("-I{}",)),
    Tool("GNU Parallel", ("parallel", "-j4")),
    Tool(PROCSUP, (sys.executable, "-m", "procsup", "map", "-q", "-j4"), shell=("--shell",)),
)


class Case(NamedTuple):
    """A test: its name in the manual, what it asks, and a function that returns what went wrong."""

    name: str
    asks: str
    play: Callable[[Tool, Path], str]


# --- the tests ---------------------------------------------------------------------------------


def write(folder: Path, name: str, text: str) -> str:
    """Write a program; return how it is called."""
    path = folder / name
    path.write_text(text)
    path.chmod(0o700)
    return f"./{name}"


def mix(tool: Tool, folder: Path) -> str:
    """Have units write long lines in parts, to both streams in turn."""
    code = f"""#!{sys.executable} -S
import os
for number, letter in enumerate("abcdef"):
    data = letter.encode() * {PARTS} + b" "
    while data:
        data = data[os.write(1 + number % 2, data):]
os.write(1, b"\\n")
os.write(2, b"\\n")
"""
    done = tool.call(folder, lines(range(12)), write(folder, "mixed", code))
    expected = [b" ".join(part.encode() * PARTS for part in parts) for parts in ("ace", "bdf")]
    for data, line in zip((done.out, done.err), expected):
        if [one.rstrip() for one in data.splitlines()] != [line] * 12:
            return "lines of two units are mixed"
    return ""


def merge(tool: Tool, folder: Path) -> str:
    """See which stream has what."""
    code = "#!/bin/sh\necho out; echo err >&2; echo out; echo err >&2\n"
    done = tool.call(folder, b"1\n", write(folder, "both", code))
    if (done.out, done.err) == (b"out\nout\n", b"err\nerr\n"):
        return ""
    return "streams are merged"


def memory(tool: Tool, folder: Path) -> str:
    """Have units print more than the tool may have as memory."""
    zeros = write(folder, "zeros", "#!/bin/sh\nexec head -c 100000000 /dev/zero\n")
    limit = f"ulimit -v {MEMORY_KB}"
    size = count_bytes(tool, folder, lines(range(6)), zeros, limit=limit)
    return "" if size == 600_000_000 else f"{size:,} bytes of 600,000,000"


def full(tool: Tool, folder: Path) -> str:
    """Print more than the disk has on which the tool keeps output."""
    small = folder / "tmp"
    small.mkdir()
    where = ["--dir", str(small)] if tool.name == PROCSUP else []
    wrapped = ["unshare", "-m", "sh", "-c", f'mount -t tmpfs -o size=4m none {small}; exec "$@"']
    argv = [*wrapped, "x", *tool.argv]
    program = write(folder, "prints", "#!/bin/sh\nhead -c 10000000 /dev/zero; exit 0\n")
    done = tool._replace(argv=argv).call(folder, b"1\n", *where, program)
    if done.code == 0 and len(done.out) < 10_000_000:
        return f"{len(done.out):,} bytes of 10,000,000, and exit code 0"
    return ""


def clean(tool: Tool, folder: Path) -> str:
    """Kill the tool; look for temporary files and for units that go on."""
    code = (
        f"#!/bin/sh\necho $$ > pids/$1\nexec {sys.executable} -S -c 'import time; time.sleep(60)'\n"
    )
    sleeps = write(folder, "sleeps", code)
    pids = folder / "pids"
    pids.mkdir()
    (folder / "inputs").write_bytes(lines(range(4)))
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with open(folder / "inputs", "rb") as stdin, tool.start(
        folder, sleeps, stdin=stdin, **silent
    ) as child:
        wait_for(lambda: sum(path.stat().st_size > 0 for path in pids.iterdir()) == 4, LIMIT_S)
        child.kill()
    units = [int(path.read_text()) for path in pids.iterdir()]
    are_gone = wait_for(lambda: not any(map(is_alive, units)), GONE_S)
    for pid in filter(is_alive, units):
        os.kill(pid, signal.SIGKILL)
    left = [] if are_gone else ["its units run on"]
    left += ["temporary files are left"] * any((folder / "tmp").iterdir())
    return ", ".join(left)


NAMES = [b"My brother's 12\" *** record  (costs $$$).jpg", b"-n", b"*", b"a\\b", b" x ", b"`id`",
         b"{}", b"--help", b"~", b"#x", b"\xff\xfe", b"a\tb", b"&& ls", b"%s"]  # fmt: skip


def names(tool: Tool, folder: Path) -> str:
    """Pass on names as they are, one a line."""
    return compare(tool, folder, NAMES, b"\n")


def names_with_newlines(tool: Tool, folder: Path) -> str:
    """Pass on names that end with NUL."""
    return compare(tool, folder, [*NAMES, b"two\nlines"], b"\0", tool.by_nul)


def compare(tool: Tool, folder: Path, given: List[bytes], end: bytes, *options: str) -> str:
    """Compare the arguments that units get with what was given."""
    code = f"""#!{sys.executable} -S
import os, sys
os.write(1, os.fsencode(sys.argv[1]).hex().encode() + b"\\n")
"""
    program = write(folder, "says", code)
    done = tool.call(folder, b"".join(name + end for name in given), *options, program)
    found = sorted(map(bytes.fromhex, done.out.decode("ascii", "replace").split()))
    lost = [name for name in given if name not in found]
    if found == sorted(given):
        return ""
    return f"{len(lost)} of {len(given)} come as something else"


def composed(tool: Tool, folder: Path) -> str:
    """Give two commands as one text."""
    done = tool.call(folder, b"bar\n", *tool.fills_in, *tool.shell, "echo foo; echo {}")
    return "" if done.out == b"foo\nbar\n" else "not without `sh -c`"


def repeated(tool: Tool, folder: Path) -> str:
    """Fill in the input twice."""
    done = tool.call(folder, b"bar\n", *tool.fills_in, "echo", "{}", "foo", "{}")
    return "" if done.out == b"bar foo bar\n" else "it is filled in once"


def long_input(tool: Tool, folder: Path) -> str:
    """Pass on as long an argument as the system allows."""
    done = tool.call(folder, b"x" * 131_000 + b"\n", *tool.fills_in, "echo", "{}")
    return "" if done.out == b"x" * 131_000 + b"\n" else "131,000 characters are refused"


def longer_input(tool: Tool, folder: Path) -> str:
    """Take an input that is longer than an argument, of which a part is used."""
    if tool.name == "xargs":
        return "no such placeholder"
    done = tool.call(folder, b"foo." + b"x" * 10_000_000 + b"\n", "echo", "{.}")
    return "" if done.out == b"foo\n" else "10 MB are refused"


def long_line(tool: Tool, folder: Path) -> str:
    """Print a line of more than 4 GB."""
    size = 4_400_000_000
    zeros = write(folder, "zeros", f"#!/bin/sh\nexec head -c {size} /dev/zero\n")
    found = count_bytes(tool, folder, b"1\n", zeros)
    return "" if found == size else f"{found:,} bytes of {size:,}"


CASES = (
    Case("MIX", "no line has parts of two units", mix),
    Case("STDERRMERGE", "stdout and stderr stay apart", merge),
    Case("RAM", "600 MB of output in 400 MB of memory", memory),
    Case("DISKFULL", "an output that a full disk cut is no success", full),
    Case("CLEANUP", "`kill -9` leaves no temporary file and no unit", clean),
    Case("SPCCHAR", "names with blanks, quotes, `*`, `$`, `-`, bytes that are no UTF-8", names),
    Case("SPCCHAR -0", "those and a line feed, behind NUL", names_with_newlines),
    Case("COMPOSED", "`echo foo; echo {}` is two commands", composed),
    Case("ONEREP", "`{}` twice", repeated),
    Case("INPUTSIZE", "an argument of 131,000 characters", long_input),
    Case("INPUTSIZE {.}", "an input of 10 MB of which `foo` is used", longer_input),
)
LONG_CASES = (Case("4GB", "a line of 4.4 GB", long_line),)


# --- what they need ----------------------------------------------------------------------------


def lines(values: Any) -> bytes:
    """Return a line for each."""
    return b"".join(b"%d\n" % value for value in values)


def count_bytes(tool: Tool, folder: Path, stdin: bytes, *words: str, **more: Any) -> int:
    """Return how much comes out of it."""
    (folder / "inputs").write_bytes(stdin)
    size = 0
    with open(folder / "inputs", "rb") as inputs, tool.start(
        folder,
        *words,
        stdin=inputs,
        stdout=subprocess.PIPE,
        **{"stderr": subprocess.DEVNULL, **more},
    ) as child:
        assert child.stdout is not None
        data = child.stdout.read(1 << 20)
        while data:
            size += len(data)
            data = child.stdout.read(1 << 20)
    return size


def wait_for(is_so: Callable[[], bool], limit_s: float) -> bool:
    """Look until it is so; false after the limit."""
    deadline = time.monotonic() + limit_s
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def is_alive(pid: int) -> bool:
    """Whether a process runs, and is no zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    said = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], stdout=subprocess.PIPE)
    return said.stdout.strip()[:1] not in (b"", b"Z")


def can_mount() -> bool:
    """Whether a small disk can be made for DISKFULL: by root, on Linux."""
    if shutil.which("unshare") is None:
        return False
    probe = ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(probe, stderr=subprocess.DEVNULL).returncode == 0


def play(case: Case, tool: Tool) -> str:
    """Play a test in a folder of its own; return what went wrong."""
    with tempfile.TemporaryDirectory(prefix="rivals-") as folder:
        return case.play(tool, Path(folder))


def main() -> int:
    """Play all, print the table; 1 if procsup did something wrong."""
    cases = [*CASES, *(LONG_CASES if "--long" in sys.argv[1:] else ())]
    found: Dict[Tuple[str, str], str] = {}
    for case in cases:
        for tool in TOOLS:
            if not tool.is_here or (case.name == "DISKFULL" and not can_mount()):
                found[case.name, tool.name] = "not tried here"
                continue
            print(f"{case.name}, {tool.name}", file=sys.stderr)
            found[case.name, tool.name] = play(case, tool) or "right"
    print("| | " + " | ".join(tool.name for tool in TOOLS) + " |")
    print("| --- " * (len(TOOLS) + 1) + "|")
    for case in cases:
        words = (found[case.name, tool.name] for tool in TOOLS)
        print(f"| {case.name}: {case.asks} | " + " | ".join(words) + " |")
    return int(any(found[case.name, PROCSUP] not in ("right", "not tried here") for case in cases))


if __name__ == "__main__":
    sys.exit(main())

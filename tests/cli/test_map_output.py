"""`procsup map`: what it passes on of the output of units, and when; the bar; who failed."""

import os
import re
import select
import shutil
import subprocess
import sys

import pytest

from tests.support.projects import LIMIT_S, ROOT, Project

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sh, FIFOs and pseudo-terminals")

COMMAND = [sys.executable, "-m", "procsup", "map"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "80"}
LIMIT_KB = 400_000
BIG = f"""
case $1 in
  first) read line < gate ;;
  last) echo > gate ;;
  *) {sys.executable} -S -c 'import os; os.ftruncate(1, 100 << 20)' ;;
esac
"""


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def start(project, *words, under=None, **more):
    more.setdefault("stdout", subprocess.PIPE)
    more.setdefault("stderr", subprocess.PIPE)
    limit = [] if under is None else ["sh", "-c", f'ulimit -v {under}; exec "$@"', "limit"]
    return subprocess.Popen(
        [*limit, *COMMAND, *words],
        cwd=str(project.folder),
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        **more,
    )


def run_map(project, *words, expect=0):
    child = start(project, *words)
    out, err = child.communicate(timeout=LIMIT_S)
    assert child.returncode == expect, f"{child.returncode}\n{out}\n{err}"
    return out.decode(), err.decode()


def test_lines_come_while_their_unit_runs(project):
    os.mkfifo(project.folder / "gate")
    code = "echo a; printf half; read line < gate; echo ' and half'; printf rest"

    child = start(project, "-q", "--line-buffer", "sh", "-c", code, ":::", "x")
    first = child.stdout.readline()
    with open(project.folder / "gate", "w") as gate:  # the unit runs: it opens the other end
        gate.write("\n")

    assert first == b"a\n"
    assert child.communicate(timeout=LIMIT_S) == (b"half and half\nrest", b"")


@pytest.mark.parametrize("more", [["--lb"], ["--tag"], ["--lb", "--tag"]])
def test_no_line_has_text_of_two_units(project, more):
    code = "for i in 1 2 3 4 5 6 7 8; do printf $1; printf $1; echo; done; printf $1 >&2; printf $1"

    child = start(project, "-q", "-j4", *more, "sh", "-c", code, "x", ":::", *"abcdefgh",
                  stderr=subprocess.STDOUT)  # fmt: skip
    out, _ = child.communicate(timeout=LIMIT_S)

    lines = out.decode().split("\n")
    tag = "{0}\t" if "--tag" in more else ""
    expected = [tag + text for text in ["{0}{0}"] * 8 + ["{0}"] * 2]
    assert sorted(lines) == sorted(line.format(c) for c in "abcdefgh" for line in expected)


def test_in_order_the_first_unit_s_lines_come_at_once_and_the_others_wait(project):
    os.mkfifo(project.folder / "gate")
    code = "echo $1; if [ $1 = a ]; then read line < gate; else echo > gate; fi; echo end $1"

    out, _ = run_map(project, "-q", "-k", "--lb", "-j2", "sh", "-c", code, "x", ":::", "a", "b")

    assert out == "a\nend a\nb\nend b\n"


@pytest.mark.skipif(shutil.which("parallel") is None, reason="GNU Parallel is not installed")
def test_tags_are_those_of_gnu_parallel(project):
    code = 'printf "$1\\n\\n-$2"; echo "$1" >&2'
    inputs = [":::", "a b", "c", ":::", "1", "2"]

    ours = run_map(project, "-q", "-k", "--tag", "sh", "-c", code, "x", *inputs)
    theirs = subprocess.run(
        ["parallel", "--will-cite", "-q", "-k", "--tag", "sh", "-c", code, "x", *inputs],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )

    assert ours[1] == theirs.stderr
    # GNU Parallel puts the first line of a unit behind the last one of another, which has no end.
    assert (
        ours[0].replace("-1\na", "-1a").replace("-2\nc", "-2c").replace("-1\nc", "-1c")
        == theirs.stdout
    )


def test_a_tag_is_one_line_that_acts_on_nothing(project):
    out, _ = run_map(project, "-q", "--tag", "echo", "x", ":::", "a\n\x1b[2J")

    assert out == "a\\n\\e[2J\tx a\na\\n\\e[2J\t\x1b[2J\n"


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a limit of the address space")
@pytest.mark.parametrize("more", [["-k"], ["-k", "--lb"], ["--lb"]])
def test_memory_is_not_what_outputs_take_behind_a_hung_unit(project, more):
    os.mkfifo(project.folder / "gate")
    inputs = ["first", *map(str, range(10)), "last"]

    child = start(project, "-q", "-j2", *more, "sh", "-c", BIG, "x", ":::", *inputs, under=LIMIT_KB)
    chunks = iter(lambda: child.stdout.read(1 << 16), b"")
    count = sum(len(chunk) - chunk.count(b"\n") for chunk in chunks)
    _, err = child.communicate(timeout=LIMIT_S)

    assert (child.returncode, count, err) == (0, 10 * (100 << 20), b"")


def test_no_output_is_passed_on_and_a_failure_has_its_end(project):
    out, err = run_map(project, "--no-output", "sh", "-c", "echo $1; echo why $1 >&2; exit $1",
                       "x", ":::", "0", "1", expect=1)  # fmt: skip

    assert out == ""
    assert err.startswith("map/1: failed, exit 1 (attempt 1, ")
    assert err.count("why 1") == 1
    assert "why 0" not in err


@pytest.mark.parametrize("more", [[], ["-k"], ["--lb"], ["--tag"], ["-q"], ["--json"]])
def test_a_failure_is_shown_once(project, more):
    _, err = run_map(project, *more, "sh", "-c", "printf boom >&2; exit 1", ":::", "a", expect=1)

    assert (err.count("boom"), err.count("map/a: failed, exit 1 (attempt 1, ")) == (1, 1)
    if "--json" not in more:
        assert "boom\nmap/a: failed" in err  # behind its output, on a line of its own


def test_of_many_failures_the_first_ones_are_shown(project):
    _, err = run_map(project, "false", ":::", *map(str, range(30)), expect=1)

    assert err.count(": failed, exit 1 (") == 20
    assert err.count("more failures are counted, and not shown\n") == 1
    assert "failed: 30 failed, in " in err


# --- on a terminal -----------------------------------------------------------------------------


class Screen:
    """What a terminal shows: the few codes that the bar uses."""

    def __init__(self):
        self.lines, self.row, self.column = [""], 0, 0
        self.had = set()  # every text that a line ever had

    def take(self, text):
        at = 0
        while at < len(text):
            if text[at] == "\x1b":
                end = next(end for end in range(at + 2, len(text)) if text[end].isalpha())
                self._act(text[at + 2 : end], text[end])
                at = end
            elif text[at] == "\r":
                self.column = 0
            elif text[at] == "\t":
                self.column += 8 - self.column % 8
            elif text[at] == "\n":
                self.row += 1
                self.lines += [""] if self.row == len(self.lines) else []
            else:
                line = self.lines[self.row].ljust(self.column)
                self.lines[self.row] = line[: self.column] + text[at] + line[self.column + 1 :]
                self.column += 1
                self.had.add(self.lines[self.row])
            at += 1

    def _act(self, given, code):
        assert code in "mKA", code
        if code == "K":
            assert given == "2"
            self.lines[self.row] = ""
        elif code == "A":
            self.row -= int(given)
            assert self.row >= 0


def some_of(terminal):
    assert select.select([terminal], [], [], LIMIT_S)[0], "nothing comes"
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # Linux: all writers have closed it
        return b""


def show_on_a_terminal(project, *words, stdout=None, expect=0, until=None, then=None):
    """Return the screen after the run; once it has had a line that matches `until`, `then` acts."""
    ours, theirs = os.openpty()
    child = start(project, *words, stdout=theirs if stdout is None else stdout, stderr=theirs)
    os.close(theirs)
    got = b""
    for chunk in iter(lambda: some_of(ours), b""):
        got += chunk
        if then is not None and re.search(until, got.decode("utf-8", "replace")):
            then, _ = None, then()
    os.close(ours)
    assert child.wait(LIMIT_S) == expect
    screen = Screen()
    screen.take(got.decode())
    return screen


def test_output_and_the_bar_leave_each_other_whole(project):
    os.mkfifo(project.folder / "gate")
    code = """
    [ $1 = last ] && read line < gate
    echo "out-$1"
    printf "err-$1" >&2
    [ $1 != 5 ]
    """
    names = [*map(str, range(20)), "last"]

    screen = show_on_a_terminal(
        project, "--tag", "-j2", "sh", "-c", code, "x", ":::", *names, expect=1,
        until=r"20/21.*1 failed[^/]*\n[^\n]*running, [0-9.]+/(s|min), slowest",
        then=lambda: (project.folder / "gate").write_text("\n"),
    )  # fmt: skip

    shown = screen.lines[: screen.lines.index("")]  # then comes the report of the end
    (failure,) = [line for line in shown if line.startswith("map/5: failed, exit 1 (")]
    shown.remove(failure)
    expected = [f"{n}".ljust(8) + f"{what}-{n}" for n in names for what in ("out", "err")]
    assert sorted(shown) == sorted(expected)
    assert any("━" in line and "20/21 " in line for line in screen.had)


def test_a_stdout_that_is_no_terminal_gets_the_output_alone(project):
    with open(project.folder / "out", "wb") as out:
        show_on_a_terminal(project, "-k", "printf", "%s\\n", ":::", "a", "b", stdout=out)

    assert (project.folder / "out").read_text() == "a\nb\n"


def test_a_bar_that_is_asked_for_is_drawn_into_a_pipe(project):
    os.mkfifo(project.folder / "gate")
    child = start(project, "--bar", "-q", "sh", "-c", "read line < gate", ":::", "a")
    seen = b""
    while b"0/1" not in seen:
        chunk = os.read(child.stderr.fileno(), 1 << 16)
        assert chunk, seen
        seen += chunk
    with open(project.folder / "gate", "w"):
        pass
    child.communicate(timeout=LIMIT_S)

    assert child.returncode == 1  # `read` found no line


@pytest.mark.parametrize("more", [[], ["-q", "--bar"]])
def test_a_terminal_has_a_bar(project, more):
    os.mkfifo(project.folder / "gate")

    screen = show_on_a_terminal(
        project, *more, "sh", "-c", "read line < gate", ":::", "a",
        until="0/1 ", then=lambda: (project.folder / "gate").write_text("\n"),
    )  # fmt: skip

    assert not any("0/1 " in line for line in screen.lines)


def test_who_wants_quiet_has_no_bar(project):
    screen = show_on_a_terminal(project, "-q", "true", ":::", "a")  # it would be drawn at the end

    assert screen.had == set()

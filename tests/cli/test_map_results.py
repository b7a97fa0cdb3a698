"""`--joblog` and `--results` of `procsup map`, beside those of GNU Parallel."""

import errno
import io
import os
import re
import shutil
import subprocess
from types import SimpleNamespace

import pytest

from procsup.console import results
from procsup.console.results import Line, ResultFiles, Results, find_exit
from procsup.core.events import Settled
from procsup.core.outcome import AttemptId, Exited, NotStarted, Signaled, Vanished, Verdict
from procsup.core.records import End
from procsup.host.logfiles import LogPlaces
from tests.cli.test_map import POSIX, run_map
from tests.support.projects import Project

pytestmark = POSIX
SHELL = "echo out-{}; echo err >&2; exit {}"


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def read_rows(project, name="log"):
    head, *rows = [line.split("\t") for line in (project.folder / name).read_text().splitlines()]
    assert head == [
        *("Seq", "Host", "Starttime", "JobRuntime", "Send", "Receive"),
        *("Exitval", "Signal", "Command"),
    ]
    return rows


def read_tree(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_line_for_each_unit_that_ran(project):
    done = run_map(project, "-q", "-j1", "--joblog", "log", "--shell", SHELL, ":::", "0", "3",
                   expect=1)  # fmt: skip

    first, second = read_rows(project)
    assert (first[0], first[1], first[4:]) == (
        "1",
        ":",
        ["0", "6", "0", "0", "echo out-0; echo err >&2; exit 0"],
    )
    assert second[6:8] == ["3", "0"]
    assert all(re.fullmatch(r"\d{10}\.\d{3}", row[2]) for row in (first, second))
    assert all(re.fullmatch(r" *\d+\.\d{3}", row[3]) for row in (first, second))
    assert "out-0" in done.stdout


def test_a_line_that_goes_on_adds_what_it_ran(project):
    line = ["-q", "-j1", "--name", "m", "--joblog", "log", "--shell", SHELL, ":::"]
    run_map(project, *line, "0", "3", expect=1)

    run_map(project, *line, "0", "3", expect=1)

    assert [row[0] for row in read_rows(project)] == ["1", "2", "2"]


@pytest.mark.parametrize(
    ("words", "inputs", "command"),
    [
        (["-N0", "echo", "x"], "ab", "echo x"),
        (["-N2", "echo", "{2}-{1}"], "ab", "echo b-a"),
        (["--plus", "echo", "{#}/{##}", "{}"], "a", "echo 1/1 a"),
        (["--shell", "echo {%} {} >&2"], "a", "echo '{%}' a >&2"),
        (["--header", ":", "echo", "{n}"], "na", "echo a"),
        (["echo", "{}{%}"], "a", "echo 'a{%}'"),
    ],
)
def test_the_command_of_a_line_is_that_of_its_unit(project, words, inputs, command):
    run_map(project, "-q", "-j1", "--joblog", "log", *words, ":::", *inputs)

    assert read_rows(project)[0][8] == command


def test_another_run_begins_a_new_joblog_unless_it_is_to_be_added_to(project):
    line = ["-q", "true", ":::"]
    run_map(project, "--joblog", "log", *line, "a", "b")
    run_map(project, "--joblog", "log", *line, "c")
    assert len(read_rows(project)) == 1

    run_map(project, "--joblog", "+log", *line, "d")

    assert [row[8] for row in read_rows(project)] == ["true c", "true d"]


def test_results_lie_in_folders_by_the_inputs(project):
    run_map(project, "-q", "--json", "--results", "r", "--header", ":", "echo",
            ":::", "city", "in/a", "b c", ":::", "n", "1")  # fmt: skip

    assert read_tree(project.folder / "r") == {
        "city/in\\_a/n/1/stdout": "in/a 1\n",
        "city/in\\_a/n/1/stderr": "",
        "city/in\\_a/n/1/seq": "1",
        "city/b c/n/1/stdout": "b c 1\n",
        "city/b c/n/1/stderr": "",
        "city/b c/n/1/seq": "2",
    }


@pytest.mark.parametrize("name", ["", ".", "..", "x" * 300, "../../x", "a\\_b", "a\tb"])
def test_no_input_leads_out_of_the_folder_of_results(project, name):
    run_map(project, "-q", "--results", "r/s", "true", ":::", name)

    assert {path.name for path in project.folder.iterdir()} == {".procsup", "r"}
    (found,) = (project.folder / "r" / "s" / "1").glob("*/seq")
    assert found.read_text() == "1"


@pytest.mark.skipif(shutil.which("parallel") is None, reason="GNU Parallel is not here")
def test_they_are_those_of_gnu_parallel(project):
    words = ["-j1", "--joblog", "log", "--results", "r", "-k"]
    inputs = [":::", "0", "3", ":::", "a/b", "c"]
    command = "echo {2}; test {2} = c && echo err >&2; exit {1}"
    subprocess.run(
        ["parallel", *words, command, *inputs],
        cwd=str(project.folder), capture_output=True, check=False,
    )  # fmt: skip
    if not (project.folder / "log").exists():
        pytest.skip("this `parallel` is another one")
    theirs = read_rows(project), read_tree(project.folder / "r")
    shutil.rmtree(project.folder / "r")

    run_map(project, "-q", *words, "--shell", command, *inputs, expect=1)

    ours = read_rows(project), read_tree(project.folder / "r")
    assert ours[1] == theirs[1]
    assert [[*row[:2], *row[4:8]] for row in ours[0]] == [
        [*row[:2], *row[4:8]] for row in theirs[0]
    ]


@pytest.mark.parametrize(
    ("exit", "verdict", "shown"),
    [
        (Exited(0), Verdict.SUCCEEDED, (0, 0)),
        (Exited(22), Verdict.SUCCEEDED, (0, 0)),
        (Exited(3), Verdict.FAILED, (3, 0)),
        (Exited(0), Verdict.BAD_OUTPUT, (-1, 0)),
        (Exited(0), Verdict.CANCELLED, (-1, 0)),
        (Signaled(9), Verdict.FAILED, (0, 9)),
        (Signaled(15), Verdict.TIMED_OUT, (-1, 15)),
        (NotStarted("no such file"), Verdict.NOT_STARTED, (127, 0)),
        (Vanished("gone"), Verdict.LOST, (-1, 0)),
    ],
)
def test_only_a_success_has_zeros(exit, verdict, shown):
    assert find_exit(End("m/a", 1, verdict, 0.0, exit=exit)) == shown


def test_a_full_disk_is_told_once_and_the_work_goes_on(project):
    done = run_map(project, "--name", "m", "--joblog", "/dev/full", "true", ":::", *"ab",
                   expect=74)  # fmt: skip

    assert done.stderr.splitlines()[0] == (
        "procsup: --joblog: No space left on device (3 lines are missing):"
        " the run's records and log files have it"
    )
    assert done.stderr.count("No space left") == 1
    assert "m succeeded: 2 succeeded" in done.stderr


def test_what_cannot_be_written_of_one_unit_is_told_and_the_others_are_written(project):
    project.write("r/1/b", "a file in the way")

    done = run_map(project, "-q", "-j1", "--results", "r", "--joblog", "log", "echo",
                   ":::", *"abc", expect=74)  # fmt: skip

    assert [row[0] for row in read_rows(project)] == [*"123"]
    found = read_tree(project.folder / "r")
    assert (found["1/a/stdout"], found["1/c/stdout"]) == ("a\n", "c\n")
    assert found["1/b"] == "a file in the way"
    (said,) = [line for line in done.stderr.splitlines() if "--results: " in line]
    assert said.endswith(
        "r/1/b: File exists (1 unit is missing): the run's records and log files have it"
    )


def test_no_half_of_an_output_is_left_on_a_full_disk(project, monkeypatch):
    def fill(log, copy):
        copy.write(log.read(1))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(results.shutil, "copyfileobj", fill)
    log = project.write("run/log", "text")
    files = make_files(project, joblog=None, folder=str(project.folder / "r"))

    finish(files, end(str(log)))

    assert files.problem == "--results: No space left on device (1 unit is missing)"
    assert read_tree(project.folder / "r") == {}


def test_a_torn_line_is_ended_before_the_next_one(project):
    joblog = Torn()
    files = make_files(project, joblog=joblog, folder=None)

    finish(files, end(None), end(None))

    head, first, second, rest = b"".join(joblog.written).split(b"\n")
    assert head.startswith(b"Seq\tHost")
    assert (first, rest) == (b"1\t:\t0", b"")
    assert second.startswith(b"1\t:\t0.000\t")
    assert files.problem == "--joblog: No space left on device (1 line is missing)"


class Torn(io.RawIOBase):
    """A file on a disk that is full in the middle of the second write."""

    def __init__(self):
        self.written, self.fd = [], os.open(os.devnull, os.O_WRONLY)

    def fileno(self):
        return self.fd

    def close(self):
        if not self.closed:
            os.close(self.fd)
        super().close()

    def write(self, data):
        self.written.append(bytes(data))
        if len(self.written) == 2:
            self.written[-1] = self.written[-1][:5]
            raise OSError(errno.ENOSPC, "No space left on device")
        return len(data)


class Silent:
    """The printer that prints nothing."""

    gone, problem = False, ""

    def note_start(self, order):
        pass

    note_end = note_start

    def close(self):
        pass

    finish = close


def make_files(project, *, joblog, folder):
    places = LogPlaces(str(project.folder / "run"))
    line = Line(1, "true a", [("1", "a")])
    return ResultFiles(Results(joblog, folder), lambda unit: line, places, Silent(), again=False)


def finish(files, *ends):
    for one in ends:
        files.note_start(SimpleNamespace(attempt=AttemptId("m/a", 1), task=SimpleNamespace(unit=1)))
        files.note_end(Settled(one))
    files.close()
    files.finish()


def end(log):
    return End("m/a", 1, Verdict.SUCCEEDED, 0.0, exit=Exited(0), stdout_path=log)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--joblog", "none/log"], "--joblog: none/log: No such file or directory"),
        (["--results", "file/r"], "--results: file/r: "),
        (["--as-run-file", "--joblog", "l"], "leave out --joblog and --results"),
    ],
)
def test_files_that_cannot_be_written_are_refused(project, words, said):
    project.write("file", "")

    assert said in run_map(project, *words, "true", ":::", "a", expect=2).stderr
    assert not (project.folder / ".procsup").exists()

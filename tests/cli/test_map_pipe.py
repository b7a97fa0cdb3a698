"""`procsup map --pipe`: stdin is divided by lines among the stdins of units."""

import io
import os
import random
import signal
import subprocess
import sys
import threading

import pytest

from procsup.cli.map_pipe import Cutter, Parts
from tests.cli.test_map import POSIX, manifest, run_map
from tests.faults.laws import until
from tests.support.projects import LIMIT_S, ROOT, Project, finish, kill

pytestmark = POSIX
NUMBERS = b"".join(b"%d\n" % number for number in range(2000))


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def pipe(project, data, *words, expect=0):
    """A run over these bytes; return its stdout."""
    done = subprocess.run(
        [sys.executable, "-m", "procsup", "map", "--pipe", *words],
        cwd=str(project.folder),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        input=data,
        capture_output=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == expect, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def list_parts(project, name="m"):
    return sorted(os.listdir(project.folder / ".procsup" / name / "stdin"))


def cut(data, *, lines=None, size_bytes=1 << 20, step=7):
    """All parts of a stream that comes in small pieces."""
    source = io.BytesIO(data)
    source.read1 = lambda _most: source.read(step)
    cutter = Cutter(source, lines=lines, size_bytes=size_bytes)
    return list(iter(lambda: b"".join(cutter.cut_part()), b""))


# --- how it is cut -----------------------------------------------------------------------------


def test_a_part_has_so_many_lines_and_the_last_one_needs_no_line_end():
    assert cut(b"a\n\nb\nc\nd", lines=2) == [b"a\n\n", b"b\nc\n", b"d"]


def test_a_block_has_the_whole_lines_that_fit():
    assert cut(b"aa\nbb\ncc\nd", size_bytes=6) == [b"aa\nbb\n", b"cc\nd"]
    assert cut(b"aa\nbb\ncc\nd", size_bytes=7) == [b"aa\nbb\n", b"cc\nd"]
    assert cut(b"aa\nbb\ncc\nd", size_bytes=100) == [b"aa\nbb\ncc\nd"]


def test_a_line_that_is_longer_than_a_block_goes_whole():
    assert cut(b"a\nbbbbbbbbb\nc\nd", size_bytes=4) == [b"a\n", b"bbbbbbbbb\n", b"c\nd"]
    assert cut(b"bbbbbbbbb", size_bytes=4) == [b"bbbbbbbbb"]


def test_an_empty_stream_has_no_part():
    assert cut(b"", lines=3) == cut(b"", size_bytes=3) == []


@pytest.mark.parametrize("seed", range(200))
def test_no_byte_is_lost_and_no_line_divided(seed):
    dice = random.Random(seed)
    data = bytes(dice.choices(b"\n\0\xffab", k=dice.randint(0, 300)))
    size, step = dice.randint(1, 50), dice.randint(1, 60)

    blocks = cut(data, size_bytes=size, step=step)

    assert b"".join(blocks) == data
    assert all(block.endswith(b"\n") for block in blocks[:-1])
    assert all(len(block) <= size or block.count(b"\n") <= 1 for block in blocks)
    for block, after in zip(blocks, blocks[1:]):  # no further line would have fitted
        assert len(block) + len(after.partition(b"\n")[0]) + 1 > size
    parts = cut(data, lines=size, step=step)
    assert b"".join(parts) == data
    assert all(part.count(b"\n") == size for part in parts[:-1])


# --- what becomes of the parts -------------------------------------------------------------------


@pytest.mark.parametrize("how", [["-N", "7"], ["--block", "1K"], ["--block", "10M"], []])
def test_a_binary_stream_passes_unchanged(project, how):
    data = bytes(random.Random(1).choices(range(256), k=20_000)) + b"\xff\n\0"

    assert pipe(project, data, "-q", "-k", *how, "cat") == data


def test_each_unit_reads_its_part_and_no_part_is_left(project):
    assert pipe(project, NUMBERS, "-k", "-N", "600", "--name", "m", "wc", "-l") == (
        b"600\n600\n600\n200\n"
    )
    assert [unit["id"] for unit in manifest(project, "m")["units"]] == [
        f"map/{number}" for number in range(1, 5)
    ]
    assert list_parts(project) == []


def test_without_input_nothing_is_run_and_that_is_a_success(project):
    assert pipe(project, b"", "cat") == b""


def test_a_unit_that_is_tried_again_reads_its_part_from_the_beginning(project):
    line = "tee -a all; [ -e tried ] || { touch tried; exit 1; }"

    assert pipe(project, b"a\nb\n", "-q", "--retries", "2", "--shell", line) == b"a\nb\n"
    assert (project.folder / "all").read_bytes() == b"a\nb\na\nb\n"


def test_the_part_of_a_failure_stays_for_a_retry(project):
    data = b"x\ny\nx\n"
    pipe(project, data, "--name", "m", "-N", "1", "--shell", "grep x || [ -e good ]", expect=1)
    (left,) = list_parts(project)
    assert left.startswith("2-")
    project.write("good", "")

    assert project.call("retry", "m").returncode == 0
    assert list_parts(project) == []
    assert manifest(project, "m")["status"] == "succeeded"


def test_the_same_line_again_runs_what_failed_and_parts_that_have_changed(project):
    line = ["-q", "-k", "--name", "m", "-N", "1", "--shell", "tee /dev/stderr | grep -q x"]
    pipe(project, b"x1\ny\nx3\n", *line, expect=1)

    pipe(project, b"x1\nx2\nx3\n", *line)
    kept = [unit["id"] for unit in manifest(project, "m")["units"] if unit["kept"]]
    assert kept == ["map/1", "map/3"]

    pipe(project, b"x1\nx2\nx4\nx5\n", *line)
    kept = [unit["id"] for unit in manifest(project, "m")["units"] if unit["kept"]]
    assert kept == ["map/1", "map/2"]
    assert list_parts(project) == []


def test_resume_takes_up_the_last_unnamed_run_of_the_line(project):
    line = ["-q", "-N", "1", "--shell", "tee -a all | grep -q x || [ -e good ]"]
    pipe(project, b"x\ny\n", *line, expect=1)
    project.write("good", "")

    pipe(project, b"x\ny\n", "--resume", *line)

    assert sorted((project.folder / "all").read_text().split()) == ["x", "y", "y"]


def test_after_a_kill_of_all_of_procsup_the_same_line_repeats_no_success(project):
    script = "tee -a all >last; if grep -q 3 last && ! [ -e good ]; then read x <never; fi"
    line = ["-q", "-j1", "--name", "run", "-N", "1", "--shell", script]
    os.mkfifo(project.folder / "never")
    project.write("in", "1\n2\n3\n4\n")
    with open(project.folder / "in", "rb") as source:
        child = project.start("map", "--pipe", *line, stdin=source)
    journal = project.rundir / "journal.jsonl"
    until(
        lambda: journal.exists() and journal.read_text().count('"verdict":"succeeded"') == 2,
        "the first two ends are not recorded",
        LIMIT_S,
    )
    for pid in (project.supervisor_pid, child.pid):
        kill(pid)
    finish(child)
    assert child.returncode == -signal.SIGKILL
    project.write("good", "")

    pipe(project, b"1\n2\n3\n4\n", *line)

    assert (project.folder / "all").read_text().split() in ([*"12334"], [*"1234"])
    assert project.manifest["status"] == "succeeded"
    assert list_parts(project, "run") == []


def test_the_reading_waits_for_the_units(tmp_path):
    source = io.BytesIO(NUMBERS)
    parts = Parts(Cutter(source, lines=1, size_bytes=1), slots=3)
    seen = []
    thread = threading.Thread(target=lambda: seen.extend(parts.make_units()), daemon=True)

    def count_files():
        folder = tmp_path / "stdin"
        names = os.listdir(folder) if folder.exists() else []
        return sum(not name.endswith(".new") for name in names)  # a rename may show both names

    thread.start()
    parts.open(str(tmp_path))
    until(lambda: count_files() >= 203, "it does not read", LIMIT_S)
    for done in range(100, 1700, 100):
        parts.count_done(done)
        until(lambda: count_files() >= 203 + done, "it does not go on", LIMIT_S)  # noqa: B023
        assert count_files() == 203 + done
    parts.count_done(2000)
    thread.join(LIMIT_S)
    assert len(seen) == 2000


def test_large_parts_are_read_ahead_by_their_size(tmp_path):
    parts = Parts(Cutter(io.BytesIO(b"\n" * (90 << 20)), lines=None, size_bytes=1 << 20), slots=2)
    thread = threading.Thread(target=lambda: list(parts.make_units()), daemon=True)
    thread.start()
    parts.open(str(tmp_path))
    folder = tmp_path / "stdin"

    until(lambda: len(list(folder.glob("*-*"))) >= 66, "it does not read", LIMIT_S)
    assert len(list(folder.glob("*-*"))) == 66
    parts.count_done(90)
    thread.join(LIMIT_S)
    assert len(os.listdir(folder)) == 90


def test_endless_input_ends_by_halt(project):
    child = subprocess.run(
        ["bash", "-c", f"yes | '{sys.executable}' -m procsup map -q --pipe -N 100 "
         "--halt now,success=3 --name m cat >/dev/null"],
        cwd=str(project.folder),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=LIMIT_S,
    )  # fmt: skip

    assert child.returncode == 0
    assert manifest(project, "m")["stages"]["map"]["succeeded"] >= 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cat", ":::", "a"], ":::"),
        (["-a", "f", "cat"], "-a"),
        (["--glob", "*", "cat"], "--glob"),
        (["-n", "2", "cat"], "-n"),
        (["-X", "cat"], "-X"),
        (["--colsep", ",", "cat"], "-C"),
        (["--dry-run", "cat"], "would have to read all of stdin"),
        (["--as-run-file", "cat"], "would have to read all of stdin"),
        (["-N", "0", "cat"], "-N 0: expected a number of lines"),
        (["-N", "2", "--block", "1M", "cat"], "-N or --block"),
        (["--block", "x", "cat"], "--block: expected bytes or a size"),
        (["-j", "0", "cat"], "whose number is not known"),
        (["echo", "{}"], "there are {#} and {%}"),
        (["echo", "{.}"], "there are {#} and {%}"),
        ([], "there is no command"),
        (["--shell"], "no command that could read stdin"),
        (["--pipepart", "cat"], "--pipe COMMAND <FILE"),
        (["--regexp", "cat"], "whole lines"),
        (["--round-robin", "cat"], "one unit"),
        (["--cat", "cat"], "reads its stdin"),
    ],
)
def test_what_has_no_meaning_with_pipe_is_refused_and_nothing_is_written(project, words, message):
    assert message in run_map(project, "--pipe", *words, stdin="a\n", expect=2).stderr
    assert os.listdir(project.folder) == []


def test_block_without_pipe_is_refused(project):
    assert "with --pipe only" in run_map(project, "--block", "1M", "cat", expect=2).stderr

"""What a run hears of the program that started it."""

import os
import subprocess
import sys

import pytest

from procsup.host.parent_watch import ASK_TO_END

if sys.platform == "win32":
    pytest.skip("a signal to oneself is the end there", allow_module_level=True)

LISTENER = """
import os, signal, sys
from procsup.host.parent_watch import ParentWatch
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # fetched below: none is missed
parent_watch = ParentWatch(os.getppid())
for line in parent_watch.lines():
    os.write(1, line)
    if line == b"end\\n":
        break
parent_watch.set_callback(lambda: (os.write(1, b"gone\\n"), os._exit(0)))
parent_watch.watch_stdin()
while True:
    signal.sigwait([signal.SIGTERM])
    os.write(1, b"asked\\n")
"""


@pytest.fixture
def listener():
    with subprocess.Popen(
        [sys.executable, "-c", LISTENER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as child:
        yield child
        child.kill()


def test_a_request_that_came_with_the_plan_is_heard_behind_it(listener):
    listener.stdin.write(b"head\nend\n" + ASK_TO_END)

    assert [listener.stdout.readline() for _ in range(3)] == [b"head\n", b"end\n", b"asked\n"]


def test_each_request_is_heard_and_then_the_end(listener):
    listener.stdin.write(b"end\n")
    assert listener.stdout.readline() == b"end\n"
    for _ in range(3):
        listener.stdin.write(ASK_TO_END)
        assert listener.stdout.readline() == b"asked\n"
    listener.stdin.close()

    assert listener.stdout.readline() == b"gone\n"


def test_a_line_that_comes_in_pieces_is_one(listener):
    for piece in (b"he", b"ad\nen", b"d\n"):
        listener.stdin.write(piece)

    assert [listener.stdout.readline() for _ in range(2)] == [b"head\n", b"end\n"]


def test_a_request_between_two_lines_is_heard_and_is_no_part_of_them(listener):
    listener.stdin.write(b"head\n" + ASK_TO_END + b"end\n")

    assert [listener.stdout.readline() for _ in range(3)] == [b"head\n", b"end\n", b"asked\n"]


def test_a_line_that_is_cut_off_by_the_end_is_no_request(listener):
    listener.stdin.write(b"head\n{...")
    listener.stdin.close()

    assert [listener.stdout.readline() for _ in range(2)] == [b"head\n", b"gone\n"]

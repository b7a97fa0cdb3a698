"""The child that belongs to this program: what is written to it, and how it is ended."""

import os
import signal
import subprocess
import sys

import pytest

from procsup.host import attached, boot
from tests.support.projects import ROOT

POSIX = pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="POSIX signals")


class Child:
    """A child that ends when it was waited for as often as there are interruptions."""

    def __init__(self, *interruptions):
        self.interruptions = list(interruptions)
        self.asked = 0

    def poll(self):
        return None if self.interruptions else 0

    def wait(self):
        error = self.interruptions.pop(0)
        if error is not None:
            raise error


@pytest.fixture
def ask(monkeypatch):
    def ask(child):
        child.asked += 1

    monkeypatch.setattr(attached, "_ask_to_end", ask)


@pytest.mark.parametrize("error", [SystemExit(3), RuntimeError("a handler raised"), KeyError(1)])
def test_what_interrupts_the_clean_up_is_raised_when_the_child_has_ended(ask, error):
    child = Child(KeyboardInterrupt(), error, KeyboardInterrupt(), None)

    with pytest.raises(type(error)) as raised:
        attached._stop(child)

    assert raised.value is error
    assert (child.asked, child.poll()) == (4, 0)


def test_a_further_ctrl_c_repeats_the_request_and_nothing_more(ask):
    child = Child(KeyboardInterrupt(), KeyboardInterrupt(), None)

    attached._stop(child)

    assert child.asked == 3


SIGPIPE = """
import os, signal, sys
from procsup.host.boot import close_pipe, try_write
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
reader, writer = os.pipe()
os.close(reader)
pipe = os.fdopen(writer, "wb")
written = try_write(pipe, b"x"), try_write(pipe)
close_pipe(pipe)
print(written, signal.pthread_sigmask(signal.SIG_BLOCK, []), signal.sigpending(), flush=True)
os.kill(os.getpid(), signal.SIGPIPE)
"""


@POSIX
def test_a_program_that_dies_of_sigpipe_does_not_die_of_its_run(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SIGPIPE],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )

    assert (done.stdout, done.stderr) == ("(True, False) set() set()\n", "")
    assert done.returncode == -signal.SIGPIPE  # of others it dies as before


@POSIX
def test_a_signal_that_is_blocked_already_stays_so():
    held = {signal.SIGPIPE}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "wb", buffering=0) as pipe:
            assert not boot.try_write(pipe, b"x")
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before | held
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

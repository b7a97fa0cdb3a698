"""The harness of signals and terminals can fail: each of these worse procsups is caught by it."""

import sys

import pytest

if sys.platform != "linux":
    pytest.skip("what it proves is proven once", allow_module_level=True)

from tests.faults.signals import Case, play, shells
from tests.faults.trial import Trial

EXITS_BY_ITSELF = """
import os
from procsup.host import signals
signals.die_by = lambda signum: os._exit(128 + signum)
"""
HIDES_THE_CURSOR = r"""
import os
from procsup.host import guardian
from procsup.engines import local
whole = local.LocalEngine.start
def start(self, order):
    os.write(2, b"\x1b[?25l")
    whole(self, order)
local.LocalEngine.start = start
guardian.Terminal.restore = lambda self: None
"""
NO_ECHO = """
import termios
from procsup.host import guardian
from procsup.engines import local
whole = local.LocalEngine.start
def start(self, order):
    settings = termios.tcgetattr(2)
    settings[3] &= ~termios.ECHO
    termios.tcsetattr(2, termios.TCSANOW, settings)
    whole(self, order)
local.LocalEngine.start = start
guardian.Terminal.restore = lambda self: None
"""
KILLS_NOTHING = """
from procsup.host import guardian
guardian.Guardian._end_all = lambda self: None
"""
DIES_OF_PIPES = """
import signal
from procsup.engines import local
whole = local.LocalEngine.start
def start(self, order):
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    whole(self, order)
local.LocalEngine.start = start
"""
SEES_NO_MANIFEST = """
from procsup.store import manifest
manifest.ManifestPublisher.publish_run = lambda self, *args: None
"""
CASES = {
    "it exits 130": (EXITS_BY_ITSELF, Case("INT", "running", "pty"), "its end is"),
    "it hides the cursor": (HIDES_THE_CURSOR, Case("TERM", "running", "pty"), "cursor is hidden"),
    "it turns echo off": (NO_ECHO, Case("HUP", "running", "pty"), "other settings"),
    "units outlive it": (KILLS_NOTHING, Case("INT INT INT", "starting", "pipe"), "alive"),
    "it dies of a pipe": (DIES_OF_PIPES, Case("PIPE", "publishing", "pipe"), "its end is"),
    "it publishes nothing": (SEES_NO_MANIFEST, Case("TERM", "publishing", "nohup"), "no manifest"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_seeded_bug_is_caught(name, tmp_path):
    worse, case, caught = CASES[name]

    with pytest.raises(AssertionError, match=caught):
        play(Trial("signals", "smoke", tmp_path), case, worse)


def test_a_loop_that_goes_on_is_caught(tmp_path):
    with pytest.raises(AssertionError, match=r"bash ends with|goes on"):
        shells.loop("starting", EXITS_BY_ITSELF)(tmp_path)

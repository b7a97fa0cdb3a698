import itertools

import pytest

from procsup.core.manifest import count
from procsup.core.outcome import (
    Exited,
    NotStarted,
    Signaled,
    StopReason,
    Vanished,
    Verdict,
    describe,
    judge,
)

EXITS = [Exited(0), Exited(3), Signaled(9), NotStarted("no file"), Vanished("nobody knows")]


@pytest.mark.parametrize(
    ("exit", "stopped_for"), list(itertools.product(EXITS, [None, *StopReason]))
)
def test_only_an_observed_exit_0_of_a_unit_left_alone_is_success(exit, stopped_for):
    verdict = judge(exit, stopped_for)

    assert (verdict is Verdict.SUCCEEDED) == (exit == Exited(0) and stopped_for is None)


@pytest.mark.parametrize(
    ("stopped_for", "verdict"),
    [
        (StopReason.DEADLINE, Verdict.TIMED_OUT),
        (StopReason.MEMORY, Verdict.OVER_MEMORY),
        (StopReason.STALL, Verdict.STALLED),
        (StopReason.DRIFT, Verdict.FAILED),
        (StopReason.POLICY, Verdict.CANCELLED),
        (StopReason.USER, Verdict.CANCELLED),
    ],
)
def test_the_reason_of_a_stop_decides_whatever_the_exit(stopped_for, verdict):
    assert [verdict] * 2 == [judge(Exited(0), stopped_for), judge(Signaled(15), stopped_for)]


@pytest.mark.parametrize("stopped_for", [None, *StopReason])
def test_an_unknown_status_is_lost_whatever_was_asked(stopped_for):
    assert Verdict.LOST is judge(Vanished("?"), stopped_for)


def test_declared_success_codes_replace_zero():
    assert Verdict.SUCCEEDED is judge(Exited(2), None, (2,))
    assert Verdict.FAILED is judge(Exited(0), None, (2,))


def test_a_signal_is_never_a_success_code():
    assert Verdict.FAILED is judge(Signaled(2), None, (0, 2))


def test_every_verdict_has_a_count_in_the_manifest():
    assert count("failed", dict.fromkeys(Verdict, 1)).planned == len(Verdict)


@pytest.mark.survives("F69")
@pytest.mark.parametrize(
    ("exit", "words"),
    [
        (Exited(7), "exit 7"),
        (Exited(0xC000013A), "exit 0xC000013A"),
        (Signaled(9), "signal 9"),
        (NotStarted("no such file: x"), "no such file: x"),
    ],
)
def test_exits_are_said_in_few_words(exit, words):
    assert words == describe(exit)

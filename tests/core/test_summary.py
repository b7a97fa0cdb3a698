"""The status of a stage: an order, and a name for records and people."""

import pytest

from procsup.core.plan.summary import StageStatus, StageTally


@pytest.mark.parametrize("status", StageStatus)
def test_a_status_is_read_from_a_record_as_it_was_written(status):
    assert StageStatus.of_record(status.word) is status


@pytest.mark.parametrize("word", ["", "SUCCEEDED", "won"])
def test_a_status_that_is_not_known_is_no_success(word):
    assert StageStatus.of_record(word) is StageStatus.FAILED


def test_a_stage_is_closed_from_its_publication_on_and_final_after_it():
    tally = StageTally("s")
    closed, final = [], []
    for status in StageStatus:
        tally.status = status
        closed += [status.word] * tally.closed
        final += [status.word] * tally.final

    assert final == ["skipped", "failed", "succeeded"]
    assert closed == ["publishing", *final]

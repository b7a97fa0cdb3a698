"""Single values: CPUs, retries, policies."""

import pytest

from procsup.core.outcome import RETRY_ON, Verdict
from procsup.core.spec import OnFailure, Retry
from procsup.runfile.syntax import values
from procsup.runfile.syntax.problems import Wrong
from procsup.runfile.syntax.reading import parse


@pytest.mark.parametrize(
    ("written", "cpus"), [(1, 1), (0.5, 0.5), ("2", 2), ("0.25", 0.25), ("all", None)]
)
def test_cpus_are_a_number_or_all(written, cpus):
    assert values.cpus(written) == cpus


@pytest.mark.parametrize("written", [0, -1, "", "some", True, float("inf"), float("nan"), [1]])
def test_other_values_are_refused_as_cpus(written):
    with pytest.raises(Wrong, match="expected a number of CPUs above 0"):
        values.cpus(written)


def test_retries_are_a_number_or_a_table():
    table = {"times": 2, "on": ["lost", "failed"], "delay": "5s", "memory": "x1.5"}

    assert values.retries(3) == Retry(3, RETRY_ON)
    assert values.retries(table) == Retry(2, (Verdict.LOST, Verdict.FAILED), 5.0, 1.5)


def test_on_failure_is_a_word_or_a_table():
    assert values.on_failure("stop") == OnFailure("stop", 1, None)
    assert values.on_failure({"do": "drain", "at": 3}) == OnFailure("drain", 3, None)
    assert values.on_failure({"do": "drain", "at": "12.5%"}) == OnFailure("drain", None, 0.125)


@pytest.mark.parametrize(
    ("convert", "value"),
    [
        (values.whole(1), 10**30),
        (values.scalar, 10**30),
        (values.scalar, -(1 << 63)),
    ],
)
def test_what_no_machine_can_hold_is_refused(convert, value):
    with pytest.raises(Wrong, match="expected"):
        convert(value)


def test_success_codes_may_be_one():
    assert values.codes(3) == (3,)
    assert values.codes([0, 99]) == (0, 99)


def test_values_appear_as_they_were_written():
    table = parse("x = [0.10, 1e-3, true, 7, 'a']")["x"]

    assert [values.format_value(value) for value in table] == ["0.10", "1e-3", "true", "7", "a"]


def test_records_hold_plain_numbers():
    plain = values.plain(tuple(parse("x = [0.10, 1]")["x"]))

    assert plain == [0.1, 1]
    assert type(plain[0]) is float

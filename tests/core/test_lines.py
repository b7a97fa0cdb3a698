"""What travels as a line comes back equal, whatever its texts hold."""

import string
from typing import Any, Union

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procsup.core.events import Ended, Inspected, Kill, Sampled, Start, Started, Stop
from procsup.core.late import PID, SCRATCH
from procsup.core.lines import Lines
from procsup.core.outcome import (
    Affinity,
    AttemptId,
    Exited,
    NotStarted,
    Reading,
    Signaled,
    StopReason,
    Usage,
    Vanished,
)
from procsup.core.slots import make_placement
from procsup.core.spec import OutputSpec, UnitSpec
from procsup.core.task import Rules, Task

ORDERS = Lines[Union[Start, Stop, Kill]](Union[Start, Stop, Kill])
FACTS = Lines[Union[Started, Sampled, Ended, Inspected]](Union[Started, Sampled, Ended, Inspected])
NOT_UTF8 = b"caf\xe9/\xff\xfe".decode("utf-8", "surrogateescape")
HOSTILE = [
    "",
    " ",
    "a\nb\r\n\tc",
    'quotes " and \\ and \\u0000 written out',
    NOT_UTF8,
    "\ud800 half of a pair, \ud83d\ude00 both halves apart",
    "\0",
    "\x000000",  # what a packed NUL looks like, and the like
    "\x00d800",
    SCRATCH,
    f"{SCRATCH}/x{PID}{NOT_UTF8}",
    "naïve 部 ❤ \U0001f600 \u2028 \x7f \x1b[2J",
    "x" * 1_000_000,
]
TEXTS = st.text(st.characters(), max_size=12) | st.sampled_from(HOSTILE[:-1])
NUMBERS = st.integers(-(2**80), 2**80)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = TEXTS | NUMBERS | FLOATS | st.booleans()
PARAMETERS = st.dictionaries(TEXTS, SCALARS | st.lists(SCALARS, max_size=3), max_size=4)


def task_of(text: str, parameters: Any = None) -> Task:
    """A task that has this text wherever a text can stand."""
    unit = UnitSpec(
        f"s/{text}",
        text,
        0,
        (text, text),
        text,
        "f",
        parameters={text: text} if parameters is None else parameters,
        env={text: text},
        inputs=(text,),
        depends=(text, ""),
        outputs=(OutputSpec(text),),
        input_names={text: text, "many": (text, text), "none": ()},
        stdin=text,
        stdout=text,
        stderr=text,
        threads=3,
        lists={text: (text,)},
        stop_command=(text, PID),
        follows=(text,),
    )
    rules = Rules(
        success_codes=(0, 3),
        pythonpath=(text,),
        secrets=(text,),
        linger_s=None,
        folder=text,
        scratch=True,
    )
    return Task(
        AttemptId(f"s/{text}", 2**70), unit, make_placement(text, 0.1, 2**40, (0, 5)), rules
    )


def trip(lines: Any, value: Any) -> Any:
    text = lines.encode(value)
    assert b"\n" not in text
    return lines.decode(text)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:20]))
def test_a_task_survives_whatever_its_texts_are(text):
    assert trip(ORDERS, Start(task_of(text))) == Start(task_of(text))


@given(text=TEXTS, parameters=PARAMETERS)
@settings(max_examples=200, deadline=None)
def test_a_task_survives_with_any_parameters(text, parameters):
    order = Start(task_of(text, parameters))

    back = trip(ORDERS, order)

    assert back == order
    assert repr(back) == repr(order)  # 1 is no 1.0, and 0.0 no -0.0


@given(text=TEXTS, reason=st.sampled_from(StopReason), grace_s=FLOATS, dump=st.booleans())
def test_stops_and_kills_survive(text, reason, grace_s, dump):
    for order in (Stop(AttemptId(text, 1), reason, grace_s, dump), Kill(AttemptId(text, 2))):
        assert trip(ORDERS, order) == order


@given(
    text=TEXTS,
    code=st.integers(0, 2**32 - 1),
    size=st.integers(0, 2**63),
    at=FLOATS,
    cpus=st.lists(st.integers(0, 1023), max_size=3),
)
def test_what_an_engine_says_survives(text, code, size, at, cpus):
    attempt = AttemptId(text, 7)
    usage = Usage(
        0.1, None, size, "sampled", samples=3, affinity=Affinity(cpus, cpus, ((at, cpus),))
    )
    exits = [Exited(code), Signaled(9), NotStarted(text, passing=True), Vanished(text)]
    reading = Reading(text, size, 2**63 - 1, "ab")
    facts = [
        Started(attempt, code, at),
        Sampled(attempt, cpus),
        *(Ended(attempt, one, at, at, at, code, usage, text, text, True, text) for one in exits),
        Ended(attempt, Exited(0), at, remarks=(text, text), linger_s=at),
        Inspected(attempt, (reading, reading), (reading,), text),
    ]

    assert [trip(FACTS, fact) for fact in facts] == facts


def test_text_of_any_language_is_not_packed():
    text = string.printable + "naïve 部 ❤"

    assert text == msgspec.json.decode(ORDERS.encode(Kill(AttemptId(text, 1))))["attempt"][0]


@pytest.mark.parametrize("text", [b"", b"{}", b'{"type":"Start"}', b"[1", b'{"type":"Ended"}'])
def test_what_is_no_such_value_is_refused(text):
    with pytest.raises((ValueError, msgspec.MsgspecError)):
        ORDERS.decode(text)

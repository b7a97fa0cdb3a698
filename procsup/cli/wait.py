"""`procsup wait`: block until runs are final, and say how they ended."""

from itertools import takewhile
from typing import TYPE_CHECKING, Iterator, Optional, Sequence, Tuple

import click
import msgspec

from procsup.cli.options import RUN_HELP, add_duration, add_json, exit_codes
from procsup.console.terminal import write_stderr, write_stdout
from procsup.core.manifest import Head
from procsup.core.quantities import show_duration
from procsup.core.text import count_noun, make_visible
from procsup.errors import OutputsChanged, ProcsupError, RecordError, RunFailed, RunUnfinished
from procsup.queries.waiting import Answer, Awaited, Limits, WaitResult, await_all
from procsup.store.copies import describe_copy, find_copy_source

if TYPE_CHECKING:
    from procsup.queries.unit_end import UnitResult

_HELP = f"""Block until a run, or stages of it, are final: woken by the kernel, without polling.

{RUN_HELP}
With several RUNs or stages all are waited for, and the exit code is that of the worst, in the
order 3, 4, 1, 0 (any other code comes before these). A result that is there before the wait begins
is answered for at once; its age is said, and that it came along with a copy or a checkout. To wait
for a run that you start yourself, use the id that `procsup run --detach` prints, or `wait $!`.
Behind a queue the ids of its commands may stand: then these are waited for.

\b
Examples:
  procsup wait survey && next-step
  procsup wait "$id" --stage measure --timeout 2h
  procsup wait survey --max-age 1d --verify
  procsup wait night 7 && next-step
"""

_CODES = exit_codes(
    _0="all units succeeded",
    _1="finished, some unit did not succeed",
    _2="the command line is wrong",
    _3="not finished and no supervisor works on it, older than --max-age, or superseded",
    _4="finished, but outputs are no longer as recorded (--verify)",
    _74="a manifest could not be read, or is not of the journal beside it (--verify)",
    _124="the time of --timeout is over; the run goes on",
)

WORST_FIRST = (2, 70, 74, 124, 3, 4, 1, 0)


@click.command("wait", help=_HELP, epilog=_CODES)
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--stage", "stages", multiple=True, metavar="STAGE", help="Wait for this stage only.")
@add_duration("--timeout", "Give up after this time (124); 0 only looks.")
@add_duration("--start-timeout", "Wait so long for it to begin: 5 s for a name, 0 for an id.")
@add_duration("--max-age", "Refuse an older result than this (3).")
@click.option(
    "--verify", is_flag=True, help="Compare outputs (4) and journal (74) with the manifest."
)
@add_json("Print the head of each manifest, and `copied_from`, one object a line.")
def command(
    runs: Tuple[str, ...],
    stages: Tuple[str, ...],
    timeout: Optional[float],
    start_timeout: Optional[float],
    max_age: Optional[float],
    verify: bool,
    as_json: bool,
) -> int:
    """Wait for all runs, then report the end of each."""
    wanted = list(_read_words(runs, stages))
    answers = await_all(
        wanted,
        limits=Limits(timeout, start_timeout, max_age),
        notice=write_stderr,
    )
    if len(answers) == 1 and isinstance(answers[0], ProcsupError):
        raise answers[0]
    codes = [_answer(answer, verify=verify, as_json=as_json) for answer in answers]
    if max_age is None:  # with it the caller knows that the result may be older
        older = [one.head.name for one in answers if isinstance(one, WaitResult) and _is_older(one)]
        write_stderr(*map(_describe_older, older))
    return min(codes, key=_rank)


def _read_words(words: Sequence[str], stages: Sequence[str]) -> Iterator[Awaited]:
    """Yield what the words name: runs, and behind a queue the numbers of its commands."""
    for at, word in enumerate(words):
        numbers = list(takewhile(is_number, words[at + 1 :]))
        if numbers and stages:
            raise click.UsageError("--stage is for runs: write the numbers of commands without it")
        if not is_number(word) or not at:
            yield from (Awaited(word, None, int(number)) for number in numbers)
            if not numbers:
                yield from (Awaited(word, stage) for stage in (stages or (None,)))


def is_number(word: str) -> bool:
    """Whether a word is the number of a command."""
    return word.isascii() and word.isdigit()


def _rank(code: int) -> int:
    return WORST_FIRST.index(code) if code in WORST_FIRST else -1


def _answer(answer: Answer, *, verify: bool, as_json: bool) -> int:
    """Report how one of them ended; return its exit code."""
    if isinstance(answer, ProcsupError):
        write_stderr(f"procsup: {answer}")
        return answer.exit_code
    if not isinstance(answer, WaitResult):
        return _answer_command(answer, as_json=as_json)
    head = answer.head
    source = None if answer.age_s is None else find_copy_source(answer.rundir, head)
    write_stderr(_format_sentence(head, answer.age_s))
    if source is not None:
        write_stderr(describe_copy(answer.rundir, source, head.ended))
    code = 0 if head.status == "succeeded" else RunFailed.exit_code
    if verify:
        try:
            from procsup.lib.manifest import Manifest

            Manifest(answer.path, head).verify()
        except (OutputsChanged, RecordError, RunUnfinished) as error:
            write_stderr(*(f"procsup: {line}" for line in str(error).split("\n")))
            code = error.exit_code
    if as_json:
        _write_head(head, source)
    return code


def _answer_command(answer: "UnitResult", *, as_json: bool) -> int:
    """Report how a command of a queue ended."""
    end = answer.end
    cause = f": {make_visible(end.cause)}" if end.cause else ""
    write_stderr(f"{answer.run} {answer.number} {end.verdict.value}{cause}")
    if as_json:
        from procsup.report.tables import format_json

        body = {"queue": answer.run, "id": answer.number, "unit": end.unit}
        write_stdout(format_json({**body, "verdict": end.verdict.value, "cause": end.cause}))
    return 0 if answer.succeeded else RunFailed.exit_code


def _format_sentence(head: Head, age_s: Optional[float]) -> str:
    what = head.name if head.stage is None else f"{head.name}, stage {head.stage},"
    planned = sum(counts.planned for counts in head.stages.values())
    well = sum(counts.succeeded for counts in head.stages.values())
    age = "" if age_s is None else f"; finished {show_duration(age_s)} ago"
    return f"{what} {head.status}: {well} of {count_noun(planned, 'unit')} succeeded{age}"


def _is_older(answer: WaitResult) -> bool:
    """Whether the run ended before this wait began, and was not named by an id."""
    return answer.age_s is not None and not answer.has_id


def _describe_older(name: str) -> str:
    return (
        f"{name} was over before this wait began; to wait for a run that you start, use"
        " the id that `procsup run --detach` prints, or `wait $!` after `procsup run ... &`"
    )


def _write_head(head: Head, source: Optional[str]) -> None:
    from procsup.report.tables import format_json

    body = msgspec.to_builtins(head)
    write_stdout(format_json({"schema": head.schema, **body, "copied_from": source}))

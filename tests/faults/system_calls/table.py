"""Which exit code is right for which failing call, and why.

A call is known by who of procsup makes it. What cannot be written, locked or synced ends the run
at once, since nothing may be claimed any more (74); what belongs to one unit is that unit's
failure (1); what is refused before anything was started is 2; what only helps is done without (0).
"""

from typing import List, NamedTuple, Sequence, Set, Tuple

from tests.faults.system_calls.starting import Cell, Hit

# These may pass by themselves: a full disk, no memory, no descriptors, too many processes.
SHORTAGES = ("ENOSPC", "EDQUOT", "EMFILE", "EAGAIN", "ENOMEM")
# For these the journal waits; it is asked again for three seconds.
JOURNAL_WAITS = ("ENOSPC", "EDQUOT", "EAGAIN", "EINTR")
JOURNAL_TRIES = 7
SHORTAGE_TRIES = 11
OUTPUT_TRIES = 7  # to open an output, of an attempt that has ended

FINE, UNIT, REFUSED, CANNOT_START, RECORDS, BUSY = 0, 1, 2, 70, 74, 75


class Rule(NamedTuple):
    """`by` is the seam of one of the calling functions, or begins its file and name."""

    by: str
    code: int
    why: str


RULES: Tuple[Rule, ...] = (
    # --- done without -----------------------------------------------------------------------
    Rule("host/pidfds.py:send", RECORDS, "a tree cannot be ended: the guard does it"),
    Rule("host/procfs.py", FINE, "a process that cannot be looked at is looked for again"),
    Rule("host/machine.py", FINE, "an observation is missing, and recorded as unknown"),
    Rule("host/cgroups.py", FINE, "an observation is missing"),
    Rule("host/identity.py", FINE, "a boot id is missing: the host's name is there"),
    Rule("host/trees.py:__init__", FINE, "process groups and a sweep instead"),
    Rule("host/exits.py:watch", FINE, "a thread takes the place of a pidfd, a look that of both"),
    Rule("host/exits.py:wake", FINE, "the loop looks twice a second by itself"),
    Rule("host/guard_link.py:tell_run_id", FINE, "a dead guard is seen by its link"),
    Rule("host/guard_link.py:release", FINE, "a dead guard is seen by its link"),
    Rule("host/watchdog.py", FINE, "no timer ends a supervisor that is stuck"),
    Rule("store/owner.py:read_owner", FINE, "an owner that cannot be read is none"),
    Rule("store/unit_lines.py", FINE, "the units are worked out again"),
    Rule("store/sitting.py:release_stage", FINE, "closing lets go of the lock too"),
    Rule("store/sitting.py:release_run", FINE, "closing lets go of the lock too"),
    Rule("store/sitting.py:close", FINE, "it looks as if we had died, which a start puts up with"),
    Rule("console/", FINE, "a display is lost, never a run"),
    # --- before anything was started ----------------------------------------------------------
    Rule("runfile/", REFUSED, "the run file cannot be read"),
    Rule("attempt/preflight.py", REFUSED, "what units would need is tried first"),
    Rule("host/guard.py:fork_supervisor", CANNOT_START, "there is no second process, so no guard"),
    # --- one unit's ---------------------------------------------------------------------------
    Rule("look at inputs", FINE, "the next start does not keep the unit"),
    Rule("attempt/outputs.py", UNIT, "its outputs cannot be vouched for: unknown is no success"),
    Rule("host/readings.py", UNIT, "its outputs cannot be vouched for"),
    Rule("attempt/start.py", UNIT, "it could not be started"),
    Rule("host/spawning.py:start", UNIT, "it could not be started"),
    Rule("host/threads.py:add", FINE, "the loop does what a thread was meant for"),
    # --- nothing may be claimed any more ------------------------------------------------------
    Rule("store/", RECORDS, "a journal, a lock or a manifest cannot be had"),
    Rule("host/guard_link.py:wait_until_ready", RECORDS, "nobody would guard the units"),
    Rule("host/interrupts.py", FINE, "signals are heard when the loop looks by itself"),
    Rule("host/posix.py", RECORDS, "an exit status cannot be had"),
    Rule("host/trees.py", RECORDS, "a tree cannot be seen or ended: the guard does it"),
    Rule("host/tree_walk.py", RECORDS, "a tree cannot be ended: the guard does it"),
    Rule("host/exits.py", RECORDS, "the run cannot be watched"),
)


def rule_for(hit: Hit) -> Rule:
    """Return the first rule that is about one of those who call."""
    for rule in RULES:
        if any(name.startswith(rule.by) for name in hit.by):
            return rule
    raise AssertionError(f"no rule says what becomes of {hit.function} {hit.target} by {hit.by}")


def right_codes(cell: Cell, hits: Sequence[Hit]) -> Set[int]:
    """Return the exit codes that are right after these calls have failed."""
    codes: List[int] = [_code_of(cell, hit, hits) for hit in hits]
    fatal = [code for code in codes if code not in (FINE, UNIT)]
    if fatal:
        return {fatal[0]}
    return {UNIT if UNIT in codes else FINE}


def _code_of(cell: Cell, hit: Hit, hits: Sequence[Hit]) -> int:
    rule = rule_for(hit)
    again = sum(1 for other in hits if other.by[:1] == hit.by[:1])
    if cell.call == "lock" and cell.error == "EAGAIN":  # which says that somebody else has it
        if any("host/locks.py:locks_work" in other.by for other in hits):
            return FINE  # nobody else has that new file: locks do nothing here, and are not asked
        if "store/sitting.py:take_units_lock" in hit.by:
            return FINE  # another process was faster: tried again
        if "host/locks.py:share_open" in hit.by:
            return RECORDS  # which we share: it is not the same file any more
        if hit.target.endswith("/run.lock"):
            return BUSY
        return FINE
    of_journal = cell.call == "write" and hit.target.endswith("/journal.jsonl")
    if cell.error == "short" and not of_journal:
        return FINE  # the rest is written by a second call
    if of_journal and cell.error in (*JOURNAL_WAITS, "short"):
        return RECORDS if again >= JOURNAL_TRIES else FINE
    if rule.by == "attempt/start.py" and cell.error in SHORTAGES:
        return UNIT if again >= SHORTAGE_TRIES else FINE
    asked_again = "host/shortages.py:retry_on_shortage" in hit.by
    if asked_again and cell.call == "open" and cell.error == "EMFILE":
        return UNIT if again >= OUTPUT_TRIES else FINE
    if rule.by == "attempt/preflight.py" and any("engines/worker.py" in name for name in hit.by):
        return UNIT  # a stage that is known later: the run goes on without it
    return rule.code

"""A run for the program that started this process, which sends request and plan by stdin."""

import os
from typing import Iterator, Optional, Sequence

from msgspec.structs import replace

from procsup.cli.ending import settle
from procsup.cli.foreground import bring_to_completion
from procsup.console.choose import PROGRESS
from procsup.errors import RunUnfinished, UsageError
from procsup.host.detach import announce
from procsup.host.guard import find_owner
from procsup.host.names import follow_environment
from procsup.host.parent_watch import ParentWatch
from procsup.host.threads import start_thread
from procsup.runfile.plan import (
    Head,
    LineQueue,
    PlanText,
    PlanWithdrawn,
    read_growing,
    read_text,
)
from procsup.store.find import format_queue_start
from procsup.store.queue_file import QueueFeed
from procsup.store.rundir import RunDir
from procsup.supervisor.requests import HostedRequest, Opening, Request


def main(words: Sequence[str]) -> int:
    """Carry out the request in the first line of stdin; errors are data on stdout.

    With ``--owner`` in `words` the run ends when that program ends, which raises these errors.
    """
    return settle(lambda: _serve(find_owner(words)), as_json=lambda: True)


def _serve(owner: Optional[int]) -> int:
    parent_watch = None if owner is None else ParentWatch(owner)
    lines = os.fdopen(0, "rb", closefd=False) if parent_watch is None else parent_watch.lines()
    line = next(lines, b"")
    if not line:  # that program ended before it sent a request
        return RunUnfinished.exit_code
    asked = HostedRequest.decode(line)
    return settle(
        lambda: _run(asked, parent_watch, lines),
        as_json=lambda: asked.display.as_json,
        said_here=parent_watch is None,
    )


def _run(asked: HostedRequest, parent_watch: Optional[ParentWatch], lines: Iterator[bytes]) -> int:
    progress = asked.display.progress
    if progress not in PROGRESS:
        raise UsageError(f"progress={progress!r}: expected one of {', '.join(PROGRESS)}")
    if asked.follows_environment:
        follow_environment()
    request = replace(asked.request, owner=parent_watch)
    rest = LineQueue(lines)
    if asked.plan_follows:
        grows = asked.plan_grows and parent_watch is not None and parent_watch.is_sure
        try:
            plan = read_growing(lines, "plan", rest) if grows else read_text(lines, "plan")
        except PlanWithdrawn:
            return UsageError.exit_code
        request = replace(request, plan=plan)
    if parent_watch is not None:
        if request.plan is not None and request.plan.rest is not None:
            parent_watch.watch_stdin(rest.fill)
        else:
            parent_watch.watch_stdin()
    if asked.queue is not None:
        return _run_queue(asked, Head(*asked.queue), request)
    on_ready = _announce_ready if asked.announce else None
    return bring_to_completion(request, asked.display, on_ready=on_ready)


def _run_queue(asked: HostedRequest, head: Head, request: Request) -> int:
    feed = QueueFeed()
    rest = LineQueue(feed.lines(), is_queue=True)
    start_thread(rest.fill, "procsup-queue")

    def open_feed(opening: Opening) -> None:
        feed.open(opening.folder, opening.run_id, resumed=opening.resumed)
        _announce_ready(opening)

    try:
        return bring_to_completion(
            replace(request, plan=PlanText(head, [], rest)),
            asked.display,
            on_ready=open_feed,
            repeat=format_queue_start(RunDir(os.path.join(head.folder, head.name))),
        )
    finally:
        feed.close()


def _announce_ready(opening: Opening) -> None:
    """Announce that the lock is held and old manifests are withdrawn: the starter may continue."""
    where = opening.directory
    ready = {"id": opening.run_id, "directory": where, "sitting": opening.sitting}
    announce(ready, str(RunDir(where).supervisor_log), dir_fd=opening.folder.fd)

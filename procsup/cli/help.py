"""`procsup help`: the pages of documentation that ship with procsup, and the help of verbs."""

import pkgutil
import re
import sys
from typing import Iterator, Optional

import click

from procsup.cli.group import VERBS, Verbs
from procsup.cli.options import exit_codes
from procsup.cli.topics import TOPICS
from procsup.console.terminal import is_terminal, write_stdout
from procsup.core.text import find_nearest
from procsup.errors import UsageError

_HELP = """Show a page of documentation, or the help of a verb.

A terminal gets the page at its width, in $PAGER if it is long. Anything else gets Markdown.

\b
Examples:
  procsup help tutorial
  procsup help --list
  procsup help run
  procsup help run-file > run-file.md
"""

_CODES = exit_codes(_0="it has been shown", _2="there is no such topic")
_LINK = re.compile(r"\[([^\]]+)\]\((?:([\w-]+)\.md)?(?:#[\w-]+)?\)")
_COMMENT = re.compile(r"^<!--.*?-->\n", re.MULTILINE | re.DOTALL)


@click.command("help", help=_HELP, epilog=_CODES)
@click.argument("topic", required=False)
@click.option("--list", "only_list", is_flag=True, help="List the topics, one a line.")
@click.pass_context
def command(ctx: click.Context, topic: Optional[str], only_list: bool) -> int:
    """Show a page, the list of pages, or the help of a verb."""
    if only_list:
        write_stdout(*_list_topics())
    elif topic is None:
        write_stdout(_verb_help(ctx, None), "", "Topics (procsup help TOPIC):", *_list_topics("  "))
    elif topic in TOPICS:
        _show(read_page(topic))
    elif topic in VERBS:
        write_stdout(_verb_help(ctx, topic))
    else:
        raise UsageError(_describe_unknown(topic))
    return 0


def read_page(topic: str) -> str:
    """Return a page as Markdown, without the comments that its test reads."""
    data = pkgutil.get_data("procsup", f"docs/{topic}.md")
    assert data is not None
    return _COMMENT.sub("", data.decode("utf-8").replace("\r\n", "\n"))


def _show(page: str) -> None:
    encoding = getattr(sys.stdout, "encoding", None) or ""
    if not is_terminal(sys.stdout) or encoding.lower().replace("-", "") != "utf8":
        write_stdout(page.rstrip("\n"))
        return
    from procsup.console.pages import show_page

    show_page(_LINK.sub(_name_page, page))


def _name_page(link: "re.Match[str]") -> str:
    """Return the replacement of a link on a terminal: the command that shows its page."""
    text, page = link.groups()
    if page is None:
        return str(text)
    shown = f"`procsup help {page}`"
    return shown if text == page else f"{text} ({shown})"


def _list_topics(indent: str = "") -> Iterator[str]:
    width = max(map(len, TOPICS))
    for topic, summary in TOPICS.items():
        yield f"{indent}{topic:{width}}  {summary}"


def _verb_help(ctx: click.Context, verb: Optional[str]) -> str:
    """Return the help of a verb, or of procsup."""
    root = ctx.find_root()
    if verb is None:
        return root.get_help()
    assert isinstance(root.command, Verbs)
    found = root.command.get_command(root, verb)
    assert found is not None
    return found.get_help(click.Context(found, parent=root, info_name=verb))


def _describe_unknown(topic: str) -> str:
    near = find_nearest(topic, [*TOPICS, *VERBS])
    hint = f": did you mean {near}?" if near else ""
    return f"there is no topic or verb {topic!r}{hint}\n(see: procsup help --list)"

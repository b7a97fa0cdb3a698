"""A page of documentation on a terminal: its Markdown drawn by rich, in a pager if it is long."""

import io
import os
import shutil
from typing import Any

import click
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import Markdown

from procsup.console.terminal import write_stdout_bytes

_TABLE: Any = Markdown.elements.get("table_open", object)  # the first versions of rich 13 have none


class _Table(_TABLE):  # type: ignore[misc]  # what rich has there is known when it runs
    """A table whose long words are continued on the next line; rich would cut them."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for table in super().__rich_console__(console, options):
            for column in table.columns:
                column.overflow = "fold"
            yield table


class _Page(Markdown):
    elements = {  # noqa: RUF012  as in its base class
        name: _Table if name == "table_open" else element
        for name, element in Markdown.elements.items()
    }


WIDEST = 100  # columns; longer lines are hard to read
_MARGIN = 1  # the line of the shell's next prompt


def show_page(markdown: str) -> None:
    """Show the page on stdout, which is a terminal that can show UTF-8.

    A page with more lines than the terminal goes through $PAGER, by default `less`, as in git.
    """
    size = shutil.get_terminal_size()
    text = draw_page(markdown, min(size.columns, WIDEST))
    if text.count("\n") + _MARGIN <= size.lines:
        write_stdout_bytes([text.encode()])
        return
    os.environ.setdefault("LESS", "FRX")  # as git: colors, and the screen stays
    click.echo_via_pager(text)


def draw_page(markdown: str, width: int) -> str:
    """Return the page in lines of at most `width`, with escape sequences for this terminal."""
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=True, legacy_windows=False)
    console.print(_Page(markdown, code_theme="ansi_dark", hyperlinks=False))
    return "\n".join(line.rstrip() for line in stream.getvalue().split("\n"))

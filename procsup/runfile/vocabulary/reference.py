"""The page docs/run-file.md, made from the vocabulary.

``python -m procsup.runfile.vocabulary.reference > procsup/docs/run-file.md``
"""

from typing import Iterator, Sequence

from procsup.runfile.vocabulary.keys import LATER_KEYS, PROGRAM_KEYS, RUN, STAGE, Inner, Key

_HEAD = """# The run file: every key

A run file is TOML: keys of the run, then a table `[stage.NAME]` for each stage. An unknown key is
an error that names the line and the nearest key there is. `procsup schema` prints the same as a
JSON Schema, for editors. This page is made from the tables that procsup itself reads by.
"""
_OF_STAGES = """## Keys of a stage

They stand in `[stage.NAME]`, or in `[defaults]` for all stages. Of {} a stage has one.
"""
_LATER = "Reserved for a later version: {}."


def make_reference() -> str:
    """Return the page as Markdown."""
    programs = ", ".join(f"`{name}`" for name in PROGRAM_KEYS)
    later = ", ".join(f"`{name}`" for name in LATER_KEYS)
    blocks = [_HEAD, "## Keys of the run\n", *_format_entries(RUN)]
    blocks += [_OF_STAGES.format(programs), *_format_entries(STAGE), _LATER.format(later) + "\n"]
    return "\n".join(blocks)


def _format_entries(keys: Sequence[Key]) -> Iterator[str]:
    for key in keys:
        words = key.default.startswith("`") or " " in key.default
        default = key.default if words or not key.default else f"`{key.default}`"
        facts = [f"{key.type.says[0].upper()}{key.type.says[1:]}."]
        facts += [f"Default: {default}."] if default else []
        facts += [f"Since {key.since}."]
        blocks = [f"### `{key.name}`", f"{key.help} {' '.join(facts)}"]
        if key.type.inner:
            blocks.append("\n".join(_format_row(inner, key.since) for inner in key.type.inner))
        yield "\n\n".join([*blocks, f"```toml\n{key.example}\n```\n"])


def _format_row(inner: Inner, since: str) -> str:
    return f"- `{inner.name}`: {inner.help}" + (
        f" Since {inner.since}." if inner.since != since else ""
    )


if __name__ == "__main__":
    print(make_reference(), end="")

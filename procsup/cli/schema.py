"""`procsup schema`: the JSON Schema of the run file, for editors, or of the manifest."""

import json

import click

from procsup.cli.options import exit_codes
from procsup.console.terminal import write_stdout
from procsup.report.schema import make_manifest_schema
from procsup.runfile.vocabulary.schema import make_runfile_schema

_HELP = """Print the JSON Schema of the run file, or of the manifest.

Editors that know it complete a run file and mark its mistakes: write it to a file, and name that
file in the first line of the run file (taplo, and with it Even Better TOML for VS Code):

\b
  procsup schema > procsup.schema.json
  #:schema ./procsup.schema.json

\b
Examples:
  procsup schema > procsup.schema.json
  procsup schema manifest
"""


@click.command("schema", help=_HELP, epilog=exit_codes(_0="the schema is on stdout"))
@click.argument("of", type=click.Choice(["runfile", "manifest"]), default="runfile")
def command(of: str) -> int:
    """Print one of the two schemas."""
    schema = make_manifest_schema() if of == "manifest" else make_runfile_schema()
    write_stdout(json.dumps(schema, indent=1))
    return 0

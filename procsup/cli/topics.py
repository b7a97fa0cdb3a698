"""The topics of `procsup help`: a page each."""

from typing import Dict

# In the order in which they are read. A page is docs/TOPIC.md; no verb has the name of a topic.
TOPICS: Dict[str, str] = {
    "tutorial": "twenty minutes, from a script over files to a pipeline",
    "stages": "how a run file becomes units: values, placeholders, stages",
    "run-file": "every key of the run file, with an example",
    "shell": "values in the text of `shell`",
    "files": "patterns, folders, links; what is watched, what is an output",
    "resources": "CPUs, memory, threads",
    "mapping": "one command over many inputs, without a run file",
    "queueing": "a run that stays open, to which commands are added",
    "library": "procsup in a Python program",
    "waiting": "scripts that wait for a run, and exit codes",
    "selecting": "words that name units",
    "keeping": "what is kept, what runs again, and why",
    "processes": "when a unit is over, and how it is stopped",
    "records": "the run directory: journal, manifests, logs",
    "shared-machines": "machines with accounts of other people",
    "promises": "what procsup promises, and what it does not",
    "faults": "the faults that it survives, and how that is known",
    "benchmarks": "how fast it is, beside others",
    "coming-from": "from pools, joblib, make, Snakemake, xargs, Parallel, pueue",
    "platforms": "Windows and macOS: what was run there, and what was not",
    "architecture": "how procsup is built",
    "glossary": "the words of these pages",
}

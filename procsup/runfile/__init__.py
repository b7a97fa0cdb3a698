"""The run file: TOML in, a run and its units out; `load` is the door, `plan` that of programs.

In between are phases, in this order: `syntax`, `vocabulary`, `templates`, `parameters`, `stages`,
`checks`, `units`.
"""

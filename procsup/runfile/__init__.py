"""Reads run files (`load`) and programs' plans (`plan`), and makes a run and its units of them.

Its packages are the phases, in this order: `syntax`, `vocabulary`, `templates`, `parameters`,
`stages`, `checks`, `units`.
"""

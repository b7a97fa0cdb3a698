"""The run file: TOML in, a run and its units out; `load` is the door."""

"""The text of a run file: TOML with line numbers, problems, and the values that keys take."""

"""Refuses the same output twice, overlaps, and globs on outputs that may not exist yet."""

"""Refuses equal or overlapping outputs, and globs on outputs that may not exist yet."""

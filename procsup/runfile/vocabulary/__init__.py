"""The keys of a run file: one row per key, from which schema and reference are made."""

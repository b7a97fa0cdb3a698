"""What may stand in a run file: a row a key, from which schema and reference are made."""

"""The parameters of a stage: matrices, tables and globs, and the rows that they make."""

"""Makes the text of reports: the end of a run, its failures, tables. Other packages print it."""

"""Reports for people: the end of a run, its failures, tables. Text, no output of its own."""

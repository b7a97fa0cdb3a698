"""What a person looks at afterwards: the end of a run, its failures, tables. Text, no I/O."""

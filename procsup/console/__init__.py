"""What a person sees while a run goes on; nothing else writes to a terminal."""

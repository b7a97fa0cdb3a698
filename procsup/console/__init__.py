"""Displays of a live run; no other package writes to a terminal."""

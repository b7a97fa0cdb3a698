"""Finds the files of a declared path, and tells whether they are unchanged."""

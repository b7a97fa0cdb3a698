"""Finds the files of a declared path, and compares them with their records."""

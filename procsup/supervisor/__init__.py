"""Builds a sitting: the request, its expansion, the previous run, the session."""

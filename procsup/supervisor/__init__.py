"""A sitting put together: the request, its expansion, the run before it, the session."""

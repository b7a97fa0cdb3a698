"""The public library: the verbs as functions, and what they return."""

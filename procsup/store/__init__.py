"""The run directory: its records, locks, manifests, and who may be believed."""

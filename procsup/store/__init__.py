"""The run directory: its records, locks and manifests, and which directories are trusted."""

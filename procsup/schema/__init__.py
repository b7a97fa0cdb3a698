"""JSON schemas of run files and manifests."""

"""What no run may have: the same file twice, overlaps, and globs that look too early."""

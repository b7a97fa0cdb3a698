"""A run seen from outside: status, list, wait, verify, events, logs, control, retry, prune."""

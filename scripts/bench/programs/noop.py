"""The smallest Python unit: ``python -m noop`` starts, does nothing and ends."""

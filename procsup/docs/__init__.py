"""The pages of documentation, which `procsup help` prints."""

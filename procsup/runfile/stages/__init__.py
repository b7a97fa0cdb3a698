"""A stage as it is read: its settings, the recipe of its units, whom it follows."""

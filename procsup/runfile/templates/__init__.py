"""Text with placeholders: parsing, what a placeholder may name, globs and shell lines."""

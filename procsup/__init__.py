"""procsup runs many independent processes and knows for certain when they are done."""

__version__ = "0.1.0"

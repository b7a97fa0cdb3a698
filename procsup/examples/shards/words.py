"""The code that is tested."""

from typing import List


def split_words(text: str) -> List[str]:
    """Return the words of a text, in lower case."""
    return text.lower().split()

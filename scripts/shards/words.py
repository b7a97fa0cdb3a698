# -*- coding: utf-8 -*-
"""The library under test: a few functions about text, for Python 2.7 and 3.x."""

from __future__ import unicode_literals

import re
import unicodedata


def slug(title):
    """Return a title as it may stand in an address: ``slug("Füße, 2.") == "fusse-2"``."""
    flat = unicodedata.normalize("NFKD", title.replace("ß", "ss"))
    bare = "".join(letter for letter in flat if not unicodedata.combining(letter))
    return "-".join(re.findall("[a-z0-9]+", bare.lower()))


def wrap(text, width):
    """Return the text's words as lines of at most `width`, longer words alone."""
    lines = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += " " + word
        else:
            lines.append(word)
    return lines


def roman(number):
    """Return a number from 1 to 3999 in Roman numerals."""
    if not 0 < number < 4000:
        raise ValueError("%d has no Roman numeral" % number)
    signs = [
        (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"),
        (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
    ]  # fmt: skip
    written = ""
    for value, sign in signs:
        times, number = divmod(number, value)
        written += sign * times
    return written


def counts(text):
    """Return how often each word occurs, the most frequent first, then by the alphabet."""
    found = {}
    for word in re.findall(r"\w+", text.lower(), re.UNICODE):
        found[word] = found.get(word, 0) + 1
    return sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))

"""Tests of words.py."""

import unittest

from words import split_words


class SplitWords(unittest.TestCase):
    def test_words_are_divided_by_spaces(self) -> None:
        self.assertEqual(split_words("a rose is"), ["a", "rose", "is"])

    def test_a_line_end_divides_too(self) -> None:
        self.assertEqual(split_words("a\nrose"), ["a", "rose"])

    def test_words_are_in_lower_case(self) -> None:
        self.assertEqual(split_words("Rose ROSE"), ["rose", "rose"])

    def test_a_text_without_words_has_none(self) -> None:
        self.assertEqual(split_words("  "), [])

# -*- coding: utf-8 -*-
"""Tests of `words`, for Python 2.7 and 3.x."""

from __future__ import unicode_literals

import unittest

import words


class SlugTest(unittest.TestCase):
    def test_accents_and_signs_go(self):
        self.assertEqual("creme-brulee", words.slug("Crème  brûlée!"))

    def test_a_sharp_s_is_two(self):
        self.assertEqual("fusse-2", words.slug("Füße, 2."))

    def test_nothing_is_left_of_signs(self):
        self.assertEqual("", words.slug("?!"))


class WrapTest(unittest.TestCase):
    def test_lines_are_as_long_as_allowed(self):
        self.assertEqual(["a bb", "ccc", "d"], words.wrap("a bb ccc d", 4))

    def test_a_long_word_stands_alone(self):
        self.assertEqual(["a", "longer", "b"], words.wrap("a longer b", 3))

    def test_no_words_are_no_lines(self):
        self.assertEqual([], words.wrap("  \n ", 10))


class RomanTest(unittest.TestCase):
    def test_some_years(self):
        written = [words.roman(year) for year in (4, 1999, 2026)]
        self.assertEqual(["IV", "MCMXCIX", "MMXXVI"], written)

    def test_each_number_has_its_own(self):
        self.assertEqual(3999, len({words.roman(number) for number in range(1, 4000)}))

    def test_there_is_no_zero(self):
        with self.assertRaises(ValueError):
            words.roman(0)


class CountsTest(unittest.TestCase):
    def test_the_most_frequent_is_first(self):
        self.assertEqual([("b", 2), ("a", 1)], words.counts("b a B"))

    def test_words_may_be_of_any_script(self):
        self.assertEqual([("çа", 1), ("ё", 1)], words.counts("ё Çа"))

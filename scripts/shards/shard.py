"""``python shard.py TESTS --shard N --of M --out XML``: run every M-th test.

For Python 2.7 and 3.x. Writes a JUnit XML, as CI services read it. The exit code is 1 if a test
failed.
"""

from __future__ import print_function, unicode_literals

import argparse
import io
import os
import sys
import time
import unittest
from xml.sax.saxutils import escape, quoteattr


def main():
    """Run this shard's tests and write their results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tests", help="folder of test_*.py")
    parser.add_argument("--shard", type=int, required=True, help="from 1 to M")
    parser.add_argument("--of", type=int, required=True, help="how many shards there are")
    parser.add_argument("--out", required=True, help="file to write")
    options = parser.parse_args()
    sys.dont_write_bytecode = True  # several Pythons at a time share the folder
    found = sorted(every_test(unittest.defaultTestLoader.discover(options.tests)), key=name_of)
    mine = unittest.TestSuite(found[options.shard - 1 :: options.of])
    results = Results(stream=sys.stderr, verbosity=2)
    results.run(mine)
    write(options.out, junit(results.cases))
    failed = sum(1 for case in results.cases if case["problem"])
    print("%d tests, %d failed" % (len(results.cases), failed))
    return 1 if failed else 0


def every_test(suite):
    """Yield the single tests of a suite."""
    for part in suite:
        if isinstance(part, unittest.TestSuite):
            for test in every_test(part):
                yield test
        else:
            yield part


def name_of(test):
    """Return a test's full name: the same order under every Python."""
    return test.id()


class Results(unittest.TextTestRunner):
    """Runs tests and keeps what became of each."""

    def __init__(self, **options):
        unittest.TextTestRunner.__init__(self, **options)
        self.cases = []

    def _makeResult(self):
        return Result(self.cases, self.stream, self.descriptions, self.verbosity)


class Result(unittest.TextTestResult):
    """Collects the cases; a test that is stopped in its subtests has the problem of the last."""

    def __init__(self, cases, *options):
        unittest.TextTestResult.__init__(self, *options)
        self.cases = cases

    def startTest(self, test):
        unittest.TextTestResult.startTest(self, test)
        self.cases.append({"name": test.id(), "begun": time.time(), "problem": ""})

    def stopTest(self, test):
        unittest.TextTestResult.stopTest(self, test)
        self.cases[-1]["seconds"] = time.time() - self.cases[-1]["begun"]

    def addFailure(self, test, err):
        unittest.TextTestResult.addFailure(self, test, err)
        self.cases[-1]["problem"] = self.failures[-1][1]

    def addError(self, test, err):
        unittest.TextTestResult.addError(self, test, err)
        # An import that fails is a test that never starts.
        if not self.cases or self.cases[-1]["name"] != test.id():
            self.cases.append({"name": test.id(), "begun": time.time(), "seconds": 0.0})
        self.cases[-1]["problem"] = self.errors[-1][1]


def junit(cases):
    """Return the results as JUnit XML."""
    failed = sum(1 for case in cases if case["problem"])
    lines = ['<testsuite tests="%d" failures="%d">' % (len(cases), failed)]
    for case in cases:
        classname, _, name = case["name"].rpartition(".")
        names = (quoteattr(classname), quoteattr(name), case["seconds"])
        lines.append("  <testcase classname=%s name=%s time='%.3f'>" % names)
        if case["problem"]:
            lines.append("    <failure>%s</failure>" % escape(as_text(case["problem"])))
        lines.append("  </testcase>")
    lines.append("</testsuite>\n")
    return "\n".join(lines)


def as_text(problem):
    """Return what unittest says: Python 2.7 gives bytes, with the source's own letters in them."""
    return problem.decode("utf-8", "replace") if isinstance(problem, bytes) else problem


def write(path, text):
    """Write a file that appears under its name once it is complete."""
    folder = os.path.dirname(path)
    if folder and not os.path.isdir(folder):
        try:
            os.makedirs(folder)
        except OSError:  # another shard was faster
            if not os.path.isdir(folder):
                raise
    partial = "%s.%d.part" % (path, os.getpid())
    with io.open(partial, "w", encoding="utf-8") as stream:
        stream.write('<?xml version="1.0" encoding="utf-8"?>\n' + text)
    getattr(os, "replace", os.rename)(partial, path)


if __name__ == "__main__":
    sys.exit(main())

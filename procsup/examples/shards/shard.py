"""Run each N-th test of a folder: shard.py FOLDER SHARD SHARDS OUTPUT."""

import json
import sys
import unittest
from typing import Iterator, Union


def list_tests(suite: Union[unittest.TestSuite, unittest.TestCase]) -> Iterator[unittest.TestCase]:
    """Return the tests of a suite, in an order that is always the same."""
    if isinstance(suite, unittest.TestCase):
        yield suite
        return
    for part in suite:
        yield from list_tests(part)


folder, shard, shards, output = sys.argv[1:]
tests = list(list_tests(unittest.defaultTestLoader.discover(folder)))
mine = tests[int(shard) - 1 :: int(shards)]
result = unittest.TextTestRunner().run(unittest.TestSuite(mine))
if not result.wasSuccessful():
    sys.exit(1)
with open(output, "w", encoding="utf-8") as file:
    json.dump({"run": result.testsRun, "skipped": len(result.skipped)}, file)

"""Join the lines of a pair of files: join.py FIRST SECOND OUTPUT."""

import sys

first, second, output = sys.argv[1:]
with open(first, encoding="utf-8") as left, open(second, encoding="utf-8") as right:
    pairs = list(zip(left.read().splitlines(), right.read().splitlines()))
with open(output, "w", encoding="utf-8") as file:
    file.writelines(f"{one}{other}\n" for one, other in pairs)

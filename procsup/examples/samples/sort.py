"""Sort the lines of a file: sort.py SOURCE OUTPUT."""

import sys

source, output = sys.argv[1:]
with open(source, encoding="utf-8") as file:
    lines = file.readlines()
with open(output, "w", encoding="utf-8") as file:
    file.writelines(sorted(lines))

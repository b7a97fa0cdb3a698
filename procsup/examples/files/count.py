"""Count the words of one text: count.py SOURCE OUTPUT."""

import json
import sys

source, output = sys.argv[1:]
with open(source, encoding="utf-8") as file:
    words = file.read().split()
if not words:
    sys.exit(f"{source} has no words")  # to stderr, with exit status 1: the unit has failed
with open(output, "w", encoding="utf-8") as file:
    json.dump({"file": source, "words": len(words)}, file)

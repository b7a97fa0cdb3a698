"""Add up the results of the shards: summary.py RESULTS... OUTPUT."""

import json
import sys
from pathlib import Path

*paths, output = sys.argv[1:]
results = [json.loads(Path(path).read_text(encoding="utf-8")) for path in paths]
total = {key: sum(result[key] for result in results) for key in ("run", "skipped")}
Path(output).write_text(json.dumps(total) + "\n", encoding="utf-8")

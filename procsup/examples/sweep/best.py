"""Choose the training with the least loss: best.py TRAINED... OUTPUT."""

import json
import sys
from pathlib import Path

*trained, output = sys.argv[1:]
results = [json.loads(Path(path).read_text(encoding="utf-8")) for path in trained]
best = min(results, key=lambda result: result["loss"])
Path(output).write_text(json.dumps(best, indent=1) + "\n", encoding="utf-8")

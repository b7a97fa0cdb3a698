"""``python pack.py FILE --out FILE.gz``: put a result away."""

import argparse
import gzip
import os
from pathlib import Path


def main() -> None:
    """Compress one file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    partial = options.out.with_name(f".{options.out.name}.{os.getpid()}.part")
    partial.write_bytes(gzip.compress(options.source.read_bytes(), mtime=0))
    os.replace(partial, options.out)


if __name__ == "__main__":
    main()

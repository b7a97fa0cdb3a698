"""Ends as soon as a path is gone: ``until_gone.py PATH``; for what no event tells."""

import os
import sys
import time

while os.path.exists(sys.argv[1]):
    time.sleep(0.01)

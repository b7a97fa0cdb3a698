"""Send a process a signal so many times, so many seconds apart: PID SIGNAL TIMES SECONDS."""

import os
import signal
import sys
import time

if __name__ == "__main__":
    pid, name, times, gap_s = sys.argv[1:]
    for count in range(int(times)):
        if count:
            time.sleep(float(gap_s))
        try:
            os.kill(int(pid), signal.Signals[name])
        except ProcessLookupError:
            break

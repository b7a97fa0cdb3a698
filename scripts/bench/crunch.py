"""The work of the comparison of pools: counts primes, in plain Python, on one CPU.

As a function for the pools, as a program for procsup: ``python crunch.py NUMBER LIMIT FOLDER
VICTIM HOW``. Unit NUMBER writes its count to FOLDER/NUMBER.txt; unit VICTIM dies in the middle,
by signal 9 (HOW is ``kill``) or by a segmentation fault (``segfault``).
"""

import ctypes
import os
import signal
import sys


def crunch(number: int, limit: int, folder: str, victim: int = -1, how: str = "kill") -> int:
    """Count the primes below `limit`, write the count to a file, and return it."""
    found = primes_below(limit)
    if number == victim:
        die(how)
    with open(os.path.join(folder, f"{number}.txt"), "w", encoding="ascii") as file:
        file.write(f"{found}\n")
    return found


def primes_below(limit: int) -> int:
    """Count primes by trial division: slow on purpose, and all of it in the interpreter."""
    found = 0
    for number in range(2, limit):
        divisor = 2
        while divisor * divisor <= number and number % divisor:
            divisor += 1
        found += divisor * divisor > number
    return found


def die(how: str) -> None:
    """End this process as a fault in a C library, or the kernel short of memory, would."""
    if how == "segfault":
        ctypes.string_at(0)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    crunch(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5])

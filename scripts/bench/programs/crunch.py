"""CPU-bound work in plain Python, 0.1 to 2 s a unit: counts primes.

As a program ``python crunch.py FILE NUMBER``, as a function for the pools. How much unit NUMBER
counts is the same for everybody: `size_of`; BENCH_TENTHS makes all alike. The unit that
BENCH_VICTIM names (``3:kill``) dies in the middle, by signal 9 or by a segmentation fault.
"""

import ctypes
import os
import signal
import sys

from tally import done

# Tenths of a second, about, on a CPU of 2023: as uneven as real work, no two neighbours alike.
SIZES = (3, 12, 1, 6, 20, 2, 9, 4, 1, 15, 5, 2, 8, 1, 3, 10)
PRIMES_IN_A_TENTH = 80_000  # the numbers below this are tried in about a tenth of a second
GROWTH = 1.45  # trying k times as many numbers takes k ** GROWTH times as long


def unit(path: str, number: int) -> int:
    """Do the work of one unit, put it on the tally, and return what it found."""
    found = primes_below(size_of(number))
    victim, _, how = os.environ.get("BENCH_VICTIM", ":").partition(":")
    if victim == str(number):
        die(how)
    done(path, number)
    return found


def size_of(number: int) -> int:
    """Return up to where unit `number` (from 1) counts primes."""
    tenths = int(os.environ.get("BENCH_TENTHS", SIZES[(number - 1) % len(SIZES)]))
    return int(PRIMES_IN_A_TENTH * tenths ** (1 / GROWTH))


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
    unit(sys.argv[1], int(sys.argv[2]))

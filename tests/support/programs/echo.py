"""Does as its arguments say, one after the other, and prints all others, one a line.

What is behind ``--first`` is for the first attempt only, what is behind ``--later`` for the others.
"""

import os
import sys
import time

LIMIT_S = 20


def wait_until(holds):
    until = time.monotonic() + LIMIT_S
    while not holds():
        if time.monotonic() > until:
            sys.exit(5)
        time.sleep(0.01)


def has_ended(unit):
    end = f'"t":"end","unit":"{unit}"'
    with open(".procsup/run/journal.jsonl") as journal:
        return any(end in line for line in journal)


def write(path):
    with open(path, "w") as file:
        file.write("made")


def lines_of(path):
    with open(path) as file:
        print(file.read().split())


def make_large(path):
    """One byte more than what has a checksum by default; a hole, where there are such."""
    with open(path, "wb") as file:
        file.truncate((64 << 20) + 1)


WITH_VALUE = {
    "--out": write,
    "--large": make_large,
    "--until": lambda path: wait_until(lambda: os.path.exists(path)),
    "--until-end": lambda unit: wait_until(lambda: has_ended(unit)),
    "--there": lambda path: print("there" if os.path.exists(path) else "not there"),
    "--env": lambda name: print(os.environ.get(name, "unset")),
    "--lines": lines_of,
}
ALONE = {
    "--wait": lambda: wait_until(lambda: False),
    "--stdin": lambda: print(sys.stdin.read()),
    "--err": lambda: print("to stderr", file=sys.stderr),
    "--fail": lambda: sys.exit(3),
}


def main():
    is_first = os.environ["PROCSUP_ATTEMPT"] == "1"
    for word in sys.argv[1:]:
        name, equals, value = word.partition("=")
        if word == ("--later" if is_first else "--first"):
            break
        if equals and name in WITH_VALUE:
            WITH_VALUE[name](value)
        elif word in ALONE:
            ALONE[word]()
        elif word not in ("--first", "--later"):
            print(word)


main()

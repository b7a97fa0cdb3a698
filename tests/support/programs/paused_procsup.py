"""procsup, held at a point of its course: POINT TIMES FOLDER ARGS...

When the supervisor comes to that point for so many times, it says its pid in FOLDER/paused and
goes on as soon as there is FOLDER/go. Signals are handled meanwhile as at any other time.
FOLDER/other.py is executed first: it may make another procsup of it.
"""

import functools
import importlib
import os
import sys
import time

LIMIT_S = 30.0
POINTS = {
    "planning": ("procsup.supervisor.session", "read", False),
    "holding": ("procsup.store.sitting", "Sitting.take_units_lock", False),
    "starting": ("procsup.attempt.start", "Starter.start", False),
    "killing": ("procsup.engines.local", "LocalEngine.kill", False),
    "publishing": ("procsup.store.manifest", "ManifestPublisher.publish_run", False),
    "published": ("procsup.store.manifest", "ManifestPublisher.publish_run", True),
}


def pause(folder):
    path = os.path.join(folder, "paused")
    with open(path + ".new", "w") as file:
        file.write(str(os.getpid()))
    os.rename(path + ".new", path)
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until and not os.path.exists(os.path.join(folder, "go")):
        time.sleep(0.003)


def hold(point, times, folder):
    module, name, is_after = POINTS[point]
    place = importlib.import_module(module)
    *outer, name = name.split(".")
    for part in outer:
        place = getattr(place, part)
    whole = getattr(place, name)
    left = [times]

    @functools.wraps(whole)
    def held(*args, **options):
        left[0] -= 1
        if left[0] == 0 and not is_after:
            pause(folder)
        result = whole(*args, **options)
        if left[0] == 0 and is_after:
            pause(folder)
        return result

    setattr(place, name, held)


def main(point, times, folder, *args):
    other = os.path.join(folder, "other.py")
    if os.path.exists(other):
        with open(other) as file:
            exec(file.read(), {})
    if point != "none":
        hold(point, int(times), folder)
    from procsup.__main__ import program

    sys.argv = ["procsup", *args]
    sys.exit(program())


main(*sys.argv[1:])

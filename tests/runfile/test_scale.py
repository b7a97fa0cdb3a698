"""What planning takes does not grow but by its units, and these are small."""

import pytest

from tests.runfile.builders import CAPACITY, load_text, units


def kept_per_unit(folder, text, count):
    """Return the bytes that stay in memory for each unit, while its run file does."""
    tracemalloc = pytest.importorskip("tracemalloc")
    load_text(folder, text.replace("COUNT", "2")).expand_early(CAPACITY)  # caches
    tracemalloc.start()
    try:
        loaded = load_text(folder, text.replace("COUNT", str(count)))
        before = tracemalloc.get_traced_memory()[0]
        found = loaded.expand_early(CAPACITY)
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert sum(map(len, found.values())) >= count
    return before / count, (after - before) / sum(map(len, found.values()))


def test_a_unit_is_small_before_it_runs(tmp_path):
    rows, each = kept_per_unit(
        tmp_path, 'matrix.i = { range = "1..COUNT" }\nargs = ["--seed", "1"]', 5000
    )

    assert rows < 100  # a range is no list, and its rows are made one by one
    assert each < 900  # 580 on CPython 3.11, its id and its fingerprint included


def test_units_that_are_followed_leave_nothing_behind(tmp_path):
    text = """
        [stage.a]
        module = "m"
        matrix.i = { range = "1..COUNT" }
        [stage.b]
        module = "m"
        for-each = "a"
        """

    assert kept_per_unit(tmp_path, text, 2000)[1] < 1000


def test_the_same_arguments_are_kept_once(tmp_path):
    first, second = units(tmp_path, 'matrix.i = [1, 2]\nargs = ["--seed", "1"]')

    assert first.argv is second.argv
    assert first.parameters == {"i": 1}
    assert second.parameters == {"i": 2}

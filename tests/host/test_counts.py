"""Numbers of texts, in memory and in a database."""

import random
import sqlite3
import sys

import pytest

from procsup.errors import RecordError
from procsup.host import counts
from procsup.host.counts import Counts


@pytest.fixture(autouse=True)
def few_in_memory(monkeypatch):
    monkeypatch.setattr(counts, "_MOST_IN_MEMORY", 3)


@pytest.mark.parametrize("spills", [False, True])
def test_each_text_has_its_number(spills):
    dice, found, expected = random.Random(1), Counts(spills=spills), {}
    texts = [f"name {number}" for number in range(20)] + ["caf\udce9", "'; DROP TABLE", "", "\0"]
    for _ in range(1000):
        text = dice.choice(texts)
        assert found.get(text) == expected.get(text, 0)
        expected[text] = dice.randrange(1 << 40)
        found.set(text, expected[text])

    assert (len(found._known) == 3) == spills


def test_without_sqlite_all_are_in_memory(monkeypatch):
    monkeypatch.setitem(sys.modules, "sqlite3", None)
    found = Counts(spills=True)
    for number in range(10):
        found.set(str(number), number)

    assert [found.get(str(number)) for number in range(10)] == list(range(10))


def test_a_database_that_cannot_be_written_is_an_error_of_the_records():
    found = Counts(spills=True)
    for number in range(5):
        found.set(str(number), 1)
    found._database.execute("PRAGMA max_page_count = 1")
    found._database.execute("PRAGMA query_only = ON")

    with pytest.raises(RecordError, match="temporary database of names cannot be used"):
        found.set("9", 1)
    assert isinstance(found._database, sqlite3.Connection)

from procsup.core.late import GIVEN, MARKS, fill_in, list_values, restore_placeholders
from procsup.core.slots import make_placement


def test_what_is_known_is_filled_in_and_the_rest_stays_marked():
    text = f"-t{MARKS['cpus']}:{MARKS['scratch']}/{MARKS['slot']}{MARKS['slot']}"

    once = fill_in(text, list_values(3, make_placement("h", 2.0, slot=7)))

    assert once == f"-t2:{MARKS['scratch']}/77"
    assert fill_in(once, {"scratch": "/tmp/\0cpus\0"}) == "-t2:/tmp/\0cpus\0/77"


def test_every_attempt_is_given_all_of_it_as_the_environment_says_it():
    values = list_values(3, make_placement("h", 0.5, 1 << 30, slot=2))

    assert values == {"cpus": "0.5", "memory": "1073741824", "attempt": "3", "slot": "2"}
    assert set(values) == set(GIVEN) < set(MARKS)
    assert list_values(1, make_placement("h", 1.0))["memory"] == ""


def test_people_see_placeholders():
    assert restore_placeholders(("a", f"{MARKS['cpus']}x", "{b}")) == ("a", "{cpus}x", "{b}")
    same = ("a", "b")
    assert restore_placeholders(same) is same

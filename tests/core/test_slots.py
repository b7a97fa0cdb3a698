import pytest
from hypothesis import given
from hypothesis import strategies as st

from procsup.core.slots import (
    Capacity,
    Needs,
    Slots,
    compute_thread_share,
    explain_never,
    make_placement,
)


def test_tenths_of_a_cpu_add_up_to_a_whole():
    slots = Slots(Capacity(1.0))

    placements = [slots.place(Needs(0.1)) for _ in range(11)]

    assert placements[10] is None
    assert None not in placements[:10]


def test_memory_is_counted_only_where_it_is_asked_for_and_limited():
    slots = Slots(Capacity(8.0, memory_bytes=100))

    assert slots.place(Needs(1.0, 60)) is not None
    assert slots.place(Needs(1.0, 60)) is None
    assert slots.place(Needs(1.0)) is not None


def test_pinned_units_get_whole_cpus_of_their_own():
    slots = Slots(Capacity(4.0, cpu_ids=(0, 1, 2, 3)))

    one = slots.place(Needs(2.0, pinned=True))
    two = slots.place(Needs(2.0, pinned=True))

    assert one is not None
    assert two is not None
    assert {0, 1, 2, 3} == set(one.cpu_ids) | set(two.cpu_ids)
    assert slots.place(Needs(1.0, pinned=True)) is None


def test_cpus_beyond_those_of_the_machine_are_shared_not_pinned():
    slots = Slots(Capacity(4.0, cpu_ids=(0, 1)))

    ids = [slots.place(Needs(1.0, pinned=True)).cpu_ids for _ in range(4)]

    assert ids == [(0,), (1,), (), ()]


def test_jobs_limit_the_number_of_live_units():
    slots = Slots(Capacity(8.0, jobs=1))
    placement = slots.place(Needs(1.0))

    assert slots.place(Needs(1.0)) is None

    slots.give_back(placement)

    assert slots.place(Needs(1.0)) is not None


def test_it_is_said_why_a_unit_never_fits():
    capacity = Capacity(2.0, memory_bytes=100)

    assert explain_never(Needs(2.0, 100), capacity) is None
    assert (
        explain_never(Needs(3.0, 200), capacity)
        == "needs 3 cpus of 2 and 200 bytes of memory of 100"
    )


needs = st.builds(
    Needs,
    st.sampled_from([0.1, 0.5, 1.0, 2.0]),
    st.sampled_from([None, 10, 50]),
    st.booleans(),
)


@given(st.lists(st.tuples(st.booleans(), needs), max_size=60))
def test_whatever_is_taken_and_given_back_no_cpu_is_pinned_twice_and_all_comes_back(steps):
    capacity = Capacity(3.0, 100, (0, 1, 2), 4)
    slots = Slots(capacity)
    held = []
    for give, need in steps:
        if give and held:
            slots.give_back(held.pop())
            continue
        placement = slots.place(need)
        if placement is not None:
            held.append(placement)
        pinned = [cpu for one in held for cpu in one.cpu_ids]
        assert len(pinned) == len(set(pinned))
        assert sum(one.cpus for one in held) <= 3.0 + 1e-6
        assert len(held) <= 4
    for placement in held:
        slots.give_back(placement)

    assert all(slots.place(Needs(1.0, 30, True)) is not None for _ in range(3))


def test_it_is_said_what_a_unit_that_does_not_fit_now_lacks():
    slots = Slots(Capacity(4.0, memory_bytes=4 << 30, cpu_ids=(0, 1, 2, 3)))
    taken = slots.place(Needs(2.5, 1 << 30, pinned=True))
    assert taken is not None

    assert slots.describe_lack(Needs(1.5)) == ""
    assert slots.describe_lack(Needs(2.0)) == "CPUs (it needs 2; 1.5 of 4 are free)"
    assert slots.describe_lack(Needs(2.0, 4 << 30)).endswith(
        " and memory (it needs 4.0 GB; 3.0 GB of 4.0 GB are free)"
    )
    assert slots.describe_lack(Needs(1.5, pinned=True)) == ""
    slots.take(make_placement("", 1.0, cpu_ids=(2,)))
    assert slots.describe_lack(Needs(0.5, pinned=True)) == ""
    slots.take(make_placement("", 0.1, cpu_ids=(3,)))
    assert slots.describe_lack(Needs(0.2, pinned=True)) == "1 CPU of its own"
    slots.give_back(taken)
    assert slots.describe_lack(Needs(2.0, 4 << 30, pinned=True)) == ""


@pytest.mark.parametrize(
    ("cpus", "jobs", "threads"),
    [
        (8.0, None, 1),
        (8.0, 8, 1),
        (8.0, 3, 2),
        (8.0, 1, 8),
        (4.0, 100, 1),
        (1.5, 1, 1),
        (0.5, 1, 1),
    ],
)
def test_who_says_nothing_of_cpus_may_start_a_share_of_threads(cpus, jobs, threads):
    assert compute_thread_share(Capacity(cpus, jobs=jobs)) == threads


def test_the_lowest_number_that_is_free_is_the_slot_of_the_next():
    slots = Slots(Capacity(3.0))
    one, two, three = (slots.place(Needs(1.0)) for _ in range(3))
    assert [placed.slot for placed in (one, two, three)] == [1, 2, 3]

    slots.give_back(three)
    slots.give_back(one)

    assert [slots.place(Needs(1.0)).slot for _ in range(2)] == [1, 3]
    assert slots.place(Needs(1.0)) is None  # this uses up no number
    slots.give_back(two)
    assert slots.place(Needs(1.0)).slot == 2

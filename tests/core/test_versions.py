from hypothesis import given
from hypothesis import strategies as st

from procsup.core.versions import Version, find_newest

SEQS = st.integers(0, 20)
GAPS = st.lists(st.tuples(SEQS, SEQS).map(sorted).map(tuple), max_size=3).map(tuple)
VERSIONS = st.lists(st.builds(Version, SEQS, GAPS), max_size=4)


def test_a_follower_has_used_what_was_there_when_it_ended():
    version = Version(5, ((7, 9),))

    assert [version.was_used_by(seq) for seq in (4, 5, 6, 8, 9)] == [False, True, True, False, True]


@given(VERSIONS, SEQS)
def test_the_newest_of_several_was_used_by_what_has_used_each(versions, seq):
    assert find_newest(versions).was_used_by(seq) == all(one.was_used_by(seq) for one in versions)

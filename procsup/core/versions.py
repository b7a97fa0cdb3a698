"""Versions of a unit's outputs, by record numbers; they show which one a follower has used."""

from typing import Iterable, List, NamedTuple, Tuple

Gap = Tuple[int, int]


class Version(NamedTuple):
    """Outputs that are the same since record `seq`, except within the `gaps`.

    A gap is from a record that the unit did not succeed to one that it did, with the same
    content as before. A stage that tolerates failures may have run within it.
    """

    seq: int = 0
    gaps: Tuple[Gap, ...] = ()

    def was_used_by(self, ended_seq: int) -> bool:
        """Whether a follower that ended with this record was made from this version."""
        if ended_seq < self.seq:
            return False
        return not any(start < ended_seq < end for start, end in self.gaps)


def find_newest(versions: Iterable[Version]) -> Version:
    """Return one version for several: a follower has used it only if it has used each of them."""
    all_of = list(versions)
    seq = max([one.seq for one in all_of], default=0)
    merged: List[Gap] = []
    for start, end in sorted(gap for one in all_of for gap in one.gaps if gap[1] > seq):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return Version(seq, tuple(merged))

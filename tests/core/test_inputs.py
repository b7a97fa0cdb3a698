import re
from itertools import count, islice

import pytest

from procsup.core.inputs import (
    InputError,
    Room,
    Source,
    combine,
    fill_commands,
    flatten,
    group_records,
    link,
    parse_delimiter,
    split_columns,
    split_csv,
    split_records,
    spread,
    take_header,
)


def source(text, *, linked=False):
    return Source([(word,) for word in text.split()], linked)


def joined(records):
    return ["".join(record) for record in records]


@pytest.mark.parametrize(
    ("chunks", "delimiter", "records"),
    [
        ([b"a\nb\n"], b"\n", [b"a", b"b"]),
        ([b"a\nb"], b"\n", [b"a", b"b"]),
        ([b"a", b"b\n", b"\nc"], b"\n", [b"ab", b"", b"c"]),
        ([b"aX", b"YbX", b"c"], b"XY", [b"a", b"bXc"]),
        ([b"a\0\0b"], b"\0", [b"a", b"", b"b"]),
        ([], b"\n", []),
    ],
)
def test_a_stream_is_divided_wherever_its_chunks_end(chunks, delimiter, records):
    assert list(split_records(chunks, delimiter)) == records


def test_records_come_while_the_stream_goes_on():
    endless = (b"%d\n" % number for number in count())

    assert list(islice(split_records(endless, b"\n"), 3)) == [b"0", b"1", b"2"]


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [(",", b","), (r"\t", b"\t"), (r"\0", b"\0"), (r"\x1f", b"\x1f"), (r"\037", b"\x1f"),
     ("é", "é".encode()), (r"\\", b"\\"), ("ab", b"ab")],
)  # fmt: skip
def test_a_delimiter_may_be_written_as_an_escape(text, delimiter):
    assert parse_delimiter(text) == delimiter


@pytest.mark.parametrize("text", ["", r"\q"])
def test_what_is_no_delimiter_is_refused(text):
    with pytest.raises(InputError):
        parse_delimiter(text)


def test_columns_are_divided_by_a_regular_expression():
    assert list(split_columns(["a  b", "c"], re.compile(" +"))) == [("a", "b"), ("c",)]


def test_a_row_of_csv_may_have_a_delimiter_and_a_line_end_in_quotes():
    lines = ['a,"b,c"\n', "\n", '"d\n', 'e",f\n']

    assert list(split_csv(lines, ",")) == [("a", "b,c"), ("d\ne", "f")]


def test_what_is_no_csv_is_refused_with_its_line():
    with pytest.raises(InputError, match="line 2"):
        list(split_csv(["a\n", '"b"c\n'], ","))


def test_the_first_record_is_the_header():
    names, rest = take_header([("x", "y"), ("1", "2")], "f")

    assert (names, list(rest)) == (("x", "y"), [("1", "2")])


@pytest.mark.parametrize("records", [[], [("x", "")]])
def test_a_header_without_names_is_refused(records):
    with pytest.raises(InputError, match="f: the first input is the header"):
        take_header(records, "f")


def test_a_record_of_another_width_than_the_header_is_refused():
    _, rest = take_header([("x", "y"), ("1", "2"), ("3",)], "f")

    with pytest.raises(InputError, match="f: number 2 behind the header has 1 column"):
        list(rest)


@pytest.mark.parametrize(
    ("sources", "records"),
    [
        ([source("A B C")], "A B C"),
        ([source("A B"), source("C D")], "AC AD BC BD"),
        ([source("A B C"), source("G H", linked=True)], "AG BH"),
        ([source("A B"), source("G H", linked=True), source("D E")], "AGD AGE BHD BHE"),
        ([source("A B"), source("G H"), source("D E", linked=True)], "AGD AHE BGD BHE"),
        ([source("A B"), source("")], ""),
    ],
)
def test_sources_are_combined_the_last_one_running_fastest(sources, records):
    assert joined(combine(sources)) == records.split()


def test_the_first_source_is_read_as_it_comes():
    endless = Source((str(number),) for number in count())

    assert joined(islice(combine([endless, source("a b")]), 3)) == ["0a", "0b", "1a"]


@pytest.mark.parametrize(
    ("sources", "records"),
    [
        ([source("A B C D E"), source("F G")], "AF BG CF DG EF"),
        ([source("A B"), source("X Y Z", linked=True)], "AX BY AZ"),
        ([source("A B"), source("")], ""),
    ],
)
def test_linked_sources_go_side_by_side_and_short_ones_begin_again(sources, records):
    assert joined(link(sources)) == records.split()


def groups_of(text):
    return [tuple((word,) for word in group) for group in text.split()]


def test_groups_have_as_many_records_as_asked_for_the_last_one_the_rest():
    assert list(group_records([(word,) for word in "abcde"], 2)) == groups_of("ab cd e")


@pytest.mark.parametrize(
    ("size", "most", "groups"),
    [(3, 99, "abc de"), (99, 2, "ab cd e"), (0, 99, "a b c d e")],
)
def test_a_command_takes_as_many_records_as_it_has_room_for_but_one_at_least(size, most, groups):
    room = Room(size, lambda record: 1, most)

    assert list(fill_commands([(word,) for word in "abcde"], room)) == groups_of(groups)


@pytest.mark.parametrize(
    ("groups", "slots", "spread_out"),
    [
        ("abcdefghij", 4, "abc def ghi j"),
        ("abcdefg", 4, "ab cd ef g"),
        ("abc defg", 2, "abc de fg"),
        ("a", 4, "a"),
        ("", 4, ""),
    ],
)
def test_the_last_group_is_spread_over_the_slots(groups, slots, spread_out):
    assert list(spread(groups_of(groups), slots)) == groups_of(spread_out)


def test_a_group_is_flattened_in_order():
    assert flatten((("a", "b"), ("c",))) == ("a", "b", "c")

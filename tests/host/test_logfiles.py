"""Logs that are a part of a file."""

import os

from hypothesis import given
from hypothesis import strategies as st

from procsup.host.logfiles import open_log


def test_without_a_part_it_is_the_whole_file(tmp_path):
    (tmp_path / "log").write_bytes(b"one\ntwo\n")

    with open_log(tmp_path / "log") as file:
        assert file.read() == b"one\ntwo\n"


@given(data=st.binary(max_size=40), offset=st.integers(0, 50), length=st.integers(0, 50))
def test_a_part_reads_as_a_file_of_its_own(tmp_path_factory, data, offset, length):
    path = tmp_path_factory.getbasetemp() / "packed"
    path.write_bytes(data)
    expected = data[offset : offset + length]

    with open_log(path, (offset, length)) as file:
        assert file.read() == expected
        assert file.seek(0, os.SEEK_END) == len(expected)
        file.seek(len(expected) // 2)
        assert file.read(5) == expected[len(expected) // 2 :][:5]
        file.seek(0)
        assert b"".join(file.readlines()) == expected


def test_more_than_a_buffer_is_read_in_pieces(tmp_path):
    data = os.urandom(300_000)
    (tmp_path / "packed").write_bytes(b"before" + data + b"after")

    with open_log(tmp_path / "packed", (6, len(data))) as file:
        assert b"".join(iter(lambda: file.read(65_536), b"")) == data

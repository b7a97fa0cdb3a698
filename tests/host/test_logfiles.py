"""Logs that are a part of a file."""

import os
import sys

import pytest
from hypothesis import given as for_any
from hypothesis import strategies as st

from procsup.host.logfiles import open_log
from tests.support.files import needs_links


def test_without_a_part_it_is_the_whole_file(tmp_path):
    (tmp_path / "log").write_bytes(b"one\ntwo\n")

    with open_log("log", run=tmp_path) as file:
        assert file.read() == b"one\ntwo\n"


@for_any(data=st.binary(max_size=40), offset=st.integers(0, 50), length=st.integers(0, 50))
def test_a_part_reads_as_a_file_of_its_own(tmp_path_factory, data, offset, length):
    path = tmp_path_factory.getbasetemp() / "packed"
    path.write_bytes(data)
    expected = data[offset : offset + length]

    with open_log(path, (offset, length), run=path.parent) as file:
        assert file.read() == expected
        assert file.seek(0, os.SEEK_END) == len(expected)
        file.seek(len(expected) // 2)
        assert file.read(5) == expected[len(expected) // 2 :][:5]
        file.seek(0)
        assert b"".join(file.readlines()) == expected


def test_more_than_a_buffer_is_read_in_pieces(tmp_path):
    data = os.urandom(300_000)
    (tmp_path / "packed").write_bytes(b"before" + data + b"after")

    with open_log("packed", (6, len(data)), run=tmp_path) as file:
        assert b"".join(iter(lambda: file.read(65_536), b"")) == data


@needs_links
@pytest.mark.parametrize("which", ["log", "logs"])
def test_no_link_in_a_run_of_ours_leads_out_of_it(tmp_path, which):
    """As it may come with a checkout, where everything is ours."""
    run = tmp_path / "run"
    run.mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    (run / which).symlink_to(tmp_path / "secret" if which == "log" else tmp_path)

    with pytest.raises(OSError, match="a link out of the run directory"):
        open_log("log" if which == "log" else "logs/secret", run=run)


needs_root = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="only root can give files away"
)
STRANGER, OTHER = 60001, 60002


def given(folder, owner):
    """A run directory of that owner with a log of his; and a file of root's beside it."""
    run = folder / "run"
    run.mkdir()
    (run / "log").write_bytes(b"his")
    (folder / "shadow").write_bytes(b"secret")
    for path in (run, run / "log"):
        os.chown(path, owner, owner)
    return run


@needs_root
@pytest.mark.parametrize("how", ["a path", "a link", "a hard link", "a way up"])
def test_a_record_of_another_user_leads_only_to_that_user_s_files(how, tmp_path):
    run, secret = given(tmp_path, STRANGER), tmp_path / "shadow"
    path = {"a path": str(secret), "a way up": "../shadow"}.get(how, "planted")
    if how == "a link":
        (run / "planted").symlink_to(secret)
    elif how == "a hard link":
        os.link(secret, run / "planted")

    with pytest.raises(OSError, match=f"belongs to uid 0, and the run to uid {STRANGER}"):
        open_log(path, run=run)
    with open_log("log", run=run) as file:
        assert file.read() == b"his"


@needs_root
def test_what_our_own_run_file_names_may_belong_to_another(tmp_path):
    run = given(tmp_path, 0)
    os.chown(tmp_path / "shadow", OTHER, OTHER)
    os.chown(run / "log", OTHER, OTHER)

    with open_log(tmp_path / "shadow", run=run) as file:
        assert file.read() == b"secret"
    with pytest.raises(OSError, match=f"belongs to uid {OTHER}, and the run to uid 0"):
        open_log("log", run=run)


@needs_root
def test_a_folder_of_somebody_else_in_place_of_a_live_run_is_not_read(tmp_path):
    run = given(tmp_path, STRANGER)

    with pytest.raises(OSError, match=f"belongs to uid {STRANGER}, and the run to uid 0"):
        open_log("log", run=run, owner=0)

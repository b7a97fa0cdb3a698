"""Paths with `..`: what they lead to is what every program finds there."""

import os

import pytest

from procsup.core.globs import escape, parse
from procsup.paths.joining import join_path
from procsup.paths.links import join_pattern
from procsup.paths.walk import find
from tests.support.files import needs_links

pytestmark = needs_links


@pytest.fixture
def place(tmp_path):
    """`far/real/x` and `far/y`; `link` leads to `far/real`, `far/real/up` to `here/down`."""
    for name in ("here/down", "far/real"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "far/real/x").write_text("x")
    for name in ("far/y", "here/y", "y"):
        (tmp_path / name).write_text(name)
    (tmp_path / "link").symlink_to(tmp_path / "far/real", target_is_directory=True)
    (tmp_path / "far/real/up").symlink_to(tmp_path / "here/down", target_is_directory=True)
    return tmp_path


@pytest.mark.parametrize(
    ("folder", "path", "expected"),
    [
        ("link", "x", "link/x"),
        ("link", "./x", "link/x"),
        ("link", "../y", "far/y"),
        ("link", "../real/x", "far/real/x"),
        ("link", "up/../y", "here/y"),
        ("link", "up/../../y", "y"),
        ("link", "none/../x", "link/x"),
        ("far/real", "../y", "far/y"),
        ("far/real", "../../link/../y", "far/y"),
        ("link", "..y/x", "link/..y/x"),
        ("link", "..", "far"),
    ],
)
def test_a_path_leads_to_what_the_system_finds_there(place, folder, path, expected):
    found = join_path(str(place / folder), path)

    assert found == str(place / expected)
    if "none" not in path and os.path.exists(found) and os.sep == "/":
        assert os.path.samefile(found, place / folder / path)


def test_a_pattern_finds_the_same_files_from_the_root(place):
    (place / "far/a[1]").mkdir()
    (place / "far/a[1]/b").symlink_to(place / "here/down", target_is_directory=True)
    for folder, text in (("link", "../*"), ("link", "up/../*"), ("far/a[1]", "b/../[y]*")):
        from_there = find(parse(text), str(place / folder)).matches
        whole = find(parse(join_pattern(str(place / folder), text))).matches

        assert [*map(os.path.realpath, whole)] == [
            os.path.realpath(place / folder / path) for path in from_there
        ]
        assert bool(whole) is not text.endswith("[y]*")  # brackets are plain characters


def test_the_name_of_a_folder_above_is_no_pattern(place):
    (place / "far/a*").mkdir()
    (place / "far/a*/b").mkdir()

    pattern = join_pattern(str(place / "far/a*/b"), "../*.txt")

    assert pattern == f"{escape(str(place / 'far/a*'))}/*.txt"


def test_above_the_root_is_the_root():
    assert join_path("/", "../../x") == os.path.normpath("/x")

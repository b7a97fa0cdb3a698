"""Finding the files that a glob matches."""

import os

import pytest

from procsup.runfile.patterns import read_glob
from procsup.runfile.template import Template
from procsup.runfile.walk import find
from tests.runfile.builders import grow


def found(folder, source):
    return [match.path for match in find(read_glob(Template(source), {}), str(folder))]


@pytest.fixture
def tree(tmp_path):
    grow(
        tmp_path,
        *("d/b.py", "d/a.py", "d/.h.py", "d/sub/c.py", "d/sub/deep/d.py", "d/.hid/e.py"),
        *("d/sub.py", "d/empty/", "x.py", "d/sub-a/c.py"),
    )
    return tmp_path


@pytest.mark.parametrize(
    ("source", "paths"),
    [
        ("*.py", ["x.py"]),
        ("d/*.py", ["d/a.py", "d/b.py", "d/sub.py"]),
        ("d/?.py", ["d/a.py", "d/b.py"]),
        ("d/*/*.py", ["d/sub-a/c.py", "d/sub/c.py"]),
        (
            "d/{m:**}.py",
            ["d/a.py", "d/b.py", "d/sub-a/c.py", "d/sub.py", "d/sub/c.py", "d/sub/deep/d.py"],
        ),
        ("d/**/d.py", ["d/sub/deep/d.py"]),
        ("**/c.py", ["d/sub-a/c.py", "d/sub/c.py"]),
        ("d/sub/**", ["d/sub/c.py", "d/sub/deep/d.py"]),
        ("d/.hid/*", ["d/.hid/e.py"]),
        ("d/.*.py", ["d/.h.py"]),
        ("**/.hid/e.py", ["d/.hid/e.py"]),
        ("d/*/", ["d/empty", "d/sub", "d/sub-a"]),
        ("d/**/", ["d/empty", "d/sub", "d/sub-a", "d/sub/deep"]),
        ("d/*/c.py", ["d/sub-a/c.py", "d/sub/c.py"]),
        ("d/a.py", ["d/a.py"]),
        ("d/sub/", ["d/sub"]),
        ("d/a.py/*", []),
        ("nope/*", []),
        ("d/nope.py", []),
    ],
)
def test_globs_find_files_in_order(source, paths, tree):
    assert found(tree, source) == paths


def test_a_glob_may_start_above_or_anywhere(tree):
    assert found(tree / "d", "../*.py") == ["../x.py"]
    absolute = (tree / "d").as_posix()
    assert found("", f"{absolute}/?.py") == [f"{absolute}/a.py", f"{absolute}/b.py"]


def test_symlinked_folders_are_not_followed_unless_named(tree):
    try:
        os.symlink(tree / "d" / "sub", tree / "d" / "link", target_is_directory=True)
        os.symlink(tree / "x.py", tree / "d" / "link.py")
    except OSError:
        pytest.skip("no symbolic links here")
    if not os.path.islink(tree / "d" / "link.py"):
        pytest.skip("links that are none")

    assert "d/link/c.py" not in found(tree, "d/**/c.py") + found(tree, "d/*/c.py")
    assert found(tree, "d/link/*.py") == ["d/link/c.py"]
    assert found(tree, "d/l*.py") == ["d/link.py"]

"""A fault put into procsup on purpose is found by lives of projects."""

import sys

import pytest

from tests.support.lives import World
from tests.support.projects import Project

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")

BLIND = """
import runpy
from procsup.core.keep import FileChanges
from procsup.host import readings

readings.compare_with_record = lambda *_args, **_settings: FileChanges()
runpy.run_module("procsup", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    ("change", "said"),
    [("write a two", "copy/a was made from"), ("delete copy/a 0", "copy/a made")],
)
def test_a_procsup_that_does_not_look_at_files_is_found_out(tmp_path, monkeypatch, change, said):
    monkeypatch.setattr(Project, "program", ("-c", BLIND))

    with pytest.raises(AssertionError, match=said):
        World(tmp_path / "p0").live(["stages copy", "run", change, "run"])

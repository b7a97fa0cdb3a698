"""The tests start on Windows: each of their modules is imported as if this were it."""

import subprocess
import sys

import pytest

from tests.support.projects import PROGRAMS

if sys.platform != "linux":
    pytest.skip("is played on Linux", allow_module_level=True)


def test_each_module_of_tests_is_imported_on_windows_or_skips_itself():
    done = subprocess.run(
        [sys.executable, str(PROGRAMS / "import_as_on_windows.py")],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert (done.stdout, done.returncode) == ("", 0), done.stderr

"""What a person reads of an error that only the system can explain."""

import pytest

from procsup.cli import group
from procsup.host import files


@pytest.fixture
def failing(monkeypatch):
    """A command line whose verb meets this error; returns what is said and the exit code."""

    def run(error, capsys, act=None):
        def make_context(*_args):
            if act is not None:
                act()
            raise error

        monkeypatch.setattr(group.cli, "make_context", make_context)
        code = group.carry_out(["list"])
        return capsys.readouterr().err, code

    return run


def test_an_error_of_the_system_names_the_file(failing, capsys):
    said, code = failing(PermissionError(13, "Permission denied", "a/b"), capsys)

    assert (said, code) == ("procsup: a/b: Permission denied\n", 74)


def test_an_error_of_the_system_without_a_file_names_the_place(failing, capsys, monkeypatch):
    def refuse(_name, _mode):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(files.os, "mkdir", refuse)
    said, code = failing(None, capsys, lambda: files.make_folders("folder"))

    assert said == (
        "procsup: the system refused a call that procsup needs: Cannot allocate memory"
        " (in procsup.host.files, make_folders)\n"
    )
    assert code == 74

"""Names that differ by system."""

import sys

from procsup.host import names


def test_a_version_of_python_is_called_as_the_system_calls_it():
    wanted = ("py", "-3.12") if sys.platform == "win32" else ("python3.12",)

    assert names.find_python_command("3.12") == wanted


def test_the_running_python_is_found_even_if_it_does_not_know_itself(monkeypatch):
    assert names.get_running_python() == sys.executable
    monkeypatch.setattr(sys, "executable", None)
    version = ".".join(map(str, sys.version_info[:2]))

    assert names.get_running_python() == names.find_python_command(version)[0]


def test_the_limits_leave_room_for_one_long_argument():
    limits = names.get_argument_limits()

    assert 30_000 < limits.one <= limits.total


def test_only_names_without_a_folder_are_looked_for():
    assert names.is_bare_name("python3")
    assert not names.is_bare_name("./python3")


def test_paths_of_one_file_have_one_key():
    assert (names.make_path_key("A") == names.make_path_key("a")) == (sys.platform == "win32")


def test_a_python_file_is_a_script_unless_the_system_starts_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain.py").write_text("")
    (tmp_path / "started.py").write_text("#!/usr/bin/env python3\n")
    (tmp_path / "marked.py").write_text("")
    for name in ("started.py", "marked.py"):
        (tmp_path / name).chmod(0o755)

    found = ["plain.py", "./plain.py", "./marked.py", "started.py", "absent.py", "plain", "."]
    assert [names.find_script(word) for word in found] == [*found[:4], None, None, None]
    itself = None if sys.platform != "win32" else "./started.py"
    assert names.find_script("./started.py") == itself

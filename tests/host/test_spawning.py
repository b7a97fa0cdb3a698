"""What a start gives a process, and what it keeps from it."""

import json
import os
import sys

import pytest

if sys.platform == "win32":
    pytest.skip("POSIX", allow_module_level=True)

from procsup.host import spawning
from procsup.host.processes import Launch

TELL = """
import json, os, signal, sys
fds = {}
for fd in range(256):
    try:
        os.fstat(fd)
    except OSError:
        continue
    fds[fd] = True
print(json.dumps({
    "cwd": os.getcwd(),
    "argv": sys.argv[1:],
    "env": dict(os.environ),
    "fds": sorted(fds),
    "leads": os.getsid(0) == os.getpid(),
    "mask": sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ()))),
}))
"""


def launch(folder, argv, **kwargs):
    out = os.open(os.path.join(str(folder), "out"), os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    wanted = {"program": argv[0], "argv": tuple(argv), "cwd": str(folder), "env": {"A": "1"}}
    return Launch(**{**wanted, **kwargs, "stdin": null, "stdout": out, "stderr": out})


def run(folder, argv, **kwargs):
    wanted = launch(folder, argv, **kwargs)
    try:
        _, status = os.waitpid(spawning.start(wanted), 0)
        assert status == 0, os.pread(wanted.stdout, 9999, 0)
        return os.pread(wanted.stdout, 99999, 0).decode()
    finally:
        for fd in (wanted.stdin, wanted.stdout):
            os.close(fd)


def told(folder, *arguments, **kwargs):
    return json.loads(run(folder, [sys.executable, "-c", TELL, *arguments], **kwargs))


def test_a_child_gets_its_folder_arguments_and_environment(tmp_path):
    folder = tmp_path / "some where"
    folder.mkdir()
    here = os.getcwd()

    seen = told(folder, "a b", "", env={"NAME": "value", "EMPTY": ""})

    assert seen["cwd"] == os.path.realpath(str(folder))
    assert seen["argv"] == ["a b", ""]
    assert {name: seen["env"].get(name) for name in ("NAME", "EMPTY")} == {
        "NAME": "value",
        "EMPTY": "",
    }
    assert "PATH" not in seen["env"]
    assert os.getcwd() == here


def test_a_child_leads_a_session_with_no_signal_blocked_or_ignored(tmp_path):
    import signal

    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        seen = told(tmp_path)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    assert seen["leads"] is True
    assert seen["mask"] == []


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads /proc")
def test_what_python_ignores_is_not_ignored_in_a_child(tmp_path):
    cat = ["/bin/sh", "-c", "grep SigIgn /proc/self/status"]

    said = run(tmp_path, cat)

    own = (1 << 31) - 1  # above are real-time signals, two of which are the C library's
    assert int(said.split()[1], 16) & own == 0


def test_only_the_streams_and_what_is_handed_down_are_open_in_a_child(tmp_path):
    reading, writing = os.pipe()
    stranger = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(stranger, True)  # as a shell's `3<file` is
    try:
        seen = told(tmp_path, inherited_fds=(writing,))
    finally:
        for fd in (reading, writing, stranger):
            os.close(fd)

    assert seen["fds"] == [0, 1, 2, writing]


@pytest.mark.parametrize(
    ("argv", "error"),
    [
        (["/nonexistent/program"], FileNotFoundError),
        (["/"], PermissionError),
        (["/bin/true", "nul\0nul"], ValueError),
        (["/bin/true", "x" * (1 << 23)], OSError),
    ],
)
def test_what_cannot_be_started_raises_and_we_stay_where_we_were(tmp_path, argv, error):
    here = os.getcwd()

    with pytest.raises(error):
        run(tmp_path, argv)

    assert os.getcwd() == here


def test_a_folder_that_is_missing_raises(tmp_path):
    with pytest.raises(FileNotFoundError):
        run(tmp_path, ["/bin/true"], cwd=str(tmp_path / "missing"))


@pytest.mark.survives("F12")
def test_a_file_that_is_no_program_raises(tmp_path):
    file = tmp_path / "file"
    file.write_text("neither\n")
    file.chmod(0o700)

    with pytest.raises(OSError, match="format"):
        run(tmp_path, [str(file)])


@pytest.mark.survives("F15")
def test_text_that_is_not_unicode_arrives_as_it_is(tmp_path):
    text = os.fsdecode(b"\xff\xfe")

    said = run(tmp_path, ["/bin/sh", "-c", 'test "$A" = "$0" && echo same', text], env={"A": text})

    assert said == "same\n"

"""Both ways of starting a process promise the same."""

import json
import os
import sys
from contextlib import contextmanager

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

WAYS = [spawning.PopenSpawner]
if sys.platform == "linux":
    WAYS.append(spawning.PosixSpawner)


@contextmanager
def open_spawner(way, inherited_fds=()):
    spawner = way(inherited_fds)
    try:
        yield spawner
    finally:
        spawner.close()


def launch(folder, argv, **kwargs):
    out = os.open(os.path.join(str(folder), "out"), os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    wanted = {"program": argv[0], "argv": tuple(argv), "cwd": str(folder), "env": {"A": "1"}}
    return Launch(**{**wanted, **kwargs, "stdin": null, "stdout": out, "stderr": out})


def run(way, folder, argv, inherited_fds=(), **kwargs):
    wanted = launch(folder, argv, **kwargs)
    try:
        with open_spawner(way, inherited_fds) as spawner:
            pid = spawner.spawn(wanted)
            _, status = os.waitpid(pid, 0)
        assert status == 0, os.pread(wanted.stdout, 9999, 0)
        return os.pread(wanted.stdout, 99999, 0).decode()
    finally:
        for fd in (wanted.stdin, wanted.stdout):
            os.close(fd)


def told(way, folder, *arguments, **kwargs):
    return json.loads(run(way, folder, [sys.executable, "-c", TELL, *arguments], **kwargs))


@pytest.fixture(params=WAYS, ids=lambda way: way.__name__)
def way(request):
    return request.param


def test_a_child_gets_its_folder_arguments_and_environment(way, tmp_path):
    folder = tmp_path / "some where"
    folder.mkdir()
    here = os.getcwd()

    seen = told(way, folder, "a b", "", env={"NAME": "value", "EMPTY": ""})

    assert seen["cwd"] == os.path.realpath(str(folder))
    assert seen["argv"] == ["a b", ""]
    assert {name: seen["env"].get(name) for name in ("NAME", "EMPTY")} == {
        "NAME": "value",
        "EMPTY": "",
    }
    assert "PATH" not in seen["env"]
    assert os.getcwd() == here


def test_a_child_leads_a_session_with_no_signal_blocked_or_ignored(way, tmp_path):
    import signal

    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        seen = told(way, tmp_path)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    assert seen["leads"] is True
    assert seen["mask"] == []


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads /proc")
def test_what_python_ignores_is_not_ignored_in_a_child(way, tmp_path):
    cat = ["/bin/sh", "-c", "grep SigIgn /proc/self/status"]

    said = run(way, tmp_path, cat)

    own = (1 << 31) - 1  # above are real-time signals, two of which are the C library's
    assert int(said.split()[1], 16) & own == 0


def test_only_the_streams_and_what_is_handed_down_are_open_in_a_child(way, tmp_path):
    reading, writing = os.pipe()
    stranger = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(stranger, True)  # as a shell's `3<file` is
    try:
        seen = told(way, tmp_path, inherited_fds=(writing,))
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
def test_what_cannot_be_started_raises_and_we_stay_where_we_were(way, tmp_path, argv, error):
    here = os.getcwd()

    with pytest.raises(error):
        run(way, tmp_path, argv)

    assert os.getcwd() == here


def test_a_folder_that_is_missing_raises(way, tmp_path):
    with pytest.raises(FileNotFoundError):
        run(way, tmp_path, ["/bin/true"], cwd=str(tmp_path / "missing"))


def test_a_file_that_is_no_program_raises(way, tmp_path):
    file = tmp_path / "file"
    file.write_text("neither\n")
    file.chmod(0o700)

    with pytest.raises(OSError, match="format"):
        run(way, tmp_path, [str(file)])


def test_text_that_is_not_unicode_arrives_as_it_is(way, tmp_path):
    text = os.fsdecode(b"\xff\xfe")

    said = run(
        way, tmp_path, ["/bin/sh", "-c", 'test "$A" = "$0" && echo same', text], env={"A": text}
    )

    assert said == "same\n"


def test_one_that_works_is_found_even_where_proc_is_hidden(monkeypatch):
    def hidden(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "listdir", hidden)

    found = spawning.spawner()
    found.close()

    assert type(found) is spawning.PopenSpawner


@pytest.mark.parametrize(
    ("said", "version"),
    [("glibc 2.36", (2, 36)), ("glibc 2.31.9000", (2, 31, 9000)), (None, ()), ("musl 1.2", ())],
)
def test_the_c_library_is_known_by_what_the_system_says(monkeypatch, said, version):
    monkeypatch.setattr(os, "confstr", lambda _name: said)

    assert spawning._glibc_version() == version


def test_the_slower_way_is_taken_with_another_c_library(monkeypatch):
    def unknown(_name):
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "confstr", unknown)

    assert type(spawning.spawner()) is spawning.PopenSpawner

import json
import os
import signal
import sys

import pytest

from procsup.errors import RecordError
from procsup.host import boot, detach, guard
from procsup.host.opened import Folder

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="pipes as signals of an end")

# The request is Python code and its arguments.
FAKE_CLI = """\
import sys, types
def main(words):
    import json
    argv = json.loads(sys.stdin.readline())
    exec(argv[0], {"argv": argv})
    return 0
hosted = types.ModuleType("procsup.cli.hosted")
hosted.main = main
sys.modules["procsup.cli.hosted"] = hosted
"""
ANNOUNCE = "import os; from procsup.host import detach; detach.announce({}, argv[1])"


@pytest.fixture(autouse=True)
def fake_cli(monkeypatch):
    monkeypatch.setattr(boot, "_BOOT", boot._BOOT + FAKE_CLI)


def start(code, *args, **options):
    relayed = []
    request = json.dumps([code, *args]).encode() + b"\n"
    result = detach.start_detached("label", [request], relay=relayed.append, **options)
    return result, b"".join(relayed)


def test_it_returns_what_was_announced(tmp_path):
    log = tmp_path / "log"
    code = ANNOUNCE.format('{"ready": "/run dir/é@id", "pid": os.getpid()}')
    result, relayed = start(code, str(log))

    assert result.ready["ready"] == "/run dir/é@id"
    assert result.ready["pid"] != os.getpid()
    assert relayed == b""


def test_json_of_other_code_is_no_announcement(tmp_path):
    code = 'print(\'{"id": 1, "sitting": 2}\', flush=True);' + ANNOUNCE.format('{"ready": 1}')
    result, _ = start(code, str(tmp_path / "log"))

    assert result.ready == {"ready": 1}


def test_what_is_said_before_it_is_ready_is_passed_on_and_what_is_said_later_goes_to_the_log(
    tmp_path,
):
    log, fifo = tmp_path / "log", tmp_path / "fifo"
    code = (
        "import os, sys; print('one moment', file=sys.stderr, flush=True);"
        + ANNOUNCE.format('{"ready": 1}')
        + "; print('out'); print('err', file=sys.stderr); sys.stdout.flush();"
        " sys.stderr.flush();"
        " open(argv[2], 'w').close()"
    )
    if sys.platform == "win32":
        fifo.touch()
    else:
        os.mkfifo(fifo)
    result, relayed = start(code, str(log), str(fifo))
    with fifo.open() as end:  # on POSIX this waits until the other has come so far
        end.read()

    assert relayed.split() == [b"one", b"moment"]
    assert result.said.split() == ["one", "moment"]
    if sys.platform != "win32":
        assert sorted(log.read_text().split()) == ["err", "out"]
        assert log.stat().st_mode & 0o777 == 0o600


def test_an_early_end_is_returned_with_its_code_and_its_last_words():
    result, relayed = start("import sys; print('no such file', file=sys.stderr); sys.exit(2)")

    assert result.ready is None
    assert result.exit_code == 2
    assert result.said.strip() == "no such file"
    assert relayed.strip() == b"no such file"


@posix_only
def test_an_early_death_by_signal_is_returned_as_such():
    result, _ = start("import os; os.kill(os.getpid(), 15)")

    assert (result.ready, result.exit_code, result.said) == (None, -signal.SIGTERM, "")


@posix_only
def test_it_is_alone_under_a_guard_in_a_session_of_its_own(tmp_path):
    code = (
        "from procsup.host import guard; import os, sys;"
        "facts = dict(sid=os.getsid(0), parent=os.getppid(),"
        " guarded=guard.find_guard_link() is not None,"
        " path=sys.path, name=sys.argv[0],"
        " python=os.environ.get('PYTHONPATH'));"
    ) + ANNOUNCE.format("facts")
    result, _ = start(code, str(tmp_path / "log"))
    facts = result.ready

    assert facts["sid"] == facts["parent"] != os.getsid(0)
    assert (facts["guarded"], facts["name"]) == (True, "procsup")
    assert "" not in facts["path"]
    assert facts["python"] == os.environ.get("PYTHONPATH")


@pytest.mark.survives("F53")
def test_a_module_in_the_current_folder_is_not_executed(tmp_path, monkeypatch):
    for name in ("json", "signal", "enum", "procsup"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(99)")
    monkeypatch.chdir(tmp_path)
    result, _ = start("import json, signal; raise SystemExit(5)")

    assert (result.exit_code, result.said) == (5, "")


def test_other_lines_on_stdout_are_no_announcement(tmp_path):
    code = "print('hello', flush=True); print('[1]', flush=True);" + ANNOUNCE.format('{"a": 1}')
    result, _ = start(code, str(tmp_path / "log"))

    assert result.ready == {"a": 1}


@posix_only
def test_a_start_that_is_interrupted_is_called_off(tmp_path, monkeypatch):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def interrupt(stdout):
        raise KeyboardInterrupt

    monkeypatch.setattr(boot, "_read_announcement", interrupt)
    with pytest.raises(KeyboardInterrupt):
        start("open(argv[1], 'w').write('not called off')", str(fifo))
    # Nobody of it can be waiting to open the other end.
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    os.close(reader)


def test_an_announcement_without_a_reader_releases_the_streams_too(tmp_path, capfd):
    log = tmp_path / "log"
    code = "import os; os.close(1);" + ANNOUNCE.format('{"a": 1}') + "; print('to the log')"
    result, _ = start(code, str(log))

    assert (result.ready, result.exit_code) == (None, 0)
    assert log.read_text().strip() == "to the log"


@posix_only
@pytest.mark.parametrize("plant", [os.symlink, os.link, lambda _victim, log: os.mkfifo(log)])
def test_a_log_that_was_planted_is_refused_before_anything_is_told(tmp_path, capfd, plant):
    victim = tmp_path / "victim"
    victim.write_text("kept")
    plant(victim, tmp_path / "log")
    with pytest.raises(RecordError, match="refused"):
        detach.announce({"ready": 1}, str(tmp_path / "log"))

    assert victim.read_text() == "kept"
    assert capfd.readouterr().out == ""


@posix_only
@pytest.mark.survives("F87")
def test_the_log_is_made_in_the_open_folder_whatever_has_its_place(tmp_path, monkeypatch):
    monkeypatch.setattr(detach, "release_streams", os.close)
    run, victim = tmp_path / "run", tmp_path / "victim"
    run.mkdir()
    victim.mkdir()
    with Folder.open(run) as folder:
        run.rename(tmp_path / "before")
        run.symlink_to(victim)
        detach.announce({}, str(run / "log"), dir_fd=folder.fd)

    assert list(victim.iterdir()) == []
    assert (tmp_path / "before" / "log").exists()


@pytest.mark.survives("F86")
@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root gives files")
def test_a_log_of_another_user_than_the_folder_s_is_refused(tmp_path, capfd):
    log = tmp_path / "log"
    log.write_text("theirs")
    os.chown(log, 60001, 60001)
    with Folder.open(tmp_path) as folder, pytest.raises(RecordError, match="belongs to"):
        detach.announce({"ready": 1}, str(log), dir_fd=folder.fd)

    assert log.read_text() == "theirs"
    assert capfd.readouterr().out == ""


def test_a_log_that_cannot_be_made_is_named(tmp_path, capfd):
    with pytest.raises(RecordError, match="nowhere"):
        detach.announce({"ready": 1}, str(tmp_path / "nowhere" / "log"))

    assert capfd.readouterr().out == ""


def test_the_guard_of_the_starter_is_told_to_leave_it_alone(monkeypatch):
    told = []

    class Line:
        def release(self):
            told.append("release")

    monkeypatch.setattr(guard, "_guard_link", Line())
    start("raise SystemExit(3)")

    assert told == ["release"]


def test_an_announcement_is_one_line_of_ascii(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(detach, "release_streams", os.close)
    detach.announce({"ready": "é\n"}, str(tmp_path / "log"))
    out = capfd.readouterr().out

    assert out.isascii()
    assert out.count("\n") == 1
    assert json.loads(out) == {boot.READY: True, "ready": "é\n"}

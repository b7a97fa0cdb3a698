import os
import signal
import subprocess
import sys

import pytest

if sys.platform == "win32":
    pytest.skip("Windows has no guard: a Job Object does its work", allow_module_level=True)

from procsup.host import guard, guard_link, guardian, procfs
from tests.support.guarded import guarded

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has subreapers")
PROMISED_S = 1.0  # from the supervisor's death to the last process of its trees


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_the_guard_exits_as_the_supervisor_did(code):
    with guarded(str(code)) as run:
        assert run.wait() == code


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGKILL", "SIGSEGV", "SIGQUIT"])
def test_the_guard_dies_by_the_signal_that_ended_the_supervisor(name, tmp_path):
    with guarded(name, cwd=tmp_path) as run:
        assert run.wait() == -signal.Signals[name]
    assert list(tmp_path.iterdir()) == []  # no core


@pytest.mark.survives("F01")
def test_an_exit_status_is_known_even_if_SIGCHLD_was_ignored_at_the_start():
    ignoring = [sys.executable, "-S", "-c", _EXEC.format("signal.signal(17, signal.SIG_IGN)")]
    with guarded("7", before=ignoring) as run:
        assert run.wait() == 7


def test_the_supervisor_starts_with_nothing_blocked_and_SIGCHLD_at_its_default():
    deed = "signal.pthread_sigmask(0, [15, 1, 2]); signal.signal(signal.SIGCHLD, signal.SIG_IGN)"
    with guarded("show-signals", before=[sys.executable, "-S", "-c", _EXEC.format(deed)]) as run:
        run.wait_until_all_gone()
        assert run.wait() == 0
        assert run.lines[-2:] == ["blocked 0", "SIGCHLD default True"]


_EXEC = "import os, signal, sys; {}; os.execv(sys.argv[1], sys.argv[1:])"


@linux_only
def test_nothing_survives_the_SIGKILL_of_the_supervisor_for_a_second():
    with guarded("wait", "plain", "daemon", "plain", "daemon") as run:
        run.wait_for("child", times=4)
        run.wait_for("ready")
        os.kill(run.pid_of("supervisor"), signal.SIGKILL)
        run.wait_until_all_gone(within_s=PROMISED_S)

        assert run.wait() == -signal.SIGKILL


@pytest.mark.survives("F31")
def test_a_later_process_with_the_supervisor_s_pid_does_not_hide_its_end(monkeypatch):
    ended = iter([(71, 0), (70, 9), (70, 0), (72, 0), (70, 0), (0, 0)])
    monkeypatch.setattr(guardian.os, "waitpid", lambda pid, options: next(ended))
    one = guardian.Guardian(70, -1, set(), guardian.Terminal(), adopts=True)

    assert one._reap() == 9
    assert one._reap() is None


@pytest.mark.survives("F29")
@linux_only
@pytest.mark.parametrize("kind", ["breeder", "bomb"])
def test_trees_that_breed_faster_than_they_are_walked_are_ended(kind):
    with guarded("wait", kind) as run:
        run.wait_for("ready")
        os.kill(run.pid_of("supervisor"), signal.SIGKILL)
        run.wait_until_all_gone()

        assert run.wait() == -signal.SIGKILL


@linux_only
def test_a_daemon_is_ended_when_the_supervisor_exits_by_itself():
    with guarded("end", "daemon") as run:
        run.wait_until_all_gone()

        assert run.wait() == 0


@linux_only
def test_what_was_released_lives_on():
    with guarded("release", "plain") as run:
        child = run.pid_of("child")
        assert run.wait() == 0
        process = procfs.look(child)

        assert process is not None
        assert not process.dead


@linux_only
def test_a_child_that_a_shell_had_before_it_called_exec_is_left_alone():
    script = 'sleep 60 & echo "stranger $!"; exec "$@"'
    with guarded("end", "daemon", before=["sh", "-c", script, "sh"]) as run:
        assert run.wait() == 0
        stranger = procfs.look(run.pid_of("stranger"))

        assert stranger is not None
        assert not stranger.dead


@linux_only
def test_where_orphans_are_not_adopted_they_are_found_by_their_environment():
    with guarded("tell-run") as run:
        run.wait_for("ready")
        os.kill(run.pid_of("supervisor"), signal.SIGKILL)
        run.wait_until_all_gone()

        assert run.lines[0].endswith("adopts False")
        assert run.wait() == -signal.SIGKILL


def test_the_supervisor_learns_of_the_death_of_the_guard():
    with guarded("watch-guard") as run:
        run.wait_for("ready")
        os.kill(run.pid_of("guard"), signal.SIGKILL)

        assert run.wait_for("guard alive") == "False"


def test_the_guard_forks_before_anything_heavy_is_imported():
    code = (
        "import sys; before = set(sys.modules); import procsup.__main__, procsup.host.guard,"
        " procsup.host.procfs; print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    loaded = done.stdout.decode().split()
    ours = {name for name in loaded if name.startswith("procsup")}
    light = {"__future__", "signal", "_signal", "enum", "types", "collections", "functools"}
    light |= {"operator", "keyword", "heapq", "reprlib", "itertools", "gc", "errno", "atexit"}

    assert ours == {
        "procsup",
        "procsup.__main__",
        "procsup.host",
        "procsup.host.guard",
        "procsup.host.guard_link",
        "procsup.host.pidfds",
        "procsup.host.procfs",
        "procsup.host.signals",
    }
    assert {name.lstrip("_").split(".")[0] for name in set(loaded) - ours} <= {
        name.lstrip("_") for name in light
    }


def test_inside_another_program_there_is_no_guard():
    assert guard.find_guard_link() is None


def a_guard_link(word):
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.write(writer, word)
    return guard_link.GuardLink(reader, writer), writer


@pytest.mark.parametrize(("word", "adopts"), [(b"+", True), (b"-", False)])
def test_a_guard_link_tells_whether_orphans_are_adopted(word, adopts):
    line, writer = a_guard_link(word)
    line.wait_until_ready(5)

    assert line.adopts is adopts
    assert line.is_alive()
    os.close(writer)
    assert not line.is_alive()
    os.close(line.fd)


def test_a_guard_that_is_not_ready_in_time_is_an_error():
    line, writer = a_guard_link(b"")
    with pytest.raises(TimeoutError, match=r"not ready within 0\.01 s"):
        line.wait_until_ready(0.01)
    os.close(writer)
    os.close(line.fd)


def test_what_is_told_to_a_dead_guard_is_lost_without_a_word():
    reader, writer = os.pipe()
    os.close(reader)
    guard_link.GuardLink(-1, writer).tell_run_id("r")
    os.close(writer)


def test_a_fork_that_fails_leaves_nothing_behind(monkeypatch):
    def no_more_processes():
        raise BlockingIOError("Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", no_more_processes)
    opened = len(os.listdir("/dev/fd"))
    with pytest.raises(BlockingIOError):
        guard.fork_supervisor()

    assert len(os.listdir("/dev/fd")) == opened
    assert signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL
    assert guard.find_guard_link() is None


@pytest.mark.survives("F32")
def test_process_1_of_a_container_exits_with_the_code_of_the_signal():
    code = "import os; os.getpid = lambda: 1\nfrom procsup.host.signals import die_by; die_by(15)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 128 + 15


def test_output_is_written_before_a_death_by_signal():
    code = "from procsup.host.signals import die_by; print('last words', end=''); die_by(15)"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE)

    assert (done.returncode, done.stdout) == (-15, b"last words")


def test_a_shell_loop_around_it_ends_with_it():
    script = 'for i in 1 2 3; do "$@"; done; echo "loop survived"'
    run = guarded("wait", before=["bash", "-c", script, "bash"], start_new_session=True)
    with run:
        run.wait_for("ready")
        os.killpg(run.process.pid, signal.SIGINT)
        run.wait_until_all_gone()

        assert run.wait() == -signal.SIGINT
        assert "loop survived" not in run.lines

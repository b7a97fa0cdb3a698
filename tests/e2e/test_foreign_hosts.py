"""The library inside programs that others wrote; each where it is installed."""

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest

from tests.support.projects import ROOT

LIMIT_S = 120.0
pytestmark = [
    pytest.mark.slow,
    pytest.mark.once,
    pytest.mark.skipif(sys.platform == "win32", reason="these hosts, or their ways, are POSIX"),
]

USE = """
def use(count=2):
    manifest = procsup.run_units([["true"]] * count, progress="none")
    with procsup.start_units([["true"]]) as run:
        last = list(run.events())[-1]
    return [manifest.status, len(manifest.units), last.status]
"""
GEVENT = """
from gevent import monkey
monkey.patch_all()
import gevent
import procsup

turns = []

def turn():
    while True:
        turns.append(1)
        gevent.sleep(0.01)

gevent.spawn(turn)
with procsup.start_units([["cat", "fifo"]]) as run:
    before = len(turns)
    try:
        run.wait("500ms")
    except procsup.WaitTimeout:
        print("late", len(turns) > before + 2)
    open("fifo", "w").close()
    print([type(event).__name__ for event in run.events()][-1])
"""
GUNICORN = f"""
import procsup
{USE}
preloaded = use()

def app(environ, start_response):
    start_response("200 OK", [])
    return [repr([preloaded, use()]).encode()]
"""
CELERY = f"""
import celery
import procsup
{USE}
app = celery.Celery("host", broker="filesystem://", backend="file://" + "RESULTS")
folders = {{"data_folder_in": "queue", "data_folder_out": "queue"}}
app.conf.broker_transport_options = folders
app.task(use, name="use")
"""

TK = """
import threading
import tkinter

import procsup

root = tkinter.Tk()
turns = []

def turn():
    turns.append(1)
    if len(turns) == 5:
        open("fifo", "w").close()
    root.after(10, turn)

def press():
    run = procsup.start_units([["cat", "fifo"]])
    threading.Thread(target=watch, args=[run]).start()
    turn()

def watch(run):
    kinds = [type(event).__name__ for event in run.events()]
    root.after(0, finish, kinds[-1])

def finish(last):
    manifest = procsup.run_units([["true"]], progress="none")
    print(last, len(turns) >= 5, manifest.status, root.tk.call("exec", "echo", "tcl"))
    root.destroy()

button = tkinter.Button(root, command=press)
root.after(0, button.invoke)
root.mainloop()
"""
XDIST = f"""
import os
import procsup
import pytest
{USE}
@pytest.mark.parametrize("count", range(1, 4))
def test_runs(count, worker_id):
    assert worker_id == os.environ["PYTEST_XDIST_WORKER"]
    assert use(count) == ["succeeded", count, "succeeded"]
"""


def run_python(folder, *words, limit_s=LIMIT_S, **variables):
    return subprocess.run(
        [sys.executable, *words],
        cwd=str(folder),
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=limit_s,
    )


def begin_python(folder, *words):
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=str(folder),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process):
    process.terminate()
    return process.communicate(timeout=LIMIT_S)[0]


def test_under_gevent_a_wait_has_its_limit_and_other_greenlets_go_on(tmp_path):
    pytest.importorskip("gevent", reason="gevent is not installed")
    (tmp_path / "host.py").write_text(GEVENT)
    os.mkfifo(str(tmp_path / "fifo"))

    done = run_python(tmp_path, "host.py")

    assert done.stdout.splitlines() == ["late True", "RunEnded"], done.stderr


@contextmanager
def screen():
    """A display of X that nothing is shown on; yields its name."""
    reading, writing = os.pipe()
    words = ["Xvfb", "-displayfd", str(writing), "-nolisten", "tcp", "-screen", "0", "640x480x24"]
    server = subprocess.Popen(words, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    try:
        with os.fdopen(reading) as pipe:
            yield ":" + pipe.readline().strip()
    finally:
        server.terminate()
        server.wait(LIMIT_S)


def test_a_window_of_tk_lives_on_while_a_run_goes_on_and_is_told_of_its_end(tmp_path):
    pytest.importorskip("tkinter", reason="this Python has no tkinter")
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed")
    (tmp_path / "host.py").write_text(TK)
    os.mkfifo(str(tmp_path / "fifo"))

    with screen() as display:
        done = run_python(tmp_path, "host.py", DISPLAY=display)

    assert done.stdout.splitlines() == ["RunEnded True succeeded tcl"], done.stderr


def test_workers_of_pytest_xdist_run_units_side_by_side_in_one_folder(tmp_path):
    pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    (tmp_path / "test_host.py").write_text(XDIST)
    words = [
        "-m",
        "pytest",
        "-q",
        "-p",
        "xdist",
        "-n",
        "2",
        "--dist",
        "each",
        "-p",
        "no:cacheprovider",
    ]

    done = run_python(tmp_path, *words, "test_host.py", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")

    assert "6 passed" in done.stdout, (done.stdout, done.stderr)


def test_gunicorn_s_workers_use_what_was_loaded_before_they_were_forked(tmp_path):
    pytest.importorskip("gunicorn", reason="gunicorn is not installed")
    (tmp_path / "host.py").write_text(GUNICORN)
    socket = tmp_path / "socket"
    words = ["-m", "gunicorn", "--preload", "-w", "2", "-b", f"unix:{socket}", "host:app"]
    server = begin_python(tmp_path, *words)
    try:
        for line in server.stdout:
            if "Booting worker" in line:
                break
        answers = [ask(socket) for _ in range(4)]
    finally:
        finish(server)

    good = ["succeeded", 2, "succeeded"]
    assert [answer.splitlines()[-1] for answer in answers] == [repr([good, good])] * 4


def ask(path):
    import socket

    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(LIMIT_S)
        line.connect(str(path))
        line.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return line.makefile("rb").read().decode()


def test_a_celery_worker_runs_units(tmp_path):
    pytest.importorskip("celery", reason="celery is not installed")
    (tmp_path / "host.py").write_text(CELERY.replace("RESULTS", str(tmp_path / "results")))
    for name in ("queue", "results"):
        (tmp_path / name).mkdir()
    worker = begin_python(tmp_path, "-m", "celery", "-A", "host", "worker", "-c", "2")
    code = (
        "import host; sent = [host.app.send_task('use', [n]) for n in (1, 3)];"
        f"print([one.get(timeout={LIMIT_S}) for one in sent])"
    )
    try:
        done = run_python(tmp_path, "-c", code)
    finally:
        said = finish(worker)

    expected = [["succeeded", count, "succeeded"] for count in (1, 3)]
    assert done.stdout.strip() == repr(expected), (done.stderr, said)


def test_a_program_frozen_into_one_file_names_the_python_to_use(tmp_path):
    pytest.importorskip("PyInstaller", reason="PyInstaller is not installed")
    (tmp_path / "host.py").write_text(f"import procsup\n{USE}\nprint(use())\n")
    words = ["-m", "PyInstaller", "--onefile", "--log-level", "ERROR", "--paths", str(ROOT)]
    made = run_python(tmp_path, *words, "host.py", limit_s=3 * LIMIT_S)
    assert made.returncode == 0, made.stderr
    environment = {**os.environ, "PROCSUP_PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}

    def run_frozen(**more):
        return subprocess.run(
            [str(tmp_path / "dist" / "host")],
            cwd=str(tmp_path),
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            **more,
        )

    assert "it is frozen, and would start itself" in run_frozen().stderr
    done = run_frozen(env=environment)
    assert done.stdout.strip() == repr(["succeeded", 2, "succeeded"]), done.stderr

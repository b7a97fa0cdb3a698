"""`procsup queue`: from its start to its close, as a user of several terminals."""

import json
import os
import signal
import subprocess
import sys
from itertools import chain

import psutil
import pytest

from tests.faults.laws import until
from tests.support.projects import LIMIT_S, PROGRAMS, PYTHON, ROOT, Project

pytestmark = pytest.mark.slow


class Queue:
    """A queue called q, in a home folder of its own; commands are added from `project`."""

    def __init__(self, home, project):
        self.home, self.project = home, project
        self.rundir = home / ".procsup" / "q"
        self.environment = {"HOME": str(home), "USERPROFILE": str(home)}

    def call(self, *words, expect=0, **settings):
        environment = {**self.environment, **settings.pop("env", {})}
        done = self.project.call(*words, env=environment, **settings)
        assert done.returncode == expect, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def start(self, *options):
        return self.call("queue", "start", "q", *options).stdout.strip()

    def add(self, *words, options=(), **settings):
        return self.call("queue", "add", "q", *options, *words, **settings).stdout.strip()

    def add_python(self, code, *options, **settings):
        return self.add(sys.executable, "-c", code, options=options, **settings)

    def add_gated(self, gate, name):
        return self.add(sys.executable, "-S", str(PROGRAMS / "gated.py"), str(gate.port), name)

    def wait(self, *ids, expect=0):
        return self.call("wait", "q", *ids, expect=expect)

    def finish(self, expect=0):
        self.call("queue", "close", "q")
        return self.wait(expect=expect)

    @property
    def owner(self):
        return json.loads((self.rundir / "run.lock").read_text())

    def verdicts(self):
        units = json.loads((self.rundir / "manifest.json").read_text())["units"]
        return {one["id"].partition("/")[2]: one["verdict"] for one in units}


def is_alive(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def queue(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "elsewhere").mkdir()
    made = Queue(tmp_path / "home", Project(tmp_path / "elsewhere"))
    yield made
    if made.rundir.exists():
        made.project.call("stop", "q", env=made.environment)


def write(path, text):
    return f"open({str(path)!r}, 'a').write({text!r})"


def test_commands_run_where_they_were_added_and_each_can_be_waited_for(queue):
    queue.start()
    other = Project(queue.project.folder / "deep" / "er", "")
    other.folder.mkdir(parents=True)

    first = queue.add_python("import os; print(os.getcwd())")
    queue.project, here = other, queue.project
    second = queue.add_python("import os, sys; print(os.getcwd()); sys.exit(3)")

    assert (first, second) == ("1", "2")
    assert queue.wait("1").stderr == "q 1 succeeded\n"
    assert queue.wait("2", expect=1).stderr == "q 2 failed: exit 3\n"
    assert queue.call("logs", "q", "1").stdout.strip().endswith(str(here.folder))
    assert queue.call("logs", "q", "2").stdout.strip().endswith(str(other.folder))
    assert "1 of 2 units succeeded" in queue.finish(expect=1).stderr


def test_it_is_not_final_before_it_is_closed(queue):
    queue.start()
    queue.add_python("pass")
    queue.wait("1")

    queue.call("wait", "q", "--timeout", "0", expect=124)
    queue.finish()

    assert queue.verdicts() == {"1": "succeeded"}
    queue.call("queue", "add", "q", "true", expect=2)


def test_ids_are_no_others_after_it_was_opened_again(queue):
    first = queue.start()
    queue.add_python("pass")
    queue.finish()

    second = queue.start()

    assert first != second
    assert queue.add_python("pass") == "2"
    assert queue.wait("1").stderr == "q 1 succeeded\n"
    queue.finish()
    assert queue.verdicts() == {"2": "succeeded"}


def test_of_a_dead_supervisor_the_next_one_takes_up_what_was_not_over(queue, tmp_path, gate):
    ran = tmp_path / "ran"
    queue.start("-j1")
    queue.add_python(write(ran, "first "))
    queue.add_python(f"{write(ran, 'failed ')}; import sys; sys.exit(5)")
    queue.wait("1")
    queue.wait("2", expect=1)
    queue.add_gated(gate, "held")
    queue.add_python(write(ran, "last "))
    gate.meet("held")
    supervisor = psutil.Process(queue.owner["pid"])
    guard = supervisor.parent()

    for process in (guard, supervisor):  # as a power cut does, but for what it ran
        process.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
    until(lambda: not is_alive(supervisor), "the supervisor lives on", LIMIT_S)
    waits = queue.call("wait", "q", "4", expect=3).stderr
    assert "procsup queue start q" in waits
    assert queue.add_python(write(ran, "added ")) == "5"
    queue.start()
    gate.meet("held").exit(0)

    queue.finish(expect=1)
    assert ran.read_text().split() == ["first", "failed", "last", "added"]
    assert queue.verdicts() == {
        "1": "succeeded",
        "2": "failed",
        "3": "succeeded",
        "4": "succeeded",
        "5": "succeeded",
    }


def test_order_priority_and_dependencies(queue, tmp_path, gate):
    ran = tmp_path / "ran"
    queue.start("-j1")
    queue.add_gated(gate, "held")
    queue.add_python(write(ran, "2 "))
    queue.add_python(write(ran, "3 "), "--priority", "1")
    queue.add_python(f"{write(ran, '4 ')}; raise SystemExit(1)")
    queue.add_python(write(ran, "5 "), "--after", "4")
    queue.add_python(write(ran, "6 "), "--after", "2", "--after", "3", "--priority", "7")
    queue.add_python(write(ran, "7 "))
    gate.meet("held").exit(0)

    queue.finish(expect=1)

    assert ran.read_text().split() == ["3", "2", "6", "4", "7"]
    assert queue.verdicts()["5"] == "skipped"


def test_a_wrong_command_is_refused_when_it_is_added(queue):
    queue.start()

    said = queue.call("queue", "add", "q", "no-such-program", expect=2).stderr
    assert "'no-such-program' is not found here" in said
    assert "nothing was added" in said
    said = queue.call("queue", "add", "q", "--after", "9", sys.executable, expect=2).stderr
    assert "no command 9 to start after" in said
    assert "no command 1" in queue.call("wait", "q", "1", expect=2).stderr


def test_a_command_that_became_wrong_ends_alone(queue, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    queue.start()
    queue.call("stop", "q")  # what is added now waits
    queue.add_python("print('well')")
    here, queue.project.folder = queue.project.folder, gone
    queue.add_python("print('never')")
    queue.project.folder = here
    queue.add_python("print('well')")
    gone.rmdir()

    queue.start()

    assert "gone" in queue.wait("2", expect=1).stderr
    queue.finish(expect=1)
    assert queue.verdicts() == {"1": "succeeded", "2": "not-started", "3": "succeeded"}


def test_a_retry_is_not_refused_for_another_command_that_became_wrong(queue, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    queue.start()
    queue.call("stop", "q")
    queue.add_python("pass", "--env", "A=1")
    here, queue.project.folder = queue.project.folder, gone
    queue.add_python("pass")
    queue.project.folder = here
    gone.rmdir()
    once = tmp_path / "once"
    queue.add_python(f"import os; os.path.exists({str(once)!r}) or ({write(once, 'x')}, 1 / 0)")
    queue.start()
    queue.finish(expect=1)

    queue.call("retry", "q", "3", expect=1)

    assert queue.verdicts() == {"1": "succeeded", "2": "not-started", "3": "succeeded"}
    assert queue.wait("3").stderr == "q 3 succeeded\n"
    assert "A run would keep it now." in queue.call("explain", "q", "2").stdout


@pytest.mark.parametrize("variable", ["=1", "PROCSUP_X=1"])
def test_a_variable_that_no_command_can_have_is_refused(queue, variable):
    queue.start()

    words = ("queue", "add", "q", "--env", variable, sys.executable)
    assert "nothing was added" in queue.call(*words, expect=2).stderr


def test_a_line_that_cannot_be_a_command_does_not_keep_others_from_running(queue):
    queue.start()
    queue.call("stop", "q")
    argv = [sys.executable, "-c", "pass"]
    wrong = {"id": "1", "argv": argv, "env": {"PROCSUP_X": "1"}, "colour": "red"}
    with open(queue.rundir / "queue.jsonl", "a") as file:
        file.write(json.dumps(wrong) + "\n")
    queue.add_python("pass", "--after", "1")
    queue.add_python("pass")

    queue.start()

    assert "not-started: " in queue.wait("1", expect=1).stderr
    queue.finish(expect=1)
    assert queue.verdicts() == {"1": "not-started", "2": "skipped", "3": "succeeded"}


def test_a_closed_queue_with_commands_left_is_not_said_to_be_open(queue, gate):
    queue.start()
    queue.add_gated(gate, "held")
    gate.meet("held")
    queue.call("queue", "close", "q")
    assert "q was closed, and goes on" in queue.call("queue", "start", "q").stderr
    queue.call("stop", "q")

    assert "q was closed, and goes on" in queue.call("queue", "start", "q").stderr

    gate.meet("held").exit(0)
    queue.wait()
    assert "q is open: " in queue.call("queue", "start", "q").stderr


def test_a_start_that_could_not_open_the_queue_is_made_up_for_by_the_next(queue):
    queue.start()
    queue.add_python("pass")
    queue.finish()
    file, kept = queue.rundir / "queue.jsonl", queue.rundir / "kept"
    file.rename(kept)
    file.mkdir()
    queue.call("queue", "start", "q", expect=74)
    file.rmdir()
    kept.rename(file)

    queue.start()

    assert queue.add_python("pass") == "2"
    queue.finish()
    assert queue.verdicts() == {"2": "succeeded"}


def test_what_to_do_names_the_folder_of_a_queue_that_is_elsewhere(queue, tmp_path):
    path = str(tmp_path / "kept here" / "q")
    queue.call("queue", "start", "q", "--dir", str(tmp_path / "kept here"))
    queue.call("stop", path)

    said = queue.call("queue", "add", path, sys.executable, "-V").stderr

    assert f"procsup queue start --dir '{tmp_path / 'kept here'}' q" in said
    assert "--dir" in queue.call("wait", path, "1", expect=3).stderr


def test_the_environment_of_the_adder_goes_along_in_part(queue):
    queue.start()
    show = "import os; print(sorted((k, v) for k, v in os.environ.items() if k[:3] == 'QT_'))"
    env = {"QT_ONE": "1", "QT_TWO": "2", "LC_ALL": "C"}

    queue.add_python(show, "--env", "QT_ONE", "--env", "QT_SIX=6", env=env)
    queue.add_python("import os; print(os.environ['LC_ALL'])", env=env)

    queue.finish()
    assert "[('QT_ONE', '1'), ('QT_SIX', '6')]" in queue.call("logs", "q", "1").stdout
    assert queue.call("logs", "q", "2").stdout.strip().endswith("C")


def test_start_says_that_it_is_open_already(queue):
    run = queue.start()

    again = queue.call("queue", "start", "q", "-j4")

    assert again.stdout.strip() == run
    assert again.stderr.startswith("q is open already, and its -j stays as it was: procsup queue")
    assert json.loads(queue.call("queue", "start", "q", "--json").stdout)["run"] == run


def test_the_number_of_jobs_is_kept(queue):
    queue.start("-j1")
    queue.call("stop", "q")
    queue.start()
    lines = (queue.rundir / "journal.jsonl").read_text().splitlines()
    begins = [json.loads(line.split(" ", 2)[2]) for line in lines if '"t":"begin"' in line]

    assert [one["jobs"] for one in begins] == [1, 1]


def test_a_run_of_something_else_is_no_queue(queue):
    queue.home.joinpath("q.toml").write_text('[stage.s]\ncommand = ["true"]\n')
    run, queue.project.folder = queue.project.folder, queue.home
    queue.call("run", "q.toml")

    assert "is the run of something else" in queue.call("queue", "start", "q", expect=2).stderr
    assert "there is no queue" in queue.call("queue", "add", "q", "true", expect=2).stderr
    assert "is no queue" in queue.call("wait", "q", "1", expect=2).stderr
    queue.project.folder = run


def test_a_command_may_add_commands(queue):
    queue.start()
    words = [sys.executable, "-m", "procsup", "queue", "add", "q", sys.executable, "-c", "pass"]
    code = f"import subprocess; subprocess.run({words!r}, check=True)"

    queue.add_python(code, "--env", "PYTHONPATH")
    queue.wait("1")

    queue.wait("2")


def test_json(queue):
    queue.start()
    assert queue.call("queue", "add", "q", "--json", "--", sys.executable, "-V").stdout[0] == "{"
    added = json.loads(queue.call("queue", "add", "q", "--json", sys.executable, "-V").stdout)
    assert added == {"directory": str(queue.rundir), "id": 2, "unit": "queue/2"}
    waited = json.loads(queue.call("wait", "q", "2", "--json").stdout)
    assert waited["verdict"] == "succeeded"
    assert json.loads(queue.call("queue", "close", "q", "--json").stdout)["commands"] == 2


@pytest.mark.skipif(os.name != "posix", reason="a loop of sh")
def test_commands_added_from_four_terminals_at_once_all_run(queue):
    queue.start("-j2")
    loop = f"for i in 1 2 3 4 5; do {PYTHON} -m procsup queue add q true || exit; done"
    environment = {**os.environ, **queue.environment, "PYTHONPATH": str(ROOT)}
    terminals = [
        subprocess.Popen(
            ["sh", "-c", loop],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    found = [one.communicate(timeout=LIMIT_S)[0].split() for one in terminals]

    assert sorted(map(int, chain.from_iterable(found))) == list(range(1, 21))
    queue.finish()
    assert set(queue.verdicts().values()) == {"succeeded"}

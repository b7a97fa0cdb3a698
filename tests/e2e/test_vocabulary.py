"""The run file's keys, each in a real run that would end otherwise if it did nothing.

Each test says with `uses` which rows of the vocabulary it is about; every row needs one. A word
that is the default is held against the other words, in the same run or the same table of cases.
"""

import ast
import json
import os
import re
import stat
import sys
import venv
from pathlib import Path

import pytest

from procsup.host import machine
from tests.faults.laws import until
from tests.support.projects import LIMIT_S, PROGRAMS, PYTHON, Project, finish
from tests.support.vocabulary import Uses, rows

posix_only = pytest.mark.skipif(os.name == "nt", reason="modes and programs of POSIX")
linux_only = pytest.mark.skipif(
    sys.platform != "linux", reason="who listens and who writes is told by Linux only"
)
OWN = machine.read_affinity(0) or [] if sys.platform == "linux" else []
two_cpus = pytest.mark.skipif(len(OWN) < 2, reason="needs Linux' affinity and two CPUs")

uses = Uses()
TESTS = Path(__file__).resolve().parents[1]
# Rows whose use is shown better elsewhere, with the file and the test.
ELSEWHERE = {
    "run.lock": (
        "e2e/test_finding.py",
        "test_runs_of_other_names_are_kept_from_each_other_by_a_lock",
    ),
}

ECHO = (PROGRAMS / "echo.py").read_text()
DRIFT = (PROGRAMS / "drift.py").read_text()


def project(folder, text, **files):
    made = Project(folder, text)
    made.write("echo.py", ECHO)
    for name, content in files.items():
        made.write(name, content)
    return made


def stage(text, name="s"):
    return f'[stage.{name}]\nscript = "echo.py"\n{text}\n'


def read_printed(made, unit):
    """What the last attempt of a unit printed to its log."""
    (found,) = [one for one in made.manifest["units"] if one["id"] == unit]
    return (made.rundir / found["stdout_path"]).read_text().splitlines()


def ids(made):
    return [unit["id"] for unit in made.manifest["units"]]


def attempts(made, unit):
    (found,) = [one for one in made.manifest["units"] if one["id"] == unit]
    return found["attempts"]


def peaks(made):
    """How many units of each stage ran at once, at most."""
    running, most = {}, {}
    for record in made.all_records():
        if record["t"] in ("start", "end"):
            stage = record["unit"].split("/")[0]
            running[stage] = running.get(stage, 0) + (1 if record["t"] == "start" else -1)
            most[stage] = max(running[stage], most.get(stage, 0))
    return most


# --- the vocabulary ----------------------------------------------------------------------------


def test_every_row_of_the_vocabulary_has_a_use_and_each_use_is_of_a_row():
    named = {*uses.tests, *ELSEWHERE}

    assert (set(rows()) - named, named - set(rows())) == (set(), set())


@pytest.mark.parametrize("row", ELSEWHERE)
def test_a_use_that_is_shown_elsewhere_is_there(row):
    file, name = ELSEWHERE[row]
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))

    assert name in [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


# --- the run -------------------------------------------------------------------------------------


@uses("run.name", "run.dir", "run.stage", "run.defaults", "stage.command", "stage.env")
def test_the_name_and_the_folder_of_a_run_and_keys_of_all_stages(tmp_path):
    command = json.dumps([sys.executable, "echo.py", "--env=E"])
    text = "name = 'other'\ndir = 'state'\n[defaults]\nenv = { E = 'all' }\n"
    text += f"[stage.a]\ncommand = {command}\n[stage.b]\ncommand = {command}\nenv = {{ E = 'b' }}\n"
    made = project(tmp_path, text)
    made.rundir = tmp_path / "state" / "other"
    made.run()

    assert (read_printed(made, "a"), read_printed(made, "b")) == (["all"], ["b"])
    assert not (tmp_path / ".procsup").exists()


@uses(
    "stage.jobs",
    "stage.cpus",
    "stage.cpus = all",
    "stage.memory",
    "stage.memory = all",
    "run.capacity",
    "run.capacity.cpus",
    "run.capacity.memory",
    "stage.after.stage",
)
def test_what_a_unit_takes_and_most_at_once_of_a_stage(tmp_path):
    keys = {
        "free": ("", 3),
        "jobs": ("jobs = 2", 2),
        "cpus": ("cpus = 2", 2),
        "cpus-all": ("cpus = 'all'", 1),
        "memory": ("memory = '2G'", 2),
        "memory-all": ("memory = 'all'", 1),
    }
    text, before = "capacity = { cpus = 4, memory = '4G' }\n", ""
    for name, (line, _) in keys.items():
        after = f"after = [{{ stage = '{before}' }}]\n" if before else ""
        text += stage(f"{after}{line}\nmatrix.x = [1, 2, 3]", name)
        before = name
    made = project(tmp_path, text)
    made.run()

    assert peaks(made) == {name: most for name, (_, most) in keys.items()}


@pytest.mark.parametrize(
    ("text", "of_stage", "most"),
    [
        ("capacity = { cpus = 4 }", "", 3),
        ("capacity = { cpus = 4 }\njobs = 2", "", 2),
        ("capacity = { cpus = 2 }", "", 2),
        ("capacity = { cpus = 4, memory = '1G' }", "memory = '1G'", 1),
    ],
)
@uses("run.jobs", "run.capacity.cpus", "run.capacity.memory")
def test_most_at_once_of_a_run(text, of_stage, most, tmp_path):
    made = project(tmp_path, f"{text}\n" + stage(f"{of_stage}\nmatrix.x = [1, 2, 3]"))
    made.run()

    assert peaks(made) == {"s": most}


@uses("run.capacity.cpus = all", "run.capacity.memory = all")
def test_all_of_the_machine(tmp_path):
    text = "capacity = { cpus = 'all', memory = 'all' }\n"
    made = project(tmp_path, text + stage("cpus = 'all'\nmemory = 'all'"))
    made.run()
    whole = machine.make_capacity(cpus=None, memory_bytes=None, jobs=None)

    (one,) = attempts(made, "s")
    assert (one["cpus"], one["memory_bytes"]) == (whole.cpus, whole.memory_bytes)


def failing(of_second, name="s", more=""):
    """Three units, two at once, of which the first one fails while the second one runs."""
    dos = (f"['--until={name}.second', '--fail']", of_second, f"['--out={name}.third']")
    units = ", ".join(f"{{ n = {n}, do = {do} }}" for n, do in enumerate(dos, 1))
    return stage(f"units = [{units}]\nid = '{{n}}'\nargs = ['{{do}}']\n{more}", name)


# How the second and the third one end; the second one goes on until something shows the rest.
ENDS = {
    "finish": ("--until={}.third", "succeeded", "succeeded"),
    "drain": ("--until-end={}/1", "succeeded", "skipped"),
    "stop": ("--wait", "cancelled", "skipped"),
}
POLICIES = {
    "'finish'": "finish",
    "'drain'": "drain",
    "'stop'": "stop",
    "{ do = 'finish', at = 1 }": "finish",
    "{ do = 'drain' }": "drain",
    "{ do = 'stop', at = '30%' }": "stop",
    "{ do = 'drain', at = 2 }": "finish",  # there is one failure only
    "{ do = 'stop', at = '50%' }": "finish",
}


def second(name, ends):
    return f"['--out={name}.second', '{ENDS[ends][0].format(name)}']"


def of_on_failure(where):
    words = ("finish", "drain", "stop")
    within = [f"{where}.on-failure{key} = {word}" for key in ("", ".do") for word in words]
    return (f"{where}.on-failure", f"{where}.on-failure.do", f"{where}.on-failure.at", *within)


@pytest.mark.parametrize("policy", POLICIES)
@uses(*of_on_failure("run"))
def test_what_a_failure_means_for_the_rest(policy, tmp_path):
    ends = POLICIES[policy]
    text = f"capacity = {{ cpus = 2 }}\non-failure = {policy}\n"
    made = project(tmp_path, text + failing(second("s", ends)))
    made.run(expect=1)

    assert made.verdicts == dict(zip(("s/1", "s/2", "s/3"), ("failed", *ENDS[ends][1:])))


@uses(*of_on_failure("stage"))
def test_what_a_failure_means_for_the_rest_of_its_stage_alone(tmp_path):
    text, ended = "capacity = { cpus = 16 }\n", {"other": "succeeded"}
    for number, (policy, ends) in enumerate(POLICIES.items()):
        name = f"s{number}"
        text += failing(second(name, ends), name, f"jobs = 2\non-failure = {policy}")
        verdicts = ("failed", *ENDS[ends][1:])
        ended.update(zip((f"{name}/1", f"{name}/2", f"{name}/3"), verdicts))
    made = project(tmp_path, text + stage("after = [{ stage = 's2', when = 'finished' }]", "other"))
    made.run(expect=1)

    assert made.verdicts == ended


ENOUGH = {
    "1": "stop",
    "'30%'": "stop",
    "{ at = 1, do = 'stop' }": "stop",
    "{ at = 1, do = 'drain', of = 'done' }": "drain",
    "{ at = 2, do = 'drain', of = 'succeeded' }": "finish",
}


@pytest.mark.parametrize("enough", ENOUGH)
@uses(
    *("stage.enough", "stage.enough.at", "stage.enough.do", "stage.enough.of"),
    *("stage.enough.do = stop", "stage.enough.do = drain"),
    *("stage.enough.of = succeeded", "stage.enough.of = done"),
)
def test_from_so_many_units_on_the_others_are_not_needed(enough, tmp_path):
    ends = ENOUGH[enough]
    text = f"capacity = {{ cpus = 2 }}\n{failing(second('s', ends), more=f'enough = {enough}')}"
    made = project(tmp_path, text.replace(", '--fail'", ""))
    made.run()

    assert made.verdicts == dict(zip(("s/1", "s/2", "s/3"), ("succeeded", *ENDS[ends][1:])))
    assert made.manifest["status"] == "succeeded"


@uses("stage.after", "stage.after.when", "stage.after.when = succeeded")
@uses("stage.after.when = finished")
def test_a_stage_waits_for_the_success_or_for_the_end_of_another(tmp_path):
    text = stage("args = ['--fail']", "f") + stage("after = ['f']", "plain")
    text += stage("after = [{ stage = 'f', when = 'succeeded' }]", "well")
    text += stage("after = [{ stage = 'f', when = 'finished' }]\nargs = ['--until-end=f']", "ended")
    made = project(tmp_path, text + stage("", "free"))
    made.run(expect=1)

    verdicts = {"f": "failed", "plain": "skipped", "well": "skipped"}
    assert made.verdicts == {**verdicts, "ended": "succeeded", "free": "succeeded"}
    order = [f"{one['t']} {one['unit']}" for one in made.all_records() if one.get("unit")]
    assert order.index("end f") < order.index("start ended")


# --- units -----------------------------------------------------------------------------------


@uses("stage.script", "stage.args", "stage.units", "stage.units.csv", "stage.units.jsonl")
@uses("stage.exclude", "stage.id", "stage.paths", "stage.zip", "stage.zip.lines")
def test_units_of_files_and_tables(tmp_path):
    text = (
        stage('units = { csv = "s.csv" }\nargs = ["{x}"]\nexclude = [{ x = 2 }]', "c")
        + stage('units = { jsonl = "s.jsonl" }\nargs = ["{xs}"]\nid = "n{n}"', "j")
        + stage('units = [{ f = "d/a.txt" }]\npaths = ["f"]\nargs = ["{f.stem}"]', "t")
        + stage('zip.x = [1, 2]\nzip.y.lines = "names.txt"\nargs = ["{x}{y}"]', "z")
    )
    made = project(tmp_path, text)
    made.write("s.csv", "x\n1\n2\n")
    made.write("s.jsonl", '{"n": 1, "xs": ["a b", 2]}\n')
    made.write("names.txt", "p\nq\n")
    made.write("d/a.txt", "")
    made.run()

    assert ids(made) == ["c/x=1", "j/n1", "t/f=d/a.txt", "z/x=1,y=p", "z/x=2,y=q"]
    assert read_printed(made, "j/n1") == ["a b", "2"]
    assert [read_printed(made, one)[0] for one in ("t/f=d/a.txt", "z/x=2,y=q")] == ["a", "2q"]


@uses("stage.units.delimiter", "stage.units.comment", "stage.units.columns", "stage.units.required")
def test_how_files_of_units_are_read(tmp_path):
    csv = 'csv = "s.csv", delimiter = ";", comment = "#", columns = ["x"]'
    jsonl = 'jsonl = "s.jsonl", columns = ["x"]'
    text = stage(f"units = {{ {csv} }}", "c") + stage(f"units = {{ {jsonl} }}", "j")
    made = project(tmp_path, text)
    made.write("s.csv", "# a note\nx;y\n1;a\n;b\n")
    made.write("s.jsonl", '{"x": 1, "y": 2}\n{"x": ""}\n')
    made.run()
    assert ids(made) == ["c/x=1", "c/x=", "j/x=1", "j/x="]

    for units in (csv, jsonl):
        made.write("run.toml", stage(f"units = {{ {units}, required = ['x'] }}"))
        assert "`x` is empty" in made.run(expect=2).stderr


@uses("stage.matrix", "stage.matrix.range", "stage.matrix.lines", "stage.matrix.glob")
@uses("stage.zip", "stage.zip.range", "stage.zip.glob", "stage.zip.lines")
def test_values_that_the_run_file_does_not_list(tmp_path):
    keys = "{0}.n.range = '1..2'\n{0}.l.lines = 'lines'\n{0}.f.glob = 'in/{{name:*}}.csv'\n"
    keys += "id = '{{n}}{{l}}{{name}}'"
    text = stage(keys.format("matrix"), "m") + stage(keys.format("zip"), "z")
    made = project(tmp_path, text, lines="p\nq\n")
    made.write("in/a.csv", "")
    made.write("in/b.csv", "")
    made.run()

    every = [f"m/{n}{line}{name}" for n in "12" for line in "pq" for name in "ab"]
    assert ids(made) == [*every, "z/1pa", "z/2qb"]


@uses("stage.empty-ok")
def test_a_pattern_that_matches_nothing(tmp_path):
    keys = "args = ['{inputs}']\ninputs = ['in/*.txt']\n"
    made = project(tmp_path, stage(keys))
    assert "`empty-ok = true` allows that" in made.run(expect=2).stderr

    made.write("run.toml", stage(f"{keys}empty-ok = true"))
    made.run()
    assert read_printed(made, "s") == []


@uses("stage.for-each", "stage.inputs.from")
def test_units_of_units_and_the_outputs_of_a_whole_stage(tmp_path):
    text = stage("matrix.x = [1, 2]\nargs = ['--out=o{x}']\noutputs = ['o{x}']", "a")
    text += stage("for-each = 'a'\nargs = ['{a.outputs[0]}']", "b")
    text += stage("inputs = { from = 'a' }\nargs = ['{inputs}']", "c")
    made = project(tmp_path, text)
    made.run()

    assert ids(made) == ["a/x=1", "a/x=2", "b/x=1", "b/x=2", "c"]
    lines = [read_printed(made, unit) for unit in ("b/x=1", "b/x=2", "c")]
    assert lines == [["o1"], ["o2"], ["o1", "o2"]]


def test_a_csv_that_a_stage_makes_gives_the_units_of_the_next_and_is_watched(tmp_path):
    code = "import sys; open(sys.argv[1], 'w').write('x\\\\n1\\\\n' + open('more').read())"
    head = f'[stage.plan]\ncommand = ["{PYTHON}", "-c", "{code}", "{{outputs[0]}}"]\n'
    head += 'outputs = ["s.csv"]\ndepends = ["more"]\n'
    units = 'after = ["plan"]\nunits = { csv = "s.csv", columns = ["x"] }\n'
    made = project(tmp_path, head + stage(units + 'args = ["--out=o/{x}"]\noutputs = ["o/{x}"]'))
    made.write("more", "")
    made.run()
    assert ids(made) == ["plan", "s/x=1"]

    made.write("more", "2\n")
    made.run()
    assert ids(made) == ["plan", "s/x=1", "s/x=2"]
    assert made.starts() == ["plan#1", "s/x=1#1", "plan#2", "s/x=2#1"]


@uses("stage.inputs", "run.missing-inputs", "run.missing-inputs = refuse")
@uses("run.missing-inputs = fail-unit")
def test_a_pair_and_the_missing_mate(tmp_path):
    keys = 'matrix.r1.glob = "in/{sample:*}_R1.fq"\nargs = ["{inputs.r1}", "{inputs.r2}"]\n'
    keys += 'inputs = { r1 = "{r1}", r2 = "in/{sample}_R2.fq" }\n'
    made = project(tmp_path, 'missing-inputs = "refuse"\n' + stage(keys))
    for name in ("a_R1", "a_R2", "b_R1"):
        made.write(f"in/{name}.fq", name)

    refused = made.run(expect=2)
    assert "1 input is missing: " in refused.stderr
    assert f"{os.path.join('in', 'b_R2.fq')} (the first one for unit s/sample=b)" in refused.stderr

    made.write("run.toml", 'missing-inputs = "fail-unit"\n' + stage(keys))
    made.run(expect=1)
    assert made.verdicts == {"s/sample=a": "succeeded", "s/sample=b": "not-started"}
    assert read_printed(made, "s/sample=a") == ["in/a_R1.fq", "in/a_R2.fq"]


# --- what a unit gets --------------------------------------------------------------------------


@posix_only
@uses("stage.prefix", "stage.env", "stage.secrets", "stage.cwd", "stage.pythonpath", "stage.module")
@uses("run.vars")
def test_prefix_env_secrets_cwd_pythonpath_and_variables(tmp_path):
    text = (
        'vars = { who = "file" }\n'
        + stage(
            'prefix = ["env", "P=from-prefix"]\nenv = { E = "{who}" }\nsecrets = ["S"]\n'
            'args = ["--env=P", "--env=E", "--env=S"]'
        )
        + '[stage.m]\nmodule = "inner"\npythonpath = ["lib"]\ncwd = "work"\n'
    )
    made = project(tmp_path, text)
    made.write("lib/inner.py", "import os; print(os.path.basename(os.getcwd()))")
    made.write("work/keep", "")
    done = made.call("run", "run.toml", "--var", "who=line", env={"S": "sesame"})

    assert done.returncode == 0, done.stderr
    assert read_printed(made, "s") == ["from-prefix", "line", "sesame"]
    assert read_printed(made, "m") == ["work"]
    recorded = [one["env"] for one in made.manifest["units"]]
    assert recorded == [["E"], []]
    without = made.run("--var", "who=line", expect=2)
    assert "secret S is not set" in without.stderr


@uses("stage.shell")
def test_a_line_of_the_shell_quotes_what_it_is_given(tmp_path):
    made = project(tmp_path, "[stage.s]\nshell = 'echo {x}'\nmatrix.x = ['a  b; echo c']\n")
    made.run()

    (unit,) = ids(made)
    assert read_printed(made, unit) == ["a  b; echo c"]


@uses("stage.python")
def test_the_python_that_runs_a_script(tmp_path):
    builder = venv.EnvBuilder(symlinks=os.name != "nt")
    python = builder.ensure_directories(str(tmp_path / "other")).env_exe
    builder.create(str(tmp_path / "other"))
    made = project(tmp_path, stage(f"python = {json.dumps(python)}", "a") + stage("", "b"))
    made.write("echo.py", "import sys; print(sys.prefix)")
    made.run()

    assert read_printed(made, "b") == [sys.prefix]
    assert os.path.samefile(read_printed(made, "a")[0], str(tmp_path / "other"))


@uses("stage.inputs", "stage.stdin")
def test_lists_of_inputs_as_words_and_as_a_file_and_stdin(tmp_path):
    keys = 'inputs = ["in/*.txt"]\nstdin = "in/a.txt"\n'
    keys += 'args = ["{inputs}", "--lines={inputs.file}", "--stdin"]'
    made = project(tmp_path, stage(keys))
    made.write("in/a.txt", "the text")
    made.write("in/b.txt", "")
    made.run()
    words = ["in/a.txt", "in/b.txt", "['in/a.txt', 'in/b.txt']", "the text"]
    assert read_printed(made, "s") == words


@uses("stage.scratch", "stage.unit-file")
def test_the_scratch_folder_and_the_unit_file(tmp_path):
    keys = 'scratch = true\nunit-file = true\nmatrix.x = [7]\nargs = ["{scratch}", '
    keys += '"--out={scratch}/t", "--env=PROCSUP_SCRATCH", "--env=PROCSUP_UNIT_FILE"]'
    made = project(tmp_path, stage(keys))
    made.run()
    scratch, same, unit_file = read_printed(made, "s/x=7")

    assert scratch == same
    assert not os.path.exists(scratch)
    assert unit_file.startswith(str(made.rundir))


@two_cpus
@uses("stage.pin", "stage.pin = none", "stage.pin = cpus")
def test_a_unit_is_bound_to_its_cpus(tmp_path):
    text = "[defaults]\npin = 'cpus'\n" + stage("", "a") + stage("pin = 'none'", "b")
    made = project(tmp_path, text)
    made.write("echo.py", "import os; print(*sorted(os.sched_getaffinity(0)))")
    made.run()

    (granted,) = [one["affinity"]["granted"] for one in attempts(made, "a")]
    assert (len(granted), read_printed(made, "a")) == (1, [str(granted[0])])
    assert attempts(made, "b")[0]["affinity"]["granted"] is None
    assert read_printed(made, "b") == [" ".join(map(str, OWN))]


@two_cpus
@uses("stage.on-drift", "stage.on-drift = record", "stage.on-drift = warn")
@uses("stage.on-drift = restore", "stage.on-drift = fail")
def test_what_a_changed_affinity_means(tmp_path):
    text = f"[defaults]\npin = 'cpus'\non-drift = 'warn'\nargs = {OWN}\n"
    for word in ("record", "warn", "fail"):
        text += stage(f"on-drift = '{word}'", word)
    text += stage(f"on-drift = 'restore'\nargs = {['--back', *map(str, OWN)]}", "restore")
    made = project(tmp_path, text)
    made.write("echo.py", DRIFT)
    said = made.run(expect=1).stderr

    ends = dict.fromkeys(("record", "warn", "restore"), "succeeded")
    assert made.verdicts == {**ends, "fail": "failed"}
    told = [line for line in said.splitlines() if "affinity" in line]
    assert [any(f"{word}#1" in line for line in told) for word in ends] == [False, True, True]
    assert all(attempts(made, word)[0]["affinity"]["drift"] for word in ends)


# --- how it ends, and what then -------------------------------------------------------------------


@uses("stage.timeout")
def test_a_unit_that_takes_too_long_is_stopped(tmp_path):
    made = project(tmp_path, stage("args = ['--wait']\ntimeout = '100ms'"))
    made.run(expect=1)

    assert made.verdicts == {"s": "timed-out"}


def test_a_unit_that_takes_twice_as_long_as_others_is_stopped(tmp_path):
    text = "matrix.x = ['a', 'b', 'c', 'd', 'e', '--wait']\nargs = ['{x}']\ntimeout = '200%'"
    made = project(tmp_path, f"capacity = {{ cpus = 2 }}\n{stage(text)}")
    made.run(expect=1)

    (late,) = [one for one in made.manifest["units"] if one["verdict"] != "succeeded"]
    assert (late["id"], late["verdict"]) == ("s/x=--wait", "timed-out")
    limit_s = re.fullmatch(
        r"ran longer than ([0-9.]+) s, its timeout of 200% of the median .*", late["cause"]
    )
    assert float(limit_s[1]) <= late["wall_s"]


@uses("stage.pace", "stage.pace.delay", "stage.pace.memory")
def test_starts_have_a_pause_between_them_and_memory_that_is_not_there_is_refused(tmp_path):
    text = "capacity = {{ cpus = 8 }}\n" + stage("matrix.x = [1, 2, 3]\npace = {{ {} }}")
    made = project(tmp_path, text.format("delay = '200ms'"))
    made.run()

    starts = [one["at"] for one in made.all_records() if one["t"] == "start"]
    assert all(later - earlier > 0.15 for earlier, later in zip(starts, starts[1:]))

    made.write("run.toml", text.format("memory = '4000T'"))
    refused = made.call("run", "run.toml")
    assert refused.returncode == 2
    assert "its pace waits for 4000 TB of free memory, and the machine has" in refused.stderr


@linux_only
@uses("stage.pace.load")
def test_a_stage_waits_while_so_many_threads_run_and_its_status_says_so(tmp_path):
    spin = stage("", "spin").replace(
        'script = "echo.py"', 'command = ["sh", "-c", "while :; do :; done"]'
    )
    text = spin + "matrix.x = [1, 2, 3]\n" + stage("pace = { load = 1 }", "late")
    made = project(tmp_path, f"capacity = {{ cpus = 8 }}\n{text}")
    child = made.start("run", "run.toml")
    until(lambda: "starts no more" in made.call("status", "run").stdout, "it never waits", LIMIT_S)
    told = made.call("status", "run").stdout
    assert made.call("stop", "run").returncode == 0
    _, err = finish(child)

    assert re.search(
        r"^late: starts no more: the load is \d+, and it waits for less than 1$", told, re.M
    )
    assert "late starts no more for now: the load is" in err
    order = [f"{one['t']} {one.get('unit') or one.get('verb')}" for one in made.all_records()]
    assert "answer hold" in order
    assert "start late" not in order


def stop(made, *ready):
    """Start a run and stop it as soon as these files are there."""
    child = made.start("run", "run.toml")
    until(lambda: all((made.folder / name).exists() for name in ready), "not all ready", LIMIT_S)
    stopped = made.call("stop", "run")
    finish(child)
    assert stopped.returncode == 0, stopped.stderr


def read_asked(made, name):
    path = made.folder / f"{name}.got"
    return path.read_text().split() if path.exists() else []


def saver(name, *words, more=""):
    """A stage whose unit notes the signals that it gets, see saver.py."""
    command = json.dumps([sys.executable, "-S", str(PROGRAMS / "saver.py"), *words])
    return f"[stage.{name}]\ncommand = {command}\n{more}\n"


@uses("stage.stop-command")
def test_a_command_in_the_place_of_the_signal(tmp_path):
    line = json.dumps([sys.executable, "echo.py", "--out=asked.{pid}", "--out=asked"])
    made = project(
        tmp_path, stage(f"args = ['--out=ready', '--until=asked']\nstop-command = {line}")
    )
    stop(made, "ready")

    (attempt,) = made.records("end")
    assert (attempt["verdict"], attempt["exit"]["kind"]) == ("cancelled", "exited")
    assert (tmp_path / f"asked.{attempt['pid']}").exists()


@posix_only
@uses("stage.grace", "stage.stop-signal")
def test_which_signal_asks_a_unit_to_end_and_how_long_it_has(tmp_path):
    text = "capacity = { cpus = 4 }\n" + saver("i", "save", "i", "0", more="stop-signal = 'INT'")
    text += saver("t", "save", "t", "0") + saver("g", "save", "g", "5", more="grace = '100ms'")
    made = project(tmp_path, text)
    stop(made, "i.ready", "t.ready", "g.ready")

    assert [read_asked(made, name) for name in "itg"] == [["INT"], ["TERM"], ["TERM"]]
    saved = [(tmp_path / f"{name}.saved").exists() for name in "itg"]
    assert saved == [True, True, False]


# Who saves, of a program that asks its workers itself and of a child of one that ignores requests.
WHO = ("asks", "child")
REACHES = {"auto": (True, True), "main": (True, False), "tree": (False, True)}


@linux_only
@uses("stage.stop-to", "stage.stop-to = auto", "stage.stop-to = main", "stage.stop-to = tree")
def test_whom_a_stop_reaches(tmp_path):
    program = f"{sys.executable} -S {PROGRAMS / 'saver.py'}"
    text = "capacity = { cpus = 8 }\n[defaults]\nstop-to = 'main'\ngrace = '2s'\n"
    names = []
    for word in REACHES:
        asks, child, deaf = (f"{word}-{what}" for what in (*WHO, "deaf"))
        names += [asks, child, deaf]
        text += f"[stage.{asks}]\nshell = 'exec {program} coordinate {asks}'\n"
        text += f"stop-to = '{word}'\n[stage.{deaf}]\nstop-to = '{word}'\n"
        text += f"shell = '{program} save {child} 0 & exec {program} ignore {deaf}'\n"
    made = project(tmp_path, text)
    stop(made, *[f"{name}.ready" for name in names])

    for word, saved in REACHES.items():
        assert tuple((tmp_path / f"{word}-{who}.saved").exists() for who in WHO) == saved, word


@linux_only
@uses("stage.linger", "stage.linger = timeout")
def test_how_long_who_still_writes_is_waited_for(tmp_path):
    line = f"{sys.executable} -S {PROGRAMS / 'leave.py'} write {{outputs[0]}} &"
    text = "capacity = { cpus = 4 }\n[defaults]\nlinger = 0\ntimeout = '50s'\n"
    for name, key in (("a", ""), ("b", "linger = '40s'"), ("c", "linger = 'timeout'")):
        text += f"[stage.{name}]\nshell = '{line}'\noutputs = ['{name}.out']\n{key}\n"
    made = project(tmp_path, text)
    made.run(expect=1)

    ends = made.verdicts
    assert ends.pop("a") in ("failed", "bad-output")  # it had begun to write, or not even that
    assert ends == {"b": "succeeded", "c": "succeeded"}


@uses("stage.retries", "stage.retries.times", "stage.retries.on", "stage.retries.on = failed")
@uses("stage.retries.on = timed-out", "stage.retries.on = bad-output")
def test_what_a_unit_is_tried_again_for(tmp_path):
    ends = {
        "failed": "args = ['--first', '--fail']",
        "timed-out": "args = ['--first', '--wait']\ntimeout = '1s'",
        "bad-output": "args = ['--later', '--out={}']\noutputs = ['{}']",
    }
    text = "capacity = { cpus = 8 }\n" + stage(ends["failed"], "never")
    text += stage(f"{ends['failed']}\nretries = 1", "number")
    wanted = {"never": ("failed", 1), "number": ("succeeded", 2)}
    for verdict, keys in ends.items():
        others = [one for one in (*ends, "lost") if one != verdict]
        for name, on in ((verdict, [verdict]), (f"not-{verdict}", others)):
            text += stage(f"{keys}\nretries = {{ times = 9, on = {on} }}".replace("{}", name), name)
        wanted.update({verdict: ("succeeded", 2), f"not-{verdict}": (verdict, 1)})
    made = project(tmp_path, text)
    made.run(expect=1)

    # On a slow machine later attempts may take too long as well.
    tries = {name: min(2, len(attempts(made, name))) for name in wanted}
    assert {name: (end, tries[name]) for name, end in made.verdicts.items()} == wanted


# Another thread takes the exit status of the first unit.
LOSING = """
import os, runpy
take, taken = os.wait4, []
def lose(pid, options):
    if not taken:
        taken.append(os.waitpid(pid, 0))
    return take(pid, options)
os.wait4 = lose
runpy.run_module("procsup", run_name="__main__", alter_sys=True)
"""


@posix_only
@pytest.mark.parametrize(("on", "ends"), [("lost", ["lost", "succeeded"]), ("failed", ["lost"])])
@uses("stage.retries.on = lost")
def test_a_unit_whose_end_is_unknown_is_tried_again(on, ends, tmp_path):
    made = project(tmp_path, stage(f"retries = {{ times = 1, on = ['{on}'] }}"))
    made.program = ("-c", LOSING)
    made.run(expect=None)

    assert [one["verdict"] for one in attempts(made, "s")] == ends


@uses("stage.retries.delay", "stage.retries.memory")
def test_a_retry_after_a_while_and_with_more_memory(tmp_path):
    table = "times = 1, delay = '400ms', memory = 'x2'"
    keys = f"memory = '1M'\nretries = {{ {table} }}\nargs = ['{{memory}}', '--first', '--fail']"
    made = project(tmp_path, stage(keys))
    made.run()

    assert read_printed(made, "s") == [str(2 << 20)]
    first, second = made.records("end")
    assert second["started"] - first["at"] >= 0.4


@uses("stage.on-failed-outputs", "stage.on-failed-outputs = keep")
@uses("stage.on-failed-outputs = aside")
def test_what_becomes_of_the_outputs_of_an_attempt_that_failed(tmp_path):
    text = "[defaults]\nretries = 1\non-failed-outputs = 'aside'\n"
    for name, key in (("aside", ""), ("keep", "on-failed-outputs = 'keep'")):
        args = ["--there=o", "--out=o", "--first", "--fail"]
        args = [word.replace("=o", f"={name}.txt") for word in args]
        text += stage(f"args = {args}\noutputs = ['{name}.txt']\n{key}", name)
    made = project(tmp_path, text)
    made.run()

    assert (read_printed(made, "aside"), read_printed(made, "keep")) == (["not there"], ["there"])


# --- what it leaves ------------------------------------------------------------------------------


@uses("stage.stdout", "stage.stderr")
def test_streams_are_published_on_success_alone(tmp_path):
    keys = 'stdout = "o/{x}.out"\nstderr = "o/{x}.err"\nmatrix.x = ["ok", "--fail"]\n'
    made = project(tmp_path, stage(keys + 'args = ["hello", "--err", "{x}"]'))
    made.run(expect=1)

    assert sorted(os.listdir(tmp_path / "o")) == ["ok.err", "ok.out"]
    assert (tmp_path / "o/ok.out").read_text() == "hello\nok\n"
    assert (tmp_path / "o/ok.err").read_text() == "to stderr\n"


@uses("stage.outputs", "stage.outputs.path", "stage.outputs.empty", "stage.outputs.optional")
@uses("stage.outputs.unchanged")
def test_each_option_of_an_output_works(tmp_path):
    outputs = [
        '{ path = "e", empty = true }',
        '{ path = "o", optional = true }',
        '{ path = "u", unchanged = true }',
        '"folder/"',
        '"globs/*.txt"',
    ]
    args = '["--out=folder/x", "--out=globs/1.txt", "--out=globs/2.txt"]'
    made = project(tmp_path, stage(f"outputs = [{', '.join(outputs)}]\nargs = {args}"))
    made.write("u", "old")
    made.write("echo.py", "import os; os.mkdir('folder'); open('e', 'w').close()\n" + ECHO)
    made.run()

    (unit,) = made.manifest["units"]
    paths = [os.path.relpath(one["path"], str(tmp_path)) for one in unit["outputs"]]
    assert [path.replace(os.sep, "/") for path in paths] == [
        "e",
        "u",
        "folder/x",
        "globs/1.txt",
        "globs/2.txt",
    ]


@uses("stage.success-codes", "stage.keep", "stage.keep = unchanged", "stage.keep = never")
@uses("stage.keep = always", "stage.depends")
def test_success_codes_and_what_is_kept(tmp_path):
    text = '[defaults]\nkeep = "never"\n'
    text += stage("success-codes = [0, 3]\nargs = ['--fail']", "code")
    for keep in ("unchanged", "never", "always"):
        keys = f'keep = "{keep}"\ndepends = ["watched"]\nargs = ["--out=o-{keep}"]\n'
        text += stage(f'{keys}outputs = ["o-{keep}"]', keep)
    made = project(tmp_path, text, watched="1")
    made.run()
    first = len(made.starts())
    made.run()
    second = len(made.starts())
    made.write("watched", "2")
    made.run()

    assert sorted(made.starts()[first:second]) == ["code#2", "never#2"]
    assert sorted(made.starts()[second:]) == ["code#3", "never#3", "unchanged#2"]


@uses("run.stamp", "run.manifest", "stage.stamp")
def test_stamps_and_the_visible_manifest(tmp_path):
    text = 'stamp = "run.done"\nmanifest = "m.json"\n' + stage('stamp = "s.done"\nargs = []')
    made = project(tmp_path, text + stage('args = ["--fail"]\nstamp = "f.done"', "f"))
    made.run(expect=1)
    assert (tmp_path / "s.done").exists()
    assert not (tmp_path / "f.done").exists()
    assert not (tmp_path / "run.done").exists()
    assert json.loads((tmp_path / "m.json").read_text()) == made.manifest

    made.write("echo.py", "")
    made.run()
    assert (tmp_path / "run.done").exists()
    assert json.loads((tmp_path / "m.json").read_text())["status"] == "succeeded"


@posix_only
@pytest.mark.parametrize(("share", "bits"), [("none", 0), ("group", 0o040), ("all", 0o044)])
@uses("run.share", "run.share = none", "run.share = group", "run.share = all")
def test_who_may_read_the_manifests(share, bits, tmp_path):
    made = project(tmp_path, f'share = "{share}"\n' + stage("args = []"))
    made.run()
    for name in ("manifest.json", "stages/s.json"):
        assert stat.S_IMODE((made.rundir / name).stat().st_mode) & 0o077 == bits
    assert stat.S_IMODE((made.rundir / "journal.jsonl").stat().st_mode) & 0o077 == 0
    assert bool(stat.S_IMODE(made.rundir.stat().st_mode) & 0o010) == bool(bits)


@uses("run.logs", "run.logs = split", "run.logs = merged")
@uses("run.keep-logs", "run.keep-logs = all", "run.keep-logs = failed")
@pytest.mark.parametrize(("logs", "of_each"), [("split", 2), ("merged", 1)])
@pytest.mark.parametrize(("kept", "units"), [("all", 2), ("failed", 1)])
def test_which_logs_there_are_and_which_of_them_stay(logs, of_each, kept, units, tmp_path):
    keys = 'matrix.x = ["ok", "--fail"]\nargs = ["hello", "--err", "{x}"]'
    made = project(tmp_path, f'logs = "{logs}"\nkeep-logs = "{kept}"\n' + stage(keys))
    made.run(expect=1)

    files = [path for path in (made.rundir / "logs").rglob("*") if path.is_file()]
    lines = sorted(line for path in files for line in path.read_text().splitlines())
    assert len(files) == of_each * units
    assert lines == sorted(["hello", "to stderr"] * units + ["ok"] * (units - 1))


@pytest.mark.parametrize(
    ("word", "small", "large"), [("auto", True, False), ("all", True, True), ("none", False, False)]
)
@uses("run.checksum", "run.checksum = auto", "run.checksum = all", "run.checksum = none")
def test_which_outputs_have_a_checksum(word, small, large, tmp_path):
    keys = "args = ['--out=small', '--large=large']\noutputs = ['small', 'large']"
    made = project(tmp_path, f"checksum = '{word}'\n" + stage(keys))
    made.run()

    (unit,) = made.manifest["units"]
    assert [one["sha256"] is not None for one in unit["outputs"]] == [small, large]


# A disk that refuses files of 4711 bytes.
REFUSING = """
import errno, os, runpy
from procsup.host import files
sync = files.sync_fd
def refuse(fd):
    if os.fstat(fd).st_size == 4711:
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    sync(fd)
files.sync_fd = refuse
runpy.run_module("procsup", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(("sync", "verdict"), [("true", "bad-output"), ("false", "succeeded")])
@uses("run.sync-outputs")
def test_outputs_are_put_on_disk_before_they_are_told(sync, verdict, tmp_path):
    made = project(tmp_path, f"sync-outputs = {sync}\n" + stage("outputs = ['o']"))
    made.write("echo.py", "open('o', 'w').write('x' * 4711)")
    made.program = ("-c", REFUSING)
    made.run(expect=None)

    assert made.verdicts == {"s": verdict}

"""The run file's keys, each in a real run that would end otherwise if it did nothing."""

import json
import os
import stat
import sys

import pytest

from tests.support.projects import Project

posix_only = pytest.mark.skipif(os.name == "nt", reason="modes and programs of POSIX")

# Prints its arguments, one a line, and to each --out=PATH what stands on stdin.
ECHO = """
import os, sys
for word in sys.argv[1:]:
    if word.startswith("--out="):
        open(word[6:], "w").write("made")
    elif word.startswith("--env="):
        print(os.environ.get(word[6:], "unset"))
    elif word.startswith("--lines="):
        print(open(word[8:]).read().split())
    elif word == "--stdin":
        print(sys.stdin.read())
    elif word == "--err":
        print("to stderr", file=sys.stderr)
    elif word == "--fail":
        sys.exit(3)
    else:
        print(word)
"""


def project(folder, text, **files):
    made = Project(folder, text)
    made.write("echo.py", ECHO)
    for name, content in files.items():
        made.write(name, content)
    return made


def stage(text, name="s"):
    return f'[stage.{name}]\nscript = "echo.py"\n{text}\n'


def printed(made, unit):
    """What the last attempt of a unit printed to its log."""
    (found,) = [one for one in made.manifest["units"] if one["id"] == unit]
    return (made.rundir / found["stdout_path"]).read_text().splitlines()


def ids(made):
    return [unit["id"] for unit in made.manifest["units"]]


# --- units -----------------------------------------------------------------------------------


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
    assert printed(made, "j/n1") == ["a b", "2"]
    assert [printed(made, one)[0] for one in ("t/f=d/a.txt", "z/x=2,y=q")] == ["a", "2q"]


def test_a_csv_that_a_stage_makes_gives_the_units_of_the_next_and_is_watched(tmp_path):
    code = "import sys; open(sys.argv[1], 'w').write('x\\\\n1\\\\n' + open('more').read())"
    head = f'[stage.plan]\ncommand = ["{sys.executable}", "-c", "{code}", "{{outputs[0]}}"]\n'
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


def test_a_pair_and_the_missing_mate(tmp_path):
    keys = 'matrix.r1.glob = "in/{sample:*}_R1.fq"\nargs = ["{inputs.r1}", "{inputs.r2}"]\n'
    keys += 'inputs = { r1 = "{r1}", r2 = "in/{sample}_R2.fq" }\n'
    made = project(tmp_path, stage(keys))
    for name in ("a_R1", "a_R2", "b_R1"):
        made.write(f"in/{name}.fq", name)

    refused = made.run(expect=2)
    assert "1 input is missing: " in refused.stderr
    assert "in/b_R2.fq (the first one for unit s/sample=b)" in refused.stderr

    made.write("run.toml", 'missing-inputs = "fail-unit"\n' + stage(keys))
    made.run(expect=1)
    assert made.verdicts == {"s/sample=a": "succeeded", "s/sample=b": "not-started"}
    assert printed(made, "s/sample=a") == ["in/a_R1.fq", "in/a_R2.fq"]


# --- what a unit gets --------------------------------------------------------------------------


@posix_only
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
    assert printed(made, "s") == ["from-prefix", "line", "sesame"]
    assert printed(made, "m") == ["work"]


def test_lists_of_inputs_as_words_and_as_a_file_and_stdin(tmp_path):
    keys = 'inputs = ["in/*.txt"]\nstdin = "in/a.txt"\n'
    keys += 'args = ["{inputs}", "--lines={inputs.file}", "--stdin"]'
    made = project(tmp_path, stage(keys))
    made.write("in/a.txt", "the text")
    made.write("in/b.txt", "")
    made.run()
    words = ["in/a.txt", "in/b.txt", "['in/a.txt', 'in/b.txt']", "the text"]
    assert printed(made, "s") == words


def test_the_scratch_folder_and_the_unit_file(tmp_path):
    keys = 'scratch = true\nunit-file = true\nmatrix.x = [7]\nargs = ["{scratch}", '
    keys += '"--out={scratch}/t", "--env=PROCSUP_SCRATCH", "--env=PROCSUP_UNIT_FILE"]'
    made = project(tmp_path, stage(keys))
    made.run()
    scratch, same, unit_file = printed(made, "s/x=7")

    assert scratch == same
    assert not os.path.exists(scratch)
    assert unit_file.startswith(str(made.rundir))


# --- what it leaves ------------------------------------------------------------------------------


def test_streams_are_published_on_success_alone(tmp_path):
    keys = 'stdout = "o/{x}.out"\nstderr = "o/{x}.err"\nmatrix.x = ["ok", "--fail"]\n'
    made = project(tmp_path, stage(keys + 'args = ["hello", "--err", "{x}"]'))
    made.run(expect=1)

    assert sorted(os.listdir(tmp_path / "o")) == ["ok.err", "ok.out"]
    assert (tmp_path / "o/ok.out").read_text() == "hello\nok\n"
    assert (tmp_path / "o/ok.err").read_text() == "to stderr\n"


def test_options_of_outputs(tmp_path):
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


def test_success_codes_and_what_is_kept(tmp_path):
    text = stage("success-codes = [0, 3]\nargs = ['--fail']", "code")
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
def test_who_may_read_the_manifests(share, bits, tmp_path):
    made = project(tmp_path, f'share = "{share}"\n' + stage("args = []"))
    made.run()
    for name in ("manifest.json", "stages/s.json"):
        assert stat.S_IMODE((made.rundir / name).stat().st_mode) & 0o077 == bits
    assert stat.S_IMODE((made.rundir / "journal.jsonl").stat().st_mode) & 0o077 == 0
    assert bool(stat.S_IMODE(made.rundir.stat().st_mode) & 0o010) == bool(bits)


def test_merged_logs_and_logs_of_failures_only(tmp_path):
    keys = 'matrix.x = ["ok", "--fail"]\nargs = ["hello", "--err", "{x}"]'
    made = project(tmp_path, 'logs = "merged"\nkeep-logs = "failed"\n' + stage(keys))
    made.run(expect=1)

    logs = [path for path in (made.rundir / "logs").rglob("*") if path.is_file()]
    assert len(logs) == 1
    assert sorted(logs[0].read_text().split("\n")) == ["", "hello", "to stderr"]

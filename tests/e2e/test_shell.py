"""`shell` for real: pipelines that fail, that are stopped, that write what they print."""

import os
import shutil

import pytest

from tests.support.projects import Project

pytestmark = pytest.mark.skipif(
    os.name == "nt" or shutil.which("bash") is None, reason="runs real lines in bash"
)


def run(folder, text, *args, expect=0, **settings):
    project = Project(folder, text)
    done = project.call("run", "run.toml", *args, **settings)
    assert done.returncode == expect, done.stderr
    return project, done


PIPELINE = """
[stage.s]
shell = '''
printf '%s\\n' 'it''s' b "$1" {tool} |
  sort -r | tee {outputs[0]} | {tool}
'''
matrix.tool = ["cat", "false"]
args = ["x"]
env = { LC_ALL = "C" }
stdout = "out/{tool}.txt"
outputs = ["all {tool}.txt"]
"""


def test_a_pipeline_publishes_what_it_prints_and_fails_with_any_of_its_parts(tmp_path):
    project, _ = run(tmp_path, PIPELINE, expect=1)
    assert project.verdicts == {"s/tool=cat": "succeeded", "s/tool=false": "failed"}
    assert (tmp_path / "out/cat.txt").read_text() == "x\nits\ncat\nb\n"
    assert (tmp_path / "all cat.txt").read_text() == "x\nits\ncat\nb\n"
    assert not (tmp_path / "out/false.txt").exists()


def test_the_whole_pipeline_is_killed_at_the_timeout(tmp_path):
    text = """
[stage.s]
shell = "trap '' TERM; (trap '' TERM; echo $BASHPID; sleep 600) | tee {outputs[0]} | cat"
timeout = "1s"
grace = "200ms"
outputs = ["pid"]
"""
    project, _ = run(tmp_path, text, expect=1)
    assert project.verdicts == {"s": "timed-out"}
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_scratch_folder_is_known_to_the_shell(tmp_path):
    text = (
        '[stage.s]\nshell = "echo x > {scratch}/t; cp {scratch}/t {outputs[0]}"\nscratch = true\n'
    )
    folder = tmp_path / "it's here"
    folder.mkdir()
    run(folder, text + 'outputs = ["o"]\n')
    assert (folder / "o").read_text() == "x\n"


def test_a_shell_that_is_missing_is_told_before_anything_starts(tmp_path):
    text = '[stage.s]\nshell = "true"\n'
    project, done = run(tmp_path, text, env={"PATH": str(tmp_path)}, expect=2)
    assert "command bash is not found on PATH; install it (`shell` needs it)" in done.stderr
    assert not (project.rundir / "manifest.json").exists()


def test_what_a_stage_prints_into_files_is_the_input_of_the_next(tmp_path):
    text = """
[stage.a]
shell = "echo {x}"
matrix.x = ["p", "q"]
stdout = "out/{x}.txt"
[stage.b]
inputs = { from = "a" }
shell = "cat {inputs}"
stdout = "all.txt"
"""
    run(tmp_path, text)
    assert (tmp_path / "all.txt").read_text() == "p\nq\n"


def test_names_of_files_that_are_shell_text_are_only_names(tmp_path):
    text = """
[stage.a]
matrix.f.glob = "in/*"
shell = '[[ -e {f} ]] && printf %s {f.name} >{outputs[0]} && cat <{f} >>{outputs[0]}'
outputs = ["out/{f.name}"]
"""
    hostile = ["$(touch pwned)", "PATH[$(touch pwned)]", "`touch pwned`", "a\ntouch pwned\nb"]
    names = [*hostile, "a'b", 'a"b', "-n", "2", " ", "~"]
    (tmp_path / "in").mkdir()
    for name in names:
        (tmp_path / "in" / name).write_text("x")
    run(tmp_path, text)
    assert not (tmp_path / "pwned").exists()
    made = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert made == {name: f"{name}x" for name in names}


def test_where_such_a_name_would_be_executed_the_run_is_refused_with_the_cure(tmp_path):
    text = '[stage.a]\nmatrix.n = [1, 7]\nshell = "[[ {n} -gt 5 ]]"\n'
    _, done = run(tmp_path, text, expect=2)
    assert "run.toml:3: stage.a.shell: {n} stands beside -gt in [[ ]]" in done.stderr
    assert "write [ ... ]" in done.stderr

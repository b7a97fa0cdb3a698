"""pipeline.sh and its twin for PowerShell; how soon a sample gets through a chain."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from bench import stream

from tests.scripts.pipelines import Copy, clean_environ
from tests.support.projects import ROOT, Project

needs_sh = pytest.mark.skipif(os.name == "nt", reason="runs a shell script")
SHELL = (ROOT / "scripts" / "pipeline.sh").read_text(encoding="utf-8")
POWERSHELL = (ROOT / "scripts" / "pipeline.ps1").read_text(encoding="ascii")


def calls(text, name):
    """Return what a script asks of procsup, without quotes and line ends."""
    found = re.findall(rf"(?<![-\w.]){re.escape(name)} ((?:run|wait) [^\n|)]*)", text)
    plain = [re.sub(r'["\']', "", call).strip() for call in found]
    return [call.replace("$limit", "$Limit") for call in plain]


def answered(text):
    """Return the exit codes of `wait` that a script answers, each with what it says."""
    codes = re.findall(r"^ +(\d+)\)? +(.*(?:\n {10,}.*)*)", text, re.MULTILINE)
    return {int(code): re.findall(r"[A-Za-z]+", words) for code, words in codes}


def test_both_scripts_ask_the_same_of_procsup():
    # The rest of PowerShell's is not checked here: only PowerShell can.
    assert calls(POWERSHELL, "procsup_") == calls(SHELL, "$procsup")
    assert len(calls(SHELL, "$procsup")) == 3


def test_both_scripts_answer_the_same_exit_codes_in_the_same_words():
    known = answered(SHELL)
    assert sorted(known) == [0, 1, 3, 124]
    for code, words in answered(POWERSHELL).items():
        said = [word for word in words if word not in ("Write", "Output", "echo")]
        assert [w.lower() for w in said] == [w.lower() for w in known[code] if w != "echo"]


def small(tmp_path):
    """Return a copy whose survey has two modules to measure."""
    copy = Copy(tmp_path)
    lib = tmp_path / "lib"
    lib.mkdir()
    for name in ("one", "two"):
        (lib / f"{name}.py").write_text("x = 1\n", encoding="utf-8")
    copy.edit("configs/stdlib-survey.toml", 'lib = "own"', 'lib = "../lib"')
    return copy


def carry_out(copy, *argv):
    environment = {**clean_environ(), "PROCSUP": f"{sys.executable} -m procsup"}
    return subprocess.run(
        argv, cwd=str(copy.folder), env=environment, capture_output=True, text=True, timeout=60
    )


@needs_sh
def test_the_shell_script_goes_on_with_what_is_vouched_for(tmp_path):
    done = carry_out(small(tmp_path), "sh", "scripts/pipeline.sh", "60")

    assert done.returncode == 0, done.stderr
    assert "downstream: 2 measurements" in done.stdout
    assert done.stdout.endswith("table: configs/out/stdlib-survey/report.csv\n")


@needs_sh
def test_the_shell_script_ends_where_the_stage_failed(tmp_path):
    copy = small(tmp_path)
    copy.edit("scripts/survey/__main__.py", "    report = survey(options.source)", "    return 5")

    done = carry_out(copy, "sh", "scripts/pipeline.sh", "60")

    assert done.returncode == 1
    assert "some unit did not succeed" in done.stdout
    assert "downstream" not in done.stdout


def powershell():
    """Return a PowerShell that works; there are stand-ins that do nothing and say so to nobody."""
    for name in ("pwsh", "powershell"):
        if shutil.which(name):
            asked = [name, "-NoProfile", "-Command", "Write-Output yes"]
            done = subprocess.run(asked, capture_output=True, timeout=60)
            if done.stdout.strip() == b"yes":
                return name
    pytest.skip("there is no PowerShell on this machine")


def test_the_powershell_script_goes_on_with_what_is_vouched_for(tmp_path):
    script = str(tmp_path / "scripts" / "pipeline.ps1")

    done = carry_out(small(tmp_path), powershell(), "-NoProfile", "-File", script, "60")

    assert done.returncode == 0, done.stderr
    assert "downstream: 2 measurements" in done.stdout


# --- the chain -------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("true") is None, reason="its units are the program `true`")
def test_the_last_stage_begins_while_the_first_one_runs(tmp_path):
    stream.make_samples(tmp_path, 200)
    project = Project(tmp_path, stream.STAGES.format(true=shutil.which("true")))

    project.run("--quiet", "--jobs", "2")

    story = stream.story_of(project.rundir / "journal.jsonl", "trim", "call")
    assert (story.starts, story.first_in_all) == (600, 200)
    assert story.first_ended < story.first_in_all  # when the last stage began
    assert story.first_started < 20


def test_a_run_stage_by_stage_does_not_overlap():
    records = [*("start a/1", "end a/1", "start a/2", "end a/2"), "start b/1", "end b/1"]
    lines = ['0 0 {{"t": "{}", "unit": "{}"}}'.format(*record.split()) for record in records]

    story = stream.told(lines, "a", "b")

    assert story == stream.Story(3, 3, 2, 2, 2)

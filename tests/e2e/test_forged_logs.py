"""Records that came with a checkout or an archive: they may name any file of ours as a log."""

import os

import msgspec
import pytest

from procsup.core.records import Begin, End, encode_line
from procsup.store.reader import read_journal
from tests.support.files import needs_links
from tests.support.projects import Project, slashed

RUN = """
[stage.s]
command = ["sh", "-c", "echo said; exit 3"]
"""
SECRET = "not for the log of a build\n"
OUTSIDE = "it is outside of the run directory, and the records are a copy"


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret.txt"
    path.write_text(SECRET)
    return path


@pytest.fixture
def project(tmp_path):
    made = Project(tmp_path / "project", RUN)
    made.run(expect=1)
    return made


def forge(project, begin=None, **end):
    """Write the journal again, in a new file, as a checkout does, with other values."""
    journal = project.rundir / "journal.jsonl"
    lines = []
    for entry in read_journal(journal):
        record = entry.record
        if isinstance(record, Begin):
            record = msgspec.structs.replace(record, **(begin or {}))
        elif isinstance(record, End):
            record = msgspec.structs.replace(record, **end)
        lines.append(encode_line(entry.seq, record))
    kept = journal.with_name("was")
    os.rename(journal, kept)  # not removed: its inode stays in use
    journal.write_bytes(b"".join(lines))
    os.remove(kept)


def shown(project):
    """Return what the verbs that show logs print."""
    calls = [["logs", "run"], ["logs", "run", "--json"], ["status", "run"], ["explain", "run", "s"]]
    return [done.stdout + done.stderr for done in (project.call(*words) for words in calls)]


@pytest.mark.parametrize("how", ["an absolute path", "a way up", "another root", "no id"])
def test_a_copy_does_not_show_what_is_outside_of_its_project(project, secret, how):
    path = {"a way up": "../../../secret.txt"}.get(how, str(secret))
    begin = {"another root": {"root": str(secret.parent)}, "no id": {"journal": ""}}.get(how)
    forge(project, begin, stdout_path=path, stderr_path=None)

    said = shown(project)

    assert not any(SECRET.strip() in text for text in said)
    assert OUTSIDE in said[0]
    assert "procsup run --adopt" in said[0]


@needs_links
def test_a_link_in_a_copied_project_leads_to_no_log(project, secret):
    (project.folder / "log").symlink_to(secret)
    forge(project, stdout_path="../../log", stderr_path=None)

    assert not any(SECRET.strip() in text for text in shown(project))


def test_a_copy_shows_the_logs_of_its_run_directory_and_of_its_project(project):
    forge(project)
    assert "said" in project.call("logs", "run").stdout

    (project.folder / "log").write_text("in the project")
    forge(project, stdout_path="../../log")
    assert "in the project" in project.call("logs", "run").stdout


def test_a_run_that_is_no_copy_shows_the_logs_that_its_run_file_names(tmp_path):
    outside = slashed(tmp_path / "elsewhere" / "log.txt")
    made = Project(tmp_path / "project")
    made.write("run.toml", f'[stage.s]\ncommand = ["echo", "said"]\nstdout = "{outside}"\n')
    made.run()
    assert "said" in made.call("logs", "run").stdout

    forge(made)
    assert OUTSIDE in made.call("logs", "run").stderr
    made.run("--adopt")
    assert "said" in made.call("logs", "run").stdout

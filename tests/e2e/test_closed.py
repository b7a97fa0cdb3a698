"""What the system refuses to show is not taken for absent: with real users."""

import os
import shutil

import pytest

from tests.e2e.test_other_users import READING, call_as
from tests.support.projects import Project
from tests.support.users import BOB, EVE, give, open_folder, root_only

pytestmark = root_only

OWNER = f"it belongs to an unknown user (uid {EVE})"


@pytest.fixture
def folder():
    with open_folder() as folder:
        yield folder


def run_of_eve(folder, share="none", name="run"):
    project = Project(folder)
    project.write(
        "run.toml", f'name = "{name}"\nshare = "{share}"\n[stage.s]\ncommand = ["true"]\n'
    )
    project.run()
    give(folder, EVE)
    return folder / "run.toml"


@pytest.mark.parametrize("words", READING, ids=" ".join)
@pytest.mark.parametrize(
    ("closed", "mode", "what"),
    [
        (".procsup/run", 0o700, ".procsup/run may not be entered"),
        (".procsup", 0o744, ".procsup may not be entered"),
        (".procsup", 0o700, ".procsup may not be read"),
        ("", 0o700, " may not be entered"),
    ],
)
def test_a_run_that_may_not_be_read_is_not_said_to_be_missing(folder, words, closed, mode, what):
    file = run_of_eve(folder)
    (folder / closed).chmod(mode)

    for name in (file, folder / ".procsup" / "run"):
        code, said = call_as(BOB, words, "/", name)

        assert code == 74, said
        assert "may not be " in said
        assert OWNER in said
    assert what in call_as(BOB, words, "/", file)[1]


@pytest.mark.parametrize("name", ["run", "other"])
def test_a_shared_run_of_another_name_is_found_by_its_run_file(folder, name):
    """Its journal is private: the manifest names the run file, too."""
    file = run_of_eve(folder, share="all", name=name)

    code, said = call_as(BOB, ["wait", "{}"], "/", file)

    assert code == 0, said
    assert f"run of an unknown user (uid {EVE})" in said


def test_what_may_be_read_answers_also_beside_what_may_not(folder):
    file = run_of_eve(folder, share="all")
    shutil.copytree(folder / ".procsup" / "run", folder / ".procsup" / "private")
    give(folder / ".procsup", EVE)
    (folder / ".procsup" / "private").chmod(0o700)

    assert call_as(BOB, ["wait", "{}"], "/", file)[0] == 0


# --- run files ---------------------------------------------------------------------------------


def dry(folder, text):
    """Return what a dry run of Eve's says."""
    Project(folder).write("run.toml", text)
    return call_as(EVE, ["run", "run.toml", "--dry-run"], folder)


@pytest.fixture
def closed(folder):
    """A folder with a folder that Eve may list and not enter, and one that she may not list."""
    for name, mode in (("listed", 0o744), ("shut", 0o700)):
        (folder / name / "sub").mkdir(parents=True)
        (folder / name / "sub" / "a.csv").write_text("x\n1\n")
        (folder / name).chmod(mode)
    os.chown(folder, EVE, EVE)
    return folder


@pytest.mark.parametrize("name", ["listed", "shut"])
@pytest.mark.parametrize("pattern", ["*/a.csv", "sub/*.csv", "**/a.csv", "*/*", "s*/a.csv"])
@pytest.mark.parametrize("above", ["", "?"])
def test_a_glob_does_not_pass_over_what_it_may_not_enter(closed, name, pattern, above):
    glob = f"{name[:-1]}?/{pattern}" if above else f"{name}/{pattern}"

    code, said = dry(
        closed, f'[stage.s]\ncommand = ["true", "{{f}}"]\nmatrix.f = {{ glob = "{glob}" }}\n'
    )

    assert code == 2
    assert "cannot be read: Permission denied" in said


@pytest.mark.parametrize("name", ["listed", "shut"])
def test_a_list_that_may_not_be_read_is_not_said_to_be_missing(closed, name):
    units = f'units = {{ csv = "{name}/sub/a.csv" }}'

    code, said = dry(closed, f'[stage.s]\ncommand = ["true", "{{x}}"]\n{units}\n')

    assert code == 2
    assert "cannot be read: Permission denied" in said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('inputs = ["shut/sub/a.csv"]', "1 input is not readable: "),
        ('cwd = "shut/sub"', "cannot be entered"),
        ('script = "shut/sub/a.csv"', "cannot be read"),
        ('command = ["./shut/sub/tool"]', "cannot be executed (Permission denied: "),
        ('command = ["./shut"]', "is a folder; mend its path"),
        ('command = ["tool"]\nenv = { PATH = "open" }', "is found on PATH as "),
        ('command = ["no-such"]\nenv = { PATH = "open" }', "is not found on PATH"),
        ('command = ["./no-such"]', "does not exist (looked for from "),
    ],
)
def test_a_preflight_says_what_is_closed_and_what_is_missing(closed, line, said):
    (closed / "open").mkdir()
    (closed / "open" / "tool").write_text("#!/bin/sh\n")
    (closed / "open" / "tool").chmod(0o644)
    command = "" if "command" in line or "script" in line else 'command = ["true"]\n'
    Project(closed).write("run.toml", f"[stage.s]\n{command}{line}\n")
    give(closed / "open", EVE)

    code, told = call_as(EVE, ["run", "run.toml", "--dir", str(closed / "runs")], closed)

    assert code == 2, told
    assert said in told


@pytest.mark.parametrize("place", ["", "sub/deeper"])
def test_a_run_where_one_may_not_write_names_the_folder_and_the_cure(folder, place):
    Project(folder).write("run.toml", '[stage.s]\ncommand = ["true"]\n')
    words = ["run", "{}", *(["--dir", str(folder / place)] if place else [])]

    code, said = call_as(EVE, words, folder, folder / "run.toml")

    assert code == 74
    assert f"{folder} may not be written to: it belongs to user root (mode 0755)" in said
    assert "; keep runs elsewhere (--dir)" in said


# --- share -------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", ["group", "all"])
def test_a_share_that_reaches_no_user_is_reported_with_the_cure(folder, share):
    project = Project(folder)
    project.write("run.toml", f'share = "{share}"\n[stage.s]\ncommand = ["true"]\n')
    before = os.umask(0o077)
    try:
        said = project.run().stderr
    finally:
        os.umask(before)
    home = folder / ".procsup"
    who = "g" if share == "group" else "go"

    assert f'share = "{share}": other users cannot read this run' in said
    assert f"enter {home}: chmod {who}+x {home}, or keep runs elsewhere" in said
    assert os.system(f"chmod {who}+x {home}") == 0
    assert "cannot read this run" not in project.run().stderr
    if share == "all":
        give(folder, EVE)
        assert call_as(BOB, ["wait", "{}"], "/", home / "run")[0] == 0


def test_a_run_in_a_setgid_folder_is_shared_with_the_group_of_that_folder(folder):
    os.chown(folder, -1, BOB)
    folder.chmod(0o2755)
    project = Project(folder)
    project.write("run.toml", 'share = "group"\n[stage.s]\ncommand = ["true"]\n')
    project.run()

    code, said = call_as(BOB, ["wait", "{}"], "/", folder / "run.toml")

    assert code == 0, said
    assert call_as(EVE, ["wait", "{}"], "/", folder / "run.toml")[0] == 74
    for one in (folder / ".procsup").rglob("*"):
        assert one.stat().st_gid == BOB, one


def test_a_run_that_is_not_shared_says_nothing_of_that(folder):
    project = Project(folder, '[stage.s]\ncommand = ["true"]\n')

    assert "other users" not in project.run().stderr

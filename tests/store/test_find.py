import os

import pytest

from procsup.errors import UsageError
from procsup.store.find import NoSuchRun, find, find_nearest_home, list_run_dirs
from procsup.store.rundir import RunDir
from procsup.store.sitting import Sitting
from tests.store.builders import WALL, begin, write


@pytest.fixture
def project(tmp_path):
    """A project with the runs alpha (two of them), beta and gamma, and folders below."""
    (tmp_path / "src" / "deep").mkdir(parents=True)
    make(tmp_path, "alpha", ["a1", "a2"], WALL + 10, str(tmp_path / "first.toml"))
    make(tmp_path, "beta", ["b1"], WALL + 99, str(tmp_path / "second.toml"))
    make(tmp_path, "gamma", ["g1"], WALL, None)
    (tmp_path / ".procsup" / "empty").mkdir()
    return tmp_path


def make(project, name, run_ids, at, run_file):
    rundir = RunDir(project / ".procsup" / name)
    rundir.create()
    body = [begin(run_id, n, run_file=run_file, at=at) for n, run_id in enumerate(run_ids, 1)]
    write(rundir.journal, body)
    return rundir


def found(run, start):
    result = find(run, start)
    return result.rundir.path.name, result.run_id


def test_a_name_is_looked_for_in_the_nearest_home_upwards(project):
    for start in (project, project / "src" / "deep"):
        assert found("alpha", start) == ("alpha", None)
    (project / "src" / ".procsup").mkdir()
    with pytest.raises(NoSuchRun, match="holds none yet"):
        find("alpha", project / "src" / "deep")


def test_a_file_in_a_run_directory_stands_for_it(project):
    (project / ".procsup" / "alpha" / "plan.jsonl").write_text("")

    assert found(".procsup/alpha/plan.jsonl", project) == ("alpha", None)


def test_a_path_is_looked_for_from_where_one_is(project):
    path = project / ".procsup" / "alpha"

    assert found(str(path), project) == ("alpha", None)
    assert found(os.path.join("..", ".procsup", "beta"), project / "src") == ("beta", None)
    assert find(str(path), project).rundir.path == path


def test_an_id_names_a_very_run(project):
    assert found("a1", project) == ("alpha", "a1")
    assert found("a2", project) == ("alpha", "a2")
    assert found("b1", project / "src") == ("beta", "b1")


def test_a_folder_and_an_id_name_a_very_run_from_anywhere(project, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")

    assert found(f"{project / '.procsup' / 'alpha'}@a1", elsewhere) == ("alpha", "a1")
    with pytest.raises(NoSuchRun, match="no run directory at"):
        find(f"{project / '.procsup' / 'delta'}@a1", elsewhere)


def test_last_is_the_one_begun_last(project):
    assert found("last", project) == ("beta", None)
    with Sitting.open(RunDir(project / ".procsup" / "gamma"), at=WALL + 1000):
        assert found("last", project) == ("gamma", None)


def test_a_run_file_names_the_directory_in_which_it_was_run(project):
    (project / "first.toml").write_text("name = 'alpha'")
    (project / "gamma.toml").write_text("")
    (project / "other.toml").write_text("")

    assert found("first.toml", project) == ("alpha", None)
    assert found(str(project / "first.toml"), project / "src") == ("alpha", None)
    assert found("gamma.toml", project) == ("gamma", None)
    with pytest.raises(NoSuchRun, match="holds no run of it; if it was run with --dir"):
        find("other.toml", project)


def test_a_wrong_name_is_answered_with_what_there_is_and_a_guess(project):
    with pytest.raises(NoSuchRun, match=r"alpha, beta, gamma; did you mean 'alpha'\?") as caught:
        find("alpah", project)
    assert caught.value.known == ("alpha", "beta", "gamma")
    assert isinstance(caught.value, UsageError)
    with pytest.raises(NoSuchRun, match=r"holds: alpha, beta, gamma$"):
        find("zzz", project)


def test_where_nothing_was_ever_run_this_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("procsup.store.find.HOME", ".procsup-that-is-nowhere")

    assert find_nearest_home(tmp_path) is None
    with pytest.raises(NoSuchRun, match=r"in .* or above it"):
        find("alpha", tmp_path)


@pytest.mark.parametrize(
    "run",
    ["", "@", "..", ".", "/", "alpha@", "\udcff", "x" * 5000, "a\x00b"],
    ids=lambda run: ascii(run)[:9],
)
def test_no_run_is_found_by_nonsense(project, run):
    with pytest.raises(NoSuchRun):
        find(run, project)


def test_a_home_that_cannot_be_listed_holds_nothing(tmp_path):
    assert list_run_dirs(tmp_path / "nowhere") == []


def test_a_damaged_run_does_not_hide_the_others(project):
    (project / ".procsup" / "alpha" / "journal.jsonl").write_bytes(b"\xff\n" * 100)
    (project / ".procsup" / "alpha" / "manifest.json").write_bytes(b"garbage")

    assert found("b1", project) == ("beta", "b1")

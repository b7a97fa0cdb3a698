import os

import pytest

import procsup
from procsup.cli import init
from procsup.cli.init import EXAMPLES, RUN_FILE
from procsup.cli.main import main
from tests.support.modules import EXAMPLES as SHIPPED
from tests.support.projects import Project

POSIX_ONLY = {"shell"}  # a pipeline for bash


def list_files(folder):
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_table_of_examples_names_every_file_that_ships():
    named = {f"{name}/{file}" for name in EXAMPLES for file in (RUN_FILE, *EXAMPLES[name].files)}

    assert named == list_files(SHIPPED)


def test_the_list_has_a_line_of_at_most_80_columns_for_each_example(capsys):
    assert main(["init", "--list"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(EXAMPLES)
    assert max(map(len, lines)) <= 80


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs_and_then_is_kept_whole(name, tmp_path):
    if name in POSIX_ONLY and os.name == "nt":
        pytest.skip("its shell is bash")
    project = Project(tmp_path)
    project.call("init", name)

    done = project.call("run")
    again = project.call("run")

    assert (done.returncode, again.returncode) == (0, 0), done.stderr + again.stderr
    assert "failed" not in done.stderr
    assert " 0 to run" in again.stderr


def test_files_is_written_if_no_example_is_named(here, capsys):
    assert main(["init"]) == 0

    assert list_files(here) == {RUN_FILE, *EXAMPLES["files"].files}
    assert capsys.readouterr().err.splitlines()[-1] == "now: procsup run"


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_written_into_the_folder_that_is_named(name, here, capsys):
    assert main(["init", name, "new one/deep"]) == 0

    assert list_files(here / "new one/deep") == {RUN_FILE, *EXAMPLES[name].files}
    run_file = os.path.join("new one", "deep", RUN_FILE)
    assert capsys.readouterr().err.splitlines()[-1] == f"now: procsup run '{run_file}'"
    assert (here / run_file).read_bytes() == (SHIPPED / name / RUN_FILE).read_bytes()


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_begins_with_what_it_is_and_leads_to_the_pages(name):
    lines = (SHIPPED / name / RUN_FILE).read_text(encoding="utf-8").splitlines()

    assert lines[0].startswith("# ")
    assert "#     procsup run" in lines[2]
    assert any("procsup help run-file" in line for line in lines)


def test_no_file_is_overwritten_and_then_none_is_written(here, capsys):
    (here / "table.py").write_text("mine")

    assert main(["init"]) == 2

    assert list_files(here) == {"table.py"}
    assert (here / "table.py").read_text() == "mine"
    assert capsys.readouterr().err.splitlines() == [
        "procsup: here exist already, and are not overwritten: table.py",
        "Name another folder for the example: procsup init EXAMPLE FOLDER",
    ]


@pytest.mark.skipif(os.name == "nt", reason="links need a right there")
def test_a_link_to_nothing_is_not_written_through(here):
    (here / "count.py").symlink_to("elsewhere.py")

    assert main(["init"]) == 2

    assert not (here / "elsewhere.py").exists()


def test_a_file_that_comes_meanwhile_is_left_and_all_else_is_undone(here, monkeypatch):
    (here / "texts").mkdir()
    monkeypatch.setattr(init, "_refuse_existing", lambda root, files: None)
    (here / "texts" / "rose.txt").write_text("mine")

    assert main(["init"]) == 74

    assert list_files(here) == {"texts/rose.txt"}
    assert (here / "texts" / "rose.txt").read_text() == "mine"


def test_a_start_that_fails_leaves_no_folder_that_it_made(here, monkeypatch):
    def fail(example, name):
        raise OSError("the disk is gone")

    monkeypatch.setattr(init, "_read", fail)

    assert main(["init", "files", "a/b"]) == 74

    assert os.listdir(str(here)) == []


def test_an_unknown_example_is_refused_with_the_nearest(here, capsys):
    assert main(["init", "seep"]) == 2

    said = capsys.readouterr().err
    assert "there is no example 'seep': did you mean sweep?" in said
    assert "procsup init EXAMPLE FOLDER" in said
    assert os.listdir(str(here)) == []


def test_a_folder_that_is_a_file_is_refused_by_name(here, capsys):
    (here / "taken").write_text("")

    assert main(["init", "sweep", "taken"]) == 74

    assert "taken" in capsys.readouterr().err


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_a_valid_run_file(name):
    assert procsup.load(SHIPPED / name / RUN_FILE).stages

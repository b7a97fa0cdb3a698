"""What may not be read, or is gone, is not taken for what is not there, whatever verb is asked."""

import asyncio
import getpass
import json
import shutil

import pytest

import procsup
from procsup.cli.main import main
from procsup.errors import RecordError
from procsup.host.folders import find_refusal
from procsup.store.find import find_nearest_home
from tests.support.permissions import as_anybody, closed
from tests.support.sittings import Supervised, result

with as_anybody() as _works:
    pass
pytestmark = pytest.mark.skipif(not _works, reason="this system refuses us nothing")

VERBS = [
    ["wait", "{}", "--timeout", "0"],
    ["wait", "{}", "--start-timeout", "0"],
    ["status", "{}"],
    ["status", "{}", "--json"],
    ["logs", "{}"],
    ["explain", "{}", "s"],
    ["verify", "{}"],
    ["stop", "{}"],
    ["drain", "{}"],
    ["retry", "{}"],
    ["retry", "{}", "--here", "s/a"],
]


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = Supervised(tmp_path)
    run.begin().publish(result(0))
    return run


def call(words, name):
    return main([word.replace("{}", name) for word in words])


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
@pytest.mark.parametrize("named", ["name", "path"])
def test_every_verb_says_which_folder_may_not_be_read_and_whose_it_is(run, words, named, capsys):
    name = "demo" if named == "name" else str(run.rundir.path)
    with closed(run.rundir.path):
        code = call(words, name)

    said = capsys.readouterr().err
    assert code == 74
    assert f"{run.rundir.path} may not be entered: it belongs to user {getpass.getuser()}" in said
    assert "(mode 0000)" in said


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_a_folder_above_that_keeps_us_out_is_named(run, words, capsys):
    home = run.rundir.path.parent
    with closed(home):
        code = call(words, str(run.rundir.path))
        assert f"{home} may not be" in capsys.readouterr().err
        assert code == 74
        assert call(words, "demo") == 74
        assert f"{home} may not be" in capsys.readouterr().err


def test_the_library_says_it_too(run):
    with closed(run.rundir.path):
        with pytest.raises(procsup.RecordError, match="may not be entered: it belongs to"):
            procsup.wait_for("demo")
        with pytest.raises(procsup.RecordError, match="may not be entered: it belongs to"):
            procsup.read_manifest(run.rundir.path)


def test_a_list_names_what_it_may_not_look_into(run, tmp_path, capsys):
    with closed(run.rundir.path):
        assert main(["list", "--json"]) == 0
        (listed,) = json.loads(capsys.readouterr().out)["runs"]
    assert listed["state"] == "unreadable"
    assert "may not be entered: it belongs to" in listed["message"]
    with closed(run.rundir.path.parent):
        assert main(["list"]) == 74
        assert "may not be" in capsys.readouterr().err
        assert main(["list", "--dir", str(tmp_path / ".procsup" / "x")]) == 74


def test_an_id_that_is_not_found_may_be_of_a_run_that_is_closed(run, tmp_path, capsys):
    shutil.copytree(str(run.rundir.path), str(tmp_path / ".procsup" / "open"))
    with closed(run.rundir.path):
        assert main(["status", "no-such-id"]) == 2
        assert "what may not be read was not searched" in capsys.readouterr().err
        assert main(["status", "open"]) == 0


def test_a_closed_folder_of_that_name_does_not_hide_the_run(run, tmp_path, capsys):
    (tmp_path / "demo").mkdir()
    with closed(tmp_path / "demo"):
        assert main(["wait", "demo"]) == 0


def test_a_log_that_may_not_be_read_is_no_empty_log(run, capsys):
    from procsup.cli.logs import BytesPrinter
    from procsup.console.terminal import Screen
    from procsup.host.logfiles import LogPlaces
    from procsup.queries.logs import Log

    path = run.rundir.path / "x.out"
    path.write_text("text")
    printer = BytesPrinter(
        LogPlaces(str(run.rundir.path)), with_headers=False, tail=None, screen=Screen()
    )
    with closed(path):
        printer.print_new([Log("s/a", 1, "stdout", str(path)), Log("s/b", 1, "stdout", "gone")])

    (problem,) = printer.problems.values()
    assert f"{path} may not be read: it belongs to" in problem


def test_the_way_up_to_a_home_is_not_taken_past_a_closed_folder(run, tmp_path):
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    with closed(tmp_path / "a"), pytest.raises(RecordError, match="may not be entered"):
        find_nearest_home(below)


def test_no_refusal_is_described_where_there_is_none(tmp_path):
    assert find_refusal(tmp_path / "missing" / "x") == ""
    assert find_refusal(tmp_path) == ""
    with closed(tmp_path, 0o444):
        assert "may not be entered" in find_refusal(tmp_path / "x")
    with closed(tmp_path, 0o111):
        assert "may not be read" in find_refusal(tmp_path)


# --- a current folder that is gone -------------------------------------------------------------


@pytest.fixture
def gone(run, tmp_path, monkeypatch):
    """The current folder was removed."""
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    return run


@pytest.mark.parametrize(
    "words",
    [
        ["list"],
        ["map", "true", ":::", "1"],
        ["run"],
        ["run", "--dry-run"],
        ["run", "some.toml"],
        ["wait", "demo"],
        ["status"],
        ["logs", "demo"],
        ["verify", "demo"],
        ["prune", "--keep", "1"],
        ["retry", "demo"],
        ["stop", "demo"],
    ],
    ids=" ".join,
)
def test_a_verb_in_a_folder_that_was_removed_says_so(gone, words, capsys):
    assert main(words) == 2
    assert "the current folder does not exist any more" in capsys.readouterr().err


def test_what_is_named_in_full_is_found_from_a_folder_that_was_removed(gone, capsys):
    assert main(["wait", str(gone.rundir.path)]) == 0
    assert main(["list", "--dir", str(gone.folder)]) == 0


@pytest.mark.parametrize(
    "call",
    [
        lambda: procsup.run(),
        lambda: procsup.start("some.toml"),
        lambda: procsup.load(),
        lambda: procsup.plan(),
        lambda: procsup.run_units([["true"]]),
        lambda: procsup.map(["true"], ["1"], name="m", dir="x"),
        lambda: procsup.wait_for("demo"),
        lambda: procsup.read_manifest("demo"),
        lambda: asyncio.run(procsup.aio.wait_for("demo")),
    ],
)
def test_the_library_in_a_folder_that_was_removed_says_so(gone, call):
    with pytest.raises(procsup.UsageError, match="the current folder does not exist any more"):
        call()

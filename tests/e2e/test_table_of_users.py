"""The table of `docs/shared-machines.md`, cell by cell, with real users: whose word counts.

Each cell is read from the page and played: a cell that is changed there fails here.
"""

import contextlib
import os
from pathlib import Path

import pytest

import procsup
from tests.e2e.test_other_users import BOBS, EVES, call_as
from tests.faults.laws import until
from tests.support.projects import Project
from tests.support.users import BOB, EVE, acting, give, open_folder, root_only, trusting

pytestmark = root_only

ROOT = 0
RUN = 'share = "all"\n[stage.s]\ncommand = ["sh", "-c", "echo made"]\n'
LIVE = 'share = "all"\n[stage.s]\ncommand = ["sh", "-c", "{}"]\n'.format(
    "touch started; until test -e go; do sleep 0.05; done"
)
WORDS = {
    "wait": ["wait", "{}", "--start-timeout", "0"],
    "explain": ["explain", "{}", "s"],
    "list": ["list"],
    "retry": ["retry", "{}", "s"],
    "retry --here": ["retry", "{}", "s", "--here"],
    "prune": ["prune", "{}", "--yes"],
    "run": ["run", "survey.toml", "-q"],
    "queue add": ["queue", "add", "{}", "true"],
    "queue close": ["queue", "close", "{}"],
}
COLUMNS = (
    "your own run",
    "of another user, by name",
    "of another user, by path or run file of theirs",
    "root, of a user, by path",
)


def table():
    """Return the page's cells: (verb, column, what it says)."""
    page = Path(procsup.__file__).parent / "docs" / "shared-machines.md"
    lines = page.read_text(encoding="utf-8").split("\n## Whose word counts\n")[1].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    assert tuple(rows[0][1:]) == COLUMNS
    return [
        (verb.strip(" `"), COLUMNS[at], row[3] if cell == "as before it" else cell)
        for row in rows[2:8]
        for verb in row[0].split(",")
        for at, cell in enumerate(row[1:])
    ]


CELLS = table()


def test_the_table_has_every_verb_about_runs():
    from procsup.cli.group import VERBS

    said = {verb.split()[0] for verb, _, _ in CELLS}

    assert said == set(VERBS) - {"help", "init", "map", "schema"}


@pytest.fixture
def folder():
    with open_folder() as folder:
        (folder / "sub").mkdir()
        yield folder


def eves_run(folder, owner_of_home):
    """Make a finished run of Eve's, whose records all may read; return its directory."""
    Project(folder).write("survey.toml", RUN)
    give(folder, EVE)
    assert call_as(EVE, ["run", "survey.toml", "-q"], folder) == (0, "")
    rundir = folder / ".procsup" / "survey"
    for above, _, files in os.walk(rundir):
        for name in files:
            os.chmod(os.path.join(above, name), 0o644)
        os.chmod(above, 0o755)
    for one in (folder, folder / ".procsup", folder / "sub"):
        os.chown(one, owner_of_home, owner_of_home)
    return rundir


def words_of(verb):
    return WORDS.get(verb, [verb, "{}"])


def who_and_names(column, folder, rundir, verb):
    """Return who asks, where, and by which names."""
    if column == COLUMNS[0]:
        return EVE, folder, ["survey", rundir, folder / "survey.toml"]
    if column == COLUMNS[1]:
        return BOB, folder / "sub", ["survey", "last"]
    who = ROOT if column == COLUMNS[3] else BOB
    return who, folder / "sub", [rundir, *([folder / "survey.toml"] if who == BOB else [])]


def check(cell, code, said, owner=EVES):
    if cell.startswith("answers, and says"):
        assert code == 0, said
        assert f"run of {owner}: " in said
    elif cell == "listed with the name of the user":
        assert code == 0, said
        assert owner in said
    elif cell in ("answers", "listed", "does it"):
        assert code == 0, said
        assert "run of " not in said
    elif cell == "not found":
        assert code in (2, 3), said
        assert "of other users are found by their paths only" in said or "is left out" in said
    else:
        assert cell.startswith("refused (74)"), cell
        assert code == 74, said
        assert owner in said


QUIET = [
    cell for cell in CELLS if cell[0].split()[0] not in ("run", "stop", "drain", "list", "queue")
]


@pytest.mark.parametrize(("verb", "column", "cell"), QUIET)
def test_a_finished_run_answers_each_user_as_the_table_says(folder, verb, column, cell):
    rundir = eves_run(folder, owner_of_home=EVE if column == COLUMNS[0] else ROOT)
    who, where, names = who_and_names(column, folder, rundir, verb)

    for name in names:
        before = sorted(os.listdir(rundir))
        check(cell, *call_as(who, words_of(verb), where, name))
        if cell != "does it":
            assert sorted(os.listdir(rundir)) == before
        if verb == "prune" and cell == "does it":
            assert not rundir.exists()
            eves_run(folder, EVE)


@pytest.mark.parametrize(("verb", "column", "cell"), [c for c in CELLS if c[0] == "list"])
def test_a_list_of_runs_answers_each_user_as_the_table_says(folder, verb, column, cell):
    eves_run(folder, owner_of_home=EVE if column == COLUMNS[0] else ROOT)
    who = {COLUMNS[0]: EVE, COLUMNS[3]: ROOT}.get(column, BOB)

    code, said = call_as(who, [verb], folder / "sub")

    check(cell, code, said)
    assert "survey" in said
    assert (EVES in said) == (who != EVE)


@contextlib.contextmanager
def eves_live_run(folder):
    """Let Eve run a unit that ends when it is told to."""
    Project(folder).write("survey.toml", LIVE)
    give(folder, EVE)
    with acting(EVE, lambda: called_here(folder)):
        try:
            until((folder / "started").exists, "it did not start", 30.0)
            yield folder / ".procsup" / "survey"
        finally:
            (folder / "go").touch()


def called_here(folder):
    from tests.e2e.test_other_users import call

    return call(["run", "survey.toml", "-q"], folder)


ASKING = [cell for cell in CELLS if cell[0] in ("stop", "drain")]


@pytest.mark.parametrize(("verb", "column", "cell"), ASKING)
def test_a_live_run_answers_each_user_as_the_table_says(folder, verb, column, cell):
    with eves_live_run(folder) as rundir:
        who, where, names = who_and_names(column, folder, rundir, verb)
        for name in names[:1] if cell == "does it" else names:
            check(cell, *call_as(who, words_of(verb), where, name))
            lives = call_as(EVE, ["status", "survey"], folder)[1]
            assert ("running" in lives) == (cell != "does it" or verb == "drain")


@pytest.mark.parametrize(("verb", "column", "cell"), ASKING)
def test_a_run_that_is_over_is_not_asked(folder, verb, column, cell):
    rundir = eves_run(folder, owner_of_home=EVE if column == COLUMNS[0] else ROOT)
    who, where, names = who_and_names(column, folder, rundir, verb)

    for name in names:
        code, said = call_as(who, words_of(verb), where, name)
        if cell == "does it":
            assert code in (0, 3), said
        else:
            check(cell, code, said)


@pytest.mark.parametrize(("verb", "column", "cell"), [c for c in CELLS if c[0] == "run"])
def test_a_start_answers_each_user_as_the_table_says(folder, verb, column, cell):
    rundir = eves_run(folder, owner_of_home=EVE if column == COLUMNS[0] else ROOT)
    before = (rundir / "journal.jsonl").read_bytes()
    bobs = folder / "sub" / "bobs"
    Project(bobs).write("survey.toml", RUN)
    give(bobs, BOB)

    if column == COLUMNS[0]:
        assert call_as(EVE, words_of(verb), folder) == (0, "")
        assert (rundir / "journal.jsonl").read_bytes().startswith(before)
        return
    if column == COLUMNS[1]:
        assert cell == "another run directory is yours"
        assert call_as(BOB, words_of(verb), bobs) == (0, "")
        assert (bobs / ".procsup" / "survey" / "manifest.json").exists()
    else:
        who = BOB if column == COLUMNS[2] else ROOT
        os.chown(rundir.parent, EVE, EVE)
        check(cell, *call_as(who, words_of(verb), folder))
        into = ["run", "survey.toml", "--dir", str(rundir)]
        assert call_as(who, into, bobs)[0] == 74
    assert (rundir / "journal.jsonl").read_bytes() == before


@pytest.mark.parametrize(("verb", "column", "cell"), [c for c in CELLS if c[0][:5] == "queue"])
def test_a_queue_answers_each_user_as_the_table_says(folder, verb, column, cell):
    rundir = eves_run(folder, owner_of_home=EVE if column == COLUMNS[0] else ROOT)
    queue = rundir / "queue.jsonl"
    queue.write_text('{"opened":"1"}\n')
    os.chown(queue, EVE, EVE)
    who, where, names = who_and_names(column, folder, rundir, verb)

    code, said = call_as(who, words_of(verb), where, rundir if cell == "does it" else names[0])

    if cell == "not found":
        assert (code, "there is no queue" in said) == (2, True), said
    else:
        check(cell, code, said)
    assert (queue.read_text().count("\n") == 1) == (cell != "does it")


# --- root --------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["retry", "prune", "stop", "wait"])
def test_runs_of_root_are_as_those_of_any_other(folder, verb):
    Project(folder).write("survey.toml", RUN)
    assert call_as(ROOT, ["run", "survey.toml", "-q"], folder) == (0, "")
    rundir = folder / ".procsup" / "survey"

    for name in (rundir, folder / "survey.toml"):
        code, said = call_as(BOB, words_of(verb), folder / "sub", name)
        assert code == 0 if verb == "wait" else code == 74, said
        assert "user root" in said
    assert call_as(BOB, words_of(verb), folder / "sub", "survey")[0] in (2, 3)


# --- trust -------------------------------------------------------------------------------------


def test_prune_takes_a_folder_of_another_user_only_where_that_is_trusted(folder, monkeypatch):
    Project(folder).write("survey.toml", RUN)
    assert call_as(ROOT, ["run", "survey.toml", "-q"], folder) == (0, "")
    os.chown(folder / ".procsup", BOB, BOB)
    rundir = folder / ".procsup" / "survey"

    code, said = call_as(ROOT, words_of("prune"), folder, rundir)
    assert code != 0
    assert BOBS in said or f"uid {BOB}" in said
    assert rundir.exists()
    with trusting(monkeypatch, folder / "config", folder / ".procsup"):
        assert call_as(ROOT, words_of("prune"), folder, rundir)[0] == 0
    assert not rundir.exists()

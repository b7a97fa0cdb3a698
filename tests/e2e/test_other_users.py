"""Whose word counts: each verb, for runs and folders of our own, of root and of other users."""

import contextlib
import io
import json
import os
import shutil
import struct

import pytest

from procsup.cli.main import main
from procsup.errors import RecordError
from procsup.store import rundir
from tests.support.projects import Project
from tests.support.users import BOB, EVE, as_user, give, open_folder, root_only, trusting

pytestmark = root_only

ROOT = 0
RUN = 'share = "all"\n[stage.s]\ncommand = ["sh", "-c", "echo made"]\n'
BOBS, EVES = f"an unknown user (uid {BOB})", f"an unknown user (uid {EVE})"

READING = [
    ["wait", "{}", "--start-timeout", "0"],
    ["status", "{}"],
    ["verify", "{}"],
    ["logs", "{}"],
    ["explain", "{}", "s"],
]
ACTING = [
    ["retry", "{}", "s"],
    ["retry", "{}", "--dry-run"],
    ["retry", "{}", "s", "--here"],
    ["prune", "{}", "--yes"],
    ["stop", "{}"],
    ["drain", "{}"],
]


@pytest.fixture(name="open_folder")
def folder_of_root():
    """A folder of root's that everybody may enter."""
    with open_folder() as folder:
        yield folder


@pytest.fixture
def settings():
    """A folder for the user's configuration, which is closed to others."""
    with open_folder() as folder:
        yield folder


@pytest.fixture
def lab(open_folder):
    """A folder with a finished run `survey`, all of root's, and a folder to be in."""
    project = Project(open_folder)
    project.write("survey.toml", RUN)
    done = project.call("run", "survey.toml", "-q")
    assert done.returncode == 0, done.stderr
    for folder, _, files in os.walk(open_folder / ".procsup" / "survey"):
        for name in files:
            os.chmod(os.path.join(folder, name), 0o644)  # as owners can, for all of their run
        os.chmod(folder, 0o755)
    (open_folder / "sub").mkdir()
    return open_folder


def call(words, where, name="survey"):
    """Return exit code and output of a verb in a folder."""
    out, err = io.TextIOWrapper(io.BytesIO()), io.StringIO()
    before = os.getcwd()
    os.chdir(where)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([word.replace("{}", str(name)) for word in words])
    finally:
        os.chdir(before)
    out.flush()
    return code, out.buffer.getvalue().decode() + err.getvalue()


def call_as(uid, words, where, name="survey"):
    if uid == ROOT:
        return call(words, where, name)
    return as_user(uid, lambda: call(words, where, name))


FOUND, LEFT_OUT, BY_PATH, REFUSED = "found", "is left out: it belongs to", "found by their", "chmod"


@pytest.mark.parametrize(
    ("who", "home", "mode", "run", "what"),
    [
        # who asks, owner and mode of .procsup, owner of the run
        (ROOT, ROOT, 0o755, ROOT, FOUND),
        (ROOT, ROOT, 0o755, EVE, BY_PATH),
        (ROOT, EVE, 0o755, ROOT, LEFT_OUT),
        (ROOT, EVE, 0o755, EVE, LEFT_OUT),
        (ROOT, ROOT, 0o1777, ROOT, FOUND),
        (ROOT, ROOT, 0o777, ROOT, REFUSED),
        (EVE, EVE, 0o755, EVE, FOUND),
        (EVE, EVE, 0o755, BOB, BY_PATH),
        (EVE, EVE, 0o777, EVE, REFUSED),
        (EVE, ROOT, 0o755, EVE, FOUND),
        (EVE, ROOT, 0o755, ROOT, BY_PATH),
        (EVE, ROOT, 0o1777, BOB, BY_PATH),
        (EVE, BOB, 0o755, BOB, LEFT_OUT),
        (EVE, BOB, 0o755, EVE, LEFT_OUT),
    ],
)
def test_whose_runs_are_found_by_name(lab, who, home, mode, run, what):
    give(lab / ".procsup", home).chmod(mode)
    give(lab / ".procsup" / "survey", run)

    for words in READING[:3]:
        for name in ("survey", "last"):
            code, said = call_as(who, words, lab / "sub", name)
            assert (code == 0) == (what == FOUND), said
            assert what == FOUND or what in said
    code, said = call_as(who, ["list"], lab / "sub")
    assert (code == 0) == (what in (FOUND, BY_PATH)), said
    if what in (FOUND, BY_PATH):
        assert ("unknown user" in said or "user root" in said) == (what == BY_PATH)


@pytest.mark.parametrize("words", READING, ids=" ".join)
@pytest.mark.parametrize("who", [ROOT, BOB])
def test_a_run_of_another_user_is_read_by_its_path_and_said_to_be_theirs(lab, who, words):
    give(lab / ".procsup", EVE)

    code, said = call_as(who, words, lab / "sub", lab / ".procsup" / "survey")

    assert code == 0, said
    assert f"run of {EVES}: {lab / '.procsup' / 'survey'}" in said


@pytest.mark.parametrize("words", ACTING, ids=" ".join)
@pytest.mark.parametrize("who", [ROOT, BOB])
def test_only_its_owner_acts_on_a_run(lab, who, words):
    give(lab / ".procsup", EVE)
    before = sorted(os.listdir(lab / ".procsup" / "survey"))

    code, said = call_as(who, words, lab / "sub", lab / ".procsup" / "survey")

    if who == ROOT and words[0] in ("stop", "drain"):
        assert code == 3  # root may, and there is no supervisor
    else:
        assert code == 74
        assert f"belongs to {EVES}: only its owner may {words[0]} it" in said
    assert sorted(os.listdir(lab / ".procsup" / "survey")) == before


@pytest.mark.parametrize("words", [*READING, *ACTING], ids=" ".join)
def test_a_run_that_was_planted_does_not_answer_for_a_run_file(lab, words):
    """Its journal names the run file of another user."""
    planted = lab / ".procsup" / "survey"
    give(lab, BOB)
    give(planted, EVE)

    code, said = call_as(BOB, words, lab, "survey.toml")

    assert code in (2, 3)
    assert "holds no run of it" in said


def test_by_a_run_file_the_runs_of_its_owner_are_found(lab):
    give(lab, EVE)

    code, said = call_as(BOB, ["wait", "{}"], lab / "sub", lab / "survey.toml")

    assert code == 0
    assert f"run of {EVES}" in said


def test_a_bare_name_is_no_path_to_a_run_of_another_user(lab):
    give(lab / ".procsup", EVE)
    shutil.copytree(lab / ".procsup" / "survey", lab / "sub" / "survey")
    give(lab / "sub" / "survey", EVE)

    assert call_as(BOB, ["wait", "{}", "--start-timeout", "0"], lab / "sub")[0] == 3
    assert call_as(BOB, ["wait", "{}"], lab / "sub", "./survey")[0] == 0


def test_a_link_of_another_user_leads_to_no_run_of_ours(lab):
    other = lab / "sub" / "other"
    other.mkdir()
    (other / ".procsup").symlink_to(lab / ".procsup")
    os.lchown(other / ".procsup", EVE, EVE)

    assert call(["wait", "{}", "--start-timeout", "0"], other)[0] == 0  # the next above is ours
    (lab / "sub" / ".procsup").symlink_to(lab / "elsewhere")
    assert f"{other / '.procsup'} is left out" in call(["wait", "x"], other)[1]


@pytest.mark.parametrize("words", [*READING, *ACTING], ids=" ".join)
def test_a_run_of_ours_that_others_may_write_to_is_read_by_its_path_alone(lab, words):
    """They can exchange what is in it; and what a path leads to may be exchanged, too."""
    run = lab / ".procsup" / "survey"
    run.chmod(0o777)

    for name in ("survey", "last", lab / "survey.toml"):
        code, said = call(words, lab, name)
        assert code == 74
        assert f"{run} may be written to by every user (mode 0777)" in said
    code, said = call(words, lab, run)
    if words in READING:
        assert code == 0, said
    elif words[0] == "retry":
        assert code == 74
        assert "could put something else in its place" in said


def test_a_link_of_another_user_is_not_trusted_for_where_it_leads_by_now(lab, monkeypatch):
    own = lab / "own"
    own.mkdir()
    (lab / ".procsup").rename(own / ".procsup")
    (lab / "sub" / ".procsup").symlink_to(own / ".procsup")
    (lab / "way").symlink_to(own)
    for link in (lab / "sub" / ".procsup", lab / "way"):
        os.lchown(link, EVE, EVE)
    with trusting(monkeypatch, lab / "config", own):
        code, said = call(["wait", "{}", "--start-timeout", "0"], lab / "sub")
        assert (code, f"{lab / 'sub' / '.procsup'} is left out" in said) == (3, True)
        code, said = call(["run", "survey.toml", "--dir", str(lab / "way" / "runs")], lab)
        assert code == 74
        assert f"{lab / 'way'} is a link that belongs to {EVES}" in said
    with trusting(monkeypatch, lab / "config", lab / "sub", own):
        assert call(["wait", "{}"], lab / "sub")[0] == 0


def test_who_claims_to_be_a_process_that_cannot_be_is_no_supervisor(lab):
    lock = lab / ".procsup" / "survey" / "run.lock"
    owner = json.loads(lock.read_text())
    for pid in (0, -1, 1 << 31, 1 << 70, -(1 << 70)):
        lock.write_text(json.dumps({**owner, "pid": pid, "ended": None, "locks": False}) + "\n")
        for words in (*READING, ["list"], ["prune", "--keep", "1"]):
            code, said = call(words, lab)
            assert code == 0, said


# --- where a run may be ------------------------------------------------------------------------


def spoil_mode(folder):
    folder.chmod(0o777)
    return "may be written to by every user (mode 0777)"


def spoil_group(folder):
    os.chown(folder, ROOT, 100)
    folder.chmod(0o2775)
    return "may be written to by its group, users (mode 2775)"


def spoil_owner(folder):
    os.chown(folder, EVE, 0)
    return f"belongs to {EVES}"


@pytest.mark.parametrize("spoil", [spoil_mode, spoil_group, spoil_owner])
@pytest.mark.parametrize("which", ["", "sub", "sub/.procsup", "sub/.procsup/run"])
def test_a_run_does_not_begin_where_others_may_rearrange(
    open_folder, settings, monkeypatch, which, spoil
):
    project = Project(open_folder / "sub")
    project.write("run.toml", RUN)
    folder = open_folder / which
    folder.mkdir(parents=True, exist_ok=True)
    why = spoil(folder)

    done = project.run(expect=74)

    assert why in done.stderr
    assert str(folder) in done.stderr
    assert not (project.rundir / "journal.jsonl").exists()
    if which != "sub/.procsup/run":
        with trusting(monkeypatch, settings, folder):
            project.run()


def test_all_folders_that_others_may_rearrange_are_named_at_once(
    open_folder, settings, monkeypatch
):
    project = Project(open_folder / "a" / "b")
    project.write("run.toml", RUN)
    folders = [open_folder, open_folder / "a", open_folder / "a" / "b"]
    for folder in folders:
        folder.chmod(0o777)

    said = project.run(expect=74).stderr

    for folder in folders:
        assert f"{folder} may be written to by every user (mode 0777)" in said
    assert f"Change that (chmod go-w {' '.join(map(str, folders))})" in said
    assert f'trust = ["{open_folder}"]' in said  # all that is in it, too
    os.chown(folders[1], EVE, 0)
    said = project.run(expect=74).stderr
    assert f"{folders[1]} belongs to {EVES}; {folders[2]} may be" in said
    assert "chmod" not in said  # that would not do
    with trusting(monkeypatch, settings, open_folder):
        project.run()


def test_the_folders_of_several_owners_have_each_to_be_changed(lab):
    give(lab / ".procsup", BOB)
    lab.chmod(0o777)
    (lab / "survey.toml").chmod(0o644)
    (lab / ".procsup").chmod(0o777)

    code, said = call_as(BOB, ["run", "{}"], lab, "survey.toml")

    assert code == 74
    assert (
        f"Change that (chmod go-w {lab / '.procsup'}) and have their owner change that (chmod go-w"
        f" {lab})" in said
    )


def test_a_run_begins_in_a_sticky_folder_and_makes_its_folders_for_us_alone(open_folder):
    open_folder.chmod(0o1777)
    project = Project(open_folder / "mine")
    project.write("run.toml", RUN)
    before = os.umask(0)
    try:
        project.run()
    finally:
        os.umask(before)

    assert (project.rundir.parent).stat().st_mode & 0o777 == 0o755
    assert project.rundir.stat().st_mode & 0o777 == 0o755  # share = "all"


def test_a_folder_that_another_user_is_quicker_to_make_is_refused(open_folder, monkeypatch):
    open_folder.chmod(0o1777)
    home = open_folder / "runs"
    make = rundir.make_folders

    def make_late(*args, **options):
        home.mkdir()
        give(home, EVE).chmod(0o777)
        return make(*args, **options)

    monkeypatch.setattr(rundir, "make_folders", make_late)

    with pytest.raises(RecordError, match=f"{home} belongs to an unknown user"):
        rundir.RunDir(home / "survey").create()


@pytest.mark.parametrize("only_new", [False, True])
def test_a_link_that_another_user_is_quicker_to_make_leads_to_no_run(
    open_folder, monkeypatch, only_new
):
    """Not even to a run directory of ours: another one was named."""
    open_folder.chmod(0o1777)
    other = open_folder / "other"
    rundir.RunDir(other / "survey").create()
    before = os.stat(other / "survey").st_mode
    home = open_folder / "runs"
    make = rundir.make_folders

    def make_late(*args, **options):
        home.symlink_to(other)
        os.lchown(home, EVE, EVE)
        return make(*args, **options)

    monkeypatch.setattr(rundir, "make_folders", make_late)

    with pytest.raises(RecordError, match=f"{home} is a link that belongs to an unknown"):
        rundir.RunDir(home / "survey").create("all", only_new=only_new)
    assert os.stat(other / "survey").st_mode == before


def test_the_lock_of_several_runs_is_no_file_of_another_user(open_folder):
    """Who owns it in a sticky folder can hold it for ever, or exchange it while we have it."""
    open_folder.chmod(0o1777)
    project = Project(open_folder / "mine")
    project.write("run.toml", f'dir = "{open_folder}"\nlock = "nightly"\n{RUN}')
    planted = open_folder / ".nightly.lock"
    planted.touch()
    give(planted, EVE).chmod(0o666)

    done = project.call("run", "run.toml")

    assert done.returncode == 74
    assert f"{planted} cannot be locked: it belongs to uid {EVE}, and the run to" in done.stderr
    assert planted.read_text() == ""
    planted.unlink()
    assert project.call("run", "run.toml").returncode == 0


@pytest.mark.parametrize("planted", [".out.txt.procsup-1", "out.txt"])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_another_user_put_in_the_place_of_an_output_is_named_with_its_owner(
    open_folder, planted, kind
):
    shared = open_folder / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    placed = shared / planted
    placed.mkdir() if kind == "folder" else placed.touch()
    give(placed, EVE)
    Project(open_folder / "mine").write(
        "run.toml", f'[stage.s]\ncommand = ["echo", "made"]\nstdout = "{shared}/out.txt"\n'
    )
    give(open_folder / "mine", BOB)

    code, said = call_as(BOB, ["run", "run.toml"], open_folder / "mine")

    assert code == 1
    assert f"{placed} belongs to {EVES}, who alone may remove or replace it" in said
    assert "have it removed, or choose another folder" in said


def test_a_link_of_another_user_on_the_way_is_refused(open_folder):
    real = open_folder / "real"
    Project(real).write("run.toml", RUN)
    (open_folder / "way").symlink_to(real)
    os.lchown(open_folder / "way", EVE, EVE)

    done = Project(open_folder).call("run", "way/run.toml")

    assert done.returncode == 74

    assert f"{open_folder / 'way'} is a link that belongs to {EVES}" in done.stderr


NOBODY = 0xFFFFFFFF  # an entry of an access list that is for no user or group by number


def let_write(folder, kind, number, mode=0o775):
    """Give a folder an access list by which one more may write; the test is skipped without any."""
    folder.chmod(mode)
    others = [(1, 7, NOBODY), (4, 5, NOBODY), (16, 7, NOBODY), (32, 5, NOBODY)]
    entries = sorted([*others, (kind, 7, number)])
    text = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *one) for one in entries)
    try:
        os.setxattr(folder, "system.posix_acl_access", text)
    except OSError:
        pytest.skip("this file system has no access lists")


LISTED = [
    (2, EVE, f"may be written to by {EVES}, who is in its access list (getfacl)"),
    (8, EVE, f"may be written to by the group {EVE}, which is in its access list (getfacl)"),
    (2, ROOT, ""),
    (8, ROOT, ""),
]


@pytest.mark.parametrize(("kind", "number", "why"), LISTED)
def test_an_access_list_is_read_behind_a_group_of_ones_own(open_folder, kind, number, why):
    project = Project(open_folder)
    project.write("run.toml", RUN)
    let_write(open_folder, kind, number)

    done = project.run(expect=74 if why else 0)

    assert why in done.stderr
    if why:
        open_folder.chmod(0o755)  # as the message says: the list then lets no one write
        project.run()


@pytest.mark.parametrize(("kind", "number", "why"), LISTED)
def test_a_run_is_not_removed_where_an_access_list_lets_others_write(lab, kind, number, why):
    let_write(lab / ".procsup", kind, number)

    code, said = call(["prune", str(lab / ".procsup" / "survey"), "--yes"], lab / "sub")

    assert (lab / ".procsup" / "survey").exists() == bool(why)
    assert why in said
    assert (code == 0) == (not why)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("trust = 7", "trust: expected a list of absolute paths, not 7"),
        ('trust = ["lab"]', "expected a list of absolute paths"),
        ("trsut = []", "unknown key `trsut`; the only one known is `trust`"),
        ("trust = [", "config.toml: "),
        ("#" * (1 << 20) + "\n", "config.toml cannot be read: it is larger than 1 MB"),
    ],
    ids=["number", "relative", "key", "syntax", "large"],
)
def test_a_configuration_that_is_wrong_is_said(open_folder, settings, monkeypatch, text, said):
    spoil_mode(open_folder)
    project = Project(open_folder)
    project.write("run.toml", RUN)
    with trusting(monkeypatch, settings) as config:
        config.write_text(text)
        assert said in project.run(expect=2).stderr


def test_the_configuration_of_another_user_says_nothing(open_folder, settings, monkeypatch):
    spoil_mode(open_folder)
    project = Project(open_folder)
    project.write("run.toml", RUN)
    with trusting(monkeypatch, settings, open_folder) as config:
        os.chown(config, EVE, EVE)
        said = project.run(expect=74).stderr
        assert f"{open_folder} may be written to by every user" in said
        assert f"a configuration of your own (HOME or XDG_CONFIG_HOME leads to {config}" in said
        assert f"which belongs to {EVES})" in said


def test_a_configuration_in_the_closed_home_of_another_user_says_nothing(lab):
    give(lab / ".procsup", EVE)
    lab.chmod(0o777)
    home = lab / "home"
    home.mkdir(0o700)

    def run():
        os.environ["XDG_CONFIG_HOME"] = str(home)
        return call(["run", "survey.toml"], lab)

    code, said = as_user(EVE, run)

    assert code == 74
    assert f"Have its owner change that (chmod go-w {lab}), keep" in said
    assert f"leads to {home}/procsup/config.toml: Permission denied: {home} may not" in said


@pytest.mark.parametrize(("group", "code"), [(EVE, 0), (BOB, 74)])
def test_a_user_without_a_name_has_a_group_of_the_same_number(open_folder, group, code):
    """As in a container, `docker run --user 1000:1000`, on a folder made under umask 002."""
    Project(open_folder).write("run.toml", RUN)
    give(open_folder, EVE).chmod(0o775)
    os.chown(open_folder, EVE, group)

    done, said = call_as(EVE, ["run", "run.toml", "-q"], open_folder)

    assert done == code, said


def test_a_configuration_that_others_could_exchange_says_nothing(
    open_folder, settings, monkeypatch
):
    spoil_mode(open_folder)
    project = Project(open_folder)
    project.write("run.toml", RUN)
    above = settings / "home"
    with trusting(monkeypatch, above / "config", open_folder) as config:
        project.run()
        for folder in (config.parent, above / "config", above):
            folder.chmod(0o777)
            for words in (["run", "run.toml"], ["status", "run"]):
                done = project.call(*words)
                if words[0] == "run":
                    assert done.returncode == 2
                    assert f"{config}: {folder} may be written to by every user" in done.stderr
                    assert f"chmod go-w {folder}" in done.stderr
                assert done.stderr.count(f"{config}: ") <= 1
            folder.chmod(0o755)
        os.rename(above / "config", above / "far")
        (above / "config").symlink_to(above / "far")
        project.run()
        os.lchown(above / "config", EVE, EVE)
        assert f"is a link that belongs to {EVES}" in project.run(expect=2).stderr


def test_a_relative_place_of_the_configuration_is_passed_over(open_folder, settings, monkeypatch):
    """Else the folder that one happens to be in would say what one trusts."""
    spoil_mode(open_folder)
    project = Project(open_folder)
    project.write("run.toml", RUN)
    home = settings / "home"
    with trusting(monkeypatch, open_folder / "config", open_folder):
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.setenv("XDG_CONFIG_HOME", "config")
        assert f"in {home}/.config/procsup/config.toml" in project.run(expect=74).stderr
        with trusting(monkeypatch, home / ".config", open_folder):
            monkeypatch.setenv("XDG_CONFIG_HOME", "config")
            project.run()


def test_runs_of_others_are_found_by_name_in_a_folder_that_is_trusted(lab, monkeypatch):
    give(lab / ".procsup", EVE).chmod(0o777)
    with trusting(monkeypatch, lab / "config", lab):
        code, said = call(["wait", "{}"], lab / "sub")
        assert code == 0
        assert f"run of {EVES}" in said
        assert call(["retry", "{}", "--here", "s"], lab / "sub")[0] == 74

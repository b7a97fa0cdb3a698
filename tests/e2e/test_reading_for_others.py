"""What a run of another user makes us read: only what that user may read, too."""

import os
import stat

import pytest

from procsup.errors import OutputsChanged
from procsup.lib.library import read_manifest
from tests.e2e.test_other_users import ROOT, call, call_as
from tests.support.projects import Project
from tests.support.users import BOB, EVE, as_user, give, open_folder, root_only

pytestmark = root_only

RUN = """
share = "all"
[stage.s]
matrix.word.lines = "list.txt"
command = ["sh", "-c", "echo {word} > {outputs[0]}"]
inputs = ["given.txt"]
outputs = ["out/{word}.txt"]
[stage.g]
matrix.file.glob = "data/*.x"
command = ["true", "{file}"]
"""
ASKING = [
    ["verify", "{}"],
    ["explain", "{}", "s", "g"],
    ["status", "{}"],
    ["logs", "{}", "s/word=b"],
]


@pytest.fixture(name="lab")
def finished_run_of_eve():
    """A folder with a finished run of another user, and a closed folder with secrets beside it."""
    with open_folder() as folder:
        project = Project(folder / "eve")
        project.write("run.toml", RUN)
        project.write("list.txt", "a\nb\n")
        project.write("given.txt", "given")
        project.write("data/one.x", "")
        done = project.call("run", "run.toml", "-q")
        assert done.returncode == 0, done.stderr
        for above, _, files in os.walk(folder / "eve"):
            for name in files:
                os.chmod(os.path.join(above, name), 0o644)
            os.chmod(above, 0o755)
        give(folder / "eve", EVE)
        secrets = folder / "closed"
        secrets.mkdir(0o700)
        (secrets / "list.txt").write_text("secret-word\n")
        (secrets / "secret-name.x").touch()
        yield folder


def replace(path, target, owner=EVE):
    path.unlink()
    path.symlink_to(target)
    os.lchown(path, owner, owner)


def ask(lab, words, who=ROOT):
    return call_as(who, words, lab, lab / "eve" / ".procsup" / "run")


@pytest.mark.parametrize("mode", [0o600, 0o644])
@pytest.mark.parametrize("words", ASKING, ids=" ".join)
def test_a_list_that_its_user_may_not_read_is_not_read(lab, words, mode):
    """Also where a closed folder alone keeps it from them."""
    (lab / "closed" / "list.txt").chmod(mode)
    replace(lab / "eve" / "list.txt", lab / "closed" / "list.txt")

    _code, said = ask(lab, words)

    assert "secret" not in said
    if words[0] in ("verify", "explain"):
        assert f"an unknown user (uid {EVE}), whose run it is, may not read it" in said


@pytest.mark.parametrize("words", ASKING[:2], ids=" ".join)
def test_a_folder_that_its_user_may_not_list_is_not_listed(lab, words):
    data = lab / "eve" / "data"
    (data / "one.x").unlink()
    data.rmdir()
    data.symlink_to(lab / "closed")
    os.lchown(data, EVE, EVE)

    _code, said = ask(lab, words)

    assert "secret" not in said
    assert "whose run it is, may not read it" in said


def test_what_all_may_read_is_read_and_what_is_of_the_run_s_user(lab):
    public = lab / "public.txt"
    public.write_text("a\nb\n")
    public.chmod(0o644)
    own = lab / "eve" / "own.txt"
    own.write_text("a\nb\n")
    give(own, EVE).chmod(0o600)
    for where in (public, own):
        replace(lab / "eve" / "list.txt", where)

        code, said = ask(lab, ["verify", "{}"])

        assert code == 0, said
        assert "plan" not in said


def test_we_read_our_own_runs_and_root_s_as_ever(lab):
    (lab / "closed" / "list.txt").write_text("a\nb\n")
    replace(lab / "eve" / "list.txt", lab / "closed" / "list.txt", owner=ROOT)
    give(lab / "eve", ROOT)
    code, said = ask(lab, ["verify", "{}"])
    assert (code, "plan" in said) == (0, False), said

    give(lab / "closed", BOB)
    code, said = ask(lab, ["verify", "{}"], who=BOB)
    assert (code, "plan" in said) == (0, False), said


def test_an_output_of_a_run_of_another_user_is_a_file_of_theirs(lab):
    """Their manifest may name any path of ours, with its size and its time."""
    run, output = lab / "eve" / ".procsup" / "run", lab / "eve" / "out" / "a.txt"
    assert len(read_manifest(run).outputs()) == 2
    was = output.stat()
    mine = lab / "mine"
    mine.write_text("x\n")
    os.utime(mine, ns=(was.st_mtime_ns, was.st_mtime_ns))
    replace(output, mine)
    for who in (ROOT, BOB):
        give(mine, who)
        why = f"belongs to uid {who}, and the run to uid {EVE}"
        with pytest.raises(OutputsChanged, match=why):
            as_user(who, read_manifest(run).outputs)
        with pytest.raises(OutputsChanged, match=why):
            as_user(who, read_manifest(run).verify)
        assert why in ask(lab, ["verify", "{}"], who=who)[1]
        code, said = ask(lab, ["wait", "{}", "--verify"], who=who)
        assert (code, why in said) == (4, True), said


def test_an_input_that_its_user_may_not_read_is_not_read(lab):
    was = (lab / "eve" / "given.txt").stat()
    secret = lab / "closed" / "given.txt"
    secret.write_text("takes")
    secret.chmod(0o600)
    os.utime(secret, ns=(was.st_atime_ns, was.st_mtime_ns))
    replace(lab / "eve" / "given.txt", secret)

    _code, said = ask(lab, ["verify", "{}"])

    assert "whose run it is, may not read it" in said
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert call(["verify", str(lab / "eve" / ".procsup" / "run")], lab)[0] == 0  # a note

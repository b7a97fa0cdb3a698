"""A project is moved, linked, copied or restored: which units it keeps, which paths it shows."""

import json
import os
import shutil
import sys
import tarfile

import pytest

import procsup
from procsup import OutputsChanged, read_manifest
from procsup.core.outcome import Verdict
from procsup.core.records import End, encode_line
from procsup.store.reader import read_journal
from tests.support.files import needs_links
from tests.support.projects import Project, finish

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="hard links are not looked for")

WORKER = """
import sys
print("said by", sys.argv[2])
open(sys.argv[2], "w").write(open(sys.argv[1]).read() + sys.argv[3])
"""

RUN = """
name = "run"

[defaults]
script = "worker.py"
id = "{sample}"

[stage.trim]
matrix.source.glob = "raw/{sample:*}.fq"
args = ["{source}", "{outputs[0]}", "t"]
outputs = ["trim/{sample}"]
stdout = "said/{sample}.txt"

[stage.map]
for-each = "trim"
args = ["{trim.outputs[0]}", "{outputs[0]}", "m"]
inputs = ["{trim.outputs[0]}"]
outputs = ["map/{sample}"]

[stage.sort]
for-each = "map"
args = ["{map.outputs[0]}", "{outputs[0]}", "s"]
inputs = ["{map.outputs[0]}"]
outputs = ["sort/{sample}"]

[stage.call]
for-each = "sort"
args = ["{sort.outputs[0]}", "{outputs[0]}", "c"]
inputs = ["{sort.outputs[0]}"]
outputs = ["call/{sample}"]
"""
STAGES = ("trim", "map", "sort", "call")
BESIDE = """
name = "run"

[stage.one]
inputs = ["../shared/x.txt"]
command = ["cat", "{inputs[0]}"]
stdout = "seen.txt"

[stage.each]
matrix.f.glob = "../shared/*.txt"
shell = "mkdir -p ../made; cat {f} > ../made/{f.name}; echo >> ../made/{f.name}"
outputs = ["../made/*.txt"]

[stage.tools]
cwd = ".."
inputs = ["../shared/*.txt"]
command = ["ls", "shared/x.txt"]
stdout = "listed"
"""


@pytest.fixture
def made(tmp_path):
    folder = tmp_path / "first"
    folder.mkdir()
    project = Project(folder, RUN)
    project.write("worker.py", WORKER)
    for sample in ("A", "B"):
        project.write(f"raw/{sample}.fq", f"{sample}1")
    project.run()
    assert (folder / "call/A").read_text() == "A1tmsc"
    return project


def ran(project):
    """Return the units that the last sitting started."""
    begun = project.records("begin")[-1]["sitting"]
    records, sitting = [], 0
    for record in project.all_records():
        sitting = record["sitting"] if record["t"] == "begin" else sitting
        if record["t"] == "start" and sitting == begun:
            records.append(record["unit"])
    return sorted(records)


def move(project, name="second"):
    target = project.folder.parent / name
    os.rename(project.folder, target)
    return Project(target)


def copy_project(project, name="second"):
    target = project.folder.parent / name
    shutil.copytree(project.folder, target, symlinks=True)
    return Project(target)


def restore(project, name="second"):
    """Pack the project and unpack it under another name, or in its own place."""
    target = project.folder.parent / name
    archive = project.folder.parent / "saved.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(project.folder, arcname=name)
    if target.exists():
        os.rename(target, target.with_name("lost"))  # not removed: its inodes stay in use
    with tarfile.open(archive) as tar:
        tar.extraction_filter = lambda member, _path: member  # our own archive
        tar.extractall(project.folder.parent)
    return Project(target)


def replace(path, text):
    """Replace a file by one of the same size and times but other content."""
    status = path.stat()
    assert len(text) == status.st_size
    other = path.with_name("other")
    other.write_text(text)
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.replace(other, path)


def chain(sample):
    return sorted(f"{stage}/{sample}" for stage in STAGES)


# --- moved ---


def test_a_moved_project_stays_finished(made):
    there = move(made)

    done = there.run()

    assert ran(there) == []
    assert f"kept 8 of 8 (moved from {made.folder}; finished " in done.stderr
    assert there.records("seen") == []  # the files are the same ones: none had to be read
    assert "moved from" not in there.run().stderr


def test_in_a_moved_project_exactly_the_chain_of_a_replaced_sample_runs(made):
    there = move(made)
    replace(there.folder / "raw/A.fq", "A2")

    there.run()

    assert ran(there) == chain("A")
    assert (there.folder / "call/A").read_text() == "A2tmsc"


def test_verbs_speak_of_the_moved_project(made):
    there = move(made)

    assert there.call("verify", "run").returncode == 0
    assert there.call("wait", "run.toml", "--verify").returncode == 0
    logs = there.call("logs", "run", "trim/A", "--stdout")
    assert logs.stdout.replace(os.sep, "/") == "said by trim/A\n"
    assert read_manifest(there.rundir).outputs("trim")[0] == there.folder / "trim/A"
    assert read_manifest(there.rundir).directory == there.rundir
    os.unlink(there.folder / "trim/A")
    assert there.call("verify", "run").returncode == 4
    assert there.call("retry", "run", "call/B").returncode == 0
    assert "call/B" in ran(there)
    assert there.records("begin")[-1]["run_file"] == str(there.folder / "run.toml")


def test_an_interrupted_run_goes_on_in_the_moved_project(made):
    made.write("raw/C.fq", "C1")
    made.write("worker.py", WORKER + 'assert "C" not in sys.argv[2] or "map" not in sys.argv[2]\n')
    made.run(expect=1)
    there = move(made)
    there.write("worker.py", WORKER)

    there.run()

    assert ran(there) == ["call/C", "map/C", "sort/C"]


def test_a_run_directory_elsewhere_is_found_by_the_moved_project(made):
    elsewhere = str(made.folder.parent / "runs")
    made.run("--dir", elsewhere)
    there = move(made)

    done = there.run("--dir", elsewhere)

    assert "kept 8 of 8 (moved from " in done.stderr


# --- by a link ---


@needs_links
def test_the_same_file_by_another_name_is_the_same_run(made):
    link = made.folder.parent / "link"
    link.symlink_to(made.folder)
    there = Project(link)

    done = there.run()

    assert "kept 8 of 8 (finished " in done.stderr
    assert ran(there) == []
    for word in ("run", "run.toml", str(made.folder / "run.toml"), str(link / "run.toml")):
        assert there.call("wait", word, "--verify").returncode == 0
    replace(link / "raw/A.fq", "A2")
    there.run()
    assert ran(there) == chain("A")
    assert "kept 8 of 8 (finished " in made.run().stderr


@needs_links
@posix_only
@pytest.mark.parametrize("start", ["link", "first"])
def test_what_lies_beside_a_linked_project_is_what_its_programs_find_there(tmp_path, start):
    """A path with `..` in it: what is watched, made and vouched for is what a program opens."""
    (tmp_path / "deep/first").mkdir(parents=True)
    (tmp_path / "deep/shared").mkdir()
    (tmp_path / "shared").mkdir()
    for folder in ("deep/shared", "shared"):
        (tmp_path / folder / "x.txt").write_text(folder)
    (tmp_path / "link").symlink_to(tmp_path / "deep/first")
    project = Project(tmp_path / "link", BESIDE)

    project.run("--jobs", "1")
    (tmp_path / "deep/shared/x.txt").write_text("other")
    changed = project.run("--dry-run").stderr
    there = project if start == "link" else Project(tmp_path / "deep/first")
    there.run()

    assert "3 input changed" in changed
    assert (tmp_path / "deep/made/x.txt").read_text() == "other\n"
    assert (tmp_path / "deep/first/seen.txt").read_text() == "other"
    assert not (tmp_path / "made").exists()
    (tmp_path / "shared/x.txt").write_text("of no one")
    assert "kept 3 of 3 (finished " in project.run().stderr
    assert "kept 3 of 3 (finished " in Project(tmp_path / "deep/first").run().stderr
    (tmp_path / "deep/made/x.txt").write_text("damaged")
    assert project.call("verify", "run").returncode == 4


@pytest.mark.survives("F89")
@posix_only
def test_a_copy_by_hard_links_and_its_original_are_refused_until_the_copy_has_own_files(made):
    copy = Project(made.folder.parent / "copy")
    shutil.copytree(str(made.folder), str(copy.folder), copy_function=os.link)
    for one in (made, copy):
        refused = one.run(expect=74)
        assert "(it has a second hard link): refused. If the project was copied" in refused.stderr
    own = copy.folder / "own"
    shutil.copytree(str(copy.folder / ".procsup"), str(own), symlinks=True)
    shutil.rmtree(str(copy.folder / ".procsup"))
    own.rename(copy.folder / ".procsup")

    assert "kept 8 of 8 (finished " in made.run().stderr
    assert "with --adopt" in copy.run(expect=2).stderr
    assert "kept 8 of 8 (copied from " in copy.run("--adopt").stderr


HELD = """
[stage.held]
command = ["sh", "-c", "echo > ready; read x < go; echo made > {outputs[0]}"]
outputs = ["out"]
"""


@pytest.mark.survives("F89")
@posix_only
def test_a_copy_by_hard_links_of_a_live_run_leaves_it_alone(tmp_path):
    made, copy = Project(tmp_path / "first", HELD), Project(tmp_path / "copy", HELD)
    for name in ("ready", "go"):
        os.mkfifo(made.folder / name)
    live = made.start("run", "run.toml")
    (made.folder / "ready").read_text()  # its unit runs
    shutil.copytree(
        str(made.folder / ".procsup"), str(copy.folder / ".procsup"), copy_function=os.link
    )

    refused = copy.run(expect=74)
    asked = copy.call("stop", "run", "--grace", "0")
    (made.folder / "go").write_text("go\n")

    _, err = finish(live)
    assert live.returncode == 0, err
    assert "(it has a second hard link): refused. If the project was copied" in refused.stderr
    assert asked.returncode != 0, "what was asked of the copy has ended the original"
    assert made.verdicts == {"held": "succeeded"}
    assert made.call("wait", "run").returncode == 0
    assert copy.call("wait", "run", "--timeout", "1").returncode != 0


@posix_only
def test_a_hard_link_to_a_run_file_in_another_folder_is_another_run(tmp_path):
    text = f'dir = "{tmp_path}/state"\n[stage.a]\nshell = "cat in"\nstdout = "out"\n'
    one, two = Project(tmp_path / "one", text), Project(tmp_path / "two")
    for folder in (one.folder, two.folder):
        folder.mkdir(exist_ok=True)
        (folder / "in").write_text("x")
    os.link(str(one.folder / "run.toml"), str(two.folder / "run.toml"))
    one.run()

    done = two.run(expect=2)

    assert f"belongs to {one.folder / 'run.toml'}, not to " in done.stderr
    assert not (two.folder / "out").exists()


def linked_file(made, kind):
    """A link to the run file: beside it, elsewhere, of two steps, in a folder that is a link."""
    beside, elsewhere = made.folder / "zz.toml", made.folder.parent / "other"
    elsewhere.mkdir()
    beside.symlink_to("run.toml")
    (elsewhere / "yy.toml").symlink_to("../first/run.toml")
    (elsewhere / "two.toml").symlink_to(beside)
    (made.folder.parent / "folder").symlink_to(elsewhere)
    return {
        "beside": beside,
        "elsewhere": elsewhere / "yy.toml",
        "of a link": elsewhere / "two.toml",
        "in a linked folder": made.folder.parent / "folder" / "yy.toml",
    }[kind]


@needs_links
@pytest.mark.parametrize("kind", ["beside", "elsewhere", "of a link", "in a linked folder"])
def test_a_link_to_the_run_file_is_that_run(made, kind):
    link = linked_file(made, kind)
    there = Project(link.parent)
    (made.folder / "call" / "B").unlink()

    planned = there.call("run", link.name, "--dry-run")
    done = there.call("run", link.name)

    assert "kept 7 of 8 (finished " in planned.stdout + planned.stderr
    assert "kept 7 of 8 (finished " in done.stderr
    assert ran(made) == ["call/B"]
    assert there.call("status", link.name).stdout.startswith("run (run ")
    assert there.call("wait", str(link), "--verify").returncode == 0
    assert there.call("verify", link.name).returncode == 0
    assert there.call("retry", link.name, "trim/A").returncode == 0
    assert set(ran(made)) >= {"trim/A"}
    plan = procsup.plan(link)
    assert (plan.directory, plan.to_run) == (os.path.realpath(made.rundir), [])
    run = procsup.run(link, progress="none")
    assert [unit.kept for unit in run.units] == [True] * 8
    assert sorted(os.listdir(made.folder / ".procsup")) == ["run"]
    assert not (made.folder.parent / "other" / ".procsup").exists()


@needs_links
def test_a_link_to_a_run_file_without_a_name_of_its_own_names_no_run(made):
    made.write("plain.toml", RUN.replace('name = "run"', ""))
    (made.folder / "zz.toml").symlink_to("plain.toml")

    assert procsup.load(made.folder / "zz.toml").name == "plain"
    assert made.call("run", "zz.toml").returncode == 0
    assert sorted(os.listdir(made.folder / ".procsup")) == ["plain", "run"]
    assert "kept 8 of 8" in made.call("run", "plain.toml").stderr


@needs_links
def test_what_is_wrong_in_a_linked_run_file_is_said_by_the_name_that_was_given(made):
    made.write("run.toml", "nmae = 'run'")
    (made.folder / "zz.toml").symlink_to("run.toml")

    assert "zz.toml:1: nmae: unknown key" in made.call("run", "zz.toml").stderr


# --- copied ---


@posix_only
def test_retry_executes_nothing_that_the_records_of_a_copy_name(tmp_path):
    """They may come with a checkout: here they name a run file that the user has not named."""
    made = Project(tmp_path / "first")
    made.write("hidden/run.toml", '[stage.s]\ncommand = ["sh", "-c", "touch executed; exit 1"]\n')
    made.write("run.toml", '[stage.s]\ncommand = ["true"]\n')
    assert made.call("run", "hidden/run.toml", "--dir", ".procsup").returncode == 1
    (made.folder / "hidden" / "executed").unlink()
    there = copy_project(made)

    for words in ([], ["s"], ["s", "--here"], ["--dry-run"]):
        refused = there.call("retry", "run", *words)
        assert refused.returncode == 2, refused.stderr
        assert "may name any run file: begin a run here first" in refused.stderr
    assert not (there.folder / "hidden" / "executed").exists()


@pytest.mark.parametrize("take", [copy_project, restore])
def test_a_copy_keeps_what_is_done_once_the_user_has_said_so(made, take):
    there = take(made)
    before = (there.rundir / "journal.jsonl").read_bytes()

    refused = there.run(expect=2)

    said = "with --adopt (in a program: adopt=True) keeps"
    assert f"is copied from {made.folder}: `procsup run` {said}" in refused.stderr
    assert (there.rundir / "journal.jsonl").read_bytes() == before
    assert there.call("retry", "run", "trim/A").returncode == 2
    assert there.call("retry", "run").returncode == 2
    done = there.run("--adopt")
    assert ran(there) == []
    assert f"kept 8 of 8 (copied from {made.folder}; finished " in done.stderr
    assert there.records("seen")  # its files are new: each was read
    there.run()  # now it is a normal project
    assert ran(there) == []
    assert len(there.records("seen")) == len(set(map(str, there.records("seen")))) == 8
    assert ran(made) == sorted([*chain("A"), *chain("B")])


def test_a_copy_whose_units_were_only_skipped_since_they_succeeded_is_refused_too(made):
    there = copy_project(made)
    journal = there.rundir / "journal.jsonl"
    entries = list(read_journal(journal))
    ends = [entry.record for entry in entries if isinstance(entry.record, End)]
    with journal.open("ab") as file:
        for seq, end in enumerate(ends, entries[-1].seq + 1):
            skip = End(end.unit, 0, Verdict.SKIPPED, end.at, counts=False)
            file.write(encode_line(seq, skip))

    refused = there.run(expect=2)

    assert "with --adopt (in a program: adopt=True) keeps" in refused.stderr
    assert "kept 8 of 8 (copied from " in there.run("--adopt").stderr


def test_a_copy_may_be_run_afresh(made):
    there = copy_project(made)

    there.run("--fresh")

    assert ran(there) == sorted([*chain("A"), *chain("B")])
    assert "kept 8 of 8" in there.run().stderr


def test_a_dry_run_of_a_copy_says_what_would_be_kept(made):
    done = copy_project(made).call("run", "run.toml", "--dry-run")

    assert "kept 8 of 8 (copied from " in done.stdout + done.stderr


def test_a_project_restored_in_its_own_place_is_a_copy_as_well(made):
    there = restore(made, "first")

    refused = there.run(expect=2)

    assert "is restored from a copy: `procsup run` with --adopt" in refused.stderr
    assert "kept 8 of 8 (restored from a copy; finished" in there.run("--adopt").stderr
    assert ran(there) == []


def test_in_a_copy_exactly_the_chain_of_a_replaced_sample_runs(made):
    there = copy_project(made)
    replace(there.folder / "raw/A.fq", "A2")

    there.run("--adopt")

    assert ran(there) == chain("A")
    assert (made.folder / "call/A").read_text() == "A1tmsc"


def test_a_damaged_output_of_a_copy_is_not_vouched_for_by_the_original(made):
    there = copy_project(made)
    replace(there.folder / "sort/B", "XXXXX")

    verified = there.call("verify", "run")

    assert verified.returncode == 4
    assert "sort/B: content differs" in verified.stdout.replace(os.sep, "/") + verified.stderr
    assert there.call("wait", "run", "--verify").returncode == 4
    assert there.call("wait", str(there.rundir), "--verify").returncode == 4
    assert made.call("wait", "run", "--verify").returncode == 0
    with pytest.raises(OutputsChanged, match="content differs") as caught:
        read_manifest(there.rundir).outputs()
    assert str(there.folder / "sort" / "B") in str(caught.value)


@needs_links
def test_a_damaged_output_is_found_by_a_linked_path_too(made):
    there = copy_project(made)
    link = there.folder.parent / "link"
    link.symlink_to(there.folder)
    replace(there.folder / "sort/B", "XXXXX")

    for word in ("run", "run.toml", str(link / "run.toml")):
        assert Project(link).call("wait", word, "--verify").returncode == 4
        assert Project(link).call("verify", word).returncode == 4


def test_a_run_file_beside_a_run_directory_of_another_one_is_refused(made):
    made.write("other.toml", RUN)

    refused = made.call("run", "other.toml")

    assert refused.returncode == 2
    assert f"belongs to {made.folder / 'run.toml'}" in refused.stderr


# --- many ---

COHORT = """
name = "run"
[defaults]
id = "{sample}"
[stage.trim]
command = ["cp", "{source}", "{outputs[0]}"]
matrix.source.glob = "raw/{sample:*}.fq"
inputs = ["{source}"]
outputs = ["trim/{sample}"]
""" + "".join(
    f"""
[stage.{stage}]
command = ["cp", "{{{before}.outputs[0]}}", "{{outputs[0]}}"]
for-each = "{before}"
inputs = ["{{{before}.outputs[0]}}"]
outputs = ["{stage}/{{sample}}"]
"""
    for before, stage in zip(STAGES, STAGES[1:])
)


@pytest.mark.skipif(os.name == "nt", reason="cp is a program of POSIX")
def test_of_300_samples_exactly_the_chain_of_the_replaced_one_runs(tmp_path):
    (tmp_path / "first").mkdir()
    made = Project(tmp_path / "first", COHORT)
    for number in range(300):
        made.write(f"raw/S{number:03}.fq", f"{number:03}")
    made.run()
    there, link = move(made), tmp_path / "link"
    replace(there.folder / "raw/S017.fq", "XYZ")
    link.symlink_to(there.folder)

    Project(link).call("run", str(link / "run.toml"))

    assert len(there.starts()) == 1204
    assert ran(there) == sorted(f"{stage}/S017" for stage in STAGES)
    assert (there.folder / "call/S017").read_text() == "XYZ"
    copy = copy_project(there, "third")
    replace(copy.folder / "sort/S200", "ZYX")
    verbs = [("verify", "run"), ("wait", "run", "--verify"), ("verify", str(link / "run.toml"))]
    codes = [one.call(*words).returncode for one, words in zip((copy, copy, there), verbs)]
    assert codes == [4, 4, 0]


# --- runs of a program ---

PROGRAM = """
import sys, procsup
copy = "import os, sys; open(sys.argv[1], 'w').write(open('in.txt').read())"
units = [
    procsup.Unit([sys.executable, "-c", copy, name], id=name, inputs=["in.txt"], outputs=[name])
    for name in ("a.txt", "b.txt")
]
settings = {word: True for word in sys.argv[1:]}
done = procsup.run_units(units, name="run", keep="unchanged", check=False, **settings)
print([unit.id for unit in done.units if unit.kept])
"""
KEPT = "['units/a.txt', 'units/b.txt']\n"


@pytest.fixture
def of_a_program(tmp_path):
    (tmp_path / "first").mkdir()
    project = Project(tmp_path / "first")
    project.write("go.py", PROGRAM)
    project.write("in.txt", "in")
    assert go(project).stdout == "[]\n"
    return project


def go(project, *words):
    program = Project(project.folder)
    program.program = ("go.py",)
    return program.call(*words)


def test_a_run_of_a_program_is_repeated_where_its_folder_is_now(of_a_program):
    there = move(of_a_program)
    (there.folder / "b.txt").unlink()

    retried = there.call("retry", "run", "b.txt")

    assert retried.returncode == 0, retried.stderr
    assert ran(there) == ["units/b.txt"]
    assert (there.folder / "b.txt").read_text() == "in"
    assert go(there).stdout == KEPT


def test_a_program_says_that_its_run_keeps_what_was_done_before_the_copy(of_a_program):
    there = copy_project(of_a_program)

    refused = go(there)
    kept = go(there, "adopt")

    assert "adopt=True" in refused.stderr
    assert kept.stdout == KEPT
    assert procsup.run(there.rundir / "plan.jsonl", progress="none").status == "succeeded"
    assert len(there.starts()) == 2


def test_a_program_may_keep_what_was_done_in_a_copied_run_file(made):
    there = copy_project(made)

    with pytest.raises(procsup.UsageError, match="adopt=True"):
        procsup.run(there.folder / "run.toml", progress="none")
    done = procsup.run(there.folder / "run.toml", progress="none", adopt=True)

    assert [unit.kept for unit in done.units] == [True] * 8


# --- answers of a copy ---


@posix_only
def test_a_copy_of_a_live_run_is_nobodys_work_and_leaves_the_original_alone(tmp_path):
    made = Project(tmp_path / "first", HELD)
    for name in ("ready", "go"):
        os.mkfifo(made.folder / name)
    live = made.start("run", "run.toml")
    (made.folder / "ready").read_text()  # its unit runs
    for copy in (tmp_path / "second" / ".procsup" / "run", tmp_path / "alone"):
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(str(made.rundir), str(copy))
    copy = Project(tmp_path / "second", HELD)

    told = [copy.call(*words) for words in (["status", "run"], ["wait", "run"], ["stop", "run"])]
    alone = made.call("status", str(tmp_path / "alone"))
    begun = copy.run()  # there is nothing to keep
    (made.folder / "go").write_text("go\n")

    _, err = finish(live)
    assert live.returncode == 0, err
    words = "it was not finished when it was copied, and no supervisor works on the copy"
    assert words in told[0].stdout
    assert words in told[1].stderr
    assert [one.returncode for one in told] == [0, 3, 3]
    host = made.records("begin")[0]["host"]
    assert f"{copy.rundir} is a copy of {host}:{made.rundir}: " in told[0].stderr
    assert f"{tmp_path / 'alone'} is a copy of {host}:{made.folder}: " in alone.stderr
    assert "a copy of run " in begun.stderr
    assert made.verdicts == {"held": "succeeded"}


@pytest.mark.parametrize("take", [copy_project, restore])
@pytest.mark.parametrize("words", ["wait run", "verify run", "status run", "explain run *"])
def test_what_a_copy_answers_is_said_to_be_of_a_copy(made, take, words):
    there = take(made)
    source = f"{made.records('begin')[0]['host']}:{made.rundir}"

    done = there.call(*words.split(), "--json")

    assert done.returncode == 0
    assert f"{there.rundir} is a copy of {source}: what it says was recorded there" in done.stderr
    assert "with --adopt keeps what is intact here" in done.stderr
    assert json.loads(done.stdout)["copied_from"] == source
    assert read_manifest(there.rundir).copied_from == source
    ours = made.call(*words.split(), "--json")
    assert "copy" not in ours.stderr
    assert json.loads(ours.stdout)["copied_from"] is None
    assert read_manifest(made.rundir).copied_from is None


def test_a_copy_that_was_adopted_answers_for_itself(made):
    there = copy_project(made)
    before = made.records("begin")[0]["run_id"]

    done = there.run("--adopt")

    now = there.records("begin")[-1]["run_id"]
    assert f"a copy of run {before} goes on as run {now}, its own" in done.stderr
    for verb in ("wait", "status"):
        assert "copy" not in there.call(verb, "run").stderr
    assert read_manifest(there.rundir).copied_from is None
    assert "copy" not in there.run().stderr


@pytest.mark.parametrize(
    "journal", [None, b"", b"{}\n", b"[" * 100_000], ids=["gone", "empty", "no record", "nested"]
)
def test_records_without_a_journal_of_theirs_are_said_to_be_of_a_copy(made, journal):
    (made.rundir / "journal.jsonl").unlink()
    if journal is not None:
        (made.rundir / "journal.jsonl").write_bytes(journal)

    done = made.call("wait", "run")

    assert done.returncode == 0
    assert f"{made.rundir} is restored from a copy" in done.stderr

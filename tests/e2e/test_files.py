"""Globs and links with real children: values in patterns are literal, and no file is lost."""

import json
import os
import shutil
import subprocess

import pytest

from tests.paths.test_walk import link
from tests.support.files import needs_links
from tests.support.projects import Project, finish, kill, wait_for

WRITER = """
import sys
for path in sys.argv[1:]:
    open(path, "w").write(path)
"""


def project(folder, text):
    made = Project(folder, text)
    made.write("w.py", WRITER)
    return made


def verdicts(made):
    return {unit["id"]: unit["verdict"] for unit in made.manifest["units"]}


def outputs(made):
    return {
        unit["id"]: [os.path.relpath(one["path"], made.folder) for one in unit["outputs"]]
        for unit in made.manifest["units"]
    }


def unit_of(made, name):
    (unit,) = [unit for unit in made.manifest["units"] if unit["id"] == name]
    return unit


odd_names = pytest.mark.skipif(os.name == "nt", reason="names that Windows does not have")


@odd_names
@pytest.mark.parametrize(("name", "other"), [("exp[1]", "exp1"), ("a*", "ab"), ("{x,y}", "x")])
def test_a_unit_in_an_odd_folder_answers_for_its_own_files(name, other, tmp_path):
    for folder in (name, other):
        (tmp_path / folder).mkdir()
    text = '[stage.a]\nscript = "w.py"\nargs = ["out/{}.txt"]\noutputs = ["out/*.txt"]\n'
    project(tmp_path / other, text.format("x")).run()
    own = project(tmp_path / name, text.format("y"))

    own.run()

    assert outputs(own) == {"a": [os.path.join("out", "y.txt")]}
    own = project(tmp_path / name, text.format("y").replace("out/y.txt", "no.txt"))
    os.unlink(tmp_path / name / "out" / "y.txt")
    assert own.run(expect=1)
    assert verdicts(own) == {"a": "bad-output"}


@odd_names
def test_values_with_brackets_and_stars_vouch_for_their_own_files(tmp_path):
    made = project(
        tmp_path,
        '[stage.a]\nscript = "w.py"\nmatrix.s = ["a*", "ab", "a[0-9]", "a5"]\n'
        'args = ["out/{s}/x.txt"]\noutputs = ["out/{s}/*.txt"]\n',
    )

    made.run()

    assert outputs(made) == {
        f"a/s={s}": [os.path.join("out", s, "x.txt")] for s in ("a*", "ab", "a[0-9]", "a5")
    }


@odd_names
@pytest.mark.parametrize("name", ["d[x]{y}*", "[*]", "plain"])
def test_patterns_are_shown_as_they_were_written_and_relative(name, tmp_path):
    (tmp_path / name).mkdir()
    text = """
[stage.a]
command = ["true", "{s}"]
matrix.s = ["S[1]", "T*"]
outputs = ["o/{s}/*.txt", "{{x/*"]
id = "{s}"
"""
    made = project(tmp_path / name, text.replace(', "{{x/*"', ""))

    failed = made.run(expect=1).stderr

    assert "output o/S[1]/*.txt: no file matches" in failed
    assert "output o/T*/*.txt: no file matches" in failed
    made.write("run.toml", text)
    refused = made.run(expect=2).stderr
    assert "write the same file, {x/*: each needs its own" in refused
    made.write("run.toml", text.replace("{{x/*", "o/*/*.txt"))
    refused = made.run(expect=2).stderr
    assert "o/T*/*.txt of the unit `a/T*` and o/*/*.txt of the unit `a/S[1]`" in refused
    assert str(tmp_path) not in refused


@odd_names
def test_a_deleted_match_of_a_pattern_is_shown_without_escapes(tmp_path):
    (tmp_path / "d*").mkdir()
    text = '[stage.a]\nscript = "w.py"\nargs = ["o/{x"]\noutputs = ["o/{{*"]\n'
    made = project(tmp_path / "d*", text.replace('"o/{x"', '"o/{{x"'))
    made.run()
    (made.folder / "o" / "{x").unlink()

    assert "output deleted: o/{*" in made.call("run", "run.toml", "--dry-run").stdout


def test_linked_sample_folders_are_units_and_a_broken_one_is_refused(tmp_path):
    for sample in ("samples/A", "real/B"):
        (tmp_path / sample).mkdir(parents=True)
        (tmp_path / sample / "r.fq").write_text("x")
    link(tmp_path / "real" / "B", tmp_path / "samples" / "B")
    made = project(
        tmp_path,
        '[stage.a]\nscript = "w.py"\nmatrix.f.glob = "samples/{s:*}/r.fq"\n'
        'args = ["out/{s}"]\noutputs = ["out/{s}"]\n',
    )

    made.run()
    assert verdicts(made) == {"a/s=A": "succeeded", "a/s=B": "succeeded"}

    os.unlink(tmp_path / "samples" / "B")
    link(tmp_path / "real" / "C", tmp_path / "samples" / "B")
    refused = made.run(expect=2)
    assert "samples/B, which is a link to nothing" in refused.stderr


def test_a_linked_folder_in_an_input_is_watched(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "ext").mkdir()
    (tmp_path / "ext" / "x.csv").write_text("1")
    link(tmp_path / "ext", tmp_path / "data" / "sub")
    link(tmp_path / "data", tmp_path / "ext" / "loop")
    made = project(
        tmp_path, '[stage.a]\nscript = "w.py"\ninputs = ["data/"]\nargs = ["o"]\noutputs = ["o"]\n'
    )
    made.run()
    assert "kept 1 of 1" in made.run().stderr

    (tmp_path / "ext" / "x.csv").write_text("12")

    assert "kept 0 of 1" in made.run().stderr


@needs_links
@pytest.mark.parametrize("broken", ["data/x", "data/deep/.hidden", "data/more/x"])
def test_a_link_to_nothing_in_a_folder_that_is_an_input_is_refused_by_name(broken, tmp_path):
    (tmp_path / "p").mkdir()
    made = project(tmp_path / "p", UNIT_OF_A_FOLDER)
    (tmp_path / "far").mkdir()
    made.write("data/deep/a", "a")
    (made.folder / "data" / "more").symlink_to(tmp_path / "far")
    made.run()
    assert "kept 1 of 1" in made.run().stderr
    (made.folder / broken).symlink_to("nowhere")

    planned, refused = made.call("run", "run.toml", "--dry-run"), made.run(expect=2)

    said = f"{made.folder / broken} is a link to nothing; mend the link or remove it"
    assert said in planned.stdout + planned.stderr
    assert said in refused.stderr
    (made.folder / broken).unlink()
    assert "kept 1 of 1" in made.run().stderr


@needs_links
def test_a_link_to_nothing_fails_the_unit_alone_where_missing_inputs_do(tmp_path):
    made = project(tmp_path, 'missing-inputs = "fail-unit"\n' + UNIT_OF_A_FOLDER)
    made.write("data/a", "a")
    (tmp_path / "data" / "x").symlink_to("nowhere")

    assert f"{tmp_path / 'data' / 'x'} is a link to nothing" in made.run(expect=1).stderr


@needs_links
def test_a_link_to_nothing_that_appears_later_keeps_the_attempt_from_its_start(tmp_path):
    text = """
[stage.first]
command = ["ln", "-s", "nowhere", "data/x"]
[stage.a]
for-each = "first"
script = "w.py"
args = ["b"]
inputs = ["data/"]
outputs = ["b"]
"""
    made = project(tmp_path, text)
    made.write("data/a", "a")

    failed = made.run(expect=1)

    assert "data/x" in failed.stderr
    assert "link to nothing" in failed.stderr


@needs_links
def test_a_lock_of_an_editor_is_no_link_to_nothing(tmp_path):
    made = project(tmp_path, UNIT_OF_A_FOLDER)
    made.write("data/a", "a")
    (tmp_path / "data" / ".#a").symlink_to("someone@host.123:456")

    made.run()

    assert "kept 1 of 1" in made.run().stderr


UNIT_OF_A_FOLDER = """
[stage.a]
script = "w.py"
args = ["out.txt"]
inputs = ["data/"]
outputs = ["out.txt"]
"""
DATED = """
{dir}
[stage.a]
script = "w.py"
args = ["out/a.txt", "out/deep/b.txt", "out/c.csv", "said.txt", "loose.txt"]
stdout = "printed.txt"
inputs = {inputs}
empty-ok = true
outputs = ["out/a.txt", "out/deep/", "out/*.csv", {{ path = "said.txt" }}, "loose.txt"]
[stage.a.env]
ROUND = "{round}"
"""
STAMPED_WRITER = """
import os, sys, time
for path in sys.argv[1:]:
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    open(path, "w").write(f"{time.time()}")
print(time.time())
"""


@needs_links
@pytest.mark.parametrize("home", ["", 'dir = "state"', 'dir = "data"', 'dir = "."'])
@pytest.mark.parametrize(
    "inputs", ['["."]', '["data/"]', '["./"]', '["state/**/*", "state/**/manifest.json", "*/a/*"]']
)
def test_what_contains_the_run_directory_and_the_outputs_settles(inputs, home, tmp_path):
    folder = tmp_path / "p"
    folder.mkdir()
    made = Project(folder, DATED.format(dir=home, inputs=inputs, round=1))
    made.write("w.py", STAMPED_WRITER)
    made.write("data/a/x.csv", "x")
    made.write("state/r/y.csv", "y")
    (folder / "data" / "loop").symlink_to("..")
    made.run()

    assert "kept 1 of 1" in made.run().stderr
    assert "kept 1 of 1" in made.run().stderr
    made.write("run.toml", DATED.format(dir=home, inputs=inputs, round=2))
    made.run()
    assert "kept 1 of 1" in made.run().stderr
    made.write("data/a/x.csv", "changed")
    assert "input changed: data/a/x.csv (size 1" in made.call("run", "run.toml", "--dry-run").stdout


def test_a_units_own_output_is_no_input_of_it_and_is_checked_as_an_output(tmp_path):
    made = Project(tmp_path, DATED.format(dir="", inputs='["."]', round=1))
    made.write("w.py", STAMPED_WRITER)
    made.run()
    inputs = [one["path"] for one in made.records("end")[-1]["inputs"]]
    made.write("out/a.txt", "changed")

    assert sorted(inputs) == ["run.toml", "w.py"]
    planned = made.call("run", "run.toml", "--dry-run").stdout
    assert f"output changed: {os.path.join('out', 'a.txt')}" in planned


PUBLISHED = """
stamp = "data/done"
manifest = "data/manifest.json"
[stage.a]
script = "w.py"
args = ["out/a.txt"]
stdout = "printed.txt"
{key} = ["{folder}"]
outputs = ["out/a.txt"]
stamp = "data/deep/a.done"
"""


@needs_links
@pytest.mark.parametrize("key", ["inputs", "depends"])
@pytest.mark.parametrize("folder", ["data/", "data", "link/", "."])
def test_stamps_and_manifests_are_no_part_of_a_folder_that_is_an_input(folder, key, tmp_path):
    made = Project(tmp_path, PUBLISHED.format(folder=folder, key=key))
    made.write("w.py", STAMPED_WRITER)
    made.write("data/x.csv", "x")
    (tmp_path / "link").symlink_to("data")
    made.run()

    assert "kept 1 of 1" in made.run().stderr
    (tmp_path / "data" / "deep" / "a.done").unlink()
    assert "kept 1 of 1" in made.run().stderr
    made.write("data/deep/more.csv", "x")
    assert "input new: " in made.call("run", "run.toml", "--dry-run").stdout


SIDEWAYS = """
[stage.a]
script = "w.py"
args = ["out/a.txt", "out/b.csv", "out/deep/c", "data/made"]
inputs = ["data/", "link/"]
outputs = ["out/a.txt", "out/*.csv", "out/deep/", "out/made"]
"""


@needs_links
def test_own_outputs_that_are_found_through_links_are_no_inputs(tmp_path):
    made = Project(tmp_path, SIDEWAYS)
    made.write("w.py", STAMPED_WRITER)
    for name in ("data/x.csv", "out/y", "out/deep/z"):
        made.write(name, "x")
    (tmp_path / "link").symlink_to("out")
    (tmp_path / "data" / "sideways").symlink_to("../out")
    (tmp_path / "out" / "made").symlink_to("../data/made")
    made.run()

    assert "kept 1 of 1" in made.run().stderr
    assert "kept 1 of 1" in made.run().stderr
    inputs = [os.path.basename(one["path"]) for one in made.records("end")[-1]["inputs"]]
    assert sorted(inputs) == ["x.csv", "y", "y"]
    made.write("out/y", "changed")
    assert "input changed" in made.call("run", "run.toml", "--dry-run").stdout


def test_what_is_left_out_of_a_units_outputs_is_an_input_if_it_is_declared(tmp_path):
    text = DATED.format(dir="", inputs='["data/"]', round=1)
    text = text.replace('outputs = ["out/a.txt",', 'outputs = ["data/", "!data/*/*.in", "!data/x",')
    text = text.replace('"out/a.txt"', '"data/a/made"').replace('["data/"]', '["."]', 1)
    made = Project(tmp_path, text)
    made.write("w.py", STAMPED_WRITER)
    for name in ("data/a/x.in", "data/x"):
        made.write(name, "x")
    made.run()

    inputs = [os.path.basename(one["path"]) for one in made.records("end")[-1]["inputs"]]
    assert sorted(inputs) == ["run.toml", "w.py", "x", "x.in"]
    assert "kept 1 of 1" in made.run().stderr
    made.write("data/a/x.in", "changed")
    assert "input changed: data/a/x.in" in made.call("run", "run.toml", "--dry-run").stdout


def test_what_a_deep_wildcard_leaves_out_is_said_at_the_start(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("1")
    link(tmp_path / "data", tmp_path / "data" / "again")
    text = '[stage.a]\nscript = "w.py"\ninputs = ["data/**/*.csv"]\nargs = ["o"]\noutputs = ["o"]\n'

    done = project(tmp_path, text).run()

    assert done.stderr.count("does not look into links to folders (no `**` does)") == 1
    assert "data/again" in done.stderr
    assert json.loads((tmp_path / ".procsup/run/manifest.json").read_text())["status"]


HALF = """
import os, sys
number = int(os.environ["PROCSUP_ATTEMPT"])
name = "half" if number == 1 else "good"
open("w/" + name + ".txt", "w").write(name)
sys.exit(number == 1)
"""


@pytest.mark.parametrize("output", ["w/", "w/*.txt", "w"])
def test_what_a_failed_attempt_left_is_never_passed_on(output, tmp_path):
    made = project(
        tmp_path,
        f'[stage.a]\nscript = "half.py"\nretries = 1\noutputs = ["{output}", "w2"]\n'
        '[stage.b]\nscript = "w.py"\ninputs = { from = "a" }\n'
        'args = ["o", "{inputs}"]\noutputs = ["o"]\n',
    )
    made.write("half.py", HALF.replace("sys.exit", 'open("w2", "w").write("x")\nsys.exit'))
    (tmp_path / "w").mkdir()

    made.run()

    assert outputs(made)["a"] == [os.path.join("w", "good.txt"), "w2"]
    assert (tmp_path / "w" / "half.txt").read_text() == "half"
    taken = unit_of(made, "b")
    assert not any("half" in word for word in taken["argv"])
    assert unit_of(made, "a")["leftover_files"] == {"count": 1, "names": ["w/half.txt"]}
    assert "leftover_files" not in taken


def test_a_strange_file_in_an_output_folder_is_no_reason_to_run_again(tmp_path):
    made = project(tmp_path, '[stage.a]\nscript = "w.py"\nargs = ["w/x"]\noutputs = ["w/"]\n')
    (tmp_path / "w").mkdir()
    made.run()
    (tmp_path / "w" / "strange").write_text("1")

    said = "a: 1 leftover file in its outputs is not vouched for (w/strange)"
    for _ in range(2):
        again = made.run().stderr
        assert "kept 1 of 1" in again
        assert said in again
        assert said in made.call("status", "run").stdout
    assert unit_of(made, "a")["leftover_files"]["names"] == ["w/strange"]

    os.unlink(tmp_path / "w" / "strange")
    assert "leftover" not in made.run().stderr
    assert "leftover" not in made.call("status", "run").stdout
    assert "leftover_files" not in unit_of(made, "a")
    os.unlink(tmp_path / "w" / "x")
    assert "kept 0 of 1" in made.run().stderr


UNPACK = """
import os, subprocess, sys
os.makedirs("w", exist_ok=True)
name = "half.tar" if os.environ["PROCSUP_ATTEMPT"] == "1" else "few.tar"
sys.exit(subprocess.call(["tar", "-xf", name, "-C", "w"]))
"""


def archives(folder):
    """Make few.tar with two of three files, and half.tar, torn in the second of three."""
    for name in ("a", "b", "c"):
        (folder / name).write_text(name)
    subprocess.check_call(["tar", "-cf", "half.tar", "a", "b", "c"], cwd=str(folder))
    subprocess.check_call(["tar", "-cf", "few.tar", "a", "c"], cwd=str(folder))
    with open(folder / "half.tar", "r+b") as file:
        file.truncate(512 * 3)  # a header and a block each


needs_tar = pytest.mark.skipif(shutil.which("tar") is None, reason="no tar here")


@needs_tar
def test_a_glob_over_the_outputs_of_an_earlier_stage_finds_what_that_vouches_for(tmp_path):
    archives(tmp_path)
    made = project(
        tmp_path,
        '[stage.unpack]\nretries = 1\nscript = "unpack.py"\noutputs = ["w/"]\n'
        '[stage.each]\nafter = ["unpack"]\nmatrix.f.glob = "w/*"\n'
        'script = "w.py"\nargs = ["{outputs[0]}"]\noutputs = ["each/{f.name}"]\n'
        '[stage.all]\nafter = ["each"]\ninputs = ["w/*"]\n'
        'script = "first.py"\nargs = ["all.txt", "{inputs}"]\noutputs = ["all.txt"]\n',
    )
    made.write("unpack.py", UNPACK)
    made.write("first.py", 'import sys\nopen(sys.argv[1], "w").write(" ".join(sys.argv))\n')

    done = made.run()

    assert sorted(verdicts(made)) == ["all", "each/f=w/a", "each/f=w/c", "unpack"]
    assert unit_of(made, "unpack")["leftover_files"]["names"] == ["w/b"]
    assert unit_of(made, "all")["argv"][-2:] == ["w/a", "w/c"]
    said = "`w/*` leaves out outputs that are not vouched for: w/b"
    assert f"each: {said}" in done.stderr
    assert f"all: {said}" in done.stderr
    (tmp_path / "w" / "strange").write_text("1")
    assert "kept 4 of 4" in made.call("run", "run.toml", "--dry-run").stderr
    assert "4 succeeded (4 kept)" in made.run().stderr
    assert len(made.call("status", "run", "--format", "jsonl").stdout.splitlines()) == 4


# --- what attempts without a good end leave ---------------------------------------------------


@needs_tar
def test_half_an_archive_is_moved_aside_before_the_next_attempt_and_the_folder_is_clean(tmp_path):
    archives(tmp_path)
    made = project(
        tmp_path,
        '[stage.unpack]\nretries = 1\non-failed-outputs = "aside"\n'
        'script = "unpack.py"\noutputs = ["w/"]\n'
        '[stage.pack]\nafter = ["unpack"]\ninputs = ["w/"]\n'
        'command = ["tar", "-cf", "{outputs[0]}", "w"]\noutputs = ["all.tar"]\n',
    )
    made.write("unpack.py", UNPACK)

    done = made.run()

    aside = made.rundir / "failed" / "unpack" / "@unpack.1" / "w"
    assert sorted(path.name for path in aside.iterdir()) == ["a", "b"]
    moved = "moved 2 files that attempt 1 left to .procsup/run/failed/unpack/@unpack.1: w/a, w/b"
    assert f"remark: unpack#2: {moved}" in done.stderr
    assert unit_of(made, "unpack")["attempts"][-1]["remarks"] == [moved]
    assert "leftover_files" not in unit_of(made, "unpack")
    listed = subprocess.check_output(["tar", "-tf", "all.tar"], cwd=str(tmp_path)).decode()
    assert [name for name in listed.split() if "b" in name] == []
    assert made.call("prune", "run", "--yes").returncode == 0
    assert not made.rundir.exists()


GZIP = """
set -e
echo "$1" > out/plain.txt
gzip -kf out/plain.txt
echo ready > ready
[ "$1" = good ] || exec sleep 600
"""


@pytest.mark.skipif(shutil.which("gzip") is None or os.name == "nt", reason="no gzip here")
@pytest.mark.parametrize("policy", ["keep", "aside"])
def test_after_the_death_of_the_supervisor_too(policy, tmp_path):
    text = (
        f'[stage.a]\non-failed-outputs = "{policy}"\n'
        'command = ["bash", "g.sh", "WORD"]\noutputs = ["out/"]\n'
    )
    made = project(tmp_path, text.replace("WORD", "good"))
    made.write("g.sh", GZIP)
    (tmp_path / "out").mkdir()
    made.run()
    kept = (tmp_path / "out" / "plain.txt.gz").read_bytes()
    os.unlink(tmp_path / "ready")
    made.write("run.toml", text.replace("WORD", "bad"))
    child = made.start("run", "run.toml")
    wait_for(made, "ready")
    kill(made.supervisor_pid)
    finish(child)
    made.write("g.sh", "echo new > out/new.txt")

    made.run()

    left = {path.name for path in (tmp_path / "out").iterdir()}
    aside = made.rundir / "failed" / "a" / "@a.2" / "out"
    if policy == "keep":
        assert left == {"plain.txt", "plain.txt.gz", "new.txt"}
        assert not aside.exists()
        return
    assert left == {"new.txt"}
    assert {path.name for path in aside.iterdir()} == {"plain.txt", "plain.txt.gz"}
    assert (aside / "plain.txt.gz").read_bytes() != kept


@needs_tar
@pytest.mark.parametrize(
    "reader",
    [
        'after = ["unpack"]\ninputs = ["w/"]\ncommand = ["tar", "-cf", "{outputs[0]}", "w"]\n',
        'for-each = "unpack"\ncommand = ["tar", "-cf", "{outputs[0]}", "{unpack.outputs[0]}"]\n',
    ],
)
def test_a_stage_that_packs_a_folder_with_leftover_files_is_told_of_them(reader, tmp_path):
    archives(tmp_path)
    made = project(
        tmp_path,
        '[stage.unpack]\nretries = 1\nscript = "unpack.py"\noutputs = ["w/"]\n'
        f'[stage.pack]\n{reader}outputs = ["all.tar"]\n',
    )
    made.write("unpack.py", UNPACK)

    done = made.run()

    said = "note: pack reads all of w/, also 1 leftover file of unpack (w/b): remove them, or set"
    assert done.stderr.count(said) == 1


REFRESH = """
import os, sys
mode = open("mode").read()
os.makedirs("out", exist_ok=True)
for name in mode.split():
    if name != "fail":
        open(f"out/{name}", "w").write(name)
sys.exit("fail" in mode)
"""


def test_an_unchanged_folder_passes_on_no_half_file_of_a_failed_attempt(tmp_path):
    text = """
        [stage.refresh]
        script = "refresh.py"
        depends = ["mode"]
        outputs = [{ path = "out/", unchanged = true }]
        [stage.use]
        script = "use.py"
        args = ["{inputs}"]
        inputs = { from = "refresh" }
        stdout = "used"
    """
    project = Project(tmp_path, text)
    project.write("refresh.py", REFRESH)
    project.write("use.py", "import sys; print(*sys.argv[1:])")
    used = {}
    for mode, code in (("a b", 0), ("half fail", 1), ("c", 0), ("fail", 1), ("", 0)):
        project.write("mode", mode)
        project.run(expect=code)
        used[mode] = (tmp_path / "used").read_text().split()

    assert used["a b"] == ["out/a", "out/b"]
    assert used["c"] == used[""] == ["out/a", "out/b", "out/c"]
    assert project.call("verify", "run").returncode == 0
    assert project.manifest["units"][0]["leftover_files"]["count"] == 1


def relative(made, key):
    (unit,) = made.manifest["units"]
    return sorted(
        os.path.relpath(one["path"], made.folder).replace(os.sep, "/") for one in unit[key]
    )


def ran(done):
    return "kept 0 of 1" in done.stdout + done.stderr


def test_what_is_left_out_of_a_folder_is_not_watched(tmp_path):
    text = '[stage.a]\nscript = "w.py"\nargs = ["o"]\noutputs = ["o"]\ninputs = ["data/"{}]\n'
    made = project(tmp_path, text.format(""))
    for name in ("data/x", "data/tmp/y", "data/x.log"):
        made.write(name, name)
    made.run()

    made.write("run.toml", text.format(', "!data/tmp", "!data/*.log"'))
    made.write("data/tmp/y", "other")
    made.write("data/new.log", "")
    assert not ran(made.run())  # less is watched, and that is as it was
    made.write("data/x", "other")
    link("nothing", tmp_path / "data" / "tmp" / "gone")
    assert ran(made.run())
    assert relative(made, "inputs") == ["data/x"]

    (tmp_path / "data" / "tmp" / "gone").unlink()
    made.write("run.toml", text.format(""))
    done = made.run()
    assert ran(done)
    assert "1 input new" in done.stderr


def test_what_is_left_out_of_outputs_is_not_vouched_for(tmp_path):
    text = """
        [stage.a]
        script = "w.py"
        args = ["out/x", "out/log", "p/x.csv", "p/t.csv"]
        outputs = ["out/", "p/*.csv", "!out/log", "!p/t*"]
    """
    made = project(tmp_path, text)
    (tmp_path / "out").mkdir()
    made.run()

    assert relative(made, "outputs") == ["out/x", "p/x.csv"]
    assert made.manifest["units"][0].get("leftover_files") is None
    made.write("out/log", "other")
    (tmp_path / "p" / "t.csv").unlink()
    assert not ran(made.run())
    assert made.call("verify", "run").returncode == 0

    made.write("run.toml", text.replace('"!p/t*"', '"!p/t*", "!**/x"'))
    done = made.run(expect=1)
    assert "out/: has no files in it" in done.stdout + done.stderr

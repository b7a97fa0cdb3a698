"""The survey's workers: right figures, whole files, clear refusals."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from survey import __main__ as worker
from survey import merge, names
from survey.measure import count_lines, parse, shape_of, walk

SCRIPTS = Path(__file__).resolve().parent.parent.parent / "scripts"

TEXT = '''"""Says what it is.

In three lines."""

import os.path
from json import loads
from . import sibling

# a comment
x = """
# no comment, but text

"""


class A:
    def f(self):
        if x:
            return 1
        elif os:
            return 2
        else:
            for y in x:
                pass

    async def g(self):
        """Has one."""
'''


def measured(text):
    tree = walk(parse(text.encode()))
    return count_lines(text, tree), shape_of(tree)


def test_lines_are_sorted_by_kind_and_add_up():
    lines, _ = measured(TEXT)

    assert lines.docstring == 4
    assert lines.comment == 1
    assert lines.blank == 5
    assert sum(lines) == TEXT.count("\n")


def test_shapes_are_counted():
    _, shape = measured(TEXT)

    assert (shape.functions, shape.classes) == (2, 1)
    assert (shape.documented, shape.documentable) == (2, 4)
    assert shape.longest_function_lines == 8
    assert shape.imports == {"os": 1, "json": 1}


def test_an_elif_is_no_deeper_than_its_if():
    _, shape = measured("if a:\n    pass\nelif b:\n    pass\nelif c:\n    pass\n")

    assert shape.max_nesting == 1


def test_nesting_counts_every_block():
    _, shape = measured(TEXT)

    assert shape.max_nesting == 4  # class, def, if, for


@pytest.mark.parametrize("data", [b"def f(:\n", b"x = 1\0\n", b"print 'x'\n", b"\xff = 1\n"])
def test_what_cannot_be_parsed_is_counted_and_no_error(tmp_path, data):
    path = tmp_path / "odd.py"
    path.write_bytes(data)

    report = worker.survey(path)

    assert (report["files"], report["unparsed"], report["lines"]) == (1, 1, 1)


def test_very_deep_expressions_do_not_end_the_worker(tmp_path):
    path = tmp_path / "deep.py"
    path.write_text("x = " + "+".join(["1"] * 5_000) + "\n", encoding="utf-8")

    report = worker.survey(path)

    assert report["lines"] == 1


def test_a_file_without_a_last_newline_and_an_empty_one():
    assert sum(count_lines("x = 1", walk(parse(b"x = 1")))) == 1
    assert sum(count_lines("", walk(parse(b"")))) == 0


def test_a_package_is_the_sum_of_its_files_without_foreign_ones(tmp_path):
    package = tmp_path / "pkg"
    for folder in (package, package / "sub", package / "site-packages"):
        folder.mkdir()
        (folder / "__init__.py").write_text("import os\n", encoding="utf-8")

    report = worker.survey(package)

    assert (report["module"], report["kind"]) == ("pkg", "package")
    assert (report["files"], report["lines"], report["imports"]) == (2, 2, {"os": 2})


def test_names_are_packages_first_and_only_what_is_python(tmp_path):
    lib = tmp_path / "lib"
    (lib / "pkg").mkdir(parents=True)
    (lib / "pkg" / "__init__.py").touch()
    (lib / "data").mkdir()
    (lib / "site-packages").mkdir()
    (lib / "site-packages" / "__init__.py").touch()
    (lib / "abc.py").touch()
    (lib / "notes.txt").touch()
    out = tmp_path / "out" / "names.txt"

    assert names.main([f"--lib={lib}", "--out", str(out)]) == 0

    found = [Path(line).name for line in out.read_text(encoding="utf-8").splitlines()]
    assert found == ["pkg", "abc.py"]


def test_a_list_that_would_be_the_same_is_not_touched(tmp_path):
    (tmp_path / "abc.py").touch()
    out = tmp_path / "names.txt"
    names.main([f"--lib={tmp_path}", "--out", str(out)])
    os.utime(str(out), (1, 1))

    names.main([f"--lib={tmp_path}", "--out", str(out)])

    assert out.stat().st_mtime == 1


def test_the_own_library_is_listed_by_default(tmp_path):
    out = tmp_path / "names.txt"

    assert names.main(["--lib=own", "--out", str(out)]) == 0

    found = {Path(line).name for line in out.read_text(encoding="utf-8").splitlines()}
    assert {"json", "abc.py"} <= found


def test_the_table_is_sorted_and_knows_who_imports_whom(tmp_path):
    for name, text in (("a", "import b\n"), ("b", "x = 1\ny = 2\n"), ("c", "import b, a\n")):
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        arguments = [str(tmp_path / f"{name}.py"), "--out", str(tmp_path / f"{name}.json")]
        assert worker.main(arguments) == 0
    listed = tmp_path / "list.txt"
    listed.write_text(f"{tmp_path / 'b.json'}\n{tmp_path / 'c.json'}\n", encoding="utf-8")
    out = tmp_path / "report.csv"

    code = merge.main([str(tmp_path / "a.json"), "--list", str(listed), "--out", str(out)])

    assert code == 0
    with out.open(encoding="utf-8", newline="") as stream:
        rows = [(row["module"], row["lines"], row["imported_by"]) for row in csv.DictReader(stream)]
    assert rows == [("b", "2", "2"), ("a", "1", "1"), ("c", "1", "0")]


@pytest.mark.parametrize(
    ("main", "arguments", "expected"),
    [
        (worker.main, ["nowhere.py"], "no such file"),
        (names.main, ["--lib=nowhere"], "no such folder"),
        (merge.main, [], "no measurements"),
        (merge.main, ["nowhere.json"], "not a measurement"),
    ],
)
def test_a_worker_says_what_it_cannot_use(tmp_path, monkeypatch, capsys, main, arguments, expected):
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out"

    assert main([*arguments, "--out", str(out)]) == 2

    assert expected in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_nothing_behind(tmp_path, monkeypatch):
    source = tmp_path / "abc.py"
    source.touch()
    monkeypatch.setattr("survey.__main__.json.dump", lambda *_, **__: 1 // 0)

    with pytest.raises(ZeroDivisionError):
        worker.main([str(source), "--out", str(tmp_path / "abc.json")])

    assert list(tmp_path.iterdir()) == [source]


def test_the_workers_run_as_modules(tmp_path):
    env = dict(os.environ, PYTHONPATH=str(SCRIPTS))
    out = tmp_path / "json.json"

    done = subprocess.run(
        [sys.executable, "-m", "survey", json.__path__[0], "--out", str(out)],
        env=env,
        stdout=subprocess.PIPE,
        check=True,
    )

    assert done.stdout.startswith(b"json: ")
    assert json.loads(out.read_text(encoding="utf-8"))["files"] >= 4

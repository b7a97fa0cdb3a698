"""The seeds of the fault suite hold on to names that stay: seams, and public names of procsup.

A private name may move or change its meaning at any time. Then a seed would break something else,
and its harness would see that instead of the fault.
"""

import ast
import re
import sys
from pathlib import Path

import pytest

import procsup
from procsup.host import files
from tests.faults.seams import find, leave_out, nothing, places, plant, planted

HERE = Path(__file__).resolve().parent
FILES = {path.relative_to(HERE).as_posix(): path for path in sorted(HERE.rglob("*.py"))}
del FILES["test_seams.py"]
PYTHONS = ("_exit", "_getframe", "_replace", "_asdict", "_fork_exec")
PYTHONS += ("_start_new_thread", "_start_joinable_thread")
PRIVATE = re.compile(r"_[A-Za-z]\w*")
IN_TEXT = re.compile(r"^_[a-z]\w*$|\bprocsup\.[\w.]*\._\w+|\.py:_[a-z]\w*|^\w+\._[a-z]\w*", re.M)
SEAMS = [
    name
    for path in sorted(Path(procsup.__file__).parent.rglob("*.py"))
    for name in re.findall(r'@seam\("([^"]+)"\)', path.read_text(encoding="utf-8"))
]


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def list_imported(tree, package):
    """Return the names that a file imports from a package."""
    froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    within = [node for node in froms if node.module.split(".")[0] == package]
    return {alias.asname or alias.name for node in within for alias in node.names}


def list_made(tree):
    """Return the names that a file makes."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def root_of(node):
    while isinstance(node, ast.Attribute):
        node = node.value
    return getattr(node, "id", None)


def foreign(tree):
    """Yield the private names that a file does not make, and takes neither from Python nor tests.

    Those that stand in a text, too, if it is one name, code, or the place of a function.
    """
    from_procsup, from_tests = list_imported(tree, "procsup"), list_imported(tree, "tests")
    own = set(list_made(tree)).union(PYTHONS)
    yield from filter(PRIVATE.match, from_procsup)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and PRIVATE.match(node.attr):
            root = root_of(node)
            if root not in from_tests and (root in from_procsup or node.attr not in own):
                yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            for text in IN_TEXT.findall(node.value):
                if not any(name.startswith(text) for name in own):
                    yield text


@pytest.mark.parametrize("name", FILES)
def test_no_private_name_of_procsup_is_used(name):
    assert list(foreign(tree_of(FILES[name]))) == []


@pytest.mark.parametrize(
    "text",
    [
        "from procsup.loop import _PERFORM",
        "from procsup import loop\nloop._PERFORM[1]",
        "from procsup import loop\nloop._turns = 1",
        "from procsup.store.journal import Journal\nJournal.sync._inner",
        "def f(queue):\n    queue._take_back()",
        "patch(outputs, '_sync')",
        "patch('procsup.attempt.outputs._sync')",
        "CODE = '''\nguardian._sweep = None\n'''",
        "Rule('store/journal.py:_sync_once')",
    ],
)
def test_a_private_name_is_seen(text):
    assert list(foreign(ast.parse(text)))


def test_every_seam_has_one_place_and_is_used():
    nodes = [node for path in FILES.values() for node in ast.walk(tree_of(path))]
    texts = {node.value for node in nodes if isinstance(node, ast.Constant)}
    within = {
        name for text in texts if isinstance(text, str) for name in re.findall('"(.+?)"', text)
    }

    assert len(SEAMS) == len(set(SEAMS))
    assert set(SEAMS) - texts - within == set()


@pytest.mark.skipif(sys.platform == "win32", reason="loads what is for POSIX")
@pytest.mark.parametrize("name", SEAMS)
def test_a_seed_takes_the_place_of_an_operation_and_is_taken_out_again(name):
    real = find(name)
    there = list(places(real))

    with planted(lambda put: plant(name, nothing, put)):
        assert there
        assert {getattr(owner, own)() for owner, own in there} == {None}
    assert {getattr(owner, own) for owner, own in there} == {real}


def test_a_public_function_is_replaced_wherever_it_was_imported():
    names = {f"{owner.__name__}.{name}" for owner, name in places(files.sync_folder)}

    assert {"procsup.host.files.sync_folder", "procsup.store.sitting.sync_folder"} <= names


@pytest.mark.skipif(sys.platform == "win32", reason="folders are not synced there")
def test_an_operation_is_left_out_only_as_long_as_the_other_one_is_at_work(tmp_path):
    synced, made = [], tmp_path / "one" / "two"

    def note(put):
        plant(files.sync_folder, lambda _: lambda path: synced.append(path), put)
        leave_out(files.sync_folder, files.make_folders, put)

    with planted(note):
        files.make_folders(made)  # which calls itself
        files.sync_folder(made)

    assert synced == [made]

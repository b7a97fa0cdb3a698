"""Files that are no run file: one clear message each."""

import hashlib
import os
import socket
import sys
from pathlib import Path

import pytest

from procsup.core.text import quote_word
from procsup.errors import RunFileError
from procsup.host.files import open_reading
from procsup.runfile.load import load
from procsup.runfile.syntax import reading
from procsup.runfile.syntax.reading import parse, read_source
from procsup.supervisor.requests import Request
from procsup.supervisor.resolved_request import load_source
from tests.runfile.builders import STAGE

posix = pytest.mark.skipif(os.name == "nt", reason="links, and files that are removed while open")


def problem(path):
    with pytest.raises(RunFileError) as caught:
        load(path)
    (only,) = caught.value.problems
    return only


def test_a_missing_file_is_named(tmp_path):
    assert problem(tmp_path / "x.toml").startswith(f"{tmp_path / 'x.toml'}: there is no such file")


def test_a_folder_is_refused_with_the_run_files_in_it(tmp_path):
    inside = tmp_path / "procsup.toml"
    inside.touch()

    assert (
        problem(tmp_path)
        == f"{tmp_path}: is a folder, expected a run file (such as {quote_word(str(inside))})"
    )


def test_a_path_that_none_can_have(tmp_path):
    assert problem(f"{tmp_path}/a\0b").startswith(f"{tmp_path}/a\0b: cannot be read: ")


CASES = {
    "empty": (b"", "1: is empty, expected at least one [stage.NAME]"),
    "blank": (b" \n\t\n", "1: is empty, expected at least one [stage.NAME]"),
    "only a comment": (b"# x\n", "1: expected at least one table [stage.NAME]"),
    "latin-1": (b'a = 1\nb = "\xe4"\n', "2: byte 0xe4 is not UTF-8: save it as UTF-8"),
    "UTF-16": ("a = 1".encode("utf-16"), "1: is saved as UTF-16, expected UTF-8: save it as UTF-8"),
    "no quotes": (
        b"[stage.a]\nmodule = m\n",
        "2: not TOML: Invalid value (column 10): text needs quotes, truth is written",
    ),
    "a key twice": (b"a = 1\na = 2\n", "2: not TOML: Cannot overwrite a value"),
    "a table twice": (b"[a]\n[a]\n", "2: not TOML: Cannot declare ('a',) twice"),
    "a Windows path": (b'a = "C:\\new"\nb = "C:\\x"\n', "2: not TOML: "),
    "an open bracket": (b"a = [1,\n\n", "1: not TOML: "),
    "a key without end": (b"x = 1\n" + b"a . " * 20_000 + b"b = 1", "2: a key of more than 100"),
    "a quoted key without end": (b'[stage]\n["a b".' + b"'c'." * 200 + b"d]", "2: a key of more"),
    "a key without end behind a text": (
        b'a = {b = """\nit\'s """, ' + b"'x y'." * 200 + b"c = 1}",
        "2: a key of more",
    ),
    "a number without end": (
        b"# 1\njobs = 0x" + b"f" * 5000,
        "2: a number of more than 400 digits",
    ),
    "a fraction without end": (b"a = [1, -0." + b"1_" * 5000 + b"1]", "1: a number of more than"),
    "nested without end": (b"a = " + b"[" * 100_000, "1: "),
}


@pytest.mark.parametrize(("content", "message"), CASES.values(), ids=CASES)
def test_what_is_no_run_file_is_said_with_its_line(content, message, tmp_path):
    file = tmp_path / "run.toml"
    file.write_bytes(content)

    assert problem(file).startswith(f"{file}:{message}")


def test_long_texts_of_digits_are_no_numbers(tmp_path):
    file, digits = tmp_path / "run.toml", "1" * 5000
    text = f'{STAGE}args = [\'{digits}\']  # {digits}\nid = """\n{digits}"""\n'
    file.write_text(text, encoding="utf-8")

    assert read_source(file).data["stage"]


def test_a_file_too_large_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr("procsup.runfile.syntax.reading._MAX_BYTES", 1 << 20)
    file = tmp_path / "run.toml"
    file.write_bytes(b"#" * ((1 << 20) + 1))

    assert problem(file) == f"{file}: is larger than 1 MB, which no run file is"


def test_a_mark_of_byte_order_and_line_ends_of_windows_do_no_harm(tmp_path):
    file = tmp_path / "run.toml"
    file.write_bytes(b"\xef\xbb\xbf" + STAGE.replace("\n", "\r\n").encode())

    assert load(file).spec.stages[0].module == "m"


def test_the_digest_is_that_of_the_bytes(tmp_path):
    file = tmp_path / "run.toml"
    file.write_bytes(b"x = 1")

    source = read_source(file)

    assert source.digest == hashlib.sha256(b"x = 1").hexdigest()
    assert source.path == str(file)


@pytest.mark.parametrize("written", ["0.10", "1e-3", "1E6", "-0.0", "3.0", "+1.5"])
def test_numbers_keep_how_they_were_written(written):
    number = parse(f"x = {written}")["x"]

    assert str(number) == written
    assert number == float(written)


def test_underscores_among_digits_are_only_for_the_eye():
    assert str(parse("x = 1_000.5")["x"]) == "1000.5"


# --- what is no file ------------------------------------------------------------------------------


def passing(kind, folder):
    """A path of this kind, and what is to be closed afterwards."""
    if kind == "FIFO":
        os.mkfifo(folder / "fifo")
        return str(folder / "fifo"), []
    if kind == "device":
        return os.devnull, []
    if kind == "socket":
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(folder / "s"))
        return str(folder / "s"), [server.close]
    if kind == "<(...)":
        reader, writer = os.pipe()
        os.close(writer)
        return f"/dev/fd/{reader}", [lambda: os.close(reader)]
    (folder / "r.toml").write_text('[stage.s]\ncommand = ["true"]\n')
    fd = os.open(folder / "r.toml", os.O_RDONLY)
    path = f"/dev/fd/{fd}"
    if kind == "link to a descriptor":
        (folder / "link").symlink_to(path)
        path = str(folder / "link")
    return path, [lambda: os.close(fd)]


@pytest.mark.skipif(sys.platform == "win32", reason="paths of POSIX")
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("FIFO", "is a pipe"),
        ("<(...)", "is a pipe"),
        ("device", "is a device"),
        ("socket", "is a socket"),
        ("descriptor", "is what a descriptor has open"),
        ("link to a descriptor", "is what a descriptor has open"),
    ],
)
def test_a_run_file_is_a_file_that_stays(tmp_path, monkeypatch, kind, said):
    monkeypatch.chdir(tmp_path)  # the names of sockets are short
    path, closing = passing(kind, Path())
    try:
        with pytest.raises(RunFileError) as caught:
            read_source(path)
    finally:
        for close in closing:
            close()

    (problem,) = caught.value.problems
    assert problem.startswith(f"{path}: {said}, expected a file that stays")
    assert problem.endswith("save it under a name, and run that")


@pytest.mark.skipif(sys.platform == "win32", reason="links of POSIX")
def test_a_link_to_a_file_is_a_file(tmp_path):
    (tmp_path / "r.toml").write_text('[stage.s]\ncommand = ["true"]\n')
    (tmp_path / "link").symlink_to("r.toml")

    assert "stage" in read_source(tmp_path / "link").data


def test_many_dots_that_are_no_key_are_read(tmp_path):
    text = "a." * 200 + "b"
    names = ", ".join(f'"{number}.txt"' for number in range(300))
    file = tmp_path / "run.toml"
    file.write_text(f'vars = {{ a = "{text}" }}\n# {text}\n[stage.s]\ncommand = [{names}]\n')

    assert read_source(file).data["vars"] == {"a": text}


@posix
def test_a_run_file_that_is_exchanged_while_it_is_read_is_refused(tmp_path, monkeypatch):
    """Its text would be another's, and its folder ours."""
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.toml").write_text('[stage.s]\ncommand = ["true"]\n')
    path = tmp_path / "ours" / "run.toml"

    def exchanged(shown):
        path.unlink()
        path.symlink_to(tmp_path / "theirs" / "run.toml")
        return open_reading(shown)

    monkeypatch.setattr(reading, "open_reading", exchanged)
    with pytest.raises(RunFileError, match=r"run\.toml: was exchanged while it was read"):
        read_source(path)


def test_a_request_for_a_run_file_that_was_read_takes_no_other(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('[stage.s]\ncommand = ["true"]\n')
    request = Request(str(path), digest=load_source(Request(str(path))).digest)
    assert load_source(request).spec.name == "run"
    path.write_text('[stage.s]\ncommand = ["false"]\n')

    with pytest.raises(RunFileError, match=r"run\.toml: was changed while it was read"):
        load_source(request)

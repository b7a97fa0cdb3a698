import io
import os
import sys
from contextlib import contextmanager

import pytest

from procsup.console import terminal
from procsup.console.terminal import (
    DirectText,
    ReaderGone,
    is_terminal,
    write_stderr,
    write_stdout,
    write_stdout_bytes,
)
from procsup.errors import RecordError

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="non-blocking pipes of POSIX")


class Refusing(io.RawIOBase):
    """A device that fails every write, as a full disk or a closed pipe does."""

    def __init__(self, error):
        self._error = error

    def writable(self):
        return True

    def write(self, data):
        raise type(self._error)(*self._error.args)  # the same one twice would be its own cause


def test_the_null_device_is_no_terminal():
    with open(os.devnull) as null:
        assert not is_terminal(null)
        assert not DirectText(null.fileno()).isatty()


def standing_for(name, monkeypatch, error):
    stream = io.TextIOWrapper(io.BufferedWriter(Refusing(error)), encoding="utf-8")
    monkeypatch.setattr(f"sys.{name}", stream)
    return stream


def discard(stream):
    """Let go of what could not be written, which the collector would complain about."""
    with pytest.raises(OSError):
        stream.close()


def test_status_goes_to_stderr_and_payload_to_stdout(capsys):
    write_stderr("status", "more")
    write_stdout("payload")
    write_stdout_bytes([b"raw\n"])

    assert capsys.readouterr() == ("payload\nraw\n", "status\nmore\n")


@pytest.mark.parametrize("error", [OSError(28, "No space left"), BrokenPipeError()])
def test_a_stderr_that_takes_nothing_is_none_of_our_business(monkeypatch, error):
    stream = standing_for("stderr", monkeypatch, error)
    write_stderr("lost")
    monkeypatch.undo()
    discard(stream)


def test_a_closed_reader_of_stdout_ends_the_payload_without_an_error(monkeypatch):
    stream = standing_for("stdout", monkeypatch, BrokenPipeError())
    with pytest.raises(ReaderGone):
        write_stdout("lost")
    with pytest.raises(ReaderGone):
        write_stdout_bytes([b"lost"])
    monkeypatch.undo()
    discard(stream)


def test_a_full_disk_under_stdout_is_an_error(monkeypatch):
    stream = standing_for("stdout", monkeypatch, OSError(28, "No space left"))
    with pytest.raises(RecordError, match="No space left"):
        write_stdout("lost")
    with pytest.raises(RecordError, match="No space left"):
        write_stdout_bytes([b"lost"])
    monkeypatch.undo()
    discard(stream)


@pytest.mark.survives("F16")
def test_streams_that_are_closed_or_missing_are_survived(monkeypatch):
    closed = io.StringIO()
    closed.close()
    for stream in (None, closed):
        monkeypatch.setattr("sys.stderr", stream)
        write_stderr("lost")
        assert not is_terminal(stream)


def test_a_payload_for_a_closed_stdout_is_lost_and_that_is_an_error(monkeypatch):
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(RecordError, match="stdout is closed"):
        write_stdout("lost")
    with pytest.raises(RecordError, match="stdout is closed"):
        write_stdout_bytes([b"lost"])
    write_stdout_bytes([])  # nothing is lost


@contextmanager
def refusing_pipe(monkeypatch, buffering):
    """A full non-blocking pipe as stdout, read only while it is waited for: yields what is read."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    room = os.write(writer, bytes(1 << 20))
    read = bytearray()

    def wait_until_writable(fd):
        assert fd == writer
        read.extend(os.read(reader, 3))  # so little that writes are refused, and short

    monkeypatch.setattr(terminal, "_wait_until_writable", wait_until_writable)
    binary = open(writer, "wb", buffering)  # noqa: SIM115
    stream = io.TextIOWrapper(binary, encoding="utf-8", write_through=buffering == 0)
    monkeypatch.setattr("sys.stdout", stream)
    yield read
    monkeypatch.undo()
    stream.close()
    while len(read) < (1 << 30):
        rest = os.read(reader, 1 << 20)
        if not rest:
            break
        read.extend(rest)
    os.close(reader)
    del read[:room]


@pytest.mark.survives("F22")
@posix_only
@pytest.mark.parametrize("buffering", [0, -1], ids=["python -u", "buffered"])
def test_a_pipe_that_takes_a_part_or_nothing_gets_all_of_the_payload(monkeypatch, buffering):
    lines = [f"line {n} é" for n in range(2000)]
    data = os.urandom(50_000)

    with refusing_pipe(monkeypatch, buffering) as read:
        write_stdout(*lines)
        write_stdout_bytes([data[:20_000], data[20_000:]])

    text = "".join(line + "\n" for line in lines)
    assert bytes(read) == text.encode() + data


@posix_only
def test_a_reader_that_leaves_while_it_is_waited_for_ends_the_payload(monkeypatch):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    monkeypatch.setattr(terminal, "_wait_until_writable", lambda _fd: os.close(reader))
    raw = open(writer, "wb", 0)  # noqa: SIM115
    with raw, pytest.raises(BrokenPipeError):
        terminal.write_whole(raw, bytes(1 << 20))


@posix_only
def test_a_full_pipe_is_waited_for_until_it_has_room():
    reader, writer = os.pipe()
    terminal._wait_until_writable(writer)  # returns: it is empty
    os.close(reader)
    terminal._wait_until_writable(writer)  # returns: the next write says why
    os.close(writer)
    terminal._wait_until_writable(1 << 14)  # cannot be asked for; tried again after a moment


def test_what_cannot_be_read_is_no_fault_of_stdout(capsys):
    def chunks():
        yield b"first"
        raise OSError(5, "Input/output error", "some.log")

    with pytest.raises(OSError, match="some"):
        write_stdout_bytes(chunks())
    assert capsys.readouterr().out == "first"


@pytest.mark.survives("F16")
def test_what_an_encoding_cannot_write_is_escaped(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii"))
    write_stdout("é")

    assert raw.getvalue().strip() == b"\\xe9"


def test_a_direct_stream_is_no_terminal_where_there_is_none():
    stream = DirectText(9999, "utf-8")

    assert not stream.isatty()
    assert stream.writable()
    assert stream.fileno() == 9999
    assert stream.write("lost") == 4
    assert stream.gone
    assert stream.encoding == "utf-8"

import io

import pytest

from procsup.console.terminal import DirectText, ReaderGone, is_terminal, pay, pay_bytes, say
from procsup.errors import RecordError


class Refusing(io.RawIOBase):
    """A device that fails every write, as a full disk or a closed pipe does."""

    def __init__(self, error):
        self._error = error

    def writable(self):
        return True

    def write(self, data):
        raise type(self._error)(*self._error.args)  # the same one twice would be its own cause


def standing_for(name, monkeypatch, error):
    stream = io.TextIOWrapper(io.BufferedWriter(Refusing(error)), encoding="utf-8")
    monkeypatch.setattr(f"sys.{name}", stream)
    return stream


def discard(stream):
    """Let go of what could not be written, which the collector would complain about."""
    with pytest.raises(OSError):
        stream.close()


def test_status_goes_to_stderr_and_payload_to_stdout(capsys):
    say("status", "more")
    pay("payload")
    pay_bytes([b"raw\n"])

    assert capsys.readouterr() == ("payload\nraw\n", "status\nmore\n")


@pytest.mark.parametrize("error", [OSError(28, "No space left"), BrokenPipeError()])
def test_a_stderr_that_takes_nothing_is_none_of_our_business(monkeypatch, error):
    stream = standing_for("stderr", monkeypatch, error)
    say("lost")
    monkeypatch.undo()
    discard(stream)


def test_a_closed_reader_of_stdout_ends_the_payload_without_an_error(monkeypatch):
    stream = standing_for("stdout", monkeypatch, BrokenPipeError())
    with pytest.raises(ReaderGone):
        pay("lost")
    with pytest.raises(ReaderGone):
        pay_bytes([b"lost"])
    monkeypatch.undo()
    discard(stream)


def test_a_full_disk_under_stdout_is_an_error(monkeypatch):
    stream = standing_for("stdout", monkeypatch, OSError(28, "No space left"))
    with pytest.raises(RecordError, match="No space left"):
        pay("lost")
    with pytest.raises(RecordError, match="No space left"):
        pay_bytes([b"lost"])
    monkeypatch.undo()
    discard(stream)


def test_streams_that_are_closed_or_missing_are_survived(monkeypatch):
    closed = io.StringIO()
    closed.close()
    for stream in (None, closed):
        monkeypatch.setattr("sys.stderr", stream)
        say("lost")
        assert not is_terminal(stream)
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(ReaderGone):
        pay("lost")
    with pytest.raises(ReaderGone):
        pay_bytes([b"lost"])


def test_what_an_encoding_cannot_write_is_escaped(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii"))
    pay("é")

    assert raw.getvalue().strip() == b"\\xe9"


def test_a_direct_stream_is_no_terminal_where_there_is_none():
    stream = DirectText(9999, "utf-8")

    assert not stream.isatty()
    assert stream.writable()
    assert stream.fileno() == 9999
    assert stream.write("lost") == 4
    assert stream.gone
    assert stream.encoding == "utf-8"

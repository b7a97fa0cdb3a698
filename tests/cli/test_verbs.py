"""The verbs about a run, over run directories whose supervisor is played by the test."""

import csv
import io
import json
import os
import time
import tracemalloc
import zlib
from base64 import b64decode, b64encode

import pytest

from procsup.cli.foreground import name_run
from procsup.cli.logs import _format_whole_object
from procsup.cli.main import main
from procsup.core.outcome import AttemptId, Signaled, Verdict
from procsup.core.records import JOURNAL_VERSION, End, Kept, Planned, StageFinal
from procsup.core.text import escape
from procsup.errors import RecordError
from procsup.queries import waiting
from procsup.queries.logs import Log
from procsup.store import reader
from procsup.store.reader import read_journal
from tests.support.sittings import WALL, Supervised, end, plan, result, started


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Supervised(tmp_path)


def log(run, unit, attempt, out=b"", err=b""):
    """Write an attempt's logs; return their paths as a record has them."""
    paths = run.rundir.make_log_paths(AttemptId(unit, attempt), "s")
    for path, text in zip(paths, (out, err)):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(text)
    relative = [os.path.relpath(path, str(run.rundir.path)) for path in paths]
    return {"stdout_path": relative[0], "stderr_path": relative[1]}


def test_a_run_is_named_by_its_shortest_word(run, tmp_path, monkeypatch):
    run.begin().publish()

    assert name_run(str(run.rundir.path)) == "demo"
    (tmp_path / "other place").mkdir()
    assert name_run(str(tmp_path / "other place")) == "'other place'"
    monkeypatch.chdir(tmp_path / "other place")
    assert name_run(str(run.rundir.path)) == "demo"


# --- wait --------------------------------------------------------------------------------------


def test_wait_answers_with_the_exit_code_of_the_run(run, capsys):
    run.begin(at=time.time() - 3660).publish(result(0))
    assert main(["wait", "demo"]) == 0
    assert capsys.readouterr() == (
        "",
        "demo succeeded: 1 of 1 unit succeeded; finished 1h 00m ago\n"
        "demo was over before this wait began; to wait for a run that you start, use the id that"
        " `procsup run --detach` prints, or `wait $!` after `procsup run ... &`\n",
    )
    run.begin("r2", 2).publish(result(0), result(1, code=7), status="failed")
    assert main(["wait", "demo"]) == 1
    run.begin("r3", 3).close("drained by request")
    run.rundir.manifest.unlink()
    assert main(["wait", "demo", "--start-timeout", "0"]) == 3
    assert "procsup: demo: not finished, and no supervisor works on it: drained by request\n" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize("words", ["r1", "demo --max-age 2h"])
def test_wait_trusts_the_caller_who_names_an_id_or_an_age(run, capsys, words):
    run.begin(at=time.time() - 3660).publish(result(0))

    assert main(["wait", *words.split()]) == 0

    assert "before this wait began" not in capsys.readouterr().err


def test_wait_names_no_cure_for_a_run_whose_end_was_waited_for(run, capsys, monkeypatch):
    run.begin()
    block = waiting.wait_sitting
    monkeypatch.setattr(
        waiting, "wait_sitting", lambda *args: run.publish(result(0)) or block(*args)
    )
    assert main(["wait", "demo"]) == 0

    assert capsys.readouterr().err == "demo succeeded: 1 of 1 unit succeeded\n"


def test_wait_with_json_gives_the_head_of_the_manifest(run, capsys):
    run.begin().publish(result(0))
    assert main(["wait", "demo", "demo", "--json"]) == 0

    heads = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [head["run_id"] for head in heads] == ["r1", "r1"]
    assert heads[0]["schema"] == "procsup/manifest/1"
    assert heads[0]["stages"]["s"]["timed-out"] == 0


def test_of_several_the_worst_decides(run, tmp_path, capsys):
    (tmp_path / "o").write_text("x")
    run.begin()
    run.publish_stage(result(0, tmp_path / "o"), status="failed")
    run.publish(result(0, tmp_path / "o"))
    (tmp_path / "o").unlink()

    assert main(["wait", "demo"]) == 0
    assert main(["wait", "demo", "demo", "--stage", "s"]) == 1
    assert main(["wait", "demo", "--verify"]) == 4
    assert "procsup: 1 output is no longer as recorded:\n" in capsys.readouterr().err
    assert main(["wait", "demo", "nope", "--verify", "--start-timeout", "0"]) == 3


def test_wait_gives_up_after_its_time(run, capsys):
    run.begin()

    assert main(["wait", "demo", "--timeout", "50ms"]) == 124
    assert "not final after 50 ms; the run goes on" in capsys.readouterr().err
    run.leave()


# --- status ------------------------------------------------------------------------------------


def test_the_status_of_a_live_run_shows_what_runs_and_what_failed(run, capsys):
    run.begin().write(plan("s/a", "s/b", "s/c"), Kept("s", ["s/c"]))
    failed = end("s/b", 1, 7, **log(run, "s/b", 1, err=b"boom\n"))
    run.write(*started("s/a", pid=77), *started("s/b"), failed)

    assert main(["status", "demo"]) == 0

    out = capsys.readouterr().out
    assert out.startswith(f"demo (run r1): running: process {os.getpid()} on ")
    assert [line.split()[:3] for line in out.splitlines() if line.startswith("s/a")] == [
        ["s/a", "1", "77"]
    ]
    assert "s/b: failed, exit 7 (attempt 1, 2.0 s)\n  end of stderr:\n    boom\n" in out
    run.leave()


def test_an_end_that_the_status_shows_is_on_the_disk_first(run, capsys, monkeypatch):
    run.begin().write(plan("s/a"), *started("s/a"), end("s/a"))
    said = []
    monkeypatch.setattr(reader, "sync_fd", lambda _fd: said.append(capsys.readouterr().out))

    assert main(["status", "demo"]) == 0

    assert said == [""]
    run.leave()


def test_the_status_as_json_is_whole(run, capsys):
    run.begin().write(plan("s/a", "s/b"), *started("s/a", pid=77))
    assert main(["status", "demo", "--json"]) == 0
    live = json.loads(capsys.readouterr().out)
    run.die()
    assert main(["status", "demo", "--json"]) == 0
    dead = json.loads(capsys.readouterr().out)

    assert (live["state"], live["supervisor"]["pid"]) == ("running", os.getpid())
    assert live["running"] == [{"unit": "s/a", "attempt": 1, "pid": 77, "since": WALL}]
    assert (live["stages"]["s"]["planned"], live["stages"]["s"]["running"]) == (2, 1)
    assert (dead["state"], dead["supervisor"], dead["running"]) == ("unfinished", None, [])
    assert dead["message"].startswith("the supervisor died")


def test_the_status_of_a_final_run_comes_in_flat_columns(run, capsys):
    run.begin().write(plan("s/a", "s/b"), *started("s/a"), end("s/a"))
    run.write(
        *started("s/b"),
        End("s/b", 1, Verdict.FAILED, WALL, exit=Signaled(9), cause='killed, "hard"'),
        StageFinal("s", "failed", {}),
    )
    run.publish(status="failed")

    assert main(["status", "demo", "--format", "csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [(row["id"], row["verdict"], row["exit_code"], row["signal"]) for row in rows] == [
        ("s/a", "succeeded", "0", ""),
        ("s/b", "failed", "", "9"),
    ]
    assert rows[1]["cause"] == 'killed, "hard"'
    assert main(["status", "last", "--format", "jsonl"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert json.loads(lines[1])["signal"] == 9
    assert main(["status", "demo", "--format", "table"]) == 0
    assert "s/b  failed" in capsys.readouterr().out
    assert main(["status", "demo"]) == 0
    assert capsys.readouterr().out.startswith("demo (run r1): failed, finished ")


def test_the_status_of_a_run_that_is_superseded_or_unknown(run, capsys):
    run.begin("r1").close("stopped by request")
    run.begin("r2", 2).close("stopped by request")

    assert main(["status", f"{run.rundir.path}@r1"]) == 3
    assert main(["status", "nope"]) == 2
    assert main(["status"]) == 0


def test_a_stage_that_was_taken_out_of_the_run_file_is_not_shown(run, capsys):
    run.begin("r1").write(Planned("gone", ["gone/a"]), *started("gone/a"), end("gone/a", 1, 7))
    run.close("stopped by request")
    run.begin("r2", 2).write(plan("s/a"), *started("s/a"), end("s/a"))
    run.write(StageFinal("s", "succeeded", {})).publish()

    assert main(["status", "demo"]) == 0
    assert "gone" not in capsys.readouterr().out
    assert main(["status", "demo", "--json"]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert (list(whole["stages"]), whole["failed_total"]) == (["s", "t"], 0)
    assert main(["status", "demo", "--format", "jsonl"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert [json.loads(row)["id"] for row in rows] == ["s/a"]


def test_damage_in_the_journal_is_said(run, capsys):
    run.begin().write(plan("s/a"), *started("s/a"), end("s/a")).close("stopped by request")
    lines = run.rundir.journal.read_bytes().splitlines(True)
    lines[2] = b"garbage\n"
    run.rundir.journal.write_bytes(b"".join(lines))

    assert main(["status", "demo"]) == 0
    assert "procsup: journal: " in capsys.readouterr().err


@pytest.mark.survives("F67")
@pytest.mark.parametrize("verb", ["status", "logs"])
@pytest.mark.parametrize("newer", ["version", "record"])
def test_a_journal_of_a_newer_procsup_is_not_read_as_if_it_were_known(run, verb, newer, capsys):
    run.begin().write(plan("s/a"), *started("s/a"), end("s/a")).close("stopped by request")
    known = read_journal(run.rundir.journal).read().last_seq
    fields = {"version": f'"begin","version":{JOURNAL_VERSION + 1}', "record": '"promoted"'}
    body = f'{known + 1} {{"t":{fields[newer]}}}'.encode()
    with run.rundir.journal.open("ab") as file:
        file.write(b"%08x %s\n" % (zlib.crc32(body), body))

    assert main([verb, "demo"]) == 74

    said = capsys.readouterr().err
    with pytest.raises(RecordError) as refused:
        read_journal(run.rundir.journal).read().check_writable()
    assert said.splitlines()[-1] == f"procsup: {refused.value}"


# --- logs --------------------------------------------------------------------------------------


@pytest.fixture
def logged(run):
    """``s/a`` succeeded at its second attempt, ``s/b`` failed, ``s/c`` never ran."""
    first = log(run, "s/a", 1, b"one\n", b"bad\n")
    second = log(run, "s/a", 2, b"\xff\x1b[2J\n1\n2\n3")
    failed = log(run, "s/b", 1, b"", b"boom\n")
    run.begin().write(plan("s/a", "s/b", "s/c"))
    run.write(*started("s/a"), end("s/a", 1, 7, final=False, **first))
    run.write(*started("s/a", 2), end("s/a", 2, **second))
    run.write(*started("s/b"), end("s/b", 1, 7, **failed)).close("drained by request")
    return run


def printed(capfdbinary, *arguments):
    assert main(["logs", "demo", *arguments]) == 0
    return capfdbinary.readouterr().out


@pytest.mark.survives("F17")
def test_the_logs_of_one_unit_are_its_bytes_unchanged(logged, capfdbinary):
    assert printed(capfdbinary, "s/a") == b"\xff\x1b[2J\n1\n2\n3"
    assert printed(capfdbinary, "a", "--attempt", "1") == b"one\nbad\n"
    assert printed(capfdbinary, "s/a", "--attempt", "1", "--stderr") == b"bad\n"
    assert printed(capfdbinary, "s/a", "--attempt", "1", "--stdout") == b"one\n"
    assert printed(capfdbinary, "--failed") == b"boom\n"
    assert printed(capfdbinary, "s/c") == b""


@pytest.mark.parametrize(
    ("count", "expected"), [(0, b""), (1, b"3"), (2, b"2\n3"), (99, b"\xff\x1b[2J\n1\n2\n3")]
)
def test_the_tail_of_a_log_is_its_last_lines(logged, capfdbinary, count, expected):
    assert printed(capfdbinary, "s/a", "--tail", str(count)) == expected


@pytest.mark.survives("F18")
def test_the_tail_of_a_long_log_is_found_from_its_end(run, capfdbinary):
    text = b"".join(b"line %d %s\n" % (number, b"x" * 100) for number in range(5000))
    paths = log(run, "s/a", 1, text)
    run.begin().write(plan("s/a"), *started("s/a"), end("s/a", **paths)).close("done")

    for count in (1, 700, 4999, 5000, 6000):
        expected = b"".join(text.splitlines(True)[-count:])
        assert printed(capfdbinary, "s/a", "--tail", str(count)) == expected


def test_a_log_may_be_a_part_of_a_file(run, capfdbinary):
    run.begin()
    (run.rundir.path / "packed").write_bytes(b"one\ntwo\nthree\nbad\n")
    packed = {"stdout_path": "packed", "stderr_path": "packed"}
    run.write(plan("s/a", "s/b"), *started("s/a"), *started("s/b"))
    run.write(end("s/a", 1, 7, **packed, stdout_part=(4, 10), stderr_part=(14, 4)))
    run.write(end("s/b", **packed, stdout_part=(0, 4), stderr_part=(4, 0))).close("done")

    assert printed(capfdbinary, "a") == b"two\nthree\nbad\n"
    assert printed(capfdbinary, "a", "--stdout", "--tail", "1") == b"three\n"
    assert printed(capfdbinary, "b") == b"one\n"
    rows = map(json.loads, printed(capfdbinary, "a", "--json").splitlines())
    assert [(row["part"], row["text"]) for row in rows] == [
        ([4, 10], "two\nthree\n"),
        ([14, 4], "bad\n"),
    ]
    assert main(["status", "demo"]) == 0
    assert b"    bad\n" in capfdbinary.readouterr().out


def test_the_logs_of_several_units_have_headers(logged, capfdbinary):
    assert printed(capfdbinary, "s", "--stderr") == b"==> s/b (attempt 1, stderr) <==\nboom\n"
    assert printed(capfdbinary, "--tail", "1") == (
        b"==> s/a (attempt 2, stdout) <==\n3\n==> s/b (attempt 1, stderr) <==\nboom\n"
    )


def test_headers_have_the_encoding_of_stdout_and_what_units_wrote_is_unchanged(run, monkeypatch):
    text = "na\u00efve \u4e2d\n".encode()
    units = ("s/\u00e9=\u4e2d", "s/b")
    run.begin().write(plan(*units))
    for unit in units:
        run.write(*started(unit), end(unit, **log(run, unit, 1, text)))
    run.close("done")
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr("sys.stdout", stdout)

    assert main(["logs", "demo"]) == 0
    assert stdout.buffer.getvalue() == (
        b"==> s/\xe9=\\u4e2d (attempt 1, stdout) <==\n%b\n==> s/b (attempt 1, stdout) <==\n%b"
        % (text, text)
    )


def test_a_unit_or_attempt_that_is_not_there_is_a_usage_error(logged, capsys):
    assert main(["logs", "demo", "s/zz"]) == 2
    assert main(["logs", "demo", "s/a", "--attempt", "9"]) == 2
    assert "no selected unit has an attempt 9; s/a: attempt 1, 2" in (capsys.readouterr().err)


def test_logs_of_units_that_wrote_nothing_say_so(run, capsys):
    run.begin().write(plan("s/a", "s/b"))
    run.write(*started("s/a"), end("s/a", 1, 7, **log(run, "s/a", 1, b"", b"")))
    run.close("drained by request")

    assert main(["logs", "demo", "--failed"]) == 0
    assert capsys.readouterr() == ("", "1 failed unit wrote nothing: s/a\n")
    assert main(["logs", "demo", "s/b"]) == 0
    assert capsys.readouterr() == ("", "no selected unit has started\n")
    assert main(["logs", "demo", "s/b", "--failed"]) == 0
    assert capsys.readouterr() == ("", "no selected unit failed\n")


def test_the_name_of_a_run_is_no_verb_but_is_known(run, capsys):
    run.begin().write(plan("s/a"))

    assert main(["demo"]) == 2
    assert "no verb 'demo': it is the name of a run, did you mean `procsup status demo`?" in (
        capsys.readouterr().err
    )


def test_a_wait_for_a_run_that_never_begins_says_that_none_did(run, capsys):
    assert main(["wait", "tpyo", "--timeout", "50ms"]) == 124
    assert "no run 'tpyo'" in capsys.readouterr().err


def test_logs_are_followed_until_the_run_ends(run, capfdbinary, monkeypatch):
    paths = log(run, "s/a", 1, b"before\n")
    run.begin().write(plan("s/a", "s/b"), *started("s/a"))
    steps = iter(["more", "other", "end"])

    def step(*_args):
        word = next(steps)
        if word == "more":
            with open(run.rundir.make_log_paths(AttemptId("s/a", 1), "s")[0], "ab") as file:
                file.write(b"more\n")
        elif word == "other":
            log(run, "s/b", 1, b"other\n")
            run.write(*started("s/b"), end("s/a", **paths))
        return word == "end"

    monkeypatch.setattr("procsup.cli.logs.SittingEnd.wait", step)

    assert printed(capfdbinary, "-f") == (
        b"==> s/a (attempt 1, stdout) <==\nbefore\nmore\n\n==> s/b (attempt 1, stdout) <==\nother\n"
    )
    run.leave()


def test_logs_as_json_are_an_object_per_stream(logged, capfdbinary):
    first, second = map(json.loads, printed(capfdbinary, "s/a", "--json").splitlines())
    out, err = logged.rundir.make_log_paths(AttemptId("s/a", 2), "s")

    assert (first["unit"], first["attempt"], first["stream"]) == ("s/a", 2, "stdout")
    assert (first["path"], first["text"]) == (out, "\\xff\x1b[2J\n1\n2\n3")
    assert b64decode(first["base64"]) == b"\xff\x1b[2J\n1\n2\n3"
    assert second == {"unit": "s/a", "attempt": 2, "stream": "stderr", "path": err, "text": ""}
    failed = printed(capfdbinary, "--failed", "--json", "--stderr", "--tail", "1")
    assert [json.loads(line)["text"] for line in failed.splitlines()] == ["boom\n"]


@pytest.mark.parametrize(
    "data", [b"", b"a", b"\xff", b"x" * 49151 + "é".encode() * 50000, b"\xc3" + b'\n\x00"' * 99999]
)
def test_a_large_log_as_json_is_one_object_made_in_little_memory(run, data, capfdbinary):
    log(run, "s/a", 1, data)
    run.begin().write(plan("s/a"), *started("s/a"))

    (found,) = map(json.loads, printed(capfdbinary, "--json", "--stdout").splitlines())

    assert found["text"] == escape(data.decode("utf-8", "surrogateescape"))
    assert b64decode(found.get("base64", b64encode(data))) == data
    assert ("base64" in found) == (b"\xff" in data or data.startswith(b"\xc3"))
    run.leave()


def test_the_memory_for_a_log_as_json_does_not_grow_with_it(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"0123456789abcde\n" * (1 << 19))  # 8 MB
    with path.open("rb") as file:
        tracemalloc.start()
        try:
            total = sum(map(len, _format_whole_object(file, Log("s/a", 1, "stdout", str(path)))))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert total > 8 << 20
    assert peak < 1 << 20


def test_logs_followed_as_json_come_in_chunks_of_whole_characters(run, capfdbinary, monkeypatch):
    log(run, "s/a", 1, "é".encode()[:1])
    run.begin().write(plan("s/a"), *started("s/a"))
    steps = iter(["é\nü".encode()[1:-1], b"\xbc", b"", b"end\xc3"])

    def step(*_args):
        with open(run.rundir.make_log_paths(AttemptId("s/a", 1), "s")[0], "ab") as file:
            text = next(steps)
            file.write(text)
        return text.startswith(b"end")

    monkeypatch.setattr("procsup.cli.logs.SittingEnd.wait", step)

    found = [json.loads(line) for line in printed(capfdbinary, "-f", "--json").splitlines()]

    assert [one["text"] for one in found] == ["é\n", "ü", "end", "\\xc3"]
    assert [one.get("base64") for one in found] == [None, None, None, "ww=="]
    run.leave()


# --- drain, stop -------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["drain", "stop"])
def test_a_request_to_a_run_without_a_supervisor_is_refused(run, verb, capsys):
    assert main([verb, "demo"]) == 2
    run.begin().die()
    assert main([verb, "demo"]) == 3
    assert f"there is nothing to {verb}" in capsys.readouterr().err


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away"
)
def test_the_text_of_another_user_s_record_is_not_printed(run, tmp_path, capfd):
    secret = tmp_path / "shadow"
    secret.write_bytes(b"secret")
    run.begin().write(plan("s/a"), *started("s/a"))
    run.write(end("s/a", code=1, stdout_path=str(secret), stderr_path=str(secret)))
    run.publish(result(1, code=1), status="failed")
    for folder, _, names in os.walk(tmp_path / ".procsup"):
        for name in [".", *names]:
            os.chown(os.path.join(folder, name), 60001, 60001)

    assert main(["logs", str(run.rundir.path), "--failed"]) == 74
    out, err = capfd.readouterr()
    assert out == ""
    assert "shadow: it belongs to uid 0, and the run to uid 60001" in err
    main(["status", str(run.rundir.path)])
    assert "secret" not in "".join(capfd.readouterr())

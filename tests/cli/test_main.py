import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

import procsup
from procsup.cli import ending, group
from procsup.cli.group import LATER, VERBS, cli
from procsup.cli.main import main
from procsup.errors import ProcsupError, RecordError, RunBusy, RunFileError

ROOT = str(Path(procsup.__file__).resolve().parent.parent)


def answer(monkeypatch, act):
    """Make `procsup act` a verb that does what the test says."""
    command = click.Command("act", callback=act, params=[click.Option(["--json"], is_flag=True)])
    monkeypatch.setattr(cli, "get_command", lambda ctx, name: command)


def raises(error):
    def act(json):
        raise error

    return act


# --- verbs -----------------------------------------------------------------------------------


def test_the_version_is_told_without_loading_anything():
    script = (
        "import sys; sys.path.insert(0, sys.argv.pop(1)); from procsup.cli.main import main;"
        "code = main(); heavy = {'click', 'rich', 'msgspec', 'psutil'} & set(sys.modules);"
        "sys.exit(code or len(heavy))"
    )

    done = subprocess.run(
        [sys.executable, "-c", script, ROOT, "--version"], stdout=subprocess.PIPE, timeout=60
    )

    assert (done.returncode, done.stdout.strip().decode()) == (0, f"procsup {procsup.__version__}")


@pytest.mark.parametrize("verb", list(VERBS))
def test_the_help_of_each_verb_has_examples_and_exit_codes(verb, capsys):
    assert main([verb, "--help"]) == 0

    text = capsys.readouterr().out
    assert "Examples:" in text
    assert f"  procsup {verb}" in text
    assert "Exit codes:" in text
    assert "  0    " in text


def test_help_lists_the_verbs_and_is_the_answer_to_nothing(capsys):
    assert main([]) == 0
    asked_nothing = capsys.readouterr().out
    assert main(["--help"]) == 0

    assert asked_nothing == capsys.readouterr().out
    assert all(f"  {verb} " in asked_nothing for verb in VERBS)


@pytest.mark.parametrize("verb", LATER)
def test_a_verb_that_is_to_come_is_refused_as_such(verb, capsys):
    assert main([verb, "x"]) == 2
    assert f"procsup: {verb} is not there yet in this version" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["statsu"], "there is no verb 'statsu': did you mean status?"),
        (["qqq"], "there is no verb 'qqq': the verbs are run, map, wait"),
        (["./a b.toml"], "no verb './a b.toml': did you mean `procsup run './a b.toml'`?"),
        (["Map"], "no verb 'Map': did you mean map?"),
        ([sys.executable], "takes a run file, `procsup map` runs a program once for each input"),
        (["run", "--bogus"], "--bogus"),
        (["run", "a", "b"], "b"),
        (["run", "--var", "x"], "'x': expected NAME=VALUE"),
        (["run", "--var", "=x"], "'=x': expected NAME=VALUE"),
        (["run", "--jobs", "0"], "0 is not in the range"),
        (["run", "--progress", "loud"], "'loud' is not one of"),
        (["run", "--dry-run", "--detach"], "leave one out"),
        (["wait"], "RUN..."),
        (["wait", "x", "--timeout", "soon"], "expected seconds or a duration"),
        (["wait", "x", "--timeout", "-1"], "-1"),
        (["logs", "x", "-f", "--attempt", "1"], "leave --attempt"),
        (["stop"], "RUN"),
    ],
)
def test_what_is_wrong_with_a_command_line_is_said_in_one_message(arguments, said, capsys):
    assert main(arguments) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("procsup: ")
    assert said in err
    assert "Traceback" not in err


# --- errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [RunBusy("in use"), RecordError("broken"), ProcsupError("odd")])
def test_an_error_is_a_message_and_its_exit_code(error, monkeypatch, capsys):
    answer(monkeypatch, raises(error))

    assert main(["act"]) == error.exit_code
    assert capsys.readouterr() == ("", f"procsup: {error}\n")


def test_with_json_an_error_is_an_object_too(monkeypatch, capsys):
    answer(monkeypatch, raises(RunFileError(["a:1: wrong", "a:2: worse"])))

    assert main(["act", "--json"]) == 2

    out, err = capsys.readouterr()
    assert json.loads(out) == {
        "error": {
            "type": "RunFileError",
            "message": "a:1: wrong\na:2: worse",
            "problems": ["a:1: wrong", "a:2: worse"],
            "exit_code": 2,
        }
    }
    assert err == "procsup: a:1: wrong\nprocsup: a:2: worse\n"


def test_a_usage_error_is_an_object_too(capsys):
    assert main(["run", "--json", "--bogus"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["exit_code"] == 2
    assert not group.wants_json(["map", "--", "--json"])


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["--json", "jq"], True),
        (["-j", "4", "--json", "jq"], True),
        (["-qkj4", "--name=n", "--json", "jq"], True),
        (["-kj", "4", "--timeout", "5", "--json", "jq"], True),
        (["jq", "--json"], False),
        (["-j", "4", "jq", "--json", ":::", "a"], False),
        (["-qkj", "4", "--timeout", "5", "jq", "--json"], False),
        (["--", "--json"], False),
    ],
)
def test_options_of_the_command_of_map_are_not_those_of_map(words, wanted):
    assert group.wants_json(["map", *words]) is wanted


@pytest.mark.survives("F51")
def test_messages_cannot_act_on_a_terminal(monkeypatch, capsys):
    answer(monkeypatch, raises(RunBusy("in use by \x1b[2J\udcff\u202e")))

    main(["act"])
    assert capsys.readouterr().err == "procsup: in use by \\e[2J\\xff\\u202e\n"


def test_a_fault_of_procsup_is_no_bare_traceback(monkeypatch, capsys):
    monkeypatch.delenv(ending.DEBUG, raising=False)
    answer(monkeypatch, raises(ZeroDivisionError("oh")))

    assert main(["act"]) == 70

    err = capsys.readouterr().err
    assert err.startswith("procsup: internal error: ZeroDivisionError: oh\n")
    assert "PROCSUP_DEBUG=1" in err
    assert "Traceback" not in err


def test_a_fault_of_procsup_shows_its_traceback_to_who_wants_it(monkeypatch, capsys):
    monkeypatch.setenv(ending.DEBUG, "1")
    answer(monkeypatch, raises(ZeroDivisionError("oh")))

    assert main(["act"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_what_the_system_refuses_names_the_file(monkeypatch, capsys):
    answer(monkeypatch, raises(PermissionError(13, "Permission denied", "x/journal.jsonl")))

    assert main(["act"]) == 74
    assert capsys.readouterr().err == "procsup: x/journal.jsonl: Permission denied\n"


def test_a_reader_that_has_gone_is_no_error(monkeypatch, capsys):
    answer(monkeypatch, raises(BrokenPipeError()))
    monkeypatch.setattr(ending, "give_up_stdout", lambda: None)

    assert main(["act"]) == 0
    assert capsys.readouterr() == ("", "")


def test_an_interrupted_verb_dies_by_the_signal(monkeypatch):
    signals = []
    monkeypatch.setattr("procsup.cli.ending.die_by", signals.append)
    answer(monkeypatch, raises(KeyboardInterrupt()))

    main(["act"])

    assert signals == [2]

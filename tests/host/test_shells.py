"""Lines that start a process, for the shell of each system."""

import subprocess
import sys

import pytest

from procsup.host.shells import Process, make_bash, make_powershell


def test_a_line_of_powershell_sets_folder_and_variables_and_passes_the_very_arguments():
    argv = ["C:\\a b\\p.exe", "it's", 'say "hi"', "", "$x %y% `z"]

    assert make_powershell("pwsh").line(Process(argv, "C:\\it's", {"A": "1;2"}, "i n")) == (
        "Set-Location -LiteralPath 'C:\\it''s'; ${env:A} = '1;2';"
        " Start-Process -NoNewWindow -Wait -FilePath 'C:\\a b\\p.exe'"
        """ -ArgumentList 'it''s "say \\"hi\\"" "" "$x %y% `z"' -RedirectStandardInput 'i n'"""
    )


def test_a_program_without_arguments_and_stdin_is_given_none():
    line = make_powershell("pwsh").line(Process(["p"], "c", {}, None))

    assert line == "Set-Location -LiteralPath 'c'; Start-Process -NoNewWindow -Wait -FilePath 'p'"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a\x1b[31mb", "('a' + [char]27 + '[31mb')"),
        ("a\nb", "('a' + [char]10 + 'b')"),
        ("\u202ec'", "('' + [char]8238 + 'c''')"),
        ("\U000e0041", "('' + [char]::ConvertFromUtf32(917569) + '')"),
    ],
)
def test_a_line_of_powershell_acts_on_no_terminal(text, word):
    assert f" -LiteralPath {word};" in make_powershell("pwsh").line(Process(["p"], text, {}, None))


@pytest.mark.skipif(sys.platform == "win32", reason="there is no bash there")
def test_a_line_of_bash_sets_folder_and_variables_and_passes_the_very_arguments(tmp_path):
    code = "import os, sys; print(os.getcwd(), os.environ['A'], sys.argv[1:], input())"
    folder = tmp_path / "it's"
    folder.mkdir()
    (folder / "i n").write_text("said\n")
    odd = ["it's", 'say "hi"', "", "$x \x1b[31m `z"]
    process = Process([sys.executable, "-c", code, *odd], str(folder), {"A": "1;2"}, "i n")
    line = make_bash().line(process)
    done = subprocess.run(["bash", "-c", line], stdout=subprocess.PIPE, text=True, timeout=30)

    assert "\x1b" not in line
    assert done.stdout == f"{folder} 1;2 {odd} said\n"

"""`shell`: what may stand where, and that values arrive as they are, whatever is in them."""

import os
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procsup.host.shells import bash, powershell
from procsup.runfile.syntax.problems import Wrong
from procsup.runfile.templates.scope import PATH, TEXT, Many, Scope
from procsup.runfile.templates.shell import read_shell, render
from tests.runfile.builders import check_problems, load_text, unit, units

needs_bash = pytest.mark.skipif(
    os.name == "nt" or shutil.which("bash") is None, reason="runs real lines in bash"
)
SCOPE = Scope({"x": TEXT, "y": TEXT, "p": PATH, "xs": Many(TEXT), "scratch": TEXT})
NASTY = [
    "",
    " ",
    "a b",
    "'",
    '"',
    "$(exit 7)",
    "`exit 7`",
    "\\",
    "*",
    "~",
    "#",
    "!",
    "a\nb",
    "-n é",
]


def filled(text, shell, **values):
    return render(read_shell(text, SCOPE, shell), {"x": "X", "y": "Y", **values}, shell)


def in_bash(text, *args, **values):
    argv = (*bash().head, *bash().tail(filled(text, bash(), **values), args))
    return subprocess.run(argv, stdout=subprocess.PIPE, check=True, timeout=20).stdout.decode()


PLACES = [
    "printf %s {x}",
    'printf %s "$(printf %s {x})"; true',
    "printf '%s' \"\"{x}''",
    'v={x}; printf %s "$v"',
    "[[ a == a ]] && printf %s {x}  # a 'comment",
    "cat <<'END' >/dev/null\nit's \"here\nEND\nprintf %s {x}",
    "cat <<-E >/dev/null\n\t'\n\tE\nprintf %s {x}",
    "(printf %s {x})",
    "case a in a) printf %s {x};; esac",
    "read -r -d '' v <<< {x} || true; printf %s {x}",
    "echo $((1<<2)) >/dev/null; printf %s {x}",
    "echo ${{HOME:-'}}'}} >/dev/null; printf %s {x}",
    'echo "`echo \\"a\\"`" >/dev/null; printf %s {x}',
    "echo a#b 'c' \\' >/dev/null; printf %s {x}",
]


@needs_bash
@pytest.mark.parametrize("text", PLACES)
def test_a_value_arrives_in_bash_as_it_is(text):
    for value in NASTY:
        if text.startswith('printf %s "$(') and value.endswith("\n"):
            continue
        assert in_bash(text, x=value) == value


@needs_bash
@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20))
def test_any_value_arrives_in_bash_as_it_is(value):
    assert in_bash("printf %s. {x}", x=value) == f"{value}."


@needs_bash
def test_lists_become_words_and_arguments_are_positional():
    text = 'printf "[%s]" {xs} -- "$@"'
    assert in_bash(text, "a b", "$c", xs=("1 2", "", "'")) == "[1 2][]['][--][a b][$c]"


QUOTES = "stands in quotes: procsup quotes each placeholder itself"
DOCUMENT = "stands in a here-document, where its quotes would be part of the text"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("echo '{x}'", f"{{x}} {QUOTES}"),
        ('echo "{x}"', f"{{x}} {QUOTES}"),
        ('echo "a $(echo "{x}")"', f"{{x}} {QUOTES}"),
        ("echo $'{x}'", f"{{x}} {QUOTES}"),
        ("echo `cat {x}`", "{x} stands in backticks, which undo its quotes"),
        ('echo "`cat {x}`"', "{x} stands in backticks, which undo its quotes"),
        ("cat <<E\n{x}\nE", f"{{x}} {DOCUMENT}"),
        ("cat <<'E'\n{x}\nE\n", f"{{x}} {DOCUMENT}"),
        ("cat <<$E\n{x}\nE\n", "{x} cannot be placed for sure, because of a here-document"),
        ("echo ${{v:-{x}}}", "{x} stands in ${...}, where quotes mean something else"),
        ("echo # {x}", "{x} stands in a comment, which a line break"),
        ("echo \\{x}", "{x} stands behind a \\, which would undo its quotes"),
        ("echo ${x}", "${x}: write {x} without the $, ${{x}} for the shell's own variable"),
        ("echo ${HOME}", "${HOME}: write ${{HOME}} for the shell's own variable"),
        ("echo ${HOME:-}", "${HOME:-}: write ${{HOME:-}} for the shell's own variable"),
        ("echo ${HOME%/*}", "{HOME%/*} is no placeholder: double the braces"),
        ("f() { echo; }", "{ echo; } is no placeholder: double the braces"),
        ("echo {z}", "unknown placeholder {z}"),
        ("echo a{xs}", "{xs} is a list: it needs a blank before and after it"),
        ("echo 'a {x}", "a ' is opened and never closed"),
        ("echo \"${{v:-'}}\" {x} '", "cannot be placed for sure, because of a ' in"),
        ('"$(case a in a) echo " {x} ";; esac)"', "cannot be placed for sure, because of a `case`"),
    ],
)
def test_where_no_placeholder_may_stand_in_bash(text, problem):
    with pytest.raises(Wrong) as caught:
        read_shell(text, SCOPE, bash())
    assert problem in "; ".join(message for _, message in caught.value.faults)


POWERSHELL = powershell("pwsh")


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("tool {x} {y}", "tool 'a''b' 'Y'"),
        ("tool --out={x}.txt", "tool --out='a''b.txt'"),
        ("tool {x}_{y}.txt; next", "tool 'a''b_Y.txt'; next"),
        ("tool {xs}", "tool '1' '2''3'"),
        ("tool {scratch}/a", "tool ${env:PROCSUP_SCRATCH}/a"),
        ("if ($a) {{ tool {x} }}", "if ($a) { tool 'a''b' }"),
        ('tool "it\'s" "$(get {x})" # \'', "tool \"it's\" \"$(get 'a''b')\" # '"),
        ("@'\n\"\n'@ | tool {x}", "@'\n\"\n'@ | tool 'a''b'"),
    ],
)
def test_powershell_gets_its_own_quotes(text, rendered):
    assert filled(text, POWERSHELL, x="a'b", xs=(1, "2'3")) == rendered


def test_typographic_quotes_do_not_end_a_text_of_powershell():
    assert filled("{x}", POWERSHELL, x="a\u2019; rm") == "'a\u2019\u2019; rm'"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('tool "{x}"', QUOTES),
        ("tool '{x}'", QUOTES),
        ('@"\n{x}\n"@', DOCUMENT),
        ("tool # {x}", "stands in a comment"),
        ("<# {x} #>", "stands in a comment"),
        ("tool `{x}", "stands behind a `"),
        ('tool {x}"y"', 'is followed by ": PowerShell would part the word there'),
    ],
)
def test_where_no_placeholder_may_stand_in_powershell(text, problem):
    with pytest.raises(Wrong) as caught:
        read_shell(text, SCOPE, POWERSHELL)
    assert problem in "; ".join(message for _, message in caught.value.faults)


def test_the_line_of_powershell_stops_at_errors_and_carries_the_exit_code():
    (line,) = POWERSHELL.tail("tool 'x' # end", ["a b"])
    assert POWERSHELL.head == ("pwsh", "-NoProfile", "-NonInteractive", "-Command")
    assert line.startswith("$ErrorActionPreference='Stop'; ")
    assert line.endswith("& {\ntool 'x' # end\n} 'a b'\nexit $LASTEXITCODE")


# --- in a run file ---------------------------------------------------------------------------

SHELL = (
    '[stage.a]\nshell = "sort {f} | head {outputs[0]}"\nmatrix.f = ["b c"]\noutputs = ["o/{f}"]\n'
)


@needs_bash
def test_a_stage_of_shell_lines(tmp_path):
    made = unit(tmp_path, f'{SHELL}args = [1]\nprefix = ["nice"]')
    head = ("nice", "bash", "-euo", "pipefail", "-c")
    assert made.argv == (*head, "sort 'b c' | head 'o/b c'", "bash", "1")
    assert not load_text(tmp_path, SHELL).spec.stages[0].is_python


@needs_bash
def test_the_fingerprint_is_of_the_text_not_of_the_shell_s_place(tmp_path, monkeypatch):
    from procsup.runfile.stages import stage

    first = unit(tmp_path, SHELL)
    monkeypatch.setattr(stage, "native_shell", lambda: bash()._replace(head=("/x/bash", "-c")))
    second = unit(tmp_path, SHELL)
    assert (first.fingerprint, second.argv[0]) == (second.fingerprint, "/x/bash")
    assert unit(tmp_path, SHELL.replace("sort", "cat")).fingerprint != first.fingerprint


def test_mistakes_of_shell_have_their_place(tmp_path):
    text = '[stage.a]\nshell = """\ncat "{f}"\necho ${HOME}\n"""\nmatrix.f = [1]\npython = "3.9"'
    check_problems(
        tmp_path,
        text,
        [
            f"2: stage.a.shell: {{f}} {QUOTES}",
            "2: stage.a.shell: ${HOME}: write ${{HOME}}",
            "7: stage.a.python: has no effect on a `shell`",
        ],
    )
    check_problems(tmp_path, "[stage.a]\nshell = 1", ["2: stage.a.shell: expected text, not 1"])


def test_very_many_lines_are_made_fast(tmp_path):
    text = '[stage.a]\nshell = "echo {x} {index}"\nmatrix.x.range = "1..20000"'
    assert len(units(tmp_path, text)) == 20000


@pytest.mark.parametrize(
    "text",
    [
        "echo $(( {x} ))",
        "echo $(((1 + {x}) * 2))",
        'echo "$(( {x} ))"',
        "(( {x} )) && echo",
        "a[{x}]=1",
        "declare -a a; a[1+{x}]=1",
        "echo $[ {x} ]",
    ],
)
def test_a_value_that_bash_would_evaluate_is_refused(text):
    with pytest.raises(Wrong) as caught:
        read_shell(text, SCOPE, bash())
    ((_, message),) = caught.value.faults
    assert "stands in arithmetic" in message or "because of $[" in message


@pytest.mark.parametrize(
    "text", ["echo $((1 + 2)) {x}", "echo $(( $(echo {x} | wc -c) ))", "[ {x} = 1 ]", "[[ {x} ]]"]
)
def test_a_value_beside_or_in_a_command_of_arithmetic_is_welcome(text):
    assert read_shell(text, SCOPE, bash()).fields

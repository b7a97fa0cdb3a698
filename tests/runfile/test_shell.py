"""`shell`: what may stand where, and that values arrive as they are, whatever is in them."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import procsup
from procsup.host.shells import make_bash, make_powershell
from procsup.runfile.syntax.problems import Wrong
from procsup.runfile.templates.scope import LATE, PATH, TEXT, Many, Scope
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
    argv = (*make_bash().head, *make_bash().tail(filled(text, make_bash(), **values), args))
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


@pytest.mark.survives("F83")
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
        ("echo `cat $(cat {x})`", "{x} stands in backticks, which undo its quotes"),
        ("(true)# {x}", "{x} stands in a comment, which a line break"),
        ('cat <<E"a"\nE\n{x}\nEa', "{x} cannot be placed for sure, because of a here-document"),
        ("cat <<E[[\nE\n{x}\nE[[", "{x} cannot be placed for sure, because of a here-document"),
        ("cat <<E\na\\\nE\n{x}\nE", f"{{x}} {DOCUMENT}"),
        ("v=$(cat <<E)\nit's\nE\n{x} '", "because of a here-document that is not at its end"),
        ("cat <<E $(\n) {x}\nE", "because of a here-document that begins in the middle"),
        ("cat <<E\n{x}", "because of a here-document that never ends"),
        ("echo `echo ' `' {x}", "because of a ` in quotes in backticks"),
        ("((cd a); cat {x})", "because of (( ), which is no arithmetic: write ( ( )"),
        ("echo ${{ cat; }} {x}", "because of ${ ...}"),
        ("echo \\{x}", "{x} stands behind a \\, which would undo its quotes"),
        ("echo ${x}", "${x}: write {x} without the $, ${{x}} for the shell's own variable"),
        ("echo ${HOME}", "${HOME}: write ${{HOME}} for the shell's own variable"),
        ("echo ${HOME:-}", "${HOME:-}: write ${{HOME:-}} for the shell's own variable"),
        ("for i in ${LIST[@]}", "${LIST[@]}: write ${{LIST[@]}} for the shell's own variable"),
        ("echo ${LIST[*]}", "${LIST[*]}: write ${{LIST[*]}} for the shell's own variable"),
        ("echo ${#LIST[@]}", "{#LIST[@]} is no placeholder: double the braces ({{#LIST[@]}})"),
        ("echo ${HOME%/*}", "{HOME%/*} is no placeholder: double the braces"),
        ("f() { echo; }", "{ echo; } is no placeholder: double the braces"),
        ("echo {z}", "unknown placeholder {z}; known here: "),
        ("jq {a: .b}", "double the braces ({{a: .b}}) to write it as it stands"),
        ("echo a{xs}", "{xs} is a list: it needs a blank before and after it"),
        ("echo 'a {x}", "a ' is opened and never closed"),
        ("echo \"${{v:-'}}\" {x} '", "cannot be placed for sure, because of a ' in"),
        ('"$(case a in a) echo " {x} ";; esac)"', "cannot be placed for sure, because of a `case`"),
    ],
)
def test_where_no_placeholder_may_stand_in_bash(text, problem):
    with pytest.raises(Wrong) as caught:
        read_shell(text, SCOPE, make_bash())
    assert problem in "; ".join(message for _, message in caught.value.faults)


ROWS = re.findall(
    r"^\| `+ ?(.+?) ?`+ \| `+ ?(.+?) ?`+ \| [^|]+ \|$",
    (Path(procsup.__file__).parent / "docs" / "shell.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)


def in_lines(cell):
    return cell.replace("`⏎`", "\n")


@pytest.mark.parametrize(("refused", "instead"), ROWS)
def test_each_row_of_the_page_is_refused_and_accepted_as_it_says(refused, instead):
    scope = Scope(dict.fromkeys(("i", "n", "x", "y"), TEXT))
    with pytest.raises(Wrong):
        read_shell(in_lines(refused), scope, make_bash())
    read_shell(in_lines(instead), scope, make_bash())


def test_the_page_has_its_rows():
    assert len(ROWS) >= 28


@pytest.mark.survives("F83")
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[ {x} -gt 5 ]]", "stands beside -gt in [[ ]], which is arithmetic"),
        ("if [[ a = b || 5 -le {x} ]]; then :; fi", "stands beside -le in [[ ]]"),
        ("[[ ! ( -v {x} ) ]]", "stands where `[[ -v` takes the name of a variable"),
        ("[[\n{x} {y} ]]", "stands where `[[` might take it for an operator"),
        ("test -n a -a -v {x}", "stands where `test -v` takes the name of a variable"),
        ("[ {x} {y} ]", "stands where `[` might take it for an operator"),
        ("test $o {x}", "stands behind a variable in `test`, which may be -v"),
        ('[ ! "$o" {x} ]', "stands behind a variable in `[`, which may be -v"),
        ("[ a = b -o $(echo -v) {x} ]", "stands behind a variable in `[`, which may be -v"),
        ("[ {xs} ]", "is a list: a test takes single values only"),
        ("a=1 let b={x}", "stands in arithmetic"),
        ("builtin let {x}", "stands in arithmetic"),
        ("a[ {x} ]=1", "stands in arithmetic"),
        ('a["]"{x}]=1', "stands in arithmetic"),
        ("a+=(b [c{x}]=1)", "stands in arithmetic"),
        ("true &&(( {x} ))", "stands in arithmetic"),
        ("declare -i n; n={x}", "stands in arithmetic"),
        ("RANDOM={x}", "stands in arithmetic"),
        ("declare -n n={x}", "stands where `declare -n` takes the name of a variable"),
        ("declare $o n={x}", "stands where `declare` takes the name of a variable"),
        ("f() {{ local {x}; }}", "stands where `local` takes the name of a variable"),
        ("{x}={y} a", "stands where `=` takes the name of a variable"),
        ("read a {x}", "stands where `read` takes the name of a variable"),
        ("mapfile -C {x} a", "stands where `mapfile` takes the name of a variable"),
        ("printf -v{x} a", "stands where `printf -v` takes the name of a variable"),
        ("printf -{x} a", "is the format of `printf`"),
        ("a=(1); declare a={x}", "is the value of a list here"),
        ("read -a a; declare a={x}", "is the value of a list here"),
        ("a=b eval {x}", "stands where `eval` reads text of the shell"),
        ("export PS4={x}", "stands where `PS4` reads text of the shell"),
        ("env sh -euc 'a '{x}", "stands in a text for `sh -c`, which undoes its quotes"),
        ("a >&a{x}", "stands behind >&, where bash runs a $(...) in it"),
        ("a 0<&{x}", "stands behind <&, which takes a number"),
        ("case a in a) let {x};; esac", "stands in arithmetic"),
        ("coproc N {{ unset {x}; }}", "stands where `unset` takes the name of a variable"),
        ("function f {{ wait -p {x}; }}", "stands where `wait` takes the name of a variable"),
        ("for i do let {x}; done", "stands in arithmetic"),
        ("time -p -- let {x}", "stands in arithmetic"),
        ("coproc N if let {x}; then :; fi", "stands in arithmetic"),
        ("[[ !(-v {x}) ]]", "stands where `[[ -v` takes the name of a variable"),
        ("declare -ia n=({x})", "stands in arithmetic"),
        ("for RANDOM in {x}; do :; done", "stands in arithmetic"),
        ("declare -i n; read n <<< {x}", "stands in arithmetic"),
        ("printf -v RANDOM %s {x}", "stands in arithmetic"),
        ("readonly -a n={x}", "is the value of a list here"),
        ("coproc a {{ :; }}; declare a={x}", "is the value of a list here"),
        ("bash -c -e 'a '{x}", "stands in a text for `bash -c`"),
        ("bash -o errexit -ce 'a '{x}", "stands in a text for `bash -c`"),
        ('env "BASH_ENV="{x} a', "stands where `BASH_ENV` reads text of the shell"),
    ],
)
def test_where_bash_would_execute_a_quoted_value(text, problem):
    with pytest.raises(Wrong) as caught:
        read_shell(text, SCOPE, make_bash())
    assert problem in caught.value.faults[0][1]


@pytest.mark.parametrize(
    "text",
    [
        "gzip <{p} >{x}.gz",
        "gzip -c {p}>{x} 2>&1",
        "a &>{x}; a &>>{x}; a >|{x}; a <>{x}; a <<<{x}",
        "a | b {x} |& c {y} && d {xs} || e; f {x} &",
        "for i in {xs}; do a $i; done",
        "while read -t {x} -d {y} -r l; do a; done < {p}",
        "case {x} in {y}) a {x};; (b|{x}) c;; *) d {x}; esac",
        "( case {x} in {y}) a;; esac; b {x} )",
        "[[ {x} == {y} && ( -f {p} || ! -n {x} ) && {x} =~ ^(a|{y})$ ]]",
        "[ {x} -gt 5 ] && [ ! -f {p} ] && test -n {x} -a a = {y}",
        "[[ a ]]; [ {x} = 1 ]",
        "a={x} b={y} c; export d={x}; local e={y}; declare -x f={x}",
        "a=({x} [1]={y} # it's\n{xs}); a[1]={x}; a[$i]={y}",
        "printf %s {x}; printf -v a %s {x}; printf -- {x}; printf '%s\n' {xs}",
        "bash run.sh -c {x}.conf; bash -o posix run.sh -c {x}.conf",
        "[[ $(wc -l <{p}) -gt 5 ]]",
        "bash -c {x}; bash -c 'a \"$1\"' bash {x}; . {p}; {x} {y}",
        "exec 3>{p}; exec {{fd}}<{x}; a {x}>&2 {y}",
        "a `b 'c'` {x}; a \\\\{x}; a $'it\\'s' {y}",
        "cat <<E | a {x}\nit's\nE\nb {y}",
        "cat <<'E' && a {x}\nit's \\\nE\nb {y}",
        "ls run[0-9]/{x} a{{b,{y}}} {{1..{x}}}",
        "f() {{ a {x}; }}; f | g {y}",
        "set -- {xs}; shift {x}; exit {y}",
    ],
)
def test_where_a_value_is_a_word_it_is_welcome(text):
    assert read_shell(text, SCOPE, make_bash()).fields


@pytest.mark.parametrize("name", ["cpus", "memory", "attempt", "slot"])
def test_what_is_a_number_for_sure_may_be_compared(name):
    assert read_shell(f"[[ {{{name}}} -gt 1 ]]", Scope({name: LATE}), make_bash()).fields
    with pytest.raises(Wrong):
        read_shell(f"[[ {{{name}}} -gt 1 ]]", Scope({name: TEXT}), make_bash())  # a variable


@needs_bash
@pytest.mark.parametrize(
    ("text", "value", "printed"),
    [
        ("echo {x}>&1", "2", "2\n"),
        ("a=1; echo $a{x}", "b", "1b\n"),
        ("echo {{{x},c}}", "a,b", "a,b c\n"),
        ("echo {{1..{x}}}", "3", "1 2 3\n"),
        ("[[ {x} == -n ]] && echo yes", "-n", "yes\n"),
        ("[[ abc =~ ^{x}$ ]] || echo no", "a.c", "no\n"),
        ("case esac in {x}) echo yes;; esac", "esac", "yes\n"),
        ("case b in [{x}]) echo yes;; *) echo no; esac", "a-c", "no\n"),
    ],
)
def test_a_plain_value_is_quoted_where_it_would_mean_something(text, value, printed):
    assert in_bash(text, x=value) == printed


def test_a_plain_value_is_quoted_nowhere_else():
    text = "a {x} {p}>{y} [[ {x} ]] {{1..{x}}} $a-{y}"
    values = {"x": "-n", "p": "o/a,b", "y": "2"}
    assert filled(text, make_bash(), **values) == "a -n o/a,b>2 [[ -n ]] {1..-n} $a-2"


POWERSHELL = make_powershell("pwsh")


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
    monkeypatch.setattr(
        stage, "get_native_shell", lambda: make_bash()._replace(head=("/x/bash", "-c"))
    )
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
        read_shell(text, SCOPE, make_bash())
    ((_, message),) = caught.value.faults
    assert "stands in arithmetic" in message or "because of $[" in message


@pytest.mark.parametrize(
    "text", ["echo $((1 + 2)) {x}", "echo $(( $(echo {x} | wc -c) ))", "[ {x} = 1 ]", "[[ {x} ]]"]
)
def test_a_value_beside_or_in_a_command_of_arithmetic_is_welcome(text):
    assert read_shell(text, SCOPE, make_bash()).fields

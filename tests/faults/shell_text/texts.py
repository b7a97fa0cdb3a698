"""Texts for `shell`, put together at random or whole, and values that want to be executed.

In a text ``see`` is a command that notes the words it is given.
"""

import random
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

NAMES = ("v", "w", "x")
HIT = ":>$PWNED"
NEWLINE = "\n"

HOSTILE = [
    f"$({HIT})", f"PATH[$({HIT})]", f"([$({HIT})]=1)", f"-vPATH[$({HIT})]", f"a\n{HIT}\nb",
    f"';{HIT};'", f"`{HIT}`", f"a;{HIT}", f"PATH[`{HIT}`]", f"'$({HIT})'", f'";{HIT};"',
    f"\n{HIT}\n", f"'\n{HIT}\n'", f"E\n{HIT}\n", f"x${{y:-$({HIT})}}", f"a&{HIT}&", f"a|{HIT}",
    f"($({HIT}))", f"a[$({HIT})]=1", f"){HIT}", f"}}{HIT}", f"\\$({HIT})", f"\\`{HIT}\\`",
    f"#\n{HIT}", f"esac\n{HIT}", f"]];{HIT}", f"1;{HIT}", f"\\';{HIT};", f"<({HIT})",
    f"\n\n{HIT};'\"",
]  # fmt: skip
ODD = [
    "", " ", "a b", "'", '"', "\\", "a\\", "*", "?", "[a-z]", "~", "#", "#a", "!", "!!", "$", "$$",
    "-n", "-v", "-e", "-eq", "-a", "--", "-", "=", "==", "x=1", "(", ")", "]]", "[[", "{", "}",
    "esac", "done", "if", "a,b", "1..3", "2", "12", "a-z", "b.c", "a+", "\t", "\n", "a\nb", "\r",
    "%s", "\\n", "é ü", "\U0001f600", "E", "$HOME", "{a,b}", "RANDOM", "PS4", "&", "|", ";", "<",
    ">", ">x", "x" * 300,
]  # fmt: skip
PARTNERS = ["-v", "-eq", "-n", "RANDOM", "PS4", "a"]

Values = Dict[str, str]


class Text(NamedTuple):
    """A text, what has to be seen of it (None: unknown), and whether it has to be accepted."""

    text: str
    seen: Optional[List[List[str]]]
    is_welcome: bool


class Maker:
    """Puts one text together; `seen` grows by what its commands have to see."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.values = {name: value_of(dice) for name in NAMES}
        self.seen: List[List[str]] = []
        self.is_sure = True  # what is seen is known
        self.is_welcome = True

    def place(self) -> Tuple[str, str]:
        """Return a placeholder and its value."""
        name = self.dice.choice(NAMES)
        return f"{{{name}}}", self.values[name]

    def word(self) -> Tuple[str, str]:
        """Return a word with a placeholder, and what it has to be."""
        place, value = self.place()
        before, was = self.dice.choice(BEFORE)
        after, then = self.dice.choice(AFTER)
        return f"{before}{place}{after}", was + value + then

    def see(self) -> str:
        """Return a command that sees some words."""
        words = [self.word() for _ in range(self.dice.choice([1, 1, 2]))]
        self.seen.append([value for _, value in words])
        return f"see {' '.join(text for text, _ in words)}"

    def command(self, depth: int = 0) -> str:
        """Return a command, often with others in it."""
        if depth < 3 and self.dice.random() < 0.55:
            return self.dice.choice(AROUND)(self, depth + 1)
        return self.dice.choice(WELCOME)(self)

    def line(self) -> str:
        """Return a line of commands."""
        noise = self.dice.choice(NOISE) if self.dice.random() < 0.6 else ""
        command = self.command()
        tail = self.dice.choice(TAILS) if self.dice.random() < 0.3 else ""
        return f"{noise}{command}{'' if command.endswith(NEWLINE) else tail}\n"

    def bad_line(self) -> str:
        """Return a line with a place where a value might be more than a word."""
        self.is_welcome = self.is_sure = False
        text: str = self.dice.choice(DOUBTFUL)
        for name in ("v", "w"):
            text = text.replace(f"<{name}>", self.place()[0])
        around = self.dice.choice(["%s", "%s", "%s", "( %s )", "true && %s", "if %s; then :; fi",
                                   "x=$( %s )", 'see "$( %s )"', "{{ %s; }}", "! %s"])  # fmt: skip
        return around.replace("%s", text) + "\n"


def value_of(dice: random.Random) -> str:
    """Return a value, most often one that wants to be executed."""
    if dice.random() < 0.15:
        return "".join(dice.choice(HOSTILE + ODD) for _ in range(2))
    return dice.choice(HOSTILE if dice.random() < 0.6 else ODD)


BEFORE = [("", "")] * 8 + [
    ("a", "a"), ("-", "-"), ("--x=", "--x="), ("'a b'", "a b"), ('"a b"', "a b"), ("''", ""),
    ("$'\\t'", "\t"), ('"$KNOWN"', "known"), ("$KNOWN", "known"), ("${{KNOWN}}", "known"),
    ("$(echo a)", "a"), ('"$(echo "a b")"', "a b"), ("\\\\", "\\"), ("\\'", "'"), ("a\\#", "a#"),
    ("a#", "a#"), ("a'\"'", 'a"'), ("%", "%"), ("1", "1"), ("x[1]=", "x[1]="), ('$"a"', "a"),
]  # fmt: skip
AFTER = [("", "")] * 8 + [
    ("a", "a"), (".gz", ".gz"), ("'a b'", "a b"), ('"$KNOWN"', "known"), ("$KNOWN", "known"),
    ("\\ b", " b"), ("#", "#"), ("=", "="), ('""', ""), ("$(echo b)", "b"), ("{{}}", "{}"),
    (":", ":"),
]  # fmt: skip


def _value(maker: Maker, text: str) -> str:
    place, value = maker.place()
    maker.seen.append([value])
    return text.replace("<v>", place)


def _twice(maker: Maker, text: str) -> str:
    (place, value), (other, more) = maker.place(), maker.place()
    maker.seen.append([value, more])
    return text.replace("<v>", place).replace("<w>", other)


def _list(maker: Maker) -> str:
    maker.seen.append([maker.values[name] for name in NAMES])
    return "see {vs}"


def _each(maker: Maker) -> str:
    maker.seen += [[maker.values[name]] for name in NAMES]
    return 'for i in {vs}; do see "$i"; done'


def _file(maker: Maker, text: str) -> str:
    place, value = maker.place()
    if 0 < len(value) < 200 and "/" not in value:
        maker.seen.append([value])
        return text.replace("<v>", place)
    return maker.see()


WELCOME: List[Callable[[Maker], str]] = [
    *[Maker.see] * 6,
    _list,
    _each,
    lambda maker: _value(maker, 'a=<v>; see "$a"'),
    lambda maker: _value(maker, 'a=<v> eval \'see "$a"\''),
    lambda maker: _value(maker, 'a=(<v>); see "${{a[0]}}"'),
    lambda maker: _value(maker, 'a=(x [1]=<v>); see "${{a[1]}}"'),
    lambda maker: _value(maker, 'b[1]=<v>; see "${{b[1]}}"'),
    lambda maker: _value(maker, 'export c=<v>; see "$c"'),
    lambda maker: _value(maker, 'declare -x d=<v>; see "$d"'),
    lambda maker: _value(maker, 'f() {{ local e=<v>; see "$e"; }}; f'),
    lambda maker: _value(maker, 'f() {{ see "$1"; }}; f <v>'),
    lambda maker: _value(maker, "f() {{ see <v>; }}\nf"),
    lambda maker: _value(maker, 'set -- <v>; see "$1"'),
    lambda maker: _value(maker, "IFS= read -r -d '' r <<< <v> || :; see \"${{r%?}}\""),
    lambda maker: _value(maker, "r=$(printf %s. <v>); see \"${{r%.}}\""),
    lambda maker: _value(maker, "printf -v p %s <v>; see \"$p\""),
    lambda maker: _value(maker, "case <v> in x<v>) ;; <v>) see <v>;; *) see no;; esac"),
    lambda maker: _value(maker, "case a in (b) ;; *) see <v>; esac"),
    lambda maker: _value(maker, "[[ <v> == <v> ]] && see <v>"),
    lambda maker: _value(maker, "[[ -n x<v> && ( x<v> = x<v> || ! a < b ) ]] && see <v>"),
    lambda maker: _value(maker, "if [[ y<v>z =~ ^y<v>z$ ]]; then see <v>; fi"),
    lambda maker: _value(maker, "[[ y<v>z =~ ^(y|x)<v>(z|y)$ ]] && see <v>"),
    lambda maker: _value(maker, "[ x<v> = x<v> ] && see <v>"),
    lambda maker: _value(maker, '[ "$KNOWN" != x<v> -a -n "$KNOWN" ] && see <v>'),
    lambda maker: _value(maker, "test -n x<v> -a x = x && see <v>"),
    lambda maker: _value(maker, "{{ see <v>; }} 2>&1 | cat"),
    lambda maker: _value(maker, "see <v>>null 2>&1"),
    lambda maker: _value(maker, "see <v> <null &>null"),
    lambda maker: _value(maker, "bash -c 'see \"$1\"' bash <v>"),
    lambda maker: _value(maker, "cat <(see <v>) >null"),
    lambda maker: _value(maker, "until see <v>; do break; done"),
    lambda maker: _value(maker, "while read -r l; do see <v>; done <<< a"),
    lambda maker: _value(maker, "time see <v>"),
    lambda maker: _value(maker, "command eval 'f() {{ see \"$@\"; }}'; f <v>"),
    lambda maker: _value(maker, "wait; see <v> & wait $!"),
    lambda maker: _twice(maker, "see {{<v>,<w>}}"),
    lambda maker: _twice(maker, "see <v> \\\n <w>"),
    lambda maker: _twice(maker, "a=(<v>\n<w> # it's\n); see \"${{a[@]}}\""),
    lambda maker: _file(maker, 'echo >./<v>; for i in *; do [ "$i" != <v> ] || see "$i"; done'),
    lambda maker: _file(maker, "cat <<< a >|./<v> && [ -e ./<v> ] && see <v>"),
    lambda maker: _file(maker, "echo a &>./<v>; read -r b <./<v>; see <v>"),
]  # fmt: skip

AROUND: List[Callable[[Maker, int], str]] = [
    lambda maker, depth: f"( {maker.command(depth)} )",
    lambda maker, depth: f"( {maker.command(depth)}\n)# it's (done\n",
    lambda maker, depth: f"{{{{ {maker.command(depth)}\n}}}}",
    lambda maker, depth: f'q="$( {maker.command(depth)}\n)"',
    lambda maker, depth: f': "a ${{{{KNOWN#x}}}} $( {maker.command(depth)}\n) \'b"',
    lambda maker, depth: f": ${{{{UNKNOWN-$( {maker.command(depth)}\n)}}}}",
    lambda maker, depth: f": $(( 1 + $( {maker.command(depth)}\necho 1) ))",
    lambda maker, depth: f'if true; then {maker.command(depth)}\nelse echo "it\'s"; fi',
    lambda maker, depth: f"for i in 'a b'; do {maker.command(depth)}\ndone",
    lambda maker, depth: f"true &&\n {maker.command(depth)}",
    lambda maker, depth: f"false || {maker.command(depth)}",
    lambda maker, depth: f"g() {{{{ {maker.command(depth)}\n}}}}; g",
    lambda maker, depth: f"{maker.command(depth)}\n{maker.command(depth)}",
    lambda maker, depth: f"case a in b) ;; a|c) {maker.command(depth)}\n;; esac",
]

NOISE = [
    "# it's \"so\" $( `\n", "echo 'a \" b' >null\n", 'echo "it\'s" >null\n',
    "echo \\' \\\" >null\n", "cat <<E >null\nit's \" $KNOWN\nE\n",
    "cat <<'E' >null\nit's $( ` \"\nE\n", "cat <<-E >null\n\tit's\n\tE\n",
    "cat <<E-1.x >null\n'\nE-1.x\n", 'cat <<"E F" >null\n\'\nE F\n',
    "cat <<\\E >null\n$( '\nE\n", "cat <<A <<B >null\n'\nA\n\"\nB\n",
    "cat <<E >null\nit's \\\nE\nE\n", "cat <<'E' >null\nit's \\\nE\n",
    "echo $((1 << 2)) $((2#11)) >null\n", "(( (1<<2) > 1 )) || exit\n",
    "echo ${{KNOWN#'}}'}} >null\n", "echo \"${{KNOWN//\\\"/}}\" >null\n",
    "echo $'it\\'s' >null\n", "echo `echo \\`echo a\\`` >null\n", "v=`date \"+%s\"`; ",
    "echo a#b >null; ", "echo ${{#KNOWN}} $# >null # '\n", "[[ a < b ]]; ",
    "i=0; (( i < 1 )) && ", "case x in x) ;; esac; ", "echo \"a`echo b`\" >null; ",
    "(true)# it's\n", "true;# it's\n", "true # it's \\\n", "arr=(a \"b'\" # it's\n); ",
    "exec 3>&1; ", "echo \"a\\\\\" >null; ", "echo a\\\\ >null; ", "shopt -s extglob\n",
]  # fmt: skip
TAILS = [
    " # it's", ' || echo "it\'s"', "; echo 'a' >null", " && :", " 2>null", "\n\n# end `",
]  # fmt: skip

DOUBTFUL = [
    "[[ <v> -gt 5 ]]", "[[ 5 -le <v> ]]", "[[ -n a && <v> -eq <w> ]]", "[[ -v <v> ]]",
    "[[ <v> <w> ]]", "[[ ! ( -v <v> ) ]]", "[[ a <v> <w> ]]", "[[\n<v> -lt 3\n]]",
    "[[ x -ne $(echo <v>) || -v x<v> ]]", "test -v <v>", "[ -v <v> ]", "[ <v> <w> ]",
    "test -n a -a -v <v>", "x=-v; test $x <v>", "x=-v; [ \"$x\" <v> ]",
    "x=-v; [ ! ${{x}} <v> ]",
    "[ $(echo -v) <v> ]", "x=v; [ -$x <v> ]", "x=-v; [ a = a -a $x <v> ]", "x=-d; [ a $x <v> ]",
    "[ ! <v> <w> ]", "[ -<v> <w> ]", "[ {vs} ]", "[[ {vs} ]]", "test {vs}",
    "(( <v> ))", "a=1 <v>=<w>", "(( a[<v>] ))", ":;(( <v> ))", ": &&(( <v> ))", "\t(( <v> + 1 ))",
    "if(( <v> ));then :;fi", "echo $(( <v> ))", 'echo "$(( 1 + <v> ))"', "echo $(((<v>)*2))",
    "echo $[ <v> ]", "for (( i=<v>; i<1; i++ )); do :; done", "a[<v>]=1", "a[ <v> ]=1",
    "a[1+<v>]+=1", "a['x'<v>]=1", "a[\"]\"<v>]=1", "a=([<v>]=1)", "a=(b [ <v> ]=1)",
    "a+=([x<v>]=1)", "declare -a a=([<v>]=1)", "echo ${{a[<v>]}}", "echo ${{PATH:<v>}}",
    "echo \"${{PATH:0:<v>}}\"", "a=1 a[<v>]=2 :", "let <v>", "let a=<v>", "builtin let <v>",
    "command let x+=<v>", "'let' <v>", "l\\et <v>", "declare <v>", "declare <v>=1",
    "typeset -i n=<v>", "declare -i n; n=<v>", "n=1; declare -i n; n+=<v>",
    "declare -n n=<v>; n=1", "declare -ir n=<v>", "declare -a a=<v>", "a=(1); declare a=<v>",
    "declare a[1]; declare a=<v>", "read -a a <<< x; declare a=<v>",
    "f() {{ local -a a; local a=<v>; }}; f", "f() {{ local <v>=1; }}; f", "export <v>",
    "readonly <v>=1", "o=-i; declare $o n=<v>", "RANDOM=<v>", "OPTIND=<v> :", "HISTCMD=<v>",
    "SRANDOM=<v>", "PS4=<v>; set -x; :", "BASH_ENV=<v> bash -c :", "env BASH_ENV=<v> bash -c :",
    "export BASH_ENV=<v>; bash -c :", "printf -v <v> x", "printf -v<v> x", "printf <v> <w>",
    "printf <v> x", "printf -<v> x", "read <v> <<< x", "read -r a <v> <<< x",
    "mapfile -C <v> -c 1 a <<< x", "readarray <v> <<< x", "unset <v>", "unset -v <v>",
    "unset a[<v>]", "wait -n -p <v>", "sleep 0 & wait -n -p <v>", "getopts ab <v>",
    "trap <v> EXIT", "trap 'echo '<v> EXIT", "eval <v>", "eval echo <v>", "eval 'echo '<v>",
    "builtin eval <v>", "compgen -W <v>", "alias a=<v>", "bash -c 'echo '<v>",
    "sh -c \"echo \"<v>", "env bash -euc :<v>", "echo a | xargs sh -c 'echo '<v>", "echo a >&<v>",
    "echo a >& <v>", "cat <&<v>", "echo 2>&<v>", "echo a >&x<v>", "echo '<v>'", 'echo "<v>"',
    'echo "a $(echo "<v>")"', "echo $'<v>'", "echo `echo <v>`", "echo `echo $(echo <v>)`",
    'echo "`echo <v>`"', "cat <<E\n<v>\nE", "cat <<'E'\n<v>\nE", 'cat <<E"x\n<v>\nE"x',
    "cat <<E\"x\"\n'\nEx\necho <v>", "cat <<E[[\n'\nE[[\necho <v>", "cat <<E\\x\n'\nEx\necho <v>",
    "cat <<E$x\n'\nE$x\necho <v>", "cat <<'E'x\n'\nEx\necho <v>", "cat <<E\na\\\nE\n<v>\nE",
    "cat <<E{{a\n<v>\nE{{a\n", "x=$(cat <<E)\nit's\nE\necho <v> '",
    "cat <<E $(echo\nb)\nit's <v>\nE\n", "cat <<-E\n\t<v>\n\tE", "cat <<E\n$(echo <v>)\nE",
    "cat <<E$(a)\n<v>\nE", "cat <<~E\n<v>\n~E", "cat <<E[[\nE\necho <v>\nE[[\n",
    "cat <<E\"x\"\nE\necho <v>\nEx\n", "cat <<E!x\n'\nE!x\necho <v>", "cat <<E*\n<v>\nE*",
    "cat <<E}}\n<v>\nE}}\n", "cat << \\\nE\n<v>\nE", "echo # <v>", "echo a;# <v>", "(true)# <v>",
    "true &# <v>", "echo a # b \\\n <v> ", "echo \\<v>", "echo ${{v:-<v>}}",
    "echo \"${{v:-'}}\" <v> '", "coproc let <v>", "coproc N {{ let <v>; }}",
    "coproc N [[ <v> -eq 1 ]]", "for i do let <v>; done", "function f {{ let <v>; }}; f",
    "function f [[ -v <v> ]]\nf", "f() [[ <v> -eq 1 ]]\nf", "case a in a) let <v>;; esac",
    "case a in a) [[ -v <v> ]];; esac", "time -p let <v>", "! let <v>", ">x let <v>",
    "a=1 let <v>", "{{a}}>x let <v>", "echo \"$(case a in a) echo \" <v> \";; esac)\"",
    "echo \"${{KNOWN+a}}'\" <v> '", "echo ${{KNOWN+'}}'}} <v>", "shopt -s extglob; echo !(a|<v>)",
    "shopt -s extglob; [[ a == @(<v>|b) ]]", "a=<v>; echo $a", "$KNOWN <v>", "<v> <w>", "<v>=1",
    "<v>=<w>; set -x; :", "a<v>[1]=<w>", "a=~<v>", "select i in <v>; do break; done <null",
    "exec {{x}}><v>", "echo <v>>&1", "cat <<<<v>", "echo {{1..<v>}}", "echo {{<v>}}", "echo [<v>]",
    "coproc N if let <v>; then :; fi", "coproc N while let <v>; do break; done", "time -- let <v>",
    "[[ !(-v <v>) ]]", "declare -ia m=(<v>)", "declare -i m; m=(1 <v>)",
    "declare -i n; read n <<< <v>", "declare -i n; printf -v n %s <v>",
    "declare -i n; for n in <v>; do :; done", "readonly -a n=<v>",
    "coproc a {{ :; }}; declare a=<v>", "for RANDOM in <v>; do :; done", "read RANDOM <<< <v>",
    "printf -v RANDOM %s <v>", "bash -c -e 'echo '<v>", "bash -ce 'echo '<v>",
    "$SHELL -c 'echo '<v>", 'env "BASH_ENV="<v> bash -c :', "[[ a =~ (b|c) || <v> -eq 1 ]]",
    "[[ a =~ b|c && <v> -eq 1 ]]", "[[ -n a # ]]\n&& <v> -eq 1 ]]",
    "case a in a) case b in b) let <v>;; esac;; esac", "( case a in (a) echo x;; esac; let <v> )",
    "echo $(# it's\necho <v>\n)", "echo a &&#'\ncat <v>", "{{ #'\necho <v>; }}",
    "case a in #'\na) echo <v>;; esac", "echo a>#b\necho <v>", "echo $(true)#' <v> '",
    "a=(b)#' <v> '", "a[1<<2]=1; echo <v>", "a[ 1<<2 ]=1; echo <v>", "a[1\n]=2; echo <v>",
    "echo ${{a[1<<2]}} <v>", "cat <<E\n\\\nE\n<v>\nE", 'cat <<E && cat <<F <v>\n\'\nE\n"\nF',
    "while read a; do echo <v>; done <<E\n'\nE", "cat <<E 3<<F <v>\n'\nE\n'\nF",
    "x=`cat <<E\n'\nE\n`; echo <v>", 'echo "`echo \'a"b\'`" <v>', "echo `echo $(echo \\`)` <v>",
    'echo "a$"\'b\'<v>', "ec\\\nho <v>",
]  # fmt: skip


def all_words(value: str) -> Tuple[Text, Values]:
    """Return a text in which a value stands in a word of every form."""
    lines, seen = [], []
    forms = [(one, AFTER[0]) for one in BEFORE[7:]] + [(BEFORE[0], one) for one in AFTER[8:]]
    for (before, was), (after, then) in forms:
        lines.append(f"see {before}{{v}}{after}\n")
        seen.append([was + value + then])
    return Text("".join(lines), seen, is_welcome=True), dict.fromkeys(NAMES, value)


def write_text(dice: random.Random) -> Tuple[Text, Values]:
    """Return a text of lines, one of them perhaps doubtful."""
    maker = Maker(dice)
    lines = [maker.line() for _ in range(dice.choice([1, 1, 2, 3]))]
    if dice.random() < 0.5:
        lines.insert(dice.randrange(len(lines) + 1), maker.bad_line())
    text = "".join(lines)
    return Text(text, maker.seen if maker.is_sure else None, maker.is_welcome), maker.values


SCRAPS = [
    *["{v}", "{w}", "{x}"] * 5, *[" "] * 14, *["\n"] * 6, "a", "b", "see", "echo", "'", "'", '"',
    '"', "$(", ")", ")", "`", "`", "\\", "#", "(", "((", "))", "[[", "]]", "[", "]", "{{", "}}",
    "$((", "${{", "}}", "$", "$'", "<<E", "<<-E", "<<'E'", '<<"E"', "\nE\n", "E", "<", ">", ">&",
    "<&", "&>", "<(", ">(", "<<<", "|", "&", "&&", ";", ";;", "=", "a=", "a=(", "a[", "]=", "-v",
    "-eq", "-gt", "==", "=~", "!", "let", "declare", "-i", "test", "printf", "unset", "read",
    "case", "in", "esac", "if", "then", "fi", "do", "done", "for", "KNOWN", "$KNOWN", "\t", "-c",
    "eval", "local", "coproc", "function", "f()", "time", ":", "1", "2", ",", "..", "$#", "*",
    "@(", "+", "-",
]  # fmt: skip


def heap(dice: random.Random) -> Tuple[Text, Values]:
    """Return scraps in any order."""
    text = "".join(dice.choice(SCRAPS) for _ in range(dice.randrange(3, 30)))
    text += f" {{{dice.choice(NAMES)}}}"
    return Text(text, None, is_welcome=False), {name: value_of(dice) for name in NAMES}


def changed(dice: random.Random) -> Tuple[Text, Values]:
    """Return a text of lines, or a doubtful place, in which a few characters are others."""
    made, values = write_text(dice)
    text = made.text
    if dice.random() < 0.5:
        text = "\n".join(dice.choice(NOISE + DOUBTFUL) for _ in range(dice.choice([1, 2, 3])))
        text = text.replace("<v>", "{v}").replace("<w>", "{w}") + " {x}"
    for _ in range(dice.choice([1, 1, 2, 3])):
        at = dice.randrange(len(text))
        new = dice.choice([*SCRAPS, "", "", ""])
        text = text[:at] + new + text[at + dice.choice([0, 1, 1, 2]) :]
    return Text(text, None, is_welcome=False), values

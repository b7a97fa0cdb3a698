"""The same one-liners under GNU Parallel and `procsup map`: their outputs, line by line.

`TUTORIAL` has examples of its tutorial (`man parallel_tutorial`, version 20221122), in order: of
its 235 command lines these 92. Behind => stands how procsup has it, if it has it in another way.
Times to sleep are shorter, and what fails ends with 0. Left out are:

"Input sources" and "Building the command line", 25 of 95:
    --arg-sep, --arg-file-sep, -E                         3  no such option
    --extensionreplace and its five relatives             6  no such option
    {= =} that quotes or skips, --parens                  4  no Perl
    --trim                                                3  no such option
    -m with and without context, --xargs, -s              4  other limits of a command line
    {%} with two slots                                    1  may be 1 1 2 or 1 2 2
    --shellquote, a command that is quoted wrongly        2  nothing to be compared
    zsh, csh                                              2  not everywhere
"Controlling the output", 6 of 13:
    --tagstring, --verbose, --ungroup                     3  no such option
    --files, --tmpdir                                     3  outputs are in the logs of the run
"Controlling the execution", 23 of 35:
    -j FILE, --use-cpus-instead-of-cores, --noswap        3  no such option
    --shuf, --interactive, --tty, --tmux                  5  no such option
    --eta, --progress, --bar for zenity                   3  --bar is one for people
    --joblog with --resume and the like                   4  the record is the run's own
    --timeout 200%                                        1  a median of 5, theirs is of 3
    --halt                                                4  depends on time; test_map_halt.py
    --termseq                                             3  no such option
"--pipe", 11 of 14:
    --roundrobin, --pipepart, -L, --header                5  no such option for parts
    --recstart, --recend, --regexp, --rrs                 6  a part is whole lines
Other sections, 78 of 78: other machines 35, semaphores 17, "Informational" 12, SQL 5, shebang 4,
parset 3, profiles 2
"""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.support.projects import LIMIT_S, ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("parallel") is None, reason="GNU Parallel is not installed"),
]

TUTORIAL = r"""
echo ::: A B C
-a abc-file echo
echo < abc-file
echo ::: A B C ::: D E F
-a abc-file -a def-file echo
-a - -a def-file echo < abc-file
echo :::: - def-file < abc-file
echo ::: A B C :::: def-file
--link echo ::: A B C ::: D E F
--link echo ::: A B C D E ::: F G
echo :::: abc-file :::+ G H I :::: def-file
echo :::: abc-file ::: G H I ::::+ def-file
echo ::: A B C D E :::+ F G
-d _ echo :::: abc_-file
-d '\0' echo :::: abc0-file
-0 echo :::: abc0-file
--no-run-if-empty echo < with-empty
::: ls 'echo foo' pwd => --shell ::: ls 'echo foo' pwd
my_func ::: 1 2 3 => --shell my_func ::: 1 2 3
echo ::: A/B.C
echo {} ::: A/B.C
echo {.} ::: A/B.C
echo {/} ::: A/B.C
echo {//} ::: A/B.C
echo {/.} ::: A/B.C
echo {#} ::: A B C
-I ,, echo ,, ::: A/B.C
echo '{= s:\.[^.]+$::;s:\.[^.]+$::; =}' ::: foo.tar.gz => --plus echo {..} ::: foo.tar.gz
echo Job {#} of {= '$_=total_jobs()' =} ::: {1..5} => --plus echo Job {#} of {##} ::: {1..5}
--rpl '.. s:\.[^.]+$::;s:\.[^.]+$::;' echo '..' ::: a.t.g => --plus echo {..} ::: a.t.g
--rpl '{..} s:\.[^.]+$::;s:\.[^.]+$::;' echo '{..}' ::: a.t.g => --plus echo {..} ::: a.t.g
--rpl '{%(.+?)} s/$$1$//;' echo {%.g}.z ::: a.g => --shell 'v={}; echo ${v%.g}.z' ::: a.g
--rpl '{/(.+?)/(.*?)} s/$$1/$$2/;' echo {/g/z} ::: a.g => --shell 'v={}; echo ${v/g/z}' ::: a.g
echo {1} and {2} ::: A B ::: C D
echo /={1/} //={1//} /.={1/.} .={1.} ::: A/B.C D/E.F
echo 1={1} 2={2} 3={3} -1={-1} -2={-2} -3={-3} ::: A B ::: C D ::: E F
echo '{=2 s:\.[^.]+$::;s:\.[^.]+$::; =}' ::: b ::: a.t.g => --plus echo {2..} ::: b ::: a.t.g
--rpl '{..} s:\.[^.]+$::;s:\.[^.]+$::;' echo {1..} ::: a.t.g => --plus echo {1..} ::: a.t.g
--colsep '\t' echo 1={1} 2={2} :::: tsv-file.tsv
--header : echo f1={f1} f2={f2} ::: f1 A B ::: f2 C D
--header : --colsep '\t' echo f1={f1} f2={f2} :::: tsv-file.tsv
--plus echo {} ::: dir/sub/file.ex1.ex2.ex3
--plus echo {+/}/{/} ::: dir/sub/file.ex1.ex2.ex3
--plus echo {.}.{+.} ::: dir/sub/file.ex1.ex2.ex3
--plus echo {+/}/{/.}.{+.} ::: dir/sub/file.ex1.ex2.ex3
--plus echo {..}.{+..} ::: dir/sub/file.ex1.ex2.ex3
--plus echo {+/}/{/..}.{+..} ::: dir/sub/file.ex1.ex2.ex3
--plus echo {...}.{+...} ::: dir/sub/file.ex1.ex2.ex3
--plus echo {+/}/{/...}.{+...} ::: dir/sub/file.ex1.ex2.ex3
--plus echo Job {#} of {##} ::: {1..5}
--plus echo {:-myval} ::: '' => --shell 'v={}; echo ${v:-myval}' ::: ''
--plus echo {:2} ::: abcAaAdef => --shell 'v={}; echo ${v:2}' ::: abcAaAdef
--plus echo {:2:3} ::: abcAaAdef => --shell 'v={}; echo ${v:2:3}' ::: abcAaAdef
--plus echo {#bc} ::: abcAaAdef => --shell 'v={}; echo ${v#bc}' ::: abcAaAdef
--plus echo {#abc} ::: abcAaAdef => --shell 'v={}; echo ${v#abc}' ::: abcAaAdef
--plus echo {%de} ::: abcAaAdef => --shell 'v={}; echo ${v%de}' ::: abcAaAdef
--plus echo {%def} ::: abcAaAdef => --shell 'v={}; echo ${v%def}' ::: abcAaAdef
--plus echo {/def/ghi} ::: abcAaAdef => --shell 'v={}; echo ${v/def/ghi}' ::: abcAaAdef
--plus echo {^a} ::: abcAaAdef => --shell 'v={}; echo ${v^a}' ::: abcAaAdef
--plus echo {^^a} ::: abcAaAdef => --shell 'v={}; echo ${v^^a}' ::: abcAaAdef
--plus echo '{,A}' ::: AbcAaAdef => --shell 'v={}; echo ${v,A}' ::: AbcAaAdef
--plus echo '{,,A}' ::: AbcAaAdef => --shell 'v={}; echo ${v,,A}' ::: AbcAaAdef
--jobs 4 -m echo ::: 1 2 3 4 5 6 7 8 9 10 => --jobs 4 -X echo ::: 1 2 3 4 5 6 7 8 9 10
--jobs 4 -X echo pre-{}-post ::: A B C D E F G
-N3 echo ::: A B C D E F G H
-N3 echo 1={1} 2={2} 3={3} ::: A B C D E F G H
-N0 echo foo ::: 1 2 3
-q perl -e 'print "@ARGV\n"' ::: This works => perl -e 'print "@ARGV\n"' ::: This works
perl -e \''print "@ARGV\n"'\' ::: This works, too => perl -e 'print "@ARGV\n"' ::: This works, too
perl\ -e\ \'print\ \"@ARGV\\n\"\' ::: This works => perl -e 'print "@ARGV\n"' ::: This works
--tag echo foo-{} ::: A B C
--dryrun echo {} ::: A B C => --dry-run echo {} ::: A B C
-j2 'MIXED' ::: .4 .2 .1 => -j2 --shell 'MIXED' ::: .4 .2 .1
-j2 --linebuffer 'MIXED' ::: .4 .2 .1 => -j2 --line-buffer --shell 'MIXED' ::: .4 .2 .1
-j2 -k 'MIXED' ::: .4 .2 .1 => -j2 -k --shell 'MIXED' ::: .4 .2 .1
--results outdir echo ::: A B C > /dev/null; find outdir -type f
--header : --results outdir echo ::: f1 A B ::: f2 C D > /dev/null; find outdir -type f
-N0 -j64 sleep .01 :::: num128; echo $?
-N0 sleep .01 :::: num128; echo $?
-N0 --jobs 200% sleep .01 :::: num128; echo $?
-N0 --jobs 0 sleep .01 :::: num128; echo $?
--delay .25 echo Starting {} ::: 1 2 3
--timeout 1.1 sleep {}\; echo {} ::: LATE => --timeout 1.1 --shell 'sleep {}; echo {}' ::: LATE
--bar sleep ::: .1 .3 .2 .1; echo $?
--joblog log exit ::: 1 2 3 0; JOBLOG => --joblog log --shell exit ::: 1 2 3 0; JOBLOG
-k --retries 3 'TRIED' ::: 1 2 0; sort runs => -k --retries 3 --shell 'TRIED' ::: 1 2 0; sort runs
--load 10000% echo load is less than {} job per cpu ::: 1
--memfree 1M echo will run if more than 1 GB is ::: free
--nice 17 echo run with nice -n ::: 17 => nice -n 17 echo run with nice -n ::: 17
--pipe wc < num1000000 | tr -s ' '
--pipe --block 2M wc < num1000000 | tr -s ' '
--pipe -N140000 wc < num1000000 | tr -s ' '
"""
WORDS = {
    "MIXED": r'printf "%s-start\n%s" {} {}; sleep {}; printf "%s\n" -middle; echo {}-end',
    "TRIED": "echo tried {} >>runs; echo completed {}; exit {}",
    "JOBLOG": "cut -f1,7,8,9 log",
    "LATE": ".2 .4 6 8; true",
}
OWN = r"""
--plus echo {..} x{+.} y{+/} {##} {...} {/..} {/...} z{+..} w{+...} ::: d/a.tar.gz b .x a. ./q.r
echo {//} {/} {.} {/.} ::: a.b/c .bashrc /x a.b. a. ... ./q.tar.gz a/..
-n2 echo pre-{}-post ::: a b c
-N2 echo pre-{}-post {1}x ::: a b c
-N2 echo pre-{}-post-{2}x ::: a b c
-N2 echo x{1}-{2} {}y ::: a b c
echo pre-{}-post ::: a b ::: c d
-n2 echo pre-{}-post ::: a b ::: c d
-n2 echo ::: a b c
--colsep , echo pre-{}-post {.}y ::: a.x,b
-n2 --colsep , echo pre-{}-post ::: a,b c,d e,f
-N2 --colsep , echo {1} {2} {3} {4} ::: a,b c,d e,f
--colsep , echo {} / {1} ::: a,b c,d,e
--xargs -n 3 echo ::: a b c d e
-X -n 3 -j2 echo ::: a b c d e f g
-N0 echo {}x{#} ::: a b c
--link -n2 echo ::: a b c d ::: x y
echo {} ::: a b :::+ c d :::+ e f
--link echo ::: 1 2 3 ::: a b :::+ x y z
-I ,, echo ,,/ ,,. {.} ::: A/B.C
-X -j2 echo {#} {} ::: a b c d
-C '[,;]' echo {1} {2} ::: 'a,b' 'c;d'
--colsep ' +' echo {1} {2} ::: 'a   b'
--xargs echo pre-{}-post ::: a b c
-d XY echo [{}] < delimited
--header : echo {f2.} {f1/} {1/.} ::: f1 a/b.c ::: f2 d.e
--jobs 4 -X echo < numbers
-P2 --retries 1 echo ::: a b
-j1 echo {%} ::: a b
--dry-run echo {.} ::: a.b c
-k --pipe -N 1000 wc -l < numbers
-k --pipe -N 2 'echo {#}; cat' < abc-file => -k --pipe -N 2 --shell 'echo {#}; cat' < abc-file
-k --pipe --block 4K wc -c < numbers
-k --pipe cat < numbers
-k --pipe --block 1K cat < with-long-line
-k --delay 0.1 --memfree 1K --load 100000% --timeout 200% echo ::: a b
"""
FILES = {
    "abc-file": b"A\nB\nC\n",
    "def-file": b"D\nE\nF\n",
    "abc_-file": b"A_B_C_",
    "abc0-file": b"A\0B\0C\0",
    "tsv-file.tsv": b"f1\tf2\nA\tB\nC\tD\n",
    "with-empty": b"1\n\n2\n",
    "delimited": b"aXYbXYc",
    "numbers": b"".join(b"%d\n" % number for number in range(3000)),
    "with-long-line": b"a\n" * 300 + b"b" * 3000 + b"\n" + b"c\n" * 300,
}


PREPARE = "my_func() { echo in my_func $1; }; export -f my_func; rm -rf outdir log runs;"
LONG_FILES = re.compile(r"num(\d+)")  # numbers up to that


@pytest.fixture
def folder(tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "will-cite").touch()
    return tmp_path


def read_lines(program, folder, arguments):
    for word, text in WORDS.items():
        arguments = arguments.replace(word, text)
    for name in LONG_FILES.finditer(arguments):
        numbers = "".join(f"{number}\n" for number in range(1, int(name[1]) + 1))
        (folder / name[0]).write_text(numbers)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PARALLEL_HOME": str(folder / "home"),
        "PYTHON": sys.executable,
    }
    done = subprocess.run(
        ["bash", "-c", f"{PREPARE} {program} {arguments}"],
        cwd=str(folder),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0
    return sorted(line.strip() for line in done.stdout.splitlines())


@pytest.mark.parametrize("line", [*TUTORIAL.split("\n")[1:-1], *OWN.split("\n")[1:-1]])
def test_a_one_liner_does_what_gnu_parallel_does(folder, line):
    theirs, _, ours = line.partition(" => ")

    expected = read_lines("parallel", folder, theirs)

    assert expected
    assert read_lines('"$PYTHON" -m procsup map -q', folder, ours or theirs) == expected


def test_as_many_examples_are_compared_as_the_head_of_this_file_says():
    assert len(TUTORIAL.split("\n")[1:-1]) == 235 - 25 - 6 - 23 - 11 - 78

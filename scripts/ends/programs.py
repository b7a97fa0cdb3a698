"""Real programs, and what a unit does with each: what it leaves behind, what it has in front.

A line is one of bash. `{python}` is an interpreter, `{out}` the unit's only declared output.
"""

from typing import NamedTuple, Sequence


class Program(NamedTuple):
    """A program as units use it.

    `left` is a unit that comes to a good end and leaves it behind; `front` one that is stopped
    while the program works; `modules` are what its Python has to have.
    """

    name: str
    needs: Sequence[str]
    left: str
    front: str = ""
    out: bool = False
    modules: Sequence[str] = ()


SLEEP = "sleep 100"
POOL = (
    "import multiprocessing as m, os, time; p = m.Pool(2); p.map_async(time.sleep, [100, 100]); {}"
)
JOBLIB = (
    "import joblib, numpy, os, time; data = numpy.zeros(3000000);"
    " work = joblib.delayed(lambda d: {});"
    " joblib.Parallel(2, max_nbytes=1000000)(work(data) for _ in range(2)); os._exit(0)"
)
SHARED = (
    "from multiprocessing import shared_memory as s; import os, time;"
    " m = s.SharedMemory(create=True, size=50 << 20); {}"
)
JAVA = (
    "printf '%s' 'class A { public static void main(String[] a) throws Exception {"
    ' Process p = new ProcessBuilder("sleep", "100").inheritIO().start();'
    " if (a.length > 0) p.waitFor(); } }' > A.java; java A.java"
)
NODE = "node -e \"require('child_process').spawn('sleep', ['100'], {{{}}}).unref()\""
ORPHAN = (
    "{python} -c \"import subprocess as s\ntry: s.run('sleep 100; true', shell=True, timeout=0.1)"
    '\nexcept s.TimeoutExpired: pass"'
)
PERL = "perl -e 'use POSIX; fork and exit; setsid(); fork and exit; %ENV = ();"
QUIET = "</dev/null >/dev/null 2>&1"
SLOW = "for i in 1 2 3 4 5; do echo $i; sleep 0.1; done"

PROGRAMS = (
    Program("`sleep &`", (), f"{SLEEP} &", f"{SLEEP} & wait"),
    Program("`nohup`", ("nohup",), f"nohup {SLEEP} & true", f"nohup {SLEEP}; true"),
    Program("`setsid`, its log open", ("setsid",), f"setsid {SLEEP} & sleep 0.1"),
    Program("`setsid`, nothing open", ("setsid",), f"setsid {SLEEP} {QUIET} & sleep 0.1"),
    Program("`setsid env -i`", ("setsid",), f"(setsid env -i {SLEEP} {QUIET} &)"),
    Program("`ssh-agent`", ("ssh-agent",), "eval $(ssh-agent -a agent)"),
    Program(
        "`gpg-agent`",
        ("gpg-agent",),
        "mkdir -m 700 g; gpg-agent --homedir $PWD/g --daemon --disable-scdaemon",
    ),
    Program("`tmux -d`", ("tmux",), f"tmux -S socket new-session -d {SLEEP}"),
    Program("`screen -dm`", ("screen",), f"screen -dmS ends {SLEEP}"),
    Program("`Xvfb`", ("Xvfb",), "Xvfb :{number} & sleep 0.3", "Xvfb :{number} & sleep 100"),
    Program("`dbus-daemon --fork`", ("dbus-daemon",), "dbus-daemon --session --fork"),
    Program("`git daemon --detach`", ("git",), "git daemon --detach --port=0 --base-path=."),
    Program(
        "`git gc --auto`, detached",
        ("git",),
        "git init -q r; cd r; for i in 1 2; do echo $i | git hash-object -w --stdin; done;"
        " git -c gc.auto=1 gc --auto",
    ),
    Program(
        "`python -m http.server`",
        (),
        "{python} -m http.server 0 --bind 127.0.0.1 &",
        "{python} -m http.server 0 --bind 127.0.0.1; true",
    ),
    Program(
        "a Perl daemon", ("perl",), f"{PERL} close STDIN; close STDOUT; close STDERR; sleep 100'"
    ),
    Program(
        "a cache server with a log of its own (like `sccache`)",
        ("perl",),
        f'{PERL} open STDOUT, ">own.log"; open STDERR, ">&STDOUT"; close STDIN; sleep 100\'',
    ),
    Program(
        "`make -j2` behind",
        ("make",),
        "printf 'all: a b\\na b:\\n\\t@sleep 0.5; echo $@ >> {out}\\n' > M; make -j2 -f M &",
        "printf 'all: a b\\na b:\\n\\t@sleep 100; true\\n' > M; make -j2 -f M; true",
        out=True,
    ),
    Program("Java, `inheritIO`", ("java",), JAVA, f"{JAVA} wait; true"),
    Program(
        "node, `inherit`",
        ("node",),
        NODE.format("stdio: 'inherit'"),
        "node -e \"require('child_process').spawn('sleep', ['100'], {stdio: 'inherit'})\"",
    ),
    Program("node, `detached`", ("node",), NODE.format("stdio: 'ignore', detached: true")),
    Program(
        "`joblib`, workers idle",
        (),
        '{python} -c "' + JOBLIB.format("0") + '"',
        '{python} -c "' + JOBLIB.format("time.sleep(100)") + '"; true',
        modules=("joblib", "numpy"),
    ),
    Program(
        "`multiprocessing.Pool`",
        (),
        '{python} -c "' + POOL.format("os._exit(0)") + '"',
        '{python} -c "' + POOL.format("time.sleep(100)") + '"; true',
    ),
    Program(
        "`SharedMemory` of 50 MB",
        (),
        '{python} -c "' + SHARED.format("os._exit(0)") + '"',
        '{python} -c "' + SHARED.format("time.sleep(100)") + '"; true',
        modules=("multiprocessing.shared_memory",),
    ),
    Program(
        "the orphan of `subprocess.run(shell=True, timeout=…)`",
        (),
        ORPHAN,
    ),
    Program(
        "`xargs -P2`",
        ("xargs",),
        "(echo 1 1 | xargs -n1 -P2 sleep) &",
        "echo 100 100 | xargs -n1 -P2 sleep; true",
    ),
    Program(
        "GNU `parallel`",
        ("parallel",),
        "parallel sleep ::: 1 1 & sleep 0.2",
        "parallel sleep ::: 100 100; true",
    ),
    Program("`flock`", ("flock",), f"flock lock {SLEEP} & true", f"flock lock {SLEEP}; true"),
    Program("`timeout`", ("timeout",), "timeout 1 sleep 100 & true", f"timeout 200 {SLEEP}; true"),
    Program("`tini`", ("tini",), f"tini -s -- {SLEEP} & true", f"tini -s -- {SLEEP}; true"),
    Program(
        "`script`",
        ("script",),
        f"script -qc '{SLEEP}' /dev/null {QUIET} & true",
        f"script -qc '{SLEEP}' /dev/null {QUIET}; true",
    ),
    Program("`coproc`", (), f"coproc {SLEEP}; true", f"coproc {SLEEP}; wait"),
    Program(
        "`tee >(gzip > OUT)`",
        ("gzip", "tee"),
        f"({SLOW}) | tee >(exec > {{out}}; sleep 0.5; gzip) | tail -1",
        f"{SLEEP} | tee >(gzip > {{out}}) | tail -1",
        out=True,
    ),
    Program(
        "`(… > OUT.tmp; mv) &`",
        (),
        f"(({SLOW}) > {{out}}.tmp; mv {{out}}.tmp {{out}}) {QUIET} &",
        out=True,
    ),
    Program("`(… > OUT) &`, endless", (), "yes > {out} & true", "yes > {out} & wait", out=True),
    Program("a log that grows, no outputs", (), "while sleep 0.1; do echo more; done &"),
    Program(
        "an entry point's `trap`",
        (),
        "true",
        f"trap 'kill $pid; wait $pid' TERM; {SLEEP} & pid=$!; wait",
    ),
    Program(
        "`su -c`",
        ("su",),
        f"su root -c '(setsid {SLEEP} {QUIET} &)'",
        f"su root -c '{SLEEP}; true'; true",
    ),
)

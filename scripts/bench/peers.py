"""Who is compared: one entry each, with how it is found, how it is told, and where it comes from.

All get the same job: a command to be run `units` times, two at a time, with the unit's number as
its last argument.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

import _setup

from bench.measure import PROGRAMS, Command, Workshop, stage

SLOTS = 2


class Job(NamedTuple):
    """What a peer is told to do, in an empty folder; `tally` is the file that units append to."""

    argv: List[str]
    units: int
    room: Path
    tally: Path

    def numbers(self) -> List[str]:
        """Return the units' numbers, as words."""
        return [str(number) for number in range(1, self.units + 1)]

    def write(self, name: str, text: str) -> Path:
        """Write a file into the room."""
        path = self.room / name
        path.write_text(text, encoding="utf-8")
        return path

    def as_command(self, *argv: str, stdin: Optional[Path] = None, **env: str) -> Command:
        """Return what is run in the room."""
        return Command(list(argv), self.room, stdin, env)


Find = Callable[[Workshop], Optional[str]]
Tell = Callable[[Workshop, str, Job], Command]


class Peer(NamedTuple):
    """One of those that are compared.

    `share` is the part of the units that it is given where a slope is measured (a slow one need
    not be slow for an hour); `core` ones are measured in all rounds; `only` names the works that
    it is for, if not for all; with `calls` a unit is a call in a worker, no process. `apt` and
    `pip` are the packages that bring it; `note` is what a reader of its figures must know.
    """

    name: str
    find: Find
    tell: Tell
    version: Tuple[str, ...] = ("--version",)
    share: float = 1.0
    core: bool = False
    only: Tuple[str, ...] = ()
    calls: bool = False
    apt: str = ""
    pip: str = ""
    note: str = ""


def peers_bin() -> Path:
    """Return where the programs are that ``--install`` has put into an environment of ours."""
    return _setup.python_in(_setup.folder_of("peers")).parent


def path() -> str:
    """Return the search path for programs: the environment of the peers, then the usual."""
    return os.pathsep.join([str(peers_bin()), os.environ.get("PATH", os.defpath)])


def which(*names: str, says: str = "", never: str = "") -> Find:
    """Return a finder of a program by name; `says` must, `never` must not be in its version.

    Two programs are called parallel, and two are called ts.
    """

    def find(_: Workshop) -> Optional[str]:
        for name in names:
            found = shutil.which(name, path=path())
            if found is None:
                continue
            words = output([found, "-V"]) if says or never else ""
            if says in words and (not never or never not in words):
                return found
        return None

    return find


def output(argv: List[str]) -> str:
    """Return all that a command says; nothing if it cannot be run or takes more than 20 s."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace").strip()


def version_of(peer: Peer, found: str) -> str:
    """Return the version of a peer, as its program says it."""
    said = output([found, *peer.version])
    match = re.search(r"\d+(?:\.\d+)+|\d{8}", said)
    if match is None and peer.apt:  # moreutils does not say: the system may know
        match = re.match(r"\d[^ ]*$", output(["dpkg-query", "-W", "-f", "${Version}", peer.apt]))
    return match.group() if match else "no version"


# --- how each is told ----------------------------------------------------------------------------


def our_python(bench: Workshop) -> Optional[str]:
    return bench.python


def module(name: str) -> Find:
    """Return a finder of an interpreter that has a module: ours, or that of the peers."""

    def find(bench: Workshop) -> Optional[str]:
        for python in (bench.python, str(_setup.python_in(_setup.folder_of("peers")))):
            if os.path.exists(python) and "True" in output(
                [
                    python,
                    "-c",
                    f"import importlib.util as u; print(u.find_spec({name!r}) is not None)",
                ]
            ):
                return python
        return None

    return find


def by_procsup(bench: Workshop, _python: str, job: Job) -> Command:
    bench.run_file(job.room, stage(job.argv, job.units, jobs=SLOTS))
    return job.as_command(*bench.procsup, "run")


def without_durability(bench: Workshop, python: str, job: Job) -> Command:
    bench.run_file(job.room, stage(job.argv, job.units, jobs=SLOTS))
    return job.as_command(python, str(PROGRAMS / "probed.py"), "--not-durable", "run")


def by_floor(_: Workshop, python: str, job: Job) -> Command:
    return job.as_command(python, str(PROGRAMS / "floor.py"), str(job.units), str(SLOTS), *job.argv)


def by_xargs(_: Workshop, xargs: str, job: Job) -> Command:
    numbers = job.write("numbers.txt", "\n".join(job.numbers()) + "\n")
    return job.as_command(xargs, f"-P{SLOTS}", "-n1", *job.argv, stdin=numbers)


def by_make(_: Workshop, make: str, job: Job) -> Command:
    recipe = shlex.join(job.argv).replace("$", "$$")
    job.write("Makefile", f"N = {' '.join(job.numbers())}\n.PHONY: $(N)\nall: $(N)\n"
              f"$(N):\n\t@{recipe} $@\n")  # fmt: skip
    return job.as_command(make, f"-j{SLOTS}", "all")


def by_gnu_parallel(_: Workshop, parallel: str, job: Job) -> Command:
    numbers = job.write("numbers.txt", "\n".join(job.numbers()) + "\n")
    return job.as_command(
        parallel, "--will-cite", f"-j{SLOTS}", "--halt", "never", *job.argv, "{}", stdin=numbers
    )


def by_moreutils(_: Workshop, parallel: str, job: Job) -> Command:
    return job.as_command(parallel, f"-j{SLOTS}", *job.argv, "--", *job.numbers())


def by_spooler(bench: Workshop, tsp: str, job: Job) -> Command:
    driver = str(PROGRAMS / "spooler.py")
    return job.as_command(bench.python, driver, tsp, str(job.units), str(SLOTS), *job.argv)


def pool_of(kind: str, *, calls: bool = False) -> Tell:
    """Return the teller of one of Python's pools; with `calls` a unit is a call in a worker."""

    def tell(_: Workshop, python: str, job: Job) -> Command:
        argv = ["--calls", str(job.tally)] if calls else job.argv
        words = [kind, str(job.units), str(SLOTS), *argv]
        return job.as_command(python, str(PROGRAMS / "pools.py"), *words)

    return tell


def by_doit(_: Workshop, doit: str, job: Job) -> Command:
    job.write(
        "dodo.py",
        f"ARGV, UNITS = {json.dumps(job.argv)}, {job.units}\n\n\ndef task_unit():\n"
        "    for number in range(1, UNITS + 1):\n"
        '        yield {"name": str(number), "actions": [[*ARGV, str(number)]]}\n',
    )
    return job.as_command(doit, "-n", str(SLOTS), "--db-file", "doit.db")


def by_snakemake(_: Workshop, snakemake: str, job: Job) -> Command:
    command = shlex.join(job.argv).replace("{", "{{").replace("}", "}}")
    job.write(
        "Snakefile",
        f'rule all:\n    input: expand("done/{{i}}", i=range(1, {job.units + 1}))\n'
        'rule unit:\n    output: touch("done/{i}")\n'
        f"    shell: {json.dumps(command + ' {wildcards.i}')}\n",
    )
    return job.as_command(snakemake, "--cores", str(SLOTS), "--quiet", "all", "--keep-going")


def by_hyperqueue(_: Workshop, python: str, job: Job) -> Command:
    return job.as_command(python, str(PROGRAMS / "hyper.py"), str(job.units), str(SLOTS), *job.argv)


def imported(name: str) -> Tuple[str, ...]:
    """Return the arguments that make Python say a package's version."""
    return ("-c", f"from importlib.metadata import version; print(version({name!r}))")


PROCSUP, FLOOR, XARGS, NOT_DURABLE = "procsup", "bare Popen", "xargs -P", "procsup, not durable"

PEERS = (
    Peer(PROCSUP, our_python, by_procsup, imported("procsup"), core=True),
    Peer(XARGS, which("xargs"), by_xargs, core=True, apt="findutils"),
    Peer(FLOOR, our_python, by_floor, core=True),
    Peer(NOT_DURABLE, our_python, without_durability, imported("procsup"), core=True,
         only=("true",)),
    Peer("make -j", which("make"), by_make, apt="make"),
    Peer("GNU Parallel", which("parallel", says="GNU"), by_gnu_parallel, share=0.2,
         apt="parallel"),
    Peer("moreutils parallel", which("parallel.moreutils", "parallel", never="GNU"), by_moreutils,
         apt="moreutils"),
    Peer("task-spooler", which("tsp", "ts", says="Task Spooler"), by_spooler, ("-V",), share=0.2,
         apt="task-spooler"),
    Peer("threads + subprocess", our_python, pool_of("threads")),
    Peer("multiprocessing.Pool", our_python, pool_of("pool")),
    Peer("ProcessPoolExecutor", our_python, pool_of("futures")),
    Peer("joblib (loky)", module("joblib"), pool_of("joblib"), imported("joblib"), pip="joblib"),
    Peer("doit", which("doit"), by_doit, share=0.2, pip="doit"),
    Peer("Snakemake", which("snakemake"), by_snakemake, share=0.02, pip="snakemake"),
    Peer("HyperQueue", module("hyperqueue"), by_hyperqueue, imported("hyperqueue"),
         pip="hyperqueue", note="its Python client looks once a second whether all is done, so its"
         " times come in steps of that"),
    *(
        Peer(f"calls: {name}", module(needed), pool_of(kind, calls=True),
             imported("joblib") if needed == "joblib" else ("--version",), only=("cpu",),
             calls=True, pip="joblib" if needed == "joblib" else "")
        for name, kind, needed in (
            ("one by one", "one-by-one", "sys"),
            ("threads", "threads", "threading"),
            ("multiprocessing.Pool", "pool", "multiprocessing"),
            ("ProcessPoolExecutor", "futures", "concurrent"),
            ("joblib (loky)", "joblib", "joblib"),
        )
    ),
)  # fmt: skip


class Runner(NamedTuple):
    """A peer that is there: where, and in which version."""

    peer: Peer
    found: str
    version: str

    def command(self, bench: Workshop, argv: List[str], units: int) -> Command:
        """Return the command that does a job, in a new room."""
        room = bench.room()
        tally = room / "tally.txt"
        words = [word.replace("TALLY", str(tally)) for word in argv]
        return self.peer.tell(bench, self.found, Job(words, units, room, tally))


def look_for(bench: Workshop, wanted: Optional[List[str]]) -> Dict[str, Runner]:
    """Return those that are there, of all or of the wanted ones (by a part of their names).

    procsup, xargs and the floor are always among them: all others are compared to them.
    """
    runners = {}
    for peer in PEERS:
        asked = wanted is None or any(word.lower() in peer.name.lower() for word in wanted)
        found = peer.find(bench) if asked or peer.core else None
        if found is not None:
            runners[peer.name] = Runner(peer, found, version_of(peer, found))
    return runners


def missing(runners: Dict[str, Runner]) -> Dict[str, str]:
    """Return who is not there, and what brings it."""
    return {
        peer.name: f"apt: {peer.apt}" if peer.apt else f"pip: {peer.pip}"
        for peer in PEERS
        if peer.name not in runners
    }

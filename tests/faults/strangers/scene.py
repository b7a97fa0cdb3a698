"""The projects in which strangers are at work, what is done there, and what must hold after it."""

import json
import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Sequence, Tuple

from procsup.supervisor.requests import Display, HostedRequest, Request
from tests.faults import laws
from tests.faults.strangers.plants import (
    HUGE_BYTES,
    STRANGER,
    Place,
    copy,
    give,
    is_root,
    remove,
)
from tests.faults.strangers.projects import KINDS, Kind, lay_out
from tests.faults.system_calls.starting import Case, Seam
from tests.faults.trial import Trial

HOOKED = "tests.faults.strangers.hooked:install"
SECRET = "a-secret-of-somebody-else"
HOSTED = "hosted"  # in place of a verb: the request comes by stdin
MAY_BE = (0, 1, 2, 3, 4, 74, 75)  # every exit code that is documented, but that of a timeout


class Act(NamedTuple):
    """Something that is done in a project (see `PROJECTS`).

    `hold`: while a run of it is live, the second unit of which takes so many seconds; `early`: the
    first one has failed by then.
    """

    name: str
    words: Tuple[str, ...]
    project: str = "bad"
    hold: str = ""
    early: bool = False

    @property
    def code(self) -> int:
        """What the last unit ends with."""
        return PROJECTS[self.project].code

    @property
    def kind(self) -> Kind:
        """What the run of its project does."""
        return KINDS[PROJECTS[self.project].kind]

    @property
    def changes(self) -> bool:
        """Whether it writes into the project."""
        return bool(self.hold) or self in CHANGES


class Made(NamedTuple):
    """A project as an act finds it: its run has ended with this code, or was never begun."""

    kind: str
    code: int = 0
    was_run: bool = True


PROJECTS = {
    "none": Made("usual", was_run=False),
    "bad": Made("usual", 1),
    "good": Made("usual"),
    "other": Made("usual", 1),  # a stranger's
    "live": Made("usual", 1, was_run=False),
    "open-none": Made("open", was_run=False),
    "open-bad": Made("open", 1),
    "python-none": Made("python", was_run=False),
    "python-bad": Made("python", 1),
    "map-none": Made("map", was_run=False),
    "map-bad": Made("map", 1),
}
READS = (
    Act("status", ("status", "run")),
    Act("status --json", ("status", "run", "--json")),
    Act("list", ("list",)),
    Act("logs", ("logs", "run", "--stdout")),
    Act("logs --failed", ("logs", "run.toml", "--failed")),
    Act("explain", ("explain", "run", "join")),
    Act("wait", ("wait", "run", "--start-timeout", "0")),
    Act("wait for a run file", ("wait", "run.toml", "--start-timeout", "0")),
    Act("verify", ("verify", "run")),
    Act("plan", ("run", "run.toml", "--dry-run")),
    Act("plan of a retry", ("retry", "run", "--dry-run")),
    Act("plan of Python units", ("run", "python.toml", "--dry-run"), "python-bad"),
    Act("by hand", ("retry", "run", "join", "--here", "--dry-run")),
    Act("stop", ("stop", "run")),
    Act("drain", ("drain", "run")),
    Act("prune --dry-run", ("prune", "--keep", "0", "--dry-run")),
    Act("verify what is good", ("verify", "run"), "good"),
    Act("wait --verify", ("wait", "run", "--verify", "--start-timeout", "0"), "good"),
    Act("status where others may write", ("status", "run"), "open-bad"),
    Act("wait where others may write", ("wait", "run", "--start-timeout", "0"), "open-bad"),
    Act("status of another", ("status", "{other}"), "other"),
    Act("logs of another", ("logs", "{other}", "--stdout"), "other"),
    Act("explain of another", ("explain", "{other}", "join"), "other"),
    Act("wait for another", ("wait", "{other}"), "other"),
    Act("verify another", ("verify", "{other}"), "other"),
)
LIVE = (
    Act("live status", ("status", "run"), "live", "60"),
    Act("live explain", ("explain", "run", "make/n=2"), "live", "60"),
    Act("live wait", ("wait", "run", "--start-timeout", "0"), "live", "0.3"),
    Act("live wait for a time", ("wait", "run", "--timeout", "100ms"), "live", "60"),
    Act("live drain", ("drain", "run"), "live", "60"),
    Act("live stop", ("stop", "run"), "live", "60"),
    Act("live stop of a unit", ("stop", "run", "make/n=2"), "live", "60"),
    Act("live retry", ("retry", "run", "make/n=1"), "live", "60", early=True),
    Act("live prune", ("prune", "--yes", ".procsup/run"), "live", "60"),
    Act("run of what is live", ("run", "run.toml"), "live", "60"),
)
CHANGES = (
    Act("first run", ("run", "run.toml"), "none"),
    Act("next run", ("run", "run.toml")),
    Act("detached run", (HOSTED, "run.toml"), "none"),
    Act("retry", ("retry", "run", "make/n=1")),
    Act("retry by hand", ("retry", "run", "join", "--here")),
    Act("prune", ("prune", "--yes", "--keep", "0")),
    Act("prune --logs", ("prune", "--yes", "--logs", "--keep", "0")),
    Act("first run where others may write", ("run", "run.toml"), "open-none"),
    Act("first run of Python units", ("run", "python.toml"), "python-none"),
    Act("next run of Python units", ("run", "python.toml"), "python-bad"),
    Act("map", KINDS["map"].words, "map-none"),
    Act("next run of a map", ("run", ".procsup/run/plan.jsonl"), "map-bad"),
)


class Done(NamedTuple):
    """What came of an act: what it printed, which units ran, where something was planted in it."""

    code: int
    out: str
    err: str
    ran: List[str]
    came: List[str]


class Scene:
    """Projects of ours and of a stranger's in one folder, and start programs for procsup.

    Live runs have a start program of their own: `other_seam`.
    """

    def __init__(self, trial: Trial, seam: Seam, other_seam: Seam) -> None:
        self.trial = trial
        self._seam, self._other_seam = seam, other_seam
        self._top = trial.folder
        self.outside = self._top / "outside"
        self._files = {name: str(self._top / name) for name in ("out", "err", "told")}
        self.cases: Dict[str, Case] = {}
        self._lay_out()

    def _lay_out(self) -> None:
        for name in ("outside", "kept", "park"):
            (self._top / name).mkdir()
        for name, kind in (("twin", "usual"), ("python-twin", "python"), ("map-twin", "map")):
            self._make(name, KINDS[kind], code=0, says=SECRET)
            self._keep_outside(name, name, is_ours=False)
        self._keep_outside("twin", "ours", is_ours=True)
        copy(str(self.outside), str(self._top / "kept" / "outside"))
        self._before = snapshot(self.outside)

    def _keep_outside(self, made: str, name: str, *, is_ours: bool) -> None:
        copy(str(self._top / made), str(self.outside / name))
        (self.outside / name / "mounted").mkdir()
        for secret in ("secret", "mounted/kept"):
            path = self.outside / name / secret
            path.write_text(f"{SECRET}\n")
            path.chmod(0o600)
        if is_root() and not is_ours:
            give(str(self.outside / name))

    def rebuild(self, name: str) -> None:
        """Make a project anew, by a run."""
        made = PROJECTS[name]
        if made.was_run:
            self._make(name, KINDS[made.kind], code=made.code, says="said")
        else:
            self._blank(name, KINDS[made.kind], trust=self._top / name / ".procsup")
        if name == "other" and is_root():
            give(str(self._top / name))

    def _make(self, name: str, kind: Kind, *, code: int, says: str) -> None:
        trust = Path("/") if says == SECRET else self._top / name / ".procsup"
        case = self._blank(name, kind, trust=trust)
        done = self.do(case, kind.words, code=code, says=says)
        assert done.code == code, done.err

    def _blank(self, name: str, kind: Kind, *, trust: Path) -> Case:
        remove(str(self._top / name))
        case = self.cases[name] = Case(self._top / name, f"strangers-{self.trial.seed}")
        lay_out(case, kind, trust=str(trust))
        return case

    # --- doing -----------------------------------------------------------------------------------

    def do(self, case: Case, words: Sequence[str], *, code: int = 1, says: str = "said",
           **more: Any) -> Done:  # fmt: skip
        """Call procsup; `more` is for the hook (see hooked.py)."""
        came, ran = self._top / "came", self._top / "ran"
        for path in (came, ran):
            remove(str(path))
        other = str(self._top / "other" / ".procsup" / "run")
        words = [word.replace("{other}", other) for word in words]
        if words[0] == HOSTED:
            request = HostedRequest(Request("run.toml"), Display(), announce=True)
            more["stdin"] = str(self._top / "request")
            Path(more["stdin"]).write_bytes(request.encode())
        order = self._order(case, "ran", code=code, says=says)
        ended, _ = self._seam.run(case, None, words, **{**order, **self._files, **more})
        out, err = (Path(self._files[name]).read_text(errors="replace") for name in ("out", "err"))
        return Done(ended, out, err, _words(ran), _words(came))

    def _order(self, case: Case, ran: str, *, code: int, says: str = "said", hold: str = "0",
               early: int = 0) -> Dict[str, Any]:  # fmt: skip
        home = os.path.join(str(case.project.folder), "home")
        env = {"HOME": home, "XDG_CONFIG_HOME": home, "RAN": str(self._top / ran), "SAYS": says,
               "CODE": str(code), "HOLD": hold, "EARLY": str(early),
               "PYTHONDONTWRITEBYTECODE": "1"}  # fmt: skip
        return {"env": env, "note": None, "at": None, "came": str(self._top / "came"),
                "inside": f"{self._top}/"}  # fmt: skip

    @contextmanager
    def under_way(self, act: Act, case: Case) -> Iterator[None]:
        """Have a live run in a project, if the act is one for that; at the end it is gone."""
        if not act.hold:
            yield
            return
        ran, files = self._top / "live-ran", {}
        remove(str(ran))
        for name in ("out", "err", "told"):
            files[name] = str(self._top / f"live-{name}")
        order = self._order(
            case, "live-ran", code=act.code, hold=act.hold, early=1 if act.early else 0
        )
        with self._other_seam.under_way(case, act.kind.words, **{**order, **files}):
            laws.until(lambda: _is_on(case, ran, act), "the live run is not on", 10.0, 0.002)
            yield
        laws.no_traceback(Path(files["err"]).read_text(errors="replace"))

    def noted(self, act: Act) -> Tuple[Done, List[Tuple[str, int]]]:
        """Do it undisturbed; return each touch of a path of the project, with its number."""
        note = self._top / "note"
        remove(str(note))
        case = self.ready(act)
        with self.under_way(act, case):
            done = self.do(case, act.words, code=act.code, note=str(note))
        top = f"{case.project.folder}/"
        touches = [tuple(json.loads(line)) for line in note.read_text().splitlines()]
        return done, sorted({one for one in touches if one[0].startswith(top)})

    def ready(self, act: Act) -> Case:
        """Return the project in which it is done, as it was made."""
        if act.changes or act.project not in self.cases:
            self.rebuild(act.project)
        return self.cases[act.project]

    def place(self, case: Case, path: str) -> Place:
        """Return how to plant something at a path of a project."""
        name = case.project.folder.name
        kind = PROJECTS[name].kind
        twin = self.outside / (
            "ours" if name == "other" else f"{kind}-twin" if kind in ("python", "map") else "twin"
        )
        relative = os.path.relpath(path, str(case.project.folder))
        return Place(path, str(twin / relative), str(self._top / "park" / "it"), str(twin))

    # --- judging ---------------------------------------------------------------------------------

    def check_outside(self, may_be_changed: Callable[[str], bool]) -> None:
        """Nothing outside is changed but such paths; else it is put back for the next case."""
        now = snapshot(self.outside)
        if now == self._before:
            return
        changed = {name for name, _ in set(now.items()) ^ set(self._before.items())}
        remove(str(self.outside))
        copy(str(self._top / "kept" / "outside"), str(self.outside))
        for path in self.outside.iterdir() if is_root() else ():
            if path.name != "ours":
                give(str(path))
        self._before = snapshot(self.outside)
        wrong = sorted(name for name in changed if not may_be_changed(name))
        assert not wrong, f"changed outside: {wrong}"


def _words(path: Path) -> List[str]:
    return path.read_text().split() if path.exists() else []


def _is_on(case: Case, ran: Path, act: Act) -> bool:
    """Whether the second unit runs, and all that can end before it has ended."""
    ends = sum(record["t"] == "end" for record in laws.records(case.rundir))
    return "2" in _words(ran) and ends >= len(act.kind.units) - 2


def snapshot(folder: Path) -> Dict[str, Any]:
    """Return all that lies in a folder; of folders not their times."""
    found: Dict[str, Any] = {}
    for above, folders, files in os.walk(str(folder)):
        for name in (*folders, *files):
            path = os.path.join(above, name)
            try:
                status = os.lstat(path)
            except FileNotFoundError:
                continue  # a temporary file of a live run
            kind = stat.S_IFMT(status.st_mode)
            more: Any = None
            if kind == stat.S_IFREG:
                more = (status.st_size, status.st_mtime_ns)
                more += (_read(path),) if status.st_size < HUGE_BYTES else ()
            elif kind == stat.S_IFLNK:
                more = os.readlink(path)
            found[path] = (status.st_mode, status.st_uid, status.st_ino, more)
    return found


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def refuse_records_of_secrets(case: Case) -> None:
    """Raise AssertionError if one of our files has what a stranger keeps for himself."""
    for path, (mode, uid, _, more) in snapshot(case.project.folder).items():
        if stat.S_ISREG(mode) and uid != STRANGER and len(more) > 2:
            assert SECRET.encode() not in more[2], f"a file of somebody else's is in {path}"

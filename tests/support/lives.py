"""Random lives of a project, and a model that knows the contents of its files.

A life is a list of steps such as ``write a two`` or ``run --only parts``: a shorter one can be
tried by leaving steps out. A log that the workers write says what each attempt read and wrote, the
journal which attempts succeeded; the model compares both with the files that are there. After each
verb of procsup:

* what a manifest vouches for was made from what is there now, and is as it was written;
* a unit was started only if its last success did not stand, or its inputs, word, outputs or
  producers had changed;
* a unit that was to run has run, and what the dry run of a `run` said came true.
"""

import json
import os
import random
import shutil
import tarfile
from collections import defaultdict
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple, Union

from tests.support.projects import PROGRAMS, Project

NAMES = "ab"
CONTENTS = ("one", "two", "six", "bad")  # of one size; with "bad" the first stage fails
TROUBLES = ("early", "half", "whole", "hollow", "once")
KILLS = ("kill early", "kill half", "kill whole")

STAGES = {
    "copy": """
matrix.source.glob = "raw/{n:*}"
id = "{n}"
args = ["copy/{n}", "WORD", "{source}", "--", "out/{n}"]
outputs = ["out/{n}"]
""",
    "parts": """
for-each = "copy"
args = ["parts/{n}", "WORD", "{copy.outputs[0]}", "--", "parts/{n}/"]
outputs = ["parts/{n}/"]
""",
    "kept": """
for-each = "copy"
args = ["kept/{n}", "WORD", "{copy.outputs[0]}", "--", "kept/{n}-"]
outputs = [{ path = "kept/{n}-*", unchanged = true }]
""",
    "aside": """
for-each = "copy"
args = ["aside/{n}", "WORD", "{copy.outputs[0]}", "--", "aside/{n}-"]
outputs = ["aside/{n}-*"]
on-failed-outputs = "aside"
""",
    "never": """
for-each = "copy"
args = ["never/{n}", "env", "{copy.outputs[0]}", "--", "never/{n}"]
env.VALUE = "WORD"
outputs = ["never/{n}"]
keep = "never"
""",
    "tail": """
for-each = "never"
args = ["tail/{n}", "WORD", "<never/{n}", "--", "tail/{n}"]
stdin = "{never.outputs[0]}"
outputs = [{ path = "tail/{n}", unchanged = true }]
retries = 1
""",
    "piece": """
after = [{ stage = "parts", when = "finished" }]
matrix.piece.glob = "parts/{n:*}/{p:*}"
empty-ok = true
id = "{n}-{p}"
args = ["piece/{n}-{p}", "WORD", "{piece}", "--", "pieces/{n}-{p}"]
outputs = ["pieces/{n}-{p}"]
""",
    "sum": """
after = ["kept"]
inputs = { from = "kept" }
args = ["sum", "WORD", "{inputs}", "--", "sum.txt"]
stdout = "sum.txt"
""",
}
BEFORE = {
    "parts": "copy",
    "kept": "copy",
    "aside": "copy",
    "never": "copy",
    "tail": "never",
    "piece": "parts",
    "sum": "kept",
}
OF_WHOLE_STAGES = ("piece", "sum")
LISTS = {"parts": "parts/{}/", "kept": "kept/{}-", "aside": "aside/{}-"}
NEVER_HOLLOW = ("kept", "tail", "sum")  # which may write nothing, and succeed

Entry = Dict[str, Any]


class Unit:
    """What journal and log tell of a unit.

    `version` changes with each success that made other outputs, `failures` with each other end;
    `used` are the marks of its producers at its last success, and `files` what that vouched for.
    `due`: an attempt was started or asked for since. `fresh`: it waits for a run with --fresh.
    """

    def __init__(self) -> None:
        self.status = ""
        self.version = self.failures = 0
        self.entry: Optional[Entry] = None
        self.files: Dict[str, str] = {}
        self.used: Dict[str, Tuple[bool, int]] = {}
        self.due = True
        self.fresh = False
        self.run_id = ""  # of its last success

    @property
    def is_good(self) -> bool:
        return self.status == "succeeded"

    @property
    def mark(self) -> Tuple[bool, int]:
        return self.is_good, self.version if self.is_good else self.failures

    def fail(self, verdict: str, *, due: bool) -> None:
        if due or self.status != verdict:
            self.failures += 1
        self.status, self.due = verdict, self.due or due

    def succeed(self, entry: Entry, run_id: str) -> None:
        assert entry["trouble"] in ("", "hollow"), f"called succeeded: {entry}"
        files = made_by(entry, self.files)
        self.version += files != self.files
        self.status, self.due, self.fresh = "succeeded", False, False
        self.entry, self.files, self.run_id = entry, files, run_id


def made_by(entry: Entry, earlier: Dict[str, str]) -> Dict[str, str]:
    """Return the files that an attempt's success vouches for, after those of an `earlier` one."""
    files, there = dict(entry["wrote"]), entry["found"]
    stage = entry["unit"].split("/")[0]
    if stage == "tail":
        return {**there, **files}
    if stage == "kept":
        files.update((p, t) for p, t in earlier.items() if there.get(p) == t and p not in files)
    return files


class Verb(NamedTuple):
    """A call of procsup: `units` are those that it names, None if it names none."""

    name: str
    words: Sequence[str]
    units: Optional[Tuple[str, ...]]

    def names(self, unit: str) -> bool:
        return self.units is not None and (unit in self.units or unit.split("/")[0] in self.units)


class World:
    """A project with some of the stages, and what was done to it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.project = Project(folder)
        self.project.write("worker.py", (PROGRAMS / "life_worker.py").read_text())
        self.words: Dict[str, str] = {}
        self.saved: Dict[str, List[Tuple[str, int]]] = defaultdict(list)
        self.moves = 0
        self.is_copied = False
        for name in NAMES:
            self.write(name, "one")

    @property
    def folder(self) -> Path:
        return self.project.folder

    def live(self, steps: Sequence[str]) -> None:
        """Do what the steps say; AssertionError with all steps so far if the model disagrees."""
        for number, step in enumerate(steps):
            verb, *rest = step.split()
            try:
                getattr(self, verb)(*rest)
            except AssertionError as error:
                done = "\n".join(f"    {step!r}," for step in steps[: number + 1])
                raise AssertionError(f"{error}\nafter these steps:\n{done}") from error

    # --- files -------------------------------------------------------------------------------

    def stages(self, *names: str) -> None:
        self.words = dict.fromkeys(names, "x")
        self._write_run_file()

    def word(self, stage: str, word: str) -> None:
        self.words[stage] = word
        self._write_run_file()

    def _write_run_file(self) -> None:
        texts = [
            f'[stage.{name}]\nscript = "worker.py"{STAGES[name].replace("WORD", word)}'
            for name, word in self.words.items()
        ]
        self.project.write("run.toml", 'name = "run"\n' + "\n".join(texts))

    def write(self, name: str, text: str) -> None:
        path = self.folder / "raw" / name
        if path.is_symlink():
            path.unlink()
        self.project.write(f"raw/{name}", text)

    def touch(self, path: str, time_s: str) -> None:
        if (self.folder / path).exists():
            os.utime(self.folder / path, (0, int(time_s)))

    def replace(self, path: str, text: str) -> None:
        """By a file of the same time, and of the same size if the content is one of a sample."""
        if (self.folder / path).exists():
            self._put(path, text, (self.folder / path).stat().st_mtime_ns)

    def link(self, name: str, text: str) -> None:
        target = self.project.write(f"store/{text}", text)
        new = self.folder / "new"
        new.symlink_to(os.path.relpath(target, self.folder / "raw"))
        os.replace(new, self.folder / "raw" / name)

    def back(self, path: str, which: str) -> None:
        """An older version is restored, with its time."""
        saved = self.saved[path]
        if saved:
            self._put(path, *saved[int(which) % len(saved)])

    def remove(self, name: str) -> None:
        if (self.folder / "raw" / name).exists():
            (self.folder / "raw" / name).unlink()

    def damage(self, unit: str, which: str) -> None:
        for path in self._one_file(unit, which):
            text = (self.folder / path).read_text()
            self.replace(path, text[:-1] + "!")

    def rewrite(self, unit: str, which: str) -> None:
        for path in self._one_file(unit, which):
            self._put(path, (self.folder / path).read_text(), 10**18)

    def delete(self, unit: str, which: str) -> None:
        for path in self._one_file(unit, which):
            (self.folder / path).unlink()

    def strange(self, stage: str, name: str) -> None:
        self.project.write(LISTS[stage].format(name) + "strange", "strange")

    def _one_file(self, unit: str, which: str) -> List[str]:
        files = [path for path in self.units()[unit].files if (self.folder / path).exists()]
        return files[int(which) % len(files) :][:1] if files else []

    def _put(self, path: str, text: str, mtime_ns: int) -> None:
        new = self.project.write("new", text)
        os.utime(new, ns=(mtime_ns, mtime_ns))
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        os.replace(new, self.folder / path)

    def trouble(self, unit: str, *what: str) -> None:
        self.project.write(f"trouble/{unit}", " ".join(what))

    def mend(self) -> None:
        shutil.rmtree(self.folder / "trouble", ignore_errors=True)

    # --- the project -------------------------------------------------------------------------

    def move(self) -> None:
        os.rename(self.folder, self._next())
        self.project = Project(self._next())
        self.moves += 1

    def copy(self) -> None:
        shutil.copytree(self.folder, self._next(), symlinks=True)
        self.project = Project(self._next())
        self.moves += 1
        self.is_copied = True

    def restore(self) -> None:
        archive, target = self.folder.parent / "saved.tar", self._next()
        with tarfile.open(archive, "w") as tar:
            tar.add(self.folder, arcname=target.name)
        with tarfile.open(archive) as tar:
            tar.extraction_filter = lambda member, _path: member  # our own archive
            tar.extractall(target.parent)
        self.project = Project(target)
        self.moves += 1
        self.is_copied = True

    def _next(self) -> Path:
        return self.folder.with_name(f"p{self.moves + 1}")

    # --- what is known -----------------------------------------------------------------------

    def log(self) -> List[Entry]:
        path = self.folder / "log.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def records(self) -> List[Dict[str, Any]]:
        return (
            self.project.all_records() if (self.project.rundir / "journal.jsonl").exists() else []
        )

    def units(self) -> Dict[str, Unit]:
        """Return all units that were ever planned."""
        known: Dict[str, Unit] = defaultdict(Unit)
        run_id = ""
        entries = {(one["unit"], one["attempt"]): one for one in self.log()}
        for record in self.records():
            kind = record["t"]
            if kind == "begin":
                run_id = record["run_id"]
                for unit in known.values():
                    unit.fresh |= record["fresh"] and not record["resumed"]
            elif kind == "kept" and record.get("restored"):
                for name in record["units"]:
                    known[name].status = "succeeded"
            elif kind == "start":
                known[record["unit"]].fail("started", due=True)
            elif kind == "end" and record["verdict"] != "succeeded":
                is_skip = record["verdict"] == "skipped"
                known[record["unit"]].fail(record["verdict"], due=not is_skip)
            elif kind == "end":
                unit = known[record["unit"]]
                unit.succeed(entries[record["unit"], record["attempt"]], run_id)
                producers = self.producers(record["unit"], known)
                unit.used = {name: known[name].mark for name in producers}
        return known

    def samples(self) -> List[str]:
        return [name for name in NAMES if (self.folder / "raw" / name).exists()]

    def planned(self, known: Dict[str, Unit], stage: str) -> List[str]:
        """Return the units that a stage has now."""
        if stage == "sum":
            return ["sum"]
        if stage != "piece":
            return [f"{stage}/{name}" for name in self.samples()]
        makers = [known[name] for name in self.planned(known, "parts")]
        paths = {path for maker in makers if maker.is_good for path in maker.files}
        for name in set(NAMES).difference(self.samples()):  # files of no unit are found as ever
            paths.update(f"parts/{name}/{one.name}" for one in self.folder.glob(f"parts/{name}/*"))
        return [f"piece/{path[6:].replace('/', '-')}" for path in sorted(paths)]

    def producers(self, unit: str, known: Dict[str, Unit]) -> List[str]:
        stage, _, name = unit.partition("/")
        if stage in OF_WHOLE_STAGES:
            return self.planned(known, BEFORE[stage])
        return [f"{BEFORE[stage]}/{name}"] if stage in BEFORE else []

    def inputs(self, unit: str, known: Dict[str, Unit]) -> Dict[str, Optional[str]]:
        """Return the contents that a unit would read now."""
        stage, _, name = unit.partition("/")
        if stage == "copy":
            paths = [f"raw/{name}"]
        elif stage == "piece":
            paths = ["parts/" + name.replace("-", "/", 1)]
        else:
            made = [known[one] for one in self.producers(unit, known)]
            paths = sorted(path for one in made for path in one.files)
        return {path: self.content(path) for path in paths}

    def content(self, path: str) -> Optional[str]:
        whole = self.folder / path
        return whole.read_text() if whole.is_file() else None

    def wrong(self, name: str, known: Dict[str, Unit]) -> str:
        """Say why a unit must not be vouched for; empty if it may."""
        unit = known[name]
        if unit.due or not unit.is_good or unit.entry is None:
            return f"{name} is not succeeded, but {unit.status or 'new'}"
        if unit.entry["word"] != self.words[name.split("/")[0]]:
            return f"{name} was made with another word"
        now = self.inputs(name, known)
        if unit.entry["used"] != now:
            return f"{name} was made from {unit.entry['used']}, and there is {now}"
        there = {path: self.content(path) for path in unit.files}
        if there != unit.files:
            return f"{name} made {unit.files}, and there is {there}"
        return ""

    # --- verbs of procsup --------------------------------------------------------------------

    def run(self, *words: str) -> None:
        flags = [word for word in words if word.startswith("--")]
        named = tuple(word for word in words if word not in flags)
        self._call(Verb("run", ["run", "run.toml", "--adopt", *flags, *named], named or None))
        self.is_copied = False

    def retry(self, *names: str) -> None:
        if not self.is_copied:  # a copy is gone on with by `run`
            self._call(Verb("retry", ["retry", "run", *names], names or None))

    def _call(self, verb: Verb) -> None:
        if verb.name == "retry" and not self.records():
            return
        before = self.units()
        reasons = {name: list(self._reasons(name, unit)) for name, unit in before.items()}
        seen, logged = len(self.records()), len(self.log())
        foreseen = self._foreseen(verb)
        done = self.project.call(*verb.words)
        said = f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        new, known = self.log()[logged:], self.units()
        begun = [one for one in self.records()[seen:] if one["t"] == "begin"]
        if not begun:
            assert done.returncode in (0, 2), said
            assert not new, said
            assert done.returncode == 2 or verb.name == "retry", said
            return
        is_killed = any(entry["trouble"].startswith("kill") for entry in new)
        assert is_killed or done.returncode in (0, 1, 2, 3), said
        try:
            self._check_starts(verb, new, before, known, reasons, begun[0]["run_id"])
            self._check_manifests(known, begun[0]["run_id"] if is_killed else "")
            if foreseen and not is_killed and done.returncode != 2:
                self._check_foreseen(foreseen, {one["unit"] for one in new}, known, seen)
            if not is_killed and done.returncode != 2:  # 2: a word meant nothing, as it turned out
                self._check_ends(verb, new, known, begun[0]["run_id"], done.returncode)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{said}") from error
        self._save(known)

    def _foreseen(self, verb: Verb) -> Dict[str, str]:
        """Return what the dry run of a `run` says: unit -> keep, run or leave aside."""
        if verb.name != "run":
            return {}
        done = self.project.call(*verb.words, "--dry-run", "--json")
        if done.returncode:
            return {}
        stages = json.loads(done.stdout)["stages"].values()
        units = [unit for stage in stages for unit in stage or ()]
        return {
            unit["id"]: "aside" if unit["aside"] else "keep" if unit["keep"] else "run"
            for unit in units
        }

    def _check_foreseen(
        self, foreseen: Dict[str, str], started: Set[str], known: Dict[str, Unit], seen: int
    ) -> None:
        """The run has done what its dry run said; what comes after what ran may be kept as well."""
        records = self.records()[seen:]
        kept = {name for one in records if one["t"] == "kept" for name in one["units"]}
        for name, fate in foreseen.items():
            before = self.producers(name, known)
            if fate != "run":
                assert name not in started, f"{name} has run, and the dry run said {fate}"
                assert (name in kept) == (fate == "keep"), f"{name}: the dry run said {fate}"
            elif not any(foreseen.get(one) == "run" or known[one].due for one in before):
                assert name in started, f"{name} has not run, as the dry run said"

    def _reasons(self, name: str, unit: Unit) -> Iterator[str]:
        """Yield what makes a unit run, apart from its producers, before a verb."""
        if unit.due or unit.fresh or unit.entry is None:
            yield "no success that stands"
            return
        stage, _, sample = name.partition("/")
        if unit.entry["word"] != self.words[stage]:
            yield "another word"
        if stage == "copy" and unit.entry["used"] != {
            f"raw/{sample}": self.content(f"raw/{sample}")
        }:
            yield "another content"
        if any(self.content(path) != text for path, text in unit.files.items()):
            yield "other outputs"

    def _check_starts(
        self,
        verb: Verb,
        new: Sequence[Entry],
        before: Dict[str, Unit],
        known: Dict[str, Unit],
        reasons: Dict[str, List[str]],
        run_id: str,
    ) -> None:
        first: Dict[str, Entry] = {}
        for entry in new:
            first.setdefault(entry["unit"], entry)
        for name, entry in first.items():
            unit = before.get(name)
            if verb.name == "run" and verb.units is not None:
                assert verb.names(name), f"{name} was not asked for"
            if unit is None or unit.entry is None or reasons[name] or "--fresh" in verb.words:
                continue
            if verb.name == "retry" and verb.names(name):
                continue
            if name.startswith("never/") and verb.name == "run" and unit.run_id != run_id:
                continue
            marks = {one: known[one].mark for one in self.producers(name, known)}
            moved = any(unit.used.get(one) != mark for one, mark in marks.items())
            assert moved or entry["used"] != unit.entry["used"], f"{name} is repeated"

    def _check_manifests(self, known: Dict[str, Unit], only_of: str) -> None:
        """A sitting that is killed may not have come to a later stage: `only_of` is its run."""
        rundir = self.project.rundir
        for path in [rundir / "manifest.json", *(rundir / "stages").glob("*.json")]:
            said = json.loads(path.read_text()) if path.exists() else {"run_id": "", "units": []}
            for unit in said["units"] if said["run_id"] in (only_of or said["run_id"]) else []:
                if unit["verdict"] == "succeeded":
                    wrong = self.wrong(unit["id"], known)
                    assert not wrong, f"{path.name}: {wrong}"
                    outputs = sorted(one["relative"] for one in unit["outputs"])
                    rest = unit["id"] + "-rest"
                    is_left = unit["stage"] == "aside" and self.content(rest) is not None
                    assert not is_left, f"{rest} of a failed attempt was not moved aside"
                    assert outputs == sorted(known[unit["id"]].files), f"{path.name}: {unit}"

    def _check_ends(
        self, verb: Verb, new: Sequence[Entry], known: Dict[str, Unit], run_id: str, code: int
    ) -> None:
        """Whatever could succeed has."""
        planned = [name for stage in self.words for name in self.planned(known, stage)]
        wrong = {name for name in planned if self.wrong(name, known)}
        held = set(wrong)  # and what comes after, however far
        for name in planned:
            if held.intersection(self.producers(name, known)):
                held.add(name)
        tried = {entry["unit"]: entry for entry in new}
        for name in sorted(wrong):
            stage = name.split("/")[0]
            if verb.units is not None and not verb.names(name):
                continue
            if stage != "piece" and held.intersection(self.producers(name, known)):
                continue
            if stage == "piece" and not self._is_final("parts"):
                continue
            entry = tried.get(name)
            assert entry is not None, f"{name} should have run: {self.wrong(name, known)}"
            fails = entry["trouble"] or not made_by(entry, known[name].files)
            assert fails, f"{name} should have succeeded: {entry}"
        has_manifest = (self.project.rundir / "manifest.json").exists()
        assert has_manifest == (code in (0, 1)), f"a manifest: {has_manifest}, exit code {code}"
        if verb.units is None:
            old = [name for name in planned if known[name].run_id != run_id]
            kept = [name for name in old if name.startswith("never/") and name not in wrong]
            assert verb.name == "retry" or not kept, f"{kept} should have run once more"
            assert code == (1 if wrong else 0), f"exit code {code}, wrong are {wrong}"
            if any(one.startswith("kept/") for one in wrong) and "sum" in planned:
                planned.remove("sum")  # it is not known what it would have read
            names = [unit["id"] for unit in self.project.manifest["units"]]
            assert sorted(names) == sorted(planned), f"{names} are not {planned}"

    def _is_final(self, stage: str) -> bool:
        return (self.project.rundir / "stages" / f"{stage}.json").exists()

    def _save(self, known: Dict[str, Unit]) -> None:
        made = [path for unit in known.values() for path in unit.files]
        for path in [*(f"raw/{name}" for name in self.samples()), *made]:
            text = self.content(path)
            if text is not None:
                self.saved[path].append((text, (self.folder / path).stat().st_mtime_ns))


# --- lives ----------------------------------------------------------------------------------


def drawn(seed: Union[int, str], *, length: int = 6) -> List[str]:
    """Return the steps of a random life; some deeds before each of `length` verbs."""
    dice = random.Random(seed)
    stages = _stages(dice)
    steps = ["stages " + " ".join(stages)]
    for _ in range(length):
        steps += [_deed(dice, stages) for _ in range(dice.randrange(5))]
        steps.append(_verb(dice, stages))
    return [*steps, "mend", "run", "run"]


def _stages(dice: random.Random) -> List[str]:
    wanted = set(dice.sample(sorted(BEFORE), 3)) | {"copy"}
    wanted |= {BEFORE[one] for one in wanted if one in BEFORE}
    return [name for name in STAGES if name in wanted]


def _unit(dice: random.Random, stages: Sequence[str]) -> str:
    stage = dice.choice(stages)
    if stage == "piece":
        return f"piece/{dice.choice(NAMES)}-{dice.choice(['all', *CONTENTS[:3]])}"
    return "sum" if stage == "sum" else f"{stage}/{dice.choice(NAMES)}"


def _deed(dice: random.Random, stages: Sequence[str]) -> str:
    name, text, unit = dice.choice(NAMES), dice.choice(CONTENTS), _unit(dice, stages)
    which, stage = dice.randrange(4), unit.split("/")[0]
    troubles = TROUBLES if stage not in NEVER_HOLLOW else [t for t in TROUBLES if t != "hollow"]
    lists = [one for one in LISTS if one in stages]
    deeds = [
        f"write {name} {text}",
        f"touch raw/{name} {dice.randrange(10**9)}",
        f"replace raw/{name} {text}",
        f"link {name} {text}",
        f"back raw/{name} {which}",
        f"damage {unit} {which}",
        f"rewrite {unit} {which}",
        f"delete {unit} {which}",
        f"word {stage} {dice.choice('xy')}",
        dice.choice(["remove b", "write b one"]),
        *[f"trouble {unit} {dice.choice(troubles)}"] * 3,
        *[f"trouble {unit} {dice.choice(KILLS)}"] * 2,
        "mend",
        dice.choice(["move", "copy", "restore"]),
        *([f"strange {dice.choice(lists)} {name}"] if lists else []),
    ]
    return dice.choice(deeds)


def _verb(dice: random.Random, stages: Sequence[str]) -> str:
    one = dice.choice([_unit(dice, stages), dice.choice(stages)])
    verbs = [*["run"] * 5, f"run --only {one}", f"run --only {one}", "retry", f"retry {one}"]
    return dice.choice([*verbs, "run --fresh"] if dice.random() < 0.3 else verbs)

"""What holds after every case, whatever was done to procsup: shared by the harnesses.

Each law raises AssertionError with what it saw.
"""

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

LIVES_ON_S = 1.0
# What differs between two runs that mean the same: times, processes, tries, places of logs.
_OF_A_UNIT = ("id", "stage", "index", "parameters", "fingerprint", "verdict", "exit_code")


def story(rundir: Path) -> Dict[str, Any]:
    """Return what a run's manifest says, without what differs from one time to the next."""
    with open(str(rundir / "manifest.json"), encoding="utf-8") as file:
        manifest = json.load(file)
    stages = {
        name: {key: value for key, value in counts.items() if key != "kept"}
        for name, counts in manifest["stages"].items()
    }
    units = [_unit_story(unit) for unit in manifest["units"]]
    return {
        "name": manifest["name"],
        "status": manifest["status"],
        "stages": stages,
        "units": sorted(units, key=lambda unit: str(unit["id"])),
    }


def _unit_story(unit: Dict[str, Any]) -> Dict[str, Any]:
    told = {name: unit[name] for name in _OF_A_UNIT}
    outputs = [(os.path.basename(o["path"]), o["size"], o["sha256"]) for o in unit["outputs"]]
    return {**told, "outputs": outputs}


def final_manifest_equals(clean: Dict[str, Any], rundir: Path) -> None:
    """P7: the run's manifest tells the story of an undisturbed run."""
    now = story(rundir)
    assert now == clean, f"another end than that of an undisturbed run: {_difference(clean, now)}"


def _difference(one: Dict[str, Any], other: Dict[str, Any]) -> str:
    for key in ("name", "status", "stages"):
        if one[key] != other[key]:
            return f"{key}: {one[key]!r} and now {other[key]!r}"
    for was, now in zip(one["units"], other["units"]):
        if was != now:
            return f"{was!r} and now {now!r}"
    return f"{len(one['units'])} units and now {len(other['units'])}"


def records(rundir: Path) -> List[Dict[str, Any]]:
    """Return the journal's whole lines as tables; a torn last line is left out."""
    try:
        data = (rundir / "journal.jsonl").read_bytes()
    except FileNotFoundError:
        return []
    whole = data[: data.rfind(b"\n") + 1]
    return [json.loads(line.split(b" ", 2)[2]) for line in whole.splitlines()]


def journal_and_manifest_agree(rundir: Path) -> None:
    """P5: a manifest was made of the journal that lies beside it, and says what that says."""
    path = rundir / "manifest.json"
    if not path.exists():
        return
    manifest = json.loads(path.read_text(encoding="utf-8"))
    mark = manifest["journal"]
    data = (rundir / "journal.jsonl").read_bytes()[: mark["length"]]
    assert len(data) == mark["length"], "the manifest was made of a longer journal"
    assert hashlib.sha256(data).hexdigest() == mark["sha256"], "the journal is another"
    lines = [json.loads(line.split(b" ", 2)[2]) for line in data.splitlines()]
    final = {r["unit"]: r["verdict"] for r in lines if r["t"] == "end" and r.get("final", True)}
    for unit in manifest["units"]:
        told = final.get(unit["id"])
        assert told == unit["verdict"], f"{unit['id']}: {unit['verdict']}, its record: {told}"


def no_unit_finished_twice(rundir: Path) -> None:
    """P7: what has succeeded, and was recorded so, does not run again.

    Unless its inputs changed, or could not be read when it ended.
    """
    ended: Dict[str, int] = {}
    for record in records(rundir):
        if record["t"] != "end" or any(i.get("changed") for i in record.get("inputs", ())):
            continue
        if record["verdict"] == "succeeded":
            ended[record["unit"]] = ended.get(record["unit"], 0) + 1
    twice = {unit: times for unit, times in ended.items() if times > 1}
    assert not twice, f"finished more than once: {twice}"


def living(*entries: bytes) -> List[int]:
    """Return the pids of living processes whose environment holds these (``NAME=value``)."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                environment = file.read()
        except OSError:
            continue  # it has ended, or is somebody else's
        if set(entries).issubset(environment.split(b"\0")):
            found.append(int(name))
    return found


def session(leader: int) -> List[int]:
    """Return the pids of all processes in the session of this one."""
    pids = map(int, filter(str.isdigit, os.listdir("/proc")))
    return [pid for pid in pids if _leader(pid) == leader]


def _leader(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0  # it has ended


def until(holds: Callable[[], bool], otherwise: str, limit_s: float, look_s: float = 0.01) -> None:
    """Return as soon as it holds: for what no event tells; AssertionError after so long."""
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline, f"{otherwise} within {limit_s:g} s"
        time.sleep(look_s)


def pause(seconds: float) -> None:
    """Let that much time go by: for what is done now and then, never to wait for something."""
    time.sleep(seconds)


def nothing_lives(entry: bytes, limit_s: float = LIVES_ON_S) -> None:
    """P4: one second after the end no process of the run is alive; `entry` is its cookie."""
    until(lambda: not living(entry), f"processes with {entry!r} do not end", limit_s)


def no_traceback(said: str) -> None:
    """Whoever reads stderr meets sentences, never our insides; what units wrote is indented."""
    ours = [line for line in said.splitlines() if not line.startswith("    ")]
    for word in ("Traceback", "internal error", "Exception ignored", "Fatal Python"):
        assert not any(word in line for line in ours), f"stderr has {word!r}: {said[-1500:]}"

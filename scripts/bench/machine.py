"""The machine and the versions, so that a figure can be judged later."""

import os
import platform
from pathlib import Path
from typing import Dict, List, Tuple

from bench.measure import Workshop
from bench.peers import Runner, output


def describe(bench: Workshop, runners: Dict[str, Runner]) -> Dict[str, str]:
    """Return what figures depend on, each with its name."""
    return {
        "CPU": f"{_cpu()}, {len(usable_cpus())} usable CPUs",
        "system": f"{platform.platform()}, {_memory()}",
        "file system": file_system(bench.folder),
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "load before": ", ".join(f"{load:.2f}" for load in os.getloadavg()),
        "versions": ", ".join(f"{name} {runner.version}" for name, runner in _told(runners)),
        "procsup from": output(["git", "-C", str(Path(__file__).parent), "describe", "--always",
                                "--dirty"]) or "no repository",
    }  # fmt: skip


def _told(runners: Dict[str, Runner]) -> List[Tuple[str, Runner]]:
    """Return those that have a version of their own: what comes with this Python has not."""
    named = [(name, runner) for name, runner in runners.items() if not runner.peer.calls]
    return [(name, runner) for name, runner in named if runner.version != platform.python_version()]


def usable_cpus() -> List[int]:
    """Return the CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def file_system(folder: Path) -> str:
    """Return the type and the options of the file system that a folder is on."""
    try:
        mounts = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "unknown"
    best = ("", "unknown", "")
    for line in mounts:
        _, place, kind, options = line.split()[:4]
        inside = Path(place) in [folder, *folder.parents]
        if inside and len(place) >= len(best[0]):
            best = (place, kind, options)
    return f"{best[1]} ({best[2]})"


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.machine()


def _memory() -> str:
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return f"{pages * size / 1e9:.1f} GB of memory"

"""``--install``: fetch the peers that pip and apt have. Who cannot be fetched is said, no more."""

import os
import shutil
import subprocess
from typing import List

import _setup

from bench.measure import Workshop
from bench.peers import PEERS

APT_S = 600.0


def install(bench: Workshop) -> None:
    """Fetch what is not there yet; what fails is said, and the rest goes on."""
    lacking = [peer for peer in PEERS if peer.find(bench) is None]
    packages = sorted({peer.apt for peer in lacking if peer.apt})
    if packages:
        by_apt(packages)
    wheels = sorted({peer.pip for peer in lacking if peer.pip})
    for package in wheels:
        by_pip(package)
    still = [peer.name for peer in PEERS if peer.find(bench) is None]
    _setup.say(f"not there: {', '.join(still)}" if still else "all peers are there")


def by_pip(package: str) -> None:
    """Install one package into the environment of the peers."""
    _setup.say(f"pip install {package}")
    try:
        _setup.add_package(_setup.empty_environment("peers"), package)
    except _setup.SetupFailed as problem:
        _setup.say(f"{package}: {str(problem).partition(chr(10))[0]}")


def by_apt(packages: List[str]) -> None:
    """Install packages of the system, if we may; else say which."""
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        _setup.say(f"to be installed by the system's own means: {', '.join(packages)}")
        return
    _setup.say(f"apt-get install {' '.join(packages)}")
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    quiet = ["-qq", "-o", "Dpkg::Use-Pty=0"]
    try:
        for argv in ([apt, "update", *quiet], [apt, "install", "-y", *quiet, *packages]):
            subprocess.run(argv, env=env, timeout=APT_S, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, check=True)  # fmt: skip
    except (OSError, subprocess.SubprocessError) as problem:
        _setup.say(f"apt-get: {problem}")

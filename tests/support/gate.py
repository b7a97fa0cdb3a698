"""Where gated units report: events instead of sleeps.

A unit's connection ends when the unit does, so the test learns of a death from the system.
"""

import selectors
import socket
import time
from typing import Dict, List, Optional

from tests.support.projects import Project, finish

LIMIT_S = 20.0


class Visitor:
    """A process that reported: its name, its pid, and the line to it."""

    def __init__(self, line: socket.socket, name: str, pid: int) -> None:
        self.line = line
        self.name = name
        self.pid = pid

    def tell(self, order: str) -> None:
        self.line.sendall(order.encode() + b"\n")

    def exit(self, code: int = 0) -> None:
        """Tell it to exit; returns when it is gone."""
        self.tell(f"exit {code}")
        assert self.ends_within(LIMIT_S)

    def write(self, path: str, text: str) -> None:
        self.tell(f"write {path} {text}")
        self.line.settimeout(LIMIT_S)
        assert self.line.recv(64) == b"written\n"

    def ends_within(self, limit_s: float) -> bool:
        """Whether the process is gone within so many seconds."""
        self.line.settimeout(limit_s)
        try:
            return self.line.recv(64) == b""
        except socket.timeout:
            return False
        except ConnectionError:
            return True

    @property
    def lives(self) -> bool:
        return not self.ends_within(0.01)


class Gate:
    """Listens on the loopback; a context manager."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.visitors: List[Visitor] = []
        self._unclaimed: Dict[str, List[Visitor]] = {}

    def __enter__(self) -> "Gate":
        return self

    def __exit__(self, *_reason: object) -> None:
        for visitor in self.visitors:
            visitor.line.close()
        self._server.close()

    def meet(self, name: str, limit_s: float = LIMIT_S) -> Visitor:
        """Wait until a process of that name reports."""
        visitor = self.may_meet(name, limit_s)
        assert visitor is not None, f"{name} did not report within {limit_s} s"
        return visitor

    def may_meet(self, name: str, limit_s: float) -> Optional[Visitor]:
        """Wait so long for a process of that name; None if it does not report."""
        deadline = time.monotonic() + limit_s
        while not self._unclaimed.get(name):
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not self._accept(left_s):
                return None
        return self._unclaimed[name].pop(0)

    def _accept(self, limit_s: float) -> bool:
        with selectors.DefaultSelector() as selector:
            selector.register(self._server, selectors.EVENT_READ)
            if not selector.select(limit_s):
                return False
        line, _ = self._server.accept()
        line.settimeout(LIMIT_S)
        with line.makefile("r") as words:
            said = words.readline().split()
        if len(said) != 2:
            line.close()  # it was ended before it had said who it is
            return True
        name, pid = said
        visitor = Visitor(line, name, int(pid))
        self.visitors.append(visitor)
        self._unclaimed.setdefault(name, []).append(visitor)
        return True


def complete(made: Project, gate: Gate) -> str:
    """Run to the end, each unit exiting 0 (a second live copy would exit 99); return its stderr."""
    child = made.start("run", "run.toml", "--jobs", "2")
    for name in ("a", "b"):
        gate.meet(name).exit(0)
    _out, err = finish(child)
    assert child.returncode == 0, err
    assert made.verdicts == {"s/n=a": "succeeded", "s/n=b": "succeeded"}
    return err

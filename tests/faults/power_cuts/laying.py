"""Laying states out in a folder, one after another: only what differs is written."""

import os
import shutil
from typing import Dict, FrozenSet, Tuple

from tests.faults.power_cuts.disk import State
from tests.faults.power_cuts.workloads import Recording, lay_out, stamps_of


class Table:
    """The folder of a recording, as the last state left it."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._stamps = stamps_of(recording.ops)
        self._files: Dict[str, Tuple[int, bytes]] = {}
        self._folders: FrozenSet[str] = frozenset()
        self._is_known = False

    def lay(self, state: State, *, to_be_changed: bool = False) -> None:
        """Make the folder hold this state, and nothing else but the run file.

        `to_be_changed`: somebody will write there, and the next state is laid out anew.
        """
        if self._is_known:
            self._change(state)
        else:
            lay_out(self._recording.folder, state, self._stamps)
        self._files, self._folders = dict(state.files), state.folders
        self._is_known = not to_be_changed

    def _change(self, state: State) -> None:
        for name in self._files.keys() - state.files.keys():
            os.unlink(name)
        for name in sorted(self._folders - state.folders, reverse=True):
            shutil.rmtree(name, ignore_errors=True)
        for name in sorted(state.folders - self._folders):
            os.makedirs(name, exist_ok=True)
        for name, (file, data) in state.files.items():
            if self._files.get(name) != (file, data):
                with open(name, "wb") as stream:
                    stream.write(data)
                if name in self._stamps:
                    os.utime(name, ns=(self._stamps[name], self._stamps[name]))

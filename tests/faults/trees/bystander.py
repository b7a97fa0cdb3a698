"""Another run of the same user, whose unit lives beside everything else and must not be hit."""

from pathlib import Path

from tests.support.projects import PROGRAMS, PYTHON, Project, finish

LIMIT_S = 20.0


class Bystander:
    """That run; a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "pids").mkdir(parents=True)
        program = PROGRAMS / "shapes.py"
        argv = f'["{PYTHON}", "-I", "-S", "{program}", "neighbour", "0", "{folder}", "patient"]'
        self._project = Project(folder, f"[stage.s]\ncommand = {argv}\n")

    def __enter__(self) -> "Bystander":
        self._child = self._project.start("run", "run.toml", start_new_session=True)
        return self

    def __exit__(self, *_: object) -> None:
        (self._folder / "release").touch()
        finish(self._child, LIMIT_S)

    def check(self) -> None:
        """Let it come to its end: its only unit must have lived until now."""
        assert self._child.poll() is None, "the other run has ended"
        (self._folder / "release").touch()
        _out, err = finish(self._child, LIMIT_S)
        assert self._child.returncode == 0, err
        assert self._project.starts() == ["s#1"], "its unit was started again"

"""Random histories of files against a model that knows their contents.

No stale unit is kept, and no unchanged unit is repeated, after files were written, touched,
linked, replaced by a file of equal size and time, moved, copied or restored.
"""

import os
import random
import shutil
import sys
import tarfile

import pytest

from tests.support.projects import Project

RUN = """
name = "run"

[stage.copy]
script = "worker.py"
matrix.source.glob = "raw/{n:*}"
args = ["{source}", "{outputs[0]}"]
outputs = ["out/{n}"]
id = "{n}"
"""
WORKER = "import sys; open(sys.argv[2], 'w').write(open(sys.argv[1]).read().upper())\n"
NAMES = "abcd"
CONTENTS = ("one", "two", "six")  # all of the same size

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")


class World:
    """The project and its expected files; `done` has the content that each unit used."""

    def __init__(self, folder, seed):
        folder.mkdir()
        self.random = random.Random(seed)
        self.project = Project(folder, RUN)
        self.project.write("worker.py", WORKER)
        for name in NAMES:
            self.project.write(f"raw/{name}", "one")
        self.raw = dict.fromkeys(NAMES, "one")
        self.out = dict.fromkeys(NAMES, "")
        self.done = dict.fromkeys(NAMES, "")
        self.moves = 0

    @property
    def folder(self):
        return self.project.folder

    # --- changes ---------------------------------------------------------------------------

    def write(self, name):
        self.raw[name] = self.random.choice(CONTENTS)
        path = self.folder / "raw" / name
        if path.is_symlink():
            path.unlink()
        path.write_text(self.raw[name])

    def touch(self, name):
        os.utime(self.folder / "raw" / name, ns=(0, self.random.randrange(10**18)))

    def replace(self, name):
        self.raw[name] = self.random.choice(CONTENTS)
        self._replace(self.folder / "raw" / name, self.raw[name])

    def link(self, name):
        self.raw[name] = self.random.choice(CONTENTS)
        target = self.project.write(f"store/{self.raw[name]}", self.raw[name])
        new = self.folder / "new"
        new.symlink_to(os.path.relpath(target, self.folder / "raw"))
        os.replace(new, self.folder / "raw" / name)

    def damage(self, name):
        path = self.folder / "out" / name
        self.out[name] = self.random.choice(CONTENTS).upper()
        self._replace(path, self.out[name])

    def delete(self, name):
        (self.folder / "out" / name).unlink()
        self.out[name] = ""

    def move(self, _name):
        self._go_on_in(lambda target: os.rename(self.folder, target))

    def copy(self, _name):
        self._go_on_in(lambda target: shutil.copytree(self.folder, target, symlinks=True))

    def restore(self, _name):
        def restored(target):
            archive = self.folder.parent / "saved.tar"
            with tarfile.open(archive, "w") as tar:
                tar.add(self.folder, arcname=target.name)
            with tarfile.open(archive) as tar:
                tar.extraction_filter = lambda member, _path: member  # our own archive
                tar.extractall(target.parent)

        self._go_on_in(restored)

    def _go_on_in(self, take):
        self.moves += 1
        target = self.folder.with_name(f"p{self.moves}")
        take(target)
        self.project = Project(target)

    def _replace(self, path, text):
        status = path.stat()
        new = self.folder / "new"
        new.write_text(text)
        os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
        os.replace(new, path)

    # --- what must run ---------------------------------------------------------------------

    def due(self):
        return [
            name
            for name in NAMES
            if self.raw[name] != self.done[name] or self.out[name] != self.raw[name].upper()
        ]

    def run(self):
        due, before = self.due(), len(self.starts())
        self.project.run("--keep-copied")
        assert [one.split("/")[1].split("#")[0] for one in self.starts()[before:]] == due
        for name in NAMES:
            self.done[name] = self.raw[name]
            self.out[name] = self.raw[name].upper()
            assert (self.folder / "out" / name).read_text() == self.out[name]

    def starts(self):
        return self.project.starts() if (self.project.rundir / "journal.jsonl").exists() else []


DEEDS = ("write", "touch", "replace", "link", "damage", "delete", "move", "copy", "restore")


@pytest.mark.parametrize("seed", range(4))
def test_exactly_what_changed_runs_again(tmp_path, seed):
    world = World(tmp_path / "p0", seed)
    world.run()
    for _ in range(5):
        for name in world.random.sample(NAMES, world.random.randrange(3)):
            getattr(world, world.random.choice(DEEDS))(name)
        world.run()
    world.run()
    assert world.due() == []

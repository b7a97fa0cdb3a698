"""Finds the matches of a stage's globs, and notes which paths were left out and why."""

import os
from typing import Dict, List, Mapping, Optional, Tuple

from procsup.core.globs import Glob
from procsup.core.rooted import strip_folder
from procsup.core.text import list_some
from procsup.host.names import make_path_key
from procsup.paths.joining import join_path
from procsup.paths.walk import CASE, LinkToNothing, find
from procsup.runfile.parameters.vouched_outputs import VouchedOutputs
from procsup.runfile.syntax.problems import Wrong

_SHOWN = 3
_Matches = Dict[str, Tuple[str, ...]]


class Finder:
    """Finds the matches of a stage's globs; relative ones start at `folder`.

    Outputs of earlier stages that no succeeded unit made are left out (`vouched`). `marks` are
    files that procsup writes and removes (key -> description): no glob may match one when it
    exists.
    """

    def __init__(
        self,
        folder: str,
        vouched: Optional[VouchedOutputs] = None,
        marks: Mapping[str, str] = {},
    ) -> None:
        self._folder = folder
        self._vouched = vouched
        self._marks = {path.replace(os.sep, "/"): whose for path, whose in marks.items()}
        self._unvouched: Dict[Tuple[str, str], List[str]] = {}  # (source, text) of a glob -> paths
        self._found: Dict[Tuple[str, ...], _Matches] = {}
        self._left_out: Dict[str, List[str]] = {}

    def find_once(self, glob: Glob) -> _Matches:
        """Return the matches of a glob that many units share; they are cached."""
        key = (glob.text, *glob.excluded_texts)
        if key not in self._found:
            self._found[key] = self.find(glob)
        return self._found[key]

    def make_absolute(self, path: str) -> str:
        """Return a path or a pattern from the root, with ``/``."""
        return join_path(self._folder, path).replace(os.sep, "/")

    def find(self, glob: Glob) -> _Matches:
        """Return the matches of a glob, with what they capture.

        `Wrong` if a folder cannot be read, a link is broken, or the glob may match a mark.
        """
        self._refuse_marks(glob)
        try:
            found = find(glob, self._folder)
        except LinkToNothing as link:
            shown = os.path.relpath(str(link.filename), self._folder).replace(os.sep, "/")
            raise Wrong(
                f"`{glob.source}` matches {shown}, which is a link to nothing:"
                " mend the link, remove it, or narrow the glob"
            ) from None
        except OSError as error:
            reason = error.strerror or error
            raise Wrong(f"{error.filename}: cannot be read: {reason}") from None
        if found.left_out:
            self._left_out[glob.source] = found.left_out
        if self._vouched is None:
            return found.matches
        return self._drop_unvouched(glob, found.matches, self._vouched)

    def _refuse_marks(self, glob: Glob) -> None:
        placed = glob.rebase(self.make_absolute) if self._marks else glob
        for path, whose in self._marks.items():
            if placed.match(path, case=CASE) is not None:
                shown = (
                    strip_folder(make_path_key(self._folder), path.replace("/", os.sep)) or path
                ).replace(os.sep, "/")
                raise Wrong(
                    f"`{glob.source}` would find {shown}, which is {whose}: narrow the glob, or"
                    f' leave it out (`"!{shown}"`)'
                )

    def _drop_unvouched(self, glob: Glob, matches: _Matches, vouched: VouchedOutputs) -> _Matches:
        kept: _Matches = {}
        for path, captures in matches.items():
            if vouched.leaves_out(join_path(self._folder, path)):
                self._unvouched.setdefault((glob.source, glob.text), []).append(path)
            else:
                kept[path] = captures
        return kept

    def explain_nothing(self, glob: Glob) -> str:
        """Return in a few words why a glob found nothing."""
        unvouched = self._unvouched.get((glob.source, glob.text))
        if unvouched:
            return f"{_make_leaves_out(glob.source, unvouched)}, and matches nothing else"
        branch = glob.branches[0]
        if len(glob.branches) == 1 and not os.path.isdir(os.path.join(self._folder, branch.base)):
            return f"`{glob.source}` matches nothing: there is no folder `{branch.base}`"
        return f"`{glob.source}` matches no {'folder' if branch.folders else 'file'}"

    def notes(self) -> List[str]:
        """Return what each glob left out: folders behind links, outputs that no unit made."""
        linked = [
            f"`{source}` does not look into links to folders (no `**` does):"
            f" {list_some(left_out, _SHOWN)}"
            for source, left_out in self._left_out.items()
        ]
        unvouched: Dict[str, List[str]] = {}
        for (source, _), paths in self._unvouched.items():
            unvouched.setdefault(source, []).extend(paths)
        return linked + [_make_leaves_out(*one) for one in unvouched.items()]


def _make_leaves_out(source: str, paths: List[str]) -> str:
    return f"`{source}` leaves out outputs that are not vouched for: {list_some(paths, _SHOWN)}"

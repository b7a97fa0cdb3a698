"""What the globs of a stage match: looked up once each, and what was left out for what reason."""

import os
from typing import Dict, List

from procsup.core.globs import Glob
from procsup.paths.walk import Found, LinkToNothing, Match, find
from procsup.runfile.problems import Wrong, some

_SHOWN = 3


class Finder:
    """Looks up the globs of a stage's units, their relative bases taken from `folder`."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._found: Dict[str, Found] = {}
        self._sources: Dict[str, str] = {}

    def find(self, glob: Glob) -> List[Match]:
        """Return what a glob matches; `Wrong` if a folder cannot be read, or a link is broken."""
        found = self._found.get(glob.text)
        if found is None:
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
            self._found[glob.text] = found
            self._sources[glob.text] = glob.source
        return found.matches

    def why_nothing(self, glob: Glob) -> str:
        """Say in a few words why a glob found nothing."""
        branch = glob.branches[0]
        if len(glob.branches) == 1 and not os.path.isdir(os.path.join(self._folder, branch.base)):
            return f"`{glob.source}` matches nothing: there is no folder `{branch.base}`"
        return f"`{glob.source}` matches no {'folder' if branch.folders else 'file'}"

    def notes(self) -> List[str]:
        """Say what was left out because `**` does not follow links, each glob once."""
        return [
            f"`{self._sources[text]}` does not look into links to folders (no `**` does):"
            f" {some(found.left_out, _SHOWN)}"
            for text, found in self._found.items()
            if found.left_out
        ]

"""Joins paths as the system resolves them. `wait` loads this module, so it imports little."""

import os


def join_path(folder: str, path: str) -> str:
    """Return the normalized path from the root of what the system finds at `path` from `folder`.

    Behind a link to a folder, ``..`` is the folder above its target. All other links keep their
    names. Windows itself reads ``..`` as text.
    """
    whole = os.path.join(folder, path)
    if ".." in path and os.sep == "/":
        whole = _drop_parents(whole)
    return os.path.normpath(whole)


def _drop_parents(path: str) -> str:
    at = ""
    for name in path.split("/"):
        if name == "..":
            at = os.path.dirname(os.path.realpath(at) if os.path.islink(at) else at)
        elif name not in ("", "."):
            at = f"{at.rstrip('/')}/{name}"
    return at or "/"

"""The exception for a run whose units did not all succeed, with its manifest."""

from typing import Any, Tuple

from procsup import errors
from procsup.lib.manifest import Manifest


class RunFailed(errors.RunFailed):
    """The run is final, and at least one unit did not succeed; `manifest` has the results."""

    def __init__(self, message: str, manifest: Manifest) -> None:
        super().__init__(message)
        self.manifest = manifest

    def __reduce__(self) -> Tuple[Any, ...]:  # a copy has the manifest, too
        return type(self), (str(self), self.manifest)

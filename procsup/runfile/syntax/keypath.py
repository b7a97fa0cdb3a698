"""Where a value is in a run file: the keys and indices that lead to it."""

from typing import Tuple, Union

KeyPath = Tuple[Union[str, int], ...]

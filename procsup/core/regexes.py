"""Regular expressions that are compiled at their first use: a start needs few of its sixty."""

import re
from typing import Any, AnyStr, Pattern, cast


def compile_at_use(pattern: AnyStr, flags: int = 0) -> Pattern[AnyStr]:
    """Return what acts as ``re.compile(pattern, flags)``; an invalid pattern raises at its use."""
    return cast("Pattern[AnyStr]", _Regex(pattern, flags))


class _Regex:
    def __init__(self, *arguments: Any) -> None:
        self._arguments = arguments

    def __getattr__(self, name: str) -> Any:
        method = getattr(re.compile(*self._arguments), name)
        setattr(self, name, method)  # the next call finds it at once
        return method

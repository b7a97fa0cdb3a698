"""The options of `procsup run`, and the request that they make."""

from typing import Dict, List, NamedTuple, Optional, Tuple

from procsup.supervisor.requests import Request


class Options(NamedTuple):
    """The command line of `procsup run`."""

    file: str
    variables: Dict[str, str]
    directory: Optional[str]
    jobs: Optional[int]
    fresh: bool
    only: Tuple[str, ...]
    engine: str
    progress: str
    quiet: bool
    as_json: bool
    adopt: bool = False

    def arguments(self) -> List[str]:
        """Return an equal command line."""
        words = ["run", "--engine", self.engine, "--progress", self.progress]
        words += [f"--var={name}={value}" for name, value in self.variables.items()]
        words += [f"--only={selector}" for selector in self.only]
        if self.directory is not None:
            words.append(f"--dir={self.directory}")
        if self.jobs is not None:
            words.append(f"--jobs={self.jobs}")
        flags = (
            ("--fresh", self.fresh),
            ("--adopt", self.adopt),
            ("--quiet", self.quiet),
            ("--json", self.as_json),
        )
        words += [flag for flag, given in flags if given]
        return [*words, "--", self.file]


def request_of(options: Options) -> Request:
    """Return the request that a command line makes."""
    return Request(
        file=options.file,
        variables=options.variables,
        directory=options.directory,
        jobs=options.jobs,
        fresh=options.fresh,
        adopt=options.adopt,
        only=options.only,
        engine=options.engine,
    )

"""Random texts for `shell`, filled with hostile values, in a real bash.

A text is put together from commands in which a value is welcome, from places where it might be
more than a word, and from what makes quotes hard to follow; or it is a heap of scraps. Of each
that procsup accepts: nothing that stands in a value is executed, and the value arrives as it is.
What consists of welcome places alone has to be accepted. Beside the random ones each doubtful
place is tried by itself with hostile values, and every value in every word. A random case is
named by its kind and number, which seed it: ``--case "text 12"`` does one again.
"""

import os
import random
import re
import shlex
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Dict, List, Sequence

from procsup.host.shells import make_bash
from procsup.runfile.syntax.problems import Wrong
from procsup.runfile.templates.scope import TEXT, Many, Scope
from procsup.runfile.templates.shell import read_shell, render
from procsup.runfile.templates.template import Field, Template
from tests.faults.shell_text.texts import (
    DOUBTFUL,
    HOSTILE,
    NAMES,
    ODD,
    PARTNERS,
    Text,
    Values,
    all_words,
    changed,
    heap,
    write_text,
)
from tests.faults.trial import Trial

WHAT = "random texts for `shell` with hostile values, in a real bash: no value is executed or lost"

LIMIT_S = 20
SCOPE = Scope({**dict.fromkeys(NAMES, TEXT), "vs": Many(TEXT)})
SEE = '() { printf "%s\\0" "$#" "$@" >> "$SEEN"; }'


def attack(trial: Trial) -> None:
    """Make texts, and run in bash what is accepted."""
    if os.name == "nt" or shutil.which("bash") is None:
        trial.leave_out("all", "there is no bash here")
        return
    bench = Bench(trial.folder)
    for text in filter(lambda text: trial.wants(f"place {text}"), DOUBTFUL):
        with trial.case(f"place {text}"):
            bench.try_place(text, HOSTILE[: trial.choose(8, len(HOSTILE), len(HOSTILE))])
    for value in filter(lambda value: trial.wants(f"value {value!r}"), HOSTILE + ODD):
        with trial.case(f"value {value!r}"):
            bench.put(*all_words(value))
    for kind, make, count in (
        ("text", write_text, trial.choose(60, 3_000, 200_000)),
        ("changed", changed, trial.choose(60, 3_000, 200_000)),
        ("heap", heap, trial.choose(60, 3_000, 200_000)),
    ):
        for number in range(count):
            name = f"{kind} {number}"
            if trial.wants(name):
                with trial.case(name):
                    bench.put(*make(random.Random(f"{trial.seed} {name}")))
    if trial.wants("forms"):
        with trial.case("forms"):
            for text in DOUBTFUL:
                for value in HOSTILE[: trial.choose(1, 6, 6)]:
                    bench.compare_forms(text, value)
    for name, number in sorted(bench.counts.items()) if trial.only is None else ():
        trial.figure(name, number)


class Bench:
    """A folder in which texts run; `counts` has how many were accepted and refused."""

    def __init__(self, folder: Path) -> None:
        self.counts: Dict[str, int] = Counter()
        self.was_refused = False
        self._work = folder / "work"
        self._work.mkdir()
        # Texts are changed at random: where one writes to this name's neighbour, it is here.
        (self._work / "null").symlink_to("/dev/null")
        self._seen = folder / "seen"
        self._pwned = folder / "pwned"
        self._env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._work),
            "LC_ALL": "C.UTF-8",
            "KNOWN": "known",
            "SEEN": str(self._seen),
            "PWNED": str(self._pwned),
            "BASH_FUNC_see%%": SEE,
        }

    def try_place(self, text: str, values: Sequence[str]) -> None:
        """Try one place with values of all kinds; nothing is known of what it shows."""
        made = Text(text.replace("<v>", "{v}").replace("<w>", "{w}"), None, is_welcome=False)
        firsts = PARTNERS if "<w>" in text else [None]
        for first in firsts:
            for value in values:
                self.put(made, dict.fromkeys(NAMES, value))
                if self.was_refused:
                    return
                if first is not None:
                    self.put(made, {"v": first, "w": value, "x": value})

    def compare_forms(self, text: str, value: str) -> None:
        """Count what a refused text would execute, with the value quoted, and in a variable."""
        template = text.replace("<v>", "{v}").replace("<w>", "{w}")
        try:
            read_shell(template, SCOPE, make_bash())
        except Wrong:
            parts = Template(template).parts
        else:
            return
        word = shlex.quote(value)
        self.counts["forms: refused texts"] += 1
        for form, place, before in (
            ("quoted", word, ""),
            ("variable", '"${val}"', f"val={word}\n"),
        ):
            line = "".join(place if isinstance(part, Field) else str(part) for part in parts)
            self._run(before + line)
            self.counts[f"forms: executed, {form}"] += self._pwned.exists()

    def put(self, made: Text, values: Values) -> None:
        """Run a text with these values, if it is accepted."""
        self.was_refused = False
        try:
            template = read_shell(made.text, SCOPE, make_bash())
        except Wrong as wrong:
            self._refused(made, wrong.faults[0][1])
            return
        self.counts["accepted"] += 1
        filled = {**values, "vs": tuple(values[name] for name in NAMES)}
        line = render(template, filled, make_bash())
        said = self._run(line)
        assert not self._pwned.exists(), f"executed a value: {made.text!r} {values}"
        if made.seen is not None:
            seen = self._read()
            assert sorted(seen) == sorted(made.seen), (
                f"saw {seen}, not {made.seen}: {made.text!r} {values} {said}"
            )

    def _refused(self, made: Text, why: str) -> None:
        self.counts["refused"] += 1
        self.was_refused = True
        is_needless = made.is_welcome and "a `case` in $(...)" not in why
        assert not is_needless, f"refused needlessly: {why}: {made.text!r}"

    def _run(self, line: str) -> str:
        """Run a line; return what it said on stderr."""
        for path in (self._seen, self._pwned):
            if path.exists():
                path.unlink()
        argv = [*make_bash().head, *make_bash().tail(line, ())]
        done = subprocess.run(argv, cwd=str(self._work), env=self._env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=LIMIT_S,
                              check=False)  # fmt: skip
        return done.stderr.decode("utf-8", "replace")

    def _read(self) -> List[List[str]]:
        if not self._seen.exists():
            return []
        fields = self._seen.read_bytes().decode("utf-8").split("\0")[:-1]
        seen: List[List[str]] = []
        while fields:
            count = int(re.fullmatch(r"\d+", fields[0]).group())  # type: ignore[union-attr]
            seen.append(fields[1 : count + 1])
            fields = fields[count + 1 :]
        return seen

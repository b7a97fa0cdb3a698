"""A sentinel in the environment, and among the secrets: it is found nowhere afterwards."""

import os
from pathlib import Path
from typing import List

from tests.faults import laws
from tests.faults.environments.scene import Scene, environment, finish, start
from tests.faults.system_calls.starting import Case

RUN = """
[defaults]
secrets = ["TOKEN"]
unit-file = true
retries = 1
scratch = true

[stage.uses]
command = ["/bin/sh", "-c", "test $TOKEN && test $INHERITED && echo {n} > {outputs[0]}; exit {n}"]
matrix.n = ["0", "1"]
outputs = ["out/{n}.txt"]
env = { DECLARED = "shown" }

[stage.unable]
command = ["./unable", "{x}"]
matrix.x = ["1"]
"""
VERBS = (
    ("status", "run", "--json"),
    ("list", "--json"),
    ("verify", "run"),
    ("wait", "run", "--json"),
    ("run", "run.toml", "--dry-run"),
    ("run", "run.toml", "--json"),
    ("retry", "run", "uses/n=1"),
    ("logs", "run"),
)


def attack(scene: Scene) -> None:
    if scene.trial.form == "smoke":
        return
    for debug in ({}, {"PROCSUP_DEBUG": "1"}):
        title = f"secrets are found nowhere{' (debugging)' if debug else ''}"
        if scene.trial.wants(title):
            with scene.trial.case(title):
                _try(scene, scene.case(title), debug)


def _try(scene: Scene, case: Case, debug: "dict[str, str]") -> None:
    token = f"s3ntinel{scene.trial.random.getrandbits(64):016x}"
    inherited = f"inh3rited{scene.trial.random.getrandbits(64):016x}"
    case.project.write("run.toml", RUN)
    case.project.write("unable", "#!/no/such/interpreter\n").chmod(0o755)
    env = environment(case, TOKEN=token, INHERITED=inherited, **debug)
    for words in (("run", "run.toml"), *VERBS):
        code = finish(case, start(case, *words, env=env))
        assert code in (0, 1, 4), f"{words}: exit {code}: {case.said()[-500:]}"
    assert (case.project.folder / "out" / "0.txt").exists(), "the unit did not get its secret"
    laws.nothing_lives(case.cookie)
    for secret in (token, inherited):
        places = _places_of(case.project.folder, secret.encode())
        assert not places, f"{secret[:9]}... is found in {places}"


def _places_of(folder: Path, secret: bytes) -> List[str]:
    return [
        str(path)
        for path in folder.rglob("*")
        if secret in os.fsencode(path) or (path.is_file() and secret in path.read_bytes())
    ]

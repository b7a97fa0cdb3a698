"""More mistakes: globs, files, the order of stages, settings. Cases as in `test_mistakes`."""

import sys

import pytest

from tests.runfile.builders import STAGE, check_problems

GLOBS = {
    "adjacent captures": (
        'matrix.s.glob = "{p:*}{q:*}.py"',
        [
            "3: stage.a.matrix.s.glob: `{p:*}{q:*}.py` can read the path `abc.py` in two"
            ' ways: p="ab", q="c" or p="a", q="bc"'
        ],
    ),
    "captures divided by a character": (
        'matrix.s.glob = "d/{p:*}-{q:*}.py"',
        ["3: stage.a.matrix.s.glob: `d/{p:*}-{q:*}.py` can read the path `d/a--b.py` in two ways"],
    ),
    "two of any depth": (
        'matrix.s.glob = "{p:**}/{q:**}"',
        ["3: stage.a.matrix.s.glob: `{p:**}/{q:**}` can read the path `a/b/c` in two ways"],
    ),
    "an unknown variable": (
        f'vars = {{ lib = "x" }}\n{STAGE}matrix.s.glob = "{{lbi}}/{{q:*}}.py"',
        [
            "4: stage.a.matrix.s.glob: {lbi}: there is no variable of this name (did you mean"
            " `lib`?); {lbi:*} captures what stands there"
        ],
    ),
    "captured twice": (
        'matrix.s.glob = "{p:*}/{p:*}"',
        ["3: stage.a.matrix.s.glob: `p` is captured twice"],
    ),
    "its own name": (
        'matrix.s.glob = "{s:*}"',
        ["3: stage.a.matrix.s.glob: `s` is the path itself"],
    ),
    "stars in a name": (
        'matrix.s.glob = "a**.py"',
        ["3: stage.a.matrix.s.glob: `**` stands alone between"],
    ),
    "backslashes": (
        r'matrix.s.glob = "a\\*.py"',
        ["3: stage.a.matrix.s.glob: a glob has / between names"],
    ),
    "up from below": (
        'matrix.s.glob = "*/../x"',
        ["3: stage.a.matrix.s.glob: `..` cannot follow a wildcard"],
    ),
    "empty": (
        'matrix.s.glob = ""',
        ["3: stage.a.matrix.s.glob: expected a glob that is not empty"],
    ),
    "no text": ("matrix.s.glob = 1", ["3: stage.a.matrix.s.glob: expected text, not 1"]),
    "a part of a capture": (
        'matrix.s.glob = "{p.x:*}"',
        ["3: stage.a.matrix.s.glob: {p.x:*}: a capture is"],
    ),
}

FILES = {
    "inputs as text": (
        'inputs = "x"',
        ['3: stage.a.inputs: expected a list or a table of paths, not "x" (write'],
    ),
    "outputs as text": (
        'outputs = "x"',
        ['3: stage.a.outputs: expected a list or a table of outputs, not "x"'],
    ),
    "an input that is no text": (
        'inputs = ["x", 1]',
        ["3: stage.a.inputs[1]: expected text, not 1"],
    ),
    "an empty path": (
        'depends = [" "]',
        ["3: stage.a.depends[0]: expected text that is not empty"],
    ),
    "home": (
        'inputs = ["~/x"]',
        ["3: stage.a.inputs[0]: ~ is not expanded: write the path in full"],
    ),
    "an input named file": (
        'inputs.file = "x"',
        ["3: stage.a.inputs.file: `file` stands for a file that lists"],
    ),
    "an unknown key of an output": (
        'outputs = [{ path = "x", emtpy = true }]',
        ["3: stage.a.outputs[0].emtpy: unknown key (did you mean `empty`?)"],
    ),
    "an output without a path": (
        "outputs = [{ empty = true }]",
        ["3: stage.a.outputs[0]: `path` is missing"],
    ),
    "an output's flag": (
        'outputs = { x = { path = "x", empty = 1 } }',
        ["3: stage.a.outputs.x.empty: expected true or false, not 1"],
    ),
    "a forgotten list": (
        'outputs = { path = "x", empty = true }',
        ["3: stage.a.outputs: expected a list or a table of outputs: write [{ path = ... }]"],
    ),
    "from and more": (
        f'{STAGE}outputs = ["x"]\n[stage.b]\nmodule = "m"\ninputs = {{ from = "a", x = "y" }}',
        ["6: stage.b.inputs: `from` stands alone: further files belong into `depends`"],
    ),
    "from an unknown stage": (
        f'{STAGE}[stage.b]\nmodule = "m"\ninputs.from = "c"',
        ['5: stage.b.inputs.from: there is no stage "c"'],
    ),
    "from a stage without outputs": (
        f'{STAGE}[stage.b]\nmodule = "m"\ninputs.from = "a"',
        ["5: stage.b.inputs.from: the stage `a` declares no outputs"],
    ),
    "from outputs that are wrong": (
        f'{STAGE}outputs = ["o/[ab]*"]\n[stage.b]\nmodule = "m"\ninputs.from = "a"',
        ["3: stage.a.outputs[0]: `[ab]`: brackets are plain characters in a glob"],
    ),
    "from a stream that is wrong": (
        f'{STAGE}stdout = 3\n[stage.b]\nmodule = "m"\ninputs.from = "a"',
        ["3: stage.a.stdout: expected text, not 3"],
    ),
    "followed outputs that are wrong": (
        f'{STAGE}outputs = 3\n[stage.b]\nfor-each = "a"\nmodule = "m"\n'
        'args = ["{a.outputs[0]}", "{a.outputs.x}"]',
        ["3: stage.a.outputs: expected a list or a table of outputs, not 3"],
    ),
    "placeholders of files that are wrong": (
        f'{STAGE}inputs = [3]\ndepends = 4\noutputs = {{ x = 5 }}\nstdout = "{{outputs.x}}"\n'
        'args = ["{inputs[0]}", "{inputs.y}", "{depends[1]}", "{outputs[0].stem}"]',
        [
            "3: stage.a.inputs[0]: expected text, not 3",
            "4: stage.a.depends: expected a list or a table of paths, not 4",
            "5: stage.a.outputs.x: expected text, not 5",
        ],
    ),
    "placeholders of what comes from an unknown stage": (
        f'{STAGE}inputs.from = "c"\nargs = ["{{inputs[0]}}"]',
        ['3: stage.a.inputs.from: there is no stage "c"'],
    ),
    "the same stamp twice": (
        f'stamp = "s"\n{STAGE}stamp = "s"',
        ["4: stage.a.stamp: the same file is the run's stamp"],
    ),
}

ORDER = {
    "an unknown stage": ('after = ["b"]', ['3: stage.a.after[0]: there is no stage "b"']),
    "a misspelt stage": (
        f'{STAGE}[stage.merge]\nmodule = "m"\n[stage.c]\nmodule = "m"\nafter = ["mrege"]',
        ['7: stage.c.after[0]: there is no stage "mrege" (did you mean `merge`?)'],
    ),
    "a single stage": (
        f'{STAGE}after = "a"',
        ['3: stage.a.after: expected a list of stages, not "a" (write ["a"])'],
    ),
    "the same stage twice": (
        f'{STAGE}[stage.b]\nmodule = "m"\nafter = ["a", {{ stage = "a" }}]',
        ["5: stage.b.after: `a` stands here twice"],
    ),
    "an unknown when": (
        f'{STAGE}[stage.b]\nmodule = "m"\nafter = [{{ stage = "a", when = "done", x = 1 }}]',
        [
            "5: stage.b.after[0].x: unknown key, expected `stage`, `when`",
            '5: stage.b.after[0].when: expected one of `succeeded`, `finished`, not "done"',
        ],
    ),
    "itself": (
        'after = ["a"]',
        ["3: stage.a.after: stages wait for each other in a circle: a -> a"],
    ),
    "a circle": (
        f'{STAGE}after = ["b"]\n[stage.b]\nmodule = "m"\nafter = ["c"]\n'
        '[stage.c]\nmodule = "m"\ninputs.from = "a"\noutputs = ["x"]',
        [
            "3: stage.a.after: stages wait for each other in a circle: a -> b -> c -> a",
            "9: stage.c.inputs.from: the stage `a` declares no outputs",
        ],
    ),
}

SETTINGS = {
    "a timeout": (
        'timeout = "3x"',
        ['3: stage.a.timeout: expected seconds or a duration such as "90s"'],
    ),
    "no timeout": ("timeout = 0", ["3: stage.a.timeout: expected seconds or a duration"]),
    "a negative grace": ("grace = -1", ["3: stage.a.grace: expected seconds or a duration"]),
    "an endless grace": ("grace = inf", ["3: stage.a.grace: expected seconds or a duration"]),
    "a linger": (
        'linger = "soon"',
        ['3: stage.a.linger: expected seconds, a duration such as "10s", 0, or "timeout", not "so'],
    ),
    "a negative linger": ("linger = -1", ["3: stage.a.linger: expected seconds, a duration such"]),
    "a linger of a whole life": ("linger = 1e12", ["3: stage.a.linger: expected a duration of at"]),
    "a linger that is true": ("linger = true", ["3: stage.a.linger: expected seconds, a duration"]),
    "a linger as long as nothing": (
        'linger = "timeout"',
        ['3: stage.a.linger: "timeout" means as long as the unit may take, and the stage has no'],
    ),
    "a linger as long as something wrong": (
        'linger = "timeout"\ntimeout = "x"',
        ["4: stage.a.timeout: expected seconds or a duration"],
    ),
    "a signal of no system": (
        'stop-signal = "TREM"',
        [
            '3: stage.a.stop-signal: expected the name of a signal such as "TERM", "INT" or'
            ' "USR1", not "TREM" (did you mean `TERM`?)'
        ],
    ),
    "a signal in small letters": (
        'stop-signal = "sigusr1"',
        [
            '3: stage.a.stop-signal: expected the name of a signal such as "TERM", "INT" or "USR1",'
            ' not "sigusr1" (did you mean `USR1`?)'
        ],
    ),
    "a signal's number": (
        "stop-signal = 15",
        [
            '3: stage.a.stop-signal: expected the name of a signal such as "TERM", "INT" or'
            ' "USR1", not 15: the numbers differ from system to system'
        ],
    ),
    "a signal that is no request": (
        'stop-signal = "SIGKILL"',
        [
            "3: stage.a.stop-signal: no program can listen to KILL: expected the name of a signal"
            ' such as "TERM", "INT" or "USR1"; `grace = 0` kills at once'
        ],
    ),
    "a signal that is no request, in small letters": (
        'stop-signal = "kill"',
        ["3: stage.a.stop-signal: no program can listen to KILL"],
    ),
    "a signal that asks for nothing": (
        'stop-signal = "STOP"',
        ["3: stage.a.stop-signal: no program can listen to STOP: expected the name of a signal"],
    ),
    "signals": ('stop-signal = ["INT"]', ["3: stage.a.stop-signal: expected text, not a list"]),
    "whom a stop reaches": (
        'stop-to = "all"',
        ['3: stage.a.stop-to: expected one of `auto`, `main`, `tree`, not "all"'],
    ),
    "no stop command": (
        "stop-command = []",
        ["3: stage.a.stop-command: expected a list that begins with a program"],
    ),
    "a stop command as a line": (
        'stop-command = "docker stop x"',
        ['3: stage.a.stop-command: expected a list of arguments: write ["docker", "stop", "x"]'],
    ),
    "what a stop command does not know": (
        'stop-command = ["kill", "{pidd}", "{outputs[0]}"]',
        [
            "3: stage.a.stop-command[1]: unknown placeholder {pidd} (did you mean `pid`?)",
            "3: stage.a.stop-command[2]: {outputs[0]}: the stage declares no outputs",
        ],
    ),
    "the process, elsewhere": (
        'args = ["{pid}"]',
        ["3: stage.a.args[0]: {pid}: only `stop-command` knows the process"],
    ),
    "two of the name pid": (
        'matrix.pid = [1]\nstop-command = ["kill", "{pid}"]',
        [
            "4: stage.a.stop-command: {pid} is the process here: give the parameter `pid` another"
            " name"
        ],
    ),
    "all that is wrong with a stop": (
        'linger = "x"\nstop-signal = "x"\nstop-to = "x"\nstop-command = "x"',
        [
            f"{line}: stage.a.{key}: expected"
            for line, key in enumerate(("linger", "stop-signal", "stop-to", "stop-command"), 3)
        ],
    ),
    "retries": (
        'retries = "many"',
        ['3: stage.a.retries: expected a whole number of at least 0, not "many"'],
    ),
    "retries as a list": (
        "retries = [1]",
        ["3: stage.a.retries: expected a number of retries or a table"],
    ),
    "all of a table": (
        'retries = { tmes = 1, on = ["faild"], delay = "x", memory = "y" }',
        [
            "3: stage.a.retries.tmes: unknown key (did you mean `times`?)",
            "3: stage.a.retries: `times` is missing",
            "3: stage.a.retries.on[0]: expected one of `failed`, `timed-out`",
            "3: stage.a.retries.delay: expected seconds",
            '3: stage.a.retries.memory: expected a factor of at least 1 such as "x2"',
        ],
    ),
    "on-failure": (
        'on-failure = { do = "drian", at = "200%" }',
        [
            "3: stage.a.on-failure.at: expected a number of units from 1 on or a share",
            '3: stage.a.on-failure.do: expected one of `finish`, `drain`, `stop`, not "drian"',
        ],
    ),
    "words": (
        'keep = "sometimes"\npin = true\non-drift = ["warn"]',
        [
            '3: stage.a.keep: expected one of `unchanged`, `never`, `always`, not "sometimes"',
            "4: stage.a.pin: expected one of `none`, `cpus`, not true",
            "5: stage.a.on-drift: expected one of `record`, `warn`, `restore`, `fail`, not a list",
        ],
    ),
    "truth": (
        'scratch = "yes"\nempty-ok = 1',
        ["3: stage.a.scratch: expected true", "4: stage.a.empty-ok: exp"],
    ),
    "codes": ("success-codes = [0, -1]", ["3: stage.a.success-codes[1]: expected an exit code"]),
    "no codes": (
        "success-codes = []",
        ["3: stage.a.success-codes: expected at least one exit code"],
    ),
    "jobs": ("jobs = 0", ["3: stage.a.jobs: expected a whole number of at least 1, not 0"]),
    "jobs that are true": (
        "jobs = true",
        ["3: stage.a.jobs: expected a whole number of at least 1, not true"],
    ),
    "cpus and memory": (
        'cpus = 0\nmemory = "2X"',
        [
            "3: stage.a.cpus: expected a number of CPUs above 0",
            "4: stage.a.memory: expected bytes or a size",
        ],
    ),
    "values where stages are named": (
        "for-each.x = [1, 2]",
        ["3: stage.a.for-each: expected a list of stages, or one stage, not a table: values of"],
    ),
    "half a CPU of its own": (
        'pin = "cpus"\ncpus = 0.5',
        ['4: stage.a.cpus: expected whole CPUs, because of `pin = "cpus"`, not 0.5'],
    ),
    "cpus of a parameter": (
        'matrix.threads = ["many"]\ncpus = "{threads}"',
        ["4: stage.a.cpus: expected a number of CPUs above 0"],
    ),
    "env": (
        'env = { X = true, "a=b" = 1, PROCSUP_X = "1" }',
        [
            "3: stage.a.env.X: expected text or a number, not true",
            '3: stage.a.env."a=b": is no name of an environment variable',
            "3: stage.a.env.PROCSUP_X: the names that begin with PROCSUP_ are procsup's own",
        ],
    ),
    "secrets that are told": (
        'env.X = "1"\nsecrets = ["X"]',
        ["4: stage.a.secrets: `X` stands in `env` too: secrets are never recorded"],
    ),
    "secrets with values": (
        'secrets = ["X=1"]',
        ["3: stage.a.secrets[0]: expected the name of a variable"],
    ),
    "an empty id": ('id = ""', ["3: stage.a.id: expected text that is not empty"]),
    "capacity": (
        f"capacity = {{ cpu = 3, memory = 0 }}\n{STAGE}",
        [
            "1: capacity.cpu: unknown key (did you mean `cpus`?)",
            "1: capacity.memory: expected bytes",
        ],
    ),
    "capacity as a number": (f"capacity = 3\n{STAGE}", ["1: capacity: expected a table such as"]),
    "the run's words": (
        'checksum = "md5"\nlogs = "x"\nkeep-logs = "x"\n'
        f'share = "x"\nmissing-inputs = "x"\n{STAGE}',
        ["1: checksum: ", "2: logs: ", "3: keep-logs: ", "4: share: ", "5: missing-inputs: "],
    ),
}

TABLES = [GLOBS, FILES, ORDER, SETTINGS]
CASES = [(name, *case) for table in TABLES for name, case in table.items()]


@pytest.mark.parametrize(("text", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_a_mistake_is_named_with_its_line_and_its_cure(text, expected, tmp_path):
    check_problems(tmp_path, text, expected)


@pytest.mark.skipif(sys.platform == "win32", reason="there every signal is CTRL_BREAK")
def test_a_signal_of_another_system_is_refused_here(tmp_path):
    expected = ["3: stage.a.stop-signal: this system has no signal BREAK: expected the name of"]

    check_problems(tmp_path, 'stop-signal = "BREAK"', expected)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            'python = "{py}"\nmodule = "m"\nunits = [{ py = "python3" }]',
            '2: stage.a.python: {py}: all units of the stage share this value, only variables are'
            ' known here; one for each unit is the first word of `command = ["{interpreter}"',
        ),
        (
            'module = "m"\nstdout = { path = "x", empty = true }',
            '3: stage.a.stdout: expected a path, not a table: what is asked of the file stands in'
            ' outputs = [{ path = ... }] and here "{outputs[0]}"',
        ),
    ],
    ids=["an interpreter for each unit", "options of a stream"],
)  # fmt: skip
def test_what_is_written_elsewhere_is_told_with_its_place(tmp_path, text, problem):
    check_problems(tmp_path, f"[stage.a]\n{text}", [problem])

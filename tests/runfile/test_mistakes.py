"""What a person can get wrong in a run file, and what is said about it: line, key, cure.

Each case is the file and the beginning of every problem that is expected, in order. A file
without a stage stands for the inside of a stage `a`, from line 3 on.
"""

import pytest

from procsup.errors import RunFileError
from procsup.runfile.load import load
from tests.runfile.builders import STAGE, check_problems, problems

NOT_YET = "is not there yet in this version of procsup"

KEYS = {
    "an unknown key": (
        'tiemout = "3"',
        ["3: stage.a.tiemout: unknown key (did you mean `timeout`?)"],
    ),
    "an unknown key like one that is and one that will be": (
        'shall = "true"',
        ["3: stage.a.shall: unknown key (did you mean `shell`?)"],
    ),
    "an unknown key like none": ("xyzzy = 1", ["3: stage.a.xyzzy: unknown key"]),
    "an unknown key of the run": (
        f"job = 1\n{STAGE}",
        ["1: job: unknown key (did you mean `jobs`?)"],
    ),
    "a stage's key at the top": (
        f"timeout = 3\n{STAGE}",
        ["1: timeout: is no key here: it belongs into [stage.NAME], or into [defaults]"],
    ),
    "stages in the plural": (
        '[stages.a]\nmodule = "m"',
        ["1: stages: unknown key (did you mean `stage`?)"],
    ),
    "a dot in a stage's name": (
        '[stage.fit.one]\nmodule = "m"\nafter = ["b"]',
        ["1: stage.fit.one: a stage's name has no dot: write [stage.fit-one]"],
    ),
    "underscores": (
        "on_failure = 1",
        ["3: stage.a.on_failure: unknown key (did you mean `on-failure`?)"],
    ),
    "a forgotten name": (
        '[stage]\nmodule = "m"',
        ["2: stage.module: expected a table [stage.NAME] with `module` in it"],
    ),
    "an array of stages": (
        '[[stage]]\nmodule = "m"',
        ["1: stage: expected at least one table [stage.NAME]"],
    ),
    "an empty table of stages": ("[stage]", ["1: stage: expected at least one table [stage.NAME]"]),
    "defaults, said once": (
        f'[defaults]\ntimout = 3\ntimeout = "q"\n{STAGE}[stage.b]\nmodule = "m"',
        [
            "2: defaults.timout: unknown key (did you mean `timeout`?)",
            "3: defaults.timeout: expected",
        ],
    ),
    "defaults that are no table": (f"defaults = 3\n{STAGE}", ["1: defaults: expected a table"]),
    "an upper-case stage": ('[stage.A]\nmodule = "m"', ["1: stage.A: a stage's name is a lower"]),
    "a stage named like a device": (
        '[stage.con]\nmodule = "m"',
        ['1: stage.con: "con" is the name of a device on Windows'],
    ),
    "a name with blanks": (f'name = "a b"\n{STAGE}', ["1: name: the run's name names a folder"]),
    "a name that goes up": (f'name = ".."\n{STAGE}', ["1: name: the run's name names a folder"]),
    "a name with a slash": (f'name = "a/b"\n{STAGE}', ["1: name: the run's name names a folder"]),
    "a name that means the newest": (f'name = "last"\n{STAGE}', ["1: name: `last` stands for"]),
    "a device as a name": (
        f'name = "NUL.x"\n{STAGE}',
        ['1: name: "NUL.x" is the name of a device'],
    ),
    "an endless name": (
        f'name = "{"x" * 101}"\n{STAGE}',
        ["1: name: expected a name of at most 100"],
    ),
    "an unknown variable in the name": (
        f'name = "x-{{dat}}"\n{STAGE}',
        ["1: name: unknown placeholder {dat} (did you mean `date`?); known here: `date`"],
    ),
}

LATER = {
    key: (f"{key} = 1", [f"3: stage.a.{key}: {NOT_YET}"])
    for key in (
        *("gpus", "resources", "memory-limit", "stall"),
        "preload",
    )
}
LATER["resources"] = (
    f"capacity = {{ licence = 3 }}\n{STAGE}",
    ["1: capacity.licence: resources of other names are not there yet"],
)
LATER["resources, one of them like another key"] = (
    f"capacity = {{ gpus = [0], licence = 4 }}\n{STAGE}",
    [
        "1: capacity.gpus: resources of other names are not there yet",
        "1: capacity.licence: resources of other names are not there yet",
    ],
)

PROGRAMS = {
    "nothing to start": (
        "[stage.a]",
        ["1: stage.a: expected one of `module`, `script`, `command` and `shell`"],
    ),
    "two programs": (
        'script = "x.py"',
        ["1: stage.a: `module` and `script` are given, expected only"],
    ),
    "a file as a module": (
        '[stage.a]\nmodule = "a.py"',
        ['2: stage.a.module: "a.py" is a file, expected a module\'s dotted name (or use `script`)'],
    ),
    "no module's name": (
        '[stage.a]\nmodule = "a b"',
        ["2: stage.a.module: expected a module's dotted"],
    ),
    "a parameter in a module": (
        '[stage.a]\nmodule = "{x}"\nmatrix.x = [1]',
        ["2: stage.a.module: {x}: all units of the stage share this value"],
    ),
    "a folder as a script": (
        '[stage.a]\nscript = "x/"',
        ["2: stage.a.script: expected the path of a"],
    ),
    "a command line": (
        "[stage.a]\ncommand = \"ls -l 'a b'\"",
        ['2: stage.a.command: expected a list of arguments: write ["ls", "-l", "a b"]'],
    ),
    "an open quote": (
        '[stage.a]\ncommand = "it\'s"',
        ['2: stage.a.command: expected a list of arguments: write ["it\'s"]'],
    ),
    "an empty command": (
        "[stage.a]\ncommand = []",
        ["2: stage.a.command: expected a list that begins"],
    ),
    "a Python for a command": (
        '[stage.a]\ncommand = ["ls"]\npython = "3.12"',
        ["3: stage.a.python: has no effect on a `command`"],
    ),
    "no Python": (
        "python = true",
        ['3: stage.a.python: expected a version ("3.12"), a path or a name'],
    ),
    "arguments as text": (
        'args = "-x y"',
        ['3: stage.a.args: expected a list of arguments: write ["-x", "y"]'],
    ),
    "tables as arguments": (
        "args = [{ a = 1 }, [1], nan]",
        [
            "3: stage.a.args[0]: expected text or a number, not a table",
            "3: stage.a.args[1]: expected text or a number, not a list",
            "3: stage.a.args[2]: expected a finite number, not nan",
        ],
    ),
    "a NUL": ('args = ["\\u0000"]', ["3: stage.a.args[0]: holds a NUL character"]),
    "a list over several lines": (
        'args = [\n  "a",\n  "{",\n]',
        ['5: stage.a.args[1]: a single brace in "{"'],
    ),
}

PLACEHOLDERS = {
    "an unknown one": (
        'matrix.sample = [1]\nargs = ["{smaple}"]',
        [
            "4: stage.a.args[0]: unknown placeholder {smaple} (did you mean `sample`?);"
            " known here: `date`, `sample`, `index`"
        ],
    ),
    "a single brace": (
        'args = ["}"]',
        ['3: stage.a.args[0]: a single brace in "}": double it ({{ or }})'],
    ),
    "JSON": (
        "args = ['{\"a\": 1}']",
        ['3: stage.a.args[0]: {"a": 1} is no placeholder: double the braces ({{"a": 1}})'],
    ),
    "no name": (
        'args = ["{}", "{0}"]',
        [
            "3: stage.a.args[0]: {} has no name: double the braces ({{}})",
            "3: stage.a.args[1]: {0} has no name: double the braces ({{0}})",
        ],
    ),
    "a conversion": (
        'args = ["{index!r}"]',
        ["3: stage.a.args[0]: {index!r}: conversions such as !r"],
    ),
    "one inside another": (
        'args = ["{index:{date}}"]',
        ["3: stage.a.args[0]: {index:{date}}: a placeholder"],
    ),
    "a part of what is no path": (
        'matrix.x = ["a.b"]\nargs = ["{x.stem}"]',
        ["4: stage.a.args[0]: {x.stem}: `x` is no path (name it in `paths` if it is one)"],
    ),
    "an unknown part": (
        'matrix.x = ["a.b"]\npaths = ["x"]\nargs = ["{x.setm}"]',
        ["5: stage.a.args[0]: {x.setm}: unknown part `setm` (did you mean `stem`?)"],
    ),
    "no inputs": (
        'args = ["{inputs}"]',
        ["3: stage.a.args[0]: {inputs}: the stage declares no inputs"],
    ),
    "no outputs": (
        'args = ["{outputs.x}"]',
        ["3: stage.a.args[0]: {outputs.x}: the stage declares no"],
    ),
    "an output that is not there": (
        'outputs = { json = "x" }\nargs = ["{outputs.jsno}", "{outputs[0]}"]',
        [
            "4: stage.a.args[0]: {outputs.jsno}: no `jsno` in `outputs` (did you mean `json`?)",
            "4: stage.a.args[1]: {outputs[0]}: no `0` in `outputs`",
        ],
    ),
    "outputs of a unit that is followed": (
        f'{STAGE}outputs = {{ json = "x" }}\n[stage.b]\nfor-each = "a"\nmodule = "m"\n'
        'args = ["{a.outputs.jsno}", "{a.outputs.json.stme}", "{a.outputs.json.stem.x}"]',
        [
            "7: stage.b.args[0]: {a.outputs.jsno}: no `jsno` in `a.outputs`"
            " (did you mean `json`?); it has `json`",
            "7: stage.b.args[1]: {a.outputs.json.stme}: unknown part `stme` (did you mean `stem`?)",
            "7: stage.b.args[2]: {a.outputs.json.stem.x}: `a.outputs.json.stem` is no path",
        ],
    ),
    "a list of outputs of a unit that is followed": (
        f'{STAGE}outputs = ["x"]\n[stage.b]\nfor-each = "a"\nmodule = "m"\n'
        'args = ["{a.outputs.x}", "{a.outputs[1]}"]',
        [
            "7: stage.b.args[0]: {a.outputs.x}: `a.outputs` are a list, not a table of names:"
            " use {a.outputs[0]}, or give them names",
            "7: stage.b.args[1]: {a.outputs[1]}: `a.outputs` has 1 item, the first is [0]",
        ],
    ),
    "beyond the list": (
        'outputs = ["x"]\nargs = ["{outputs[1]}", "{outputs.x}"]',
        [
            "4: stage.a.args[0]: {outputs[1]}: `outputs` has 1 item, the first is [0]",
            "4: stage.a.args[1]: {outputs.x}: `outputs` are a list, not a table of names",
        ],
    ),
    "a list among text": (
        'outputs = ["x"]\nargs = ["--out={outputs}"]\nenv = { X = "{outputs}" }',
        [
            "4: stage.a.args[0]: {outputs} is a list: it can only stand alone as an item of `args`",
            "5: stage.a.env.X: {outputs} is a list",
        ],
    ),
    "outputs too early": (
        'outputs = ["x"]\ninputs = ["{outputs[0]}"]',
        ["4: stage.a.inputs[0]: {outputs[0]}: the outputs are not known here"],
    ),
    "scratch without a folder": (
        'args = ["{scratch}"]',
        ["3: stage.a.args[0]: {scratch}: `scratch = true`"],
    ),
    "scratch as a cwd": (
        'scratch = true\ncwd = "{scratch}"',
        ["4: stage.a.cwd: {scratch}: only `args`, `command`, `prefix` and `env` know"],
    ),
    "the attempt": (
        'outputs = ["{attempt}"]',
        ["3: stage.a.outputs[0]: {attempt}: only what is started knows it"],
    ),
    "a capture in an argument": (
        'matrix.x = [1]\nargs = ["{x:*}"]',
        ["4: stage.a.args[0]: {x:*}: only the globs of a matrix capture"],
    ),
    "a format that does not fit": (
        'matrix.x = ["p"]\nargs = ["{x:03d}"]',
        ['4: stage.a.args[0]: {x:03d} does not fit the value "p"'],
    ),
}

PARAMETERS = {
    "named like a key": (
        "matrix.timeout = [1]",
        ["3: stage.a.matrix.timeout: `timeout` is a key of the stage: choose another name"],
    ),
    "named like a placeholder": (
        "matrix.inputs = [1]\nmatrix.unit-file = [1]",
        [
            "3: stage.a.matrix.inputs: {inputs} is a placeholder of procsup itself",
            "4: stage.a.matrix.unit-file: {unit-file} is a placeholder of procsup itself",
        ],
    ),
    "named like a variable": (
        f"vars = {{ x = 1 }}\n{STAGE}matrix.x = [1]",
        ["4: stage.a.matrix.x: there is a variable of this name already"],
    ),
    "a capture named like a key": (
        'matrix.s.glob = "{id:*}.py"',
        ["3: stage.a.matrix.s: `id` is a key of the stage"],
    ),
    "no name": ('matrix."a b" = [1]', ['3: stage.a.matrix."a b": a parameter\'s name is a letter']),
    "given twice": (
        'matrix.m = [1]\nmatrix.s.glob = "{m:*}.py"',
        ["4: stage.a.matrix.s: the parameter `m` is given twice"],
    ),
    "not finite": (
        "matrix.x = [nan, 1, -inf]",
        [
            '3: stage.a.matrix.x[0]: expected a finite number, not nan (as text: "nan")',
            '3: stage.a.matrix.x[2]: expected a finite number, not -inf (as text: "-inf")',
        ],
    ),
    "dates": (
        "matrix.x = [2024-01-31]",
        ['3: stage.a.matrix.x[0]: a date needs quotes here: "2024-01-31"'],
    ),
    "a single value": ("matrix.x = 1", ["3: stage.a.matrix.x: expected a list of values"]),
    "no values": ("matrix.x = []", ["3: stage.a.matrix.x: expected at least one value"]),
    "no table": ("matrix = [1]", ["3: stage.a.matrix: expected a table (`matrix.x = [1, 2]`)"]),
    "an unknown source": (
        'matrix.x = { rnage = "1..2" }',
        [
            "3: stage.a.matrix.x: expected a list or one of `range`, `glob`, `lines`, not"
            " `rnage` (did you mean `range`?)"
        ],
    ),
    "two sources": (
        'matrix.x = { glob = "a", range = "1..2" }',
        ["3: stage.a.matrix.x: expected a list or"],
    ),
    "no range": (
        'matrix.x.range = "1-2"',
        ['3: stage.a.matrix.x.range: expected a range such as "1..9"'],
    ),
    "an endless range": (
        'matrix.x.range = "1..2:0"',
        ["3: stage.a.matrix.x.range: the range 1..2:0 is empty"],
    ),
    "a range that leads away": (
        'matrix.x.range = "1..9:-1"',
        ["3: stage.a.matrix.x.range: the range 1..9:-1"],
    ),
    "a range too long": (
        'matrix.x.range = "1..2000000"',
        ["3: stage.a.matrix.x.range: the range 1..2000000 has 2,000,000 values, more than"],
    ),
    "too many units": (
        'matrix.x.range = "1..2000"\nmatrix.y.range = "1..2000"',
        ["1: stage.a: makes 4,000,000 units, expected at most 1,000,000"],
    ),
    "rows that differ": (
        "units = [\n  { p = 1 },\n  { q = 2 },\n]",
        ["5: stage.a.units[1]: `p` missing", "5: stage.a.units[1]: the first row has no `q`"],
    ),
    "rows of different kinds": (
        "units = [{ p = 1 }, { p = [2] }]",
        ["3: stage.a.units[1]: `p` is a list in one row and a single value in another"],
    ),
    "no rows": ("units = []", ["3: stage.a.units: expected at least one table"]),
    "rows that are none": (
        "units = [1]",
        ["3: stage.a.units[0]: expected a table of parameters, not 1"],
    ),
    "a row with a table": (
        "units = [{ p = { q = 1 } }]",
        ["3: stage.a.units[0].p: expected text, a number"],
    ),
    "an unknown path": (
        'matrix.x = [1]\npaths = ["y"]',
        ["4: stage.a.paths: the stage has no parameter `y`: it has `x`"],
    ),
    "a variable like a placeholder": (
        f"vars = {{ date = 1 }}\n{STAGE}",
        ["1: vars.date: {date} is a placeholder of procsup itself"],
    ),
    "a variable that knows a later one": (
        f'vars = {{ a = "{{b}}", b = 1 }}\n{STAGE}',
        ["1: vars.a: unknown placeholder {b}; known here: `date`"],
    ),
    "variables that are no table": (f"vars = 1\n{STAGE}", ["1: vars: expected a table"]),
}

TABLES = [KEYS, LATER, PROGRAMS, PLACEHOLDERS, PARAMETERS]
CASES = [(name, *case) for table in TABLES for name, case in table.items()]


@pytest.mark.survives("F14", "F60")
@pytest.mark.parametrize(("text", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_a_mistake_is_named_with_its_line_and_its_cure(text, expected, tmp_path):
    check_problems(tmp_path, text, expected)


def test_everything_wrong_is_said_at_once_in_the_order_of_the_lines(tmp_path):
    found = problems(
        tmp_path,
        """
        jbos = 3
        [stage.b]
        module = "m"
        timeout = "x"
        args = ["{nope}", "{"]
        [stage.a]
        retires = 3
        """,
    )

    assert [int(problem.partition(":")[0]) for problem in found] == [2, 5, 6, 6, 7, 8]


# Each uses {w} in a way that some value would fit, and a missing or empty one would not.
USES = {
    "of the run": (
        'name = "{w}"\njobs = "{w}"\ndir = "{w}"\nstamp = "{w}"\nlock = "{w}"\n'
        'on-failure = "{w}"\n',
        "",
    ),
    "in other variables": ('vars.more = "{w}"\nvars.most = ["{more}"]\n', 'args = ["{most[0]}"]'),
    "its parts": ("", 'args = ["{w[1]}", "{w.stem}", "x{w}"]'),
    "settings of a stage": ("", 'timeout = "{w}"\njobs = "{w}"\nstop-signal = "{w}"\n'
                            'pythonpath = ["{w}", "y"]\nretries = "{w}"'),
    "a parameter": ("", 'matrix.a.glob = "{w}/*"\nmatrix.b.range = "1..{w}"\n'
                    'matrix.c.lines = "{w}"\nmatrix.d.glob = ["x*", "!{w}"]\nid = "{a}{b}{c}{d}"'),
    "a table": ("", 'units.csv = "{w}"\nargs = ["{column}"]'),
    "another program": ("", 'script = "{w}"'),
    "files": ("", 'inputs = ["{w}/*.x"]\noutputs = ["{w}"]\nargs = ["{inputs[0]}"]'),
}  # fmt: skip


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("wrong", ["{ x = 1 }", '"{nope}"', "[1, {}]", "2020-01-01", '"{"'])
def test_a_wrong_variable_makes_one_message(tmp_path, wrong, use):
    of_run, of_stage = use
    program = "" if "script" in of_stage else 'module = "m"'

    found = problems(tmp_path, f"vars.w = {wrong}\n{of_run}[stage.a]\n{program}\n{of_stage}")

    assert len(found) == 1, found
    assert " vars.w" in found[0]


def test_variables_that_are_no_table_make_one_message(tmp_path):
    text = f'vars = 1\njobs = "{{w}}"\n{STAGE}args = ["{{w}}"]\nmatrix.x.glob = "{{w}}/*"'

    (found,) = problems(tmp_path, text)

    assert found.startswith("1: vars: expected a table")


def test_an_unknown_variable_of_the_command_line_is_named(tmp_path):
    text = f"vars = {{ lib = 1 }}\n{STAGE}"

    assert problems(tmp_path, text, variables={"lbi": "x"}) == [
        "1: vars: --var lbi: the run file has no such variable (did you mean `lib`?):"
        " its `vars` are `lib`"
    ]
    assert problems(tmp_path, STAGE, variables={"x": "y"}) == [
        "1: --var x: the run file has no such variable: it has no `vars`;"
        " `vars = { x = ... }` declares it"
    ]


def test_jobs_of_the_command_line_are_checked(tmp_path):
    assert problems(tmp_path, STAGE, jobs=0) == [
        "1: jobs: expected a whole number of at least 1, not 0"
    ]


def test_a_file_whose_own_name_will_not_do_needs_another(tmp_path):
    file = tmp_path / "my run.toml"
    file.write_text(STAGE, encoding="utf-8")

    with pytest.raises(RunFileError) as caught:
        load(file)

    assert caught.value.problems == (
        f"{file}:1: the run's name names a folder: expected letters, digits, `.`, `-` and `_`,"
        ' not "my run" (the file\'s own name): give it a `name = ...`',
    )

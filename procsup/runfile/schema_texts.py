"""What editors say of each key: one line, and an example that is right as it stands."""

from typing import Dict

RUN_TEXTS: Dict[str, str] = {
    "name": 'Names the run and its directory. Example: name = "daily-{date}"',
    "vars": 'Placeholders for the whole run; --var k=v wins. Example: vars = { lib = "lib" }',
    "dir": 'Where run directories are made. Example: dir = "state"',
    "capacity": 'What the run may use. Example: capacity = { cpus = 8, memory = "16G" }',
    "jobs": "Most units that run at once. Example: jobs = 4",
    "on-failure": 'What failures mean for the rest. Example: on-failure = "drain"',
    "missing-inputs": 'Refuse the run, or fail the unit. Example: missing-inputs = "fail-unit"',
    "stamp": 'A file written when all has succeeded. Example: stamp = "done"',
    "manifest": 'A visible copy of the manifest. Example: manifest = "manifest.json"',
    "checksum": 'Which outputs get a sha256. Example: checksum = "all"',
    "sync-outputs": "Put outputs on disk before they are told. Example: sync-outputs = false",
    "logs": 'One log for each stream, or one for both. Example: logs = "merged"',
    "keep-logs": 'Which logs stay when the run is final. Example: keep-logs = "failed"',
    "share": 'Who else may read manifests and wait. Example: share = "group"',
    "defaults": 'Keys for all stages. Example: defaults = { timeout = "1h" }',
    "stage": 'The stages, each a table. Example: stage.a.module = "a"',
}

STAGE_TEXTS: Dict[str, str] = {
    "module": 'Runs python -m. Example: module = "package.worker"',
    "script": 'Runs a Python file. Example: script = "worker.py"',
    "command": 'Runs any program. Example: command = ["sort", "{source}"]',
    "shell": (
        "A line for bash (Windows: PowerShell), placeholders quoted by procsup."
        ' Example: shell = "sort {f} | uniq > {outputs[0]}"'
    ),
    "args": 'Arguments. Example: args = ["{source}", "--out", "{outputs[0]}"]',
    "prefix": 'Put before the program. Example: prefix = ["nice", "-n", "10"]',
    "python": 'The interpreter: version, path or name. Example: python = "3.12"',
    "cwd": 'The working folder. Example: cwd = "work"',
    "env": 'Environment, recorded. Example: env = { LC_ALL = "C" }',
    "secrets": 'Variables passed through, never recorded. Example: secrets = ["TOKEN"]',
    "pythonpath": 'Folders for imports. Example: pythonpath = ["src"]',
    "stdin": 'A file to read from. Example: stdin = "{source}"',
    "stdout": 'Where stdout is published on success. Example: stdout = "out/{x}.txt"',
    "stderr": 'Where stderr is published on success. Example: stderr = "out/{x}.err"',
    "matrix": 'Every combination is a unit. Example: matrix.source.glob = "in/{name:*}.csv"',
    "zip": "Values side by side, equally many. Example: zip.x = [1, 2]",
    "units": 'One unit a row. Example: units = { csv = "samples.csv" }',
    "exclude": 'Combinations left out. Example: exclude = [{ x = 1, mode = ["a", "b"] }]',
    "for-each": 'One unit for each of another stage. Example: for-each = "survey"',
    "after": 'Waits for stages. Example: after = [{ stage = "a", when = "finished" }]',
    "id": 'The unit\'s name. Example: id = "{name}"',
    "paths": 'Parameters that are paths. Example: paths = ["file"]',
    "inputs": 'Files that must exist and are watched. Example: inputs = { from = "survey" }',
    "depends": 'Files that are watched for changes. Example: depends = ["config.ini"]',
    "outputs": 'Files that must be made. Example: outputs = { json = "out/{name}.json" }',
    "empty-ok": "A glob may match nothing. Example: empty-ok = true",
    "cpus": "CPUs of a unit. Example: cpus = 2",
    "memory": 'Memory of a unit; K, M, G are powers of 1024. Example: memory = "4G"',
    "pin": 'Whether a unit is bound to its CPUs. Example: pin = "cpus"',
    "on-drift": 'What a changed affinity means. Example: on-drift = "warn"',
    "timeout": 'Wall time after which a unit is stopped. Example: timeout = "1h30m"',
    "grace": 'Between the request to end and the kill. Example: grace = "10s"',
    "linger": (
        "How long what still writes is waited for after the main process ended; 0: not at all,"
        ' "timeout": as long as the unit may take. Example: linger = "1m"'
    ),
    "stop-signal": 'The signal that asks a unit to end. Example: stop-signal = "INT"',
    "stop-to": (
        "Whom it reaches: down the tree to whoever listens, the main process, or all at once."
        ' Example: stop-to = "main"'
    ),
    "stop-command": (
        "Runs instead of the signal; {pid} is the main process."
        ' Example: stop-command = ["docker", "stop", "job-{index}"]'
    ),
    "scratch": "A folder for each attempt, {scratch}. Example: scratch = true",
    "unit-file": "A JSON file with all that is known of the unit. Example: unit-file = true",
    "success-codes": "Exit codes that mean success. Example: success-codes = [0, 3]",
    "retries": 'Further tries. Example: retries = { times = 2, on = ["failed"], delay = "5s" }',
    "keep": 'When a finished unit is kept. Example: keep = "always"',
    "stamp": 'A file written when the stage has succeeded. Example: stamp = "stage.done"',
    "jobs": "Most units of the stage at once. Example: jobs = 2",
    "on-failure": 'As for the run. Example: on-failure = { do = "drain", at = "10%" }',
}

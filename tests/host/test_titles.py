import pytest

from procsup.host.titles import find_title


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("python3 -m http.server 8000", "http.server"),
        ("/usr/bin/python3.11 -S -u /a/b/work.py --out x", "work.py"),
        ("python -W error -X dev tool.py", "tool.py"),
        ("python -c pass", ""),
        ("perl -e 1", ""),
        ("java -cp a.jar -jar lib/server.jar", "server.jar"),
        ("node --inspect app/main.js", "main.js"),
        ("python", ""),
        ("gzip -9", ""),
        ("", ""),
    ],
)
def test_an_interpreter_is_called_by_what_it_runs(line, expected):
    assert find_title(line.split()) == expected

"""Runs as notebooks show them, and a real kernel that does so."""

import asyncio
import re
import sys
from html import unescape
from html.parser import HTMLParser

import pytest
from msgspec.structs import replace

import procsup
from procsup.report.html import format_manifest_html
from tests.support.sittings import Supervised, result

HOSTILE = "exit 7 <script>alert(1)</script> & \x1b[31m \udcff"
CELLS = [
    "import procsup",
    "procsup.run_units([['true'], ['sh', '-c', 'exit 3']], name='n', check=False)",
    "procsup.status('n')",
    "procsup.run_units([['true']], progress='none').status",
]


def read_tables(html):
    """Return the cells of each table; AssertionError for a tag that is not ours."""
    tables = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            assert not attrs
            assert tag in ("div", "p", "b", "table", "tr", "th", "td")
            if tag == "table":
                tables.append([])
            elif tag == "tr":
                tables[-1].append([])
            elif tag in ("th", "td"):
                tables[-1][-1].append("")

        def handle_data(self, data):
            if tables and data.strip():
                tables[-1][-1][-1] += data

    Reader().feed(re.sub("<p>.*</p>", "", html))
    html.encode()  # a lone surrogate could not leave the kernel
    return tables


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Supervised(tmp_path).begin()


def test_a_manifest_is_a_table_of_its_stages_and_one_of_its_first_units(run):
    run.publish(*(result(at) for at in range(25)))

    html = procsup.read_manifest("demo")._repr_html_()

    stages, units = read_tables(html)
    assert stages == [
        ["stage", "status", "planned", "kept", "succeeded"],
        ["s", "succeeded", "25", "0", "25"],
    ]
    assert units[0] == ["unit", "verdict", "wall_s", "cause"]
    assert [row[0] for row in units[1:]] == [f"s/x={at}" for at in range(20)]
    assert "<p>... and 5 more</p>" in html


def test_a_failed_manifest_shows_what_failed_and_nothing_in_it_is_markup(run):
    run.publish(result(0), result(1, code=7), status="failed")
    manifest = procsup.read_manifest("demo")
    hostile = [replace(unit, cause=HOSTILE) for unit in manifest.units]

    _, units = read_tables(format_manifest_html(manifest.head, hostile))

    assert units[0][0] == "did not succeed"
    assert [row[:2] for row in units[1:]] == [["s/x=1", "failed"]]
    assert "<script>alert(1)</script> & " in unescape(units[1][3])
    assert "\x1b" not in units[1][3]


def test_a_manifest_that_is_gone_says_so_in_place_of_its_units(run):
    run.publish(result(0))
    manifest = procsup.read_manifest("demo")
    run.rundir.manifest.unlink()

    html = manifest._repr_html_()

    assert len(read_tables(html)) == 1
    assert "begun again" in html


@pytest.mark.filterwarnings("ignore")  # of the kernel and its client
def test_a_kernel_shows_tables_and_the_lines_of_a_run(tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    import nbformat

    if sys.platform == "win32":
        pytest.skip("there the lines go to Jupyter's own terminal")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # by which a kernel lets go of descriptor 2
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in CELLS])

    asyncio.run(
        nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").async_execute()
    )

    _, ran, stood, silent = ([dict(one) for one in cell.outputs] for cell in notebook.cells)
    lines = "".join(one["text"] for one in ran if one["output_type"] == "stream")
    assert "[2/2] units/" in lines
    assert "\x1b" not in lines
    for shown in (ran[-1], stood[-1]):
        assert read_tables(shown["data"]["text/html"])[0][1][:3] == ["units", "failed", "2"]
    assert [one["output_type"] for one in silent] == ["execute_result"]

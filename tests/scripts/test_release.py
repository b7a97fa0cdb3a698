"""What a release changes and tries; that it can be built at all is tests/test_docs.py."""

import datetime
import os
import sys

import pytest
import release

TODAY = datetime.date(2026, 3, 1)
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n- News.\n\n## [0.1.0] - 2025-01-01\n\n- Old news.\n"


@pytest.fixture
def repository(tmp_path):
    (tmp_path / "procsup").mkdir()
    (tmp_path / "procsup" / "__init__.py").write_text('"""Doc."""\n\n__version__ = "0.9.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    return tmp_path


def test_a_version_is_written_into_the_package_and_the_changelog(repository):
    release.write_version(repository, "0.10.0", TODAY)

    assert release.read_version(repository) == "0.10.0"
    assert (repository / "CHANGELOG.md").read_text() == (
        "# Changelog\n\n## [Unreleased]\n\n## [0.10.0] - 2026-03-01\n\n- News.\n\n"
        "## [0.1.0] - 2025-01-01\n\n- Old news.\n"
    )


@pytest.mark.parametrize(
    ("version", "why"),
    [
        ("0.9.0", "is not later than 0.9.0"),
        ("0.8.7", "is not later than 0.9.0"),
        ("1.0", "three numbers are expected"),
        ("v1.0.0", "three numbers are expected"),
        ("1.0.0rc1", "three numbers are expected"),
    ],
)
def test_what_is_no_later_version_is_refused(version, why, repository):
    with pytest.raises(release.NotReleased, match=why):
        release.write_version(repository, version, TODAY)

    assert release.read_version(repository) == "0.9.0"
    assert (repository / "CHANGELOG.md").read_text() == CHANGELOG


@pytest.mark.parametrize("text", ["", "# Changelog\n", CHANGELOG.replace("- News.\n", "")])
def test_a_changelog_without_news_is_refused(text, repository):
    (repository / "CHANGELOG.md").write_text(text)

    with pytest.raises(release.NotReleased, match="nothing under"):
        release.write_version(repository, "1.0.0", TODAY)

    assert release.read_version(repository) == "0.9.0"


def test_the_oldest_and_the_newest_python_are_tried():
    found = {"3.10": "ten", "2.7": "two", "3.9": "nine", "3.7": "seven", "3.13": "new"}

    assert release.choose_pythons(found, []) == {"3.9": "nine", "3.13": "new"}
    assert release.choose_pythons({"3.9": "nine"}, []) == {"3.9": "nine"}
    assert release.choose_pythons(found, ["3.10"]) == {"3.10": "ten"}


@pytest.mark.parametrize("wanted", ["3.7", "3.12"])
def test_a_python_that_is_not_here_or_too_old_is_refused(wanted):
    with pytest.raises(release.NotReleased, match=r"there are 3\.9, 3\.10"):
        release.choose_pythons({"3.10": "ten", "3.9": "nine", "3.7": "seven"}, [wanted])


PROGRAM = """#!{interpreter}
import sys
if sys.argv[1] == "--version":
    print("procsup 1.0.0")
elif sys.argv[1] == "run" and {makes}:
    open("table.csv", "w").close()
sys.exit(sys.argv[1] == {fails!r})
"""


@pytest.mark.skipif(os.name == "nt", reason="a script is no program there")
@pytest.mark.parametrize(
    ("version", "makes", "fails", "problem"),
    [
        ("1.0.0", True, "", ""),
        ("1.0.1", True, "", "--version says 'procsup 1.0.0\\n'"),
        ("1.0.0", False, "", "the example has made no table.csv"),
        ("1.0.0", True, "wait", "ended with 1"),
        ("1.0.0", True, "verify", "ended with 1"),
        ("1.0.0", True, "help", "ended with 1"),
    ],
)
def test_a_trial_says_what_does_not_work(version, makes, fails, problem, tmp_path):
    program = tmp_path / "procsup"
    program.write_text(PROGRAM.format(interpreter=sys.executable, makes=makes, fails=fails))
    program.chmod(0o755)

    trial = release._try("it", lambda file, python, folder: program, tmp_path, "", version)

    assert trial.name == "it"
    assert trial.problem == problem if not problem else problem in trial.problem

"""The set-up that the scripts share: made once, made anew when it must be, clear when it cannot."""

import subprocess
import sys

import _setup
import pytest


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository in which making and installing are only noted down."""
    done = []
    (tmp_path / "pyproject.toml").write_text("[project]\n", encoding="utf-8")
    monkeypatch.setattr(_setup, "ROOT", tmp_path)

    def make(folder):
        done.append(f"make {folder.name}")
        python = _setup.python_in(folder)
        python.parent.mkdir(parents=True, exist_ok=True)
        python.touch()

    monkeypatch.setattr(_setup, "_make", make)
    monkeypatch.setattr(
        _setup, "_install", lambda _, extras: done.append(f"install {','.join(extras)}")
    )
    return tmp_path, done


NAME = ".venv-demo-{}.{}".format(*sys.version_info[:2])


def test_an_environment_is_made_once(repository):
    _, done = repository

    first = _setup.environment("demo")
    second = _setup.environment("demo")

    assert first == second
    assert done == [f"make {NAME}", "install "]


def test_it_is_made_anew_when_the_project_s_needs_change(repository):
    root, done = repository
    _setup.environment("demo", ["test"])

    (root / "pyproject.toml").write_text("[project]\nname = 'x'\n", encoding="utf-8")
    _setup.environment("demo", ["test"])

    assert done == [f"make {NAME}", "install test"] * 2


def test_it_is_made_anew_when_its_python_is_gone(repository):
    _, done = repository
    python = _setup.environment("demo")

    python.unlink()
    _setup.environment("demo")

    assert len(done) == 4


def test_an_interrupted_installation_is_no_environment(repository, monkeypatch):
    _, done = repository

    def fails(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_setup, "_install", fails)
        with pytest.raises(KeyboardInterrupt):
            _setup.environment("demo")
    _setup.environment("demo")

    assert done == [f"make {NAME}", f"make {NAME}", "install "]


def test_an_old_python_is_refused(monkeypatch):
    monkeypatch.setattr(_setup, "OLDEST", (99, 0))

    with pytest.raises(_setup.SetupFailed, match="needs Python"):
        _setup.check_python()


def test_a_python_without_pip_gets_a_cure(monkeypatch, tmp_path):
    monkeypatch.setattr(_setup, "_has", lambda module: False)

    with pytest.raises(_setup.SetupFailed, match=r"apt install python3\.\d+-venv"):
        _setup._make(tmp_path / "venv")


def test_pip_s_failure_is_explained(monkeypatch, capfd):
    pip = [sys.executable, "-c", "import sys; sys.exit('no matching distribution')"]

    with pytest.raises(_setup.SetupFailed, match="PIP_INDEX_URL"):
        _setup._pip_install(pip, ["--editable", "."])

    assert "no matching distribution" in capfd.readouterr().err


def test_failure_becomes_one_message_and_exit_2(capsys):
    def main():
        raise _setup.SetupFailed("apt install it")

    assert _setup.guarded(main) == 2
    assert capsys.readouterr().err == "error: apt install it\n"


def test_a_command_s_end_is_passed_on(monkeypatch):
    assert _setup.run([sys.executable, "-c", "raise SystemExit(7)"]) == 7

    monkeypatch.setattr(subprocess, "call", lambda *_, **__: -2)
    assert _setup.run(["x"]) == 130


def test_what_would_lead_a_python_astray_is_left_out(monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "elsewhere")
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")

    environ = _setup.clean_environ(EXTRA="1")

    assert "PYTHONHOME" not in environ
    assert "PYTHONPATH" not in environ
    assert "PYTHONDONTWRITEBYTECODE" not in environ
    assert environ["EXTRA"] == "1"

"""Completion in shells."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import shellingham

from cli.command_line import refused, run

STARTS = {"bash": "_spurion_completion() {", "zsh": "#compdef spurion", "fish": "complete --command spurion"}
FILES = {
    "bash": ".bash_completions/spurion.sh",
    "zsh": ".zfunc/_spurion",
    "fish": ".config/fish/completions/spurion.fish",
}


def running(monkeypatch, shell):
    def detect():
        if isinstance(shell, Exception):
            raise shell
        return shell, f"/bin/{shell}"

    monkeypatch.setattr(shellingham, "detect_shell", detect)


@pytest.mark.parametrize("shell", STARTS)
def test_the_script_of_the_running_shell_and_of_a_named_one_is_shown(shell, monkeypatch):
    running(monkeypatch, shell)
    shown = run("--show-completion")
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout.startswith(STARTS[shell])
    running(monkeypatch, "tcsh")
    assert run("--show-completion", shell).stdout == shown.stdout
    assert run(f"--show-completion={shell}").stdout == shown.stdout


@pytest.mark.parametrize("shell", FILES)
def test_it_is_installed_at_home(shell, tmp_path, monkeypatch):
    running(monkeypatch, shell)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    done = run("--install-completion")
    assert done.exit_code == 0
    assert (tmp_path / FILES[shell]).read_text().startswith(STARTS[shell])


def test_a_home_that_cannot_be_written_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "file")
    assert "is a file, or lies inside one" in refused("--install-completion", "bash")


@pytest.mark.parametrize("option", ["--show-completion", "--install-completion"])
def test_other_shells_are_refused(option, monkeypatch):
    assert f"{option} knows the shells bash, zsh, fish, powershell, pwsh, got csh: name" in refused(
        option, "csh"
    )
    running(monkeypatch, "tcsh")
    assert "pwsh, but this one is tcsh: name one, as in" in refused(option)
    for error in (shellingham.ShellDetectionFailure(), RuntimeError("not implemented")):
        running(monkeypatch, error)
        assert "but this one is not to be told: name one" in refused(option)


@pytest.mark.parametrize(
    ("words", "completed"), [("spurion st", "study"), ("spurion study digits --ou", "--out")]
)
def test_what_bash_asks_is_answered(words, completed):
    asked = {"_SPURION_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    command = [sys.executable, "-m", "spurion"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | asked)
    assert (done.stdout, done.stderr) == (f"{completed}\n", "")


def test_bash_completes_by_the_script_shown(tmp_path):
    command = tmp_path / "spurion"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m spurion "$@"\n')
    command.chmod(0o755)
    script = """
eval "$(spurion --show-completion bash)"
COMP_WORDS=(spurion audit --hold) COMP_CWORD=2
_spurion_completion spurion
echo "${COMPREPLY[@]}"
"""
    path = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=os.environ | path)
    assert (done.stdout, done.stderr) == ("--holdout\n", "")

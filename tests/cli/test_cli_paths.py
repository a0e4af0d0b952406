"""What is not there is told at once; help and such answers import nothing that takes long."""

import json
import subprocess
import sys

import pytest

from cli.command_line import VERBS
from spurion.cli.paths import check_paths, check_sources

HEAVY = {"torch", "numpy", "diffusers", "scipy", "sklearn", "matplotlib", "safetensors", "PIL"}
"""What takes long to import; pydantic is not among them, because newer versions of typer import it."""

MISSING = (
    ("audit", "--train", "/nowhere", "--samples", "x.npz"),
    ("audit", "--train", "digits", "--samples", "nowhere.npz"),
    ("audit", "--train", "digits", "--holdout", "./nowhere"),
    ("audit", "--train", "digits", "--model", "nowhere", "--generate", "10"),
    ("classify", "--train", "digits", "--samples", "nowhere.npy"),
    ("neighbors", "--queries", "a/b/nowhere", "--reference", "digits"),
    ("geometry", "nowhere", "digits"),
    ("sample", "nowhere", "--count", "3", "--out", "x.npz"),
    ("train", "nowhere.zip", "--size", "4", "--out", "run"),
    ("study", "nowhere.yaml", "--out", "run"),
    ("report", "nowhere"),
    ("prompts", "nowhere", "p.csv", "--out", "run"),
)

SCRIPT = """
import json, sys
from spurion.cli import app
told = []
for arguments in json.loads(sys.argv[1]):
    try:
        app(arguments, prog_name="spurion")
    except SystemExit as end:
        told.append(end.code)
print(json.dumps([told, sorted(name for name in sys.modules if "." not in name)]), file=sys.stderr)
"""


def answers(lines):
    """Exit codes, modules that were imported, and what was said on both streams before that."""
    command = [sys.executable, "-c", SCRIPT, json.dumps(lines)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    *said, last = done.stderr.strip().splitlines()
    codes, modules = json.loads(last)
    return codes, set(modules), done.stdout, said


def test_help_of_every_verb_imports_nothing_heavy():
    codes, modules, shown, _ = answers([["--help"], ["--version"], *([verb, "--help"] for verb in VERBS)])
    assert codes == [0] * (len(VERBS) + 2)
    assert shown.count("Usage: spurion ") == len(VERBS) + 1
    assert not modules & HEAVY


def test_what_is_not_there_is_told_before_anything_heavy_is_imported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    codes, modules, shown, said = answers(MISSING)
    assert codes == [2] * len(MISSING)
    assert shown == ""
    assert not modules & HEAVY
    assert len(said) == len(MISSING)
    for arguments, sentence in zip(MISSING, said, strict=True):
        assert sentence.startswith(f"spurion {arguments[0]}: There is no file or folder ")
        assert "nowhere" in sentence
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("source", ["digits", "digits:holdout", "nowhere", "owner/name", "owner/name:train"])
def test_names_and_ids_are_left_to_the_reader(source):
    check_sources(source, None)


def test_what_is_there_passes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set").mkdir()
    (tmp_path / "a.npz").touch()
    (tmp_path / "a:b.npz").touch()
    check_sources(
        "./set", str(tmp_path / "set"), f"{tmp_path / 'set'}:train", "a.npz", "a:b.npz", "./a:b.npz"
    )
    check_paths(tmp_path / "set", None, tmp_path / "a.npz")
    for source in ("./nowhere", "./nowhere:train", str(tmp_path / "set2"), "b.npz", "./set/b:c/d"):
        with pytest.raises(ValueError, match=f"There is no file or folder {source.removeprefix('./')}"):
            check_sources("./set", source)
    with pytest.raises(ValueError, match="There is no file or folder gone"):
        check_paths(tmp_path / "a.npz", tmp_path.relative_to(tmp_path) / "gone")

"""Every benchmark finds what it imports; a run of each is in the README."""

import importlib.util
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[2] / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_it_can_be_read(script, monkeypatch):
    monkeypatch.syspath_prepend(script.parent)
    found = importlib.util.spec_from_file_location(f"benchmark_{script.stem}", script)
    found.loader.exec_module(importlib.util.module_from_spec(found))

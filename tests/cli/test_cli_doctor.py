import json

import pytest

from cli.command_line import run
from spurion.cli import doctor
from spurion.cli.errors import EXTRAS
from spurion.data import DATASETS
from spurion.neighbors import DISTANCES


@pytest.fixture(scope="module")
def found():
    return doctor.examine()


def test_what_is_here_is_reported(found):
    assert found["healthy"]
    assert found["broken"] == {}
    assert found["packages"]["torch"]
    assert "datasets" not in found["packages"]
    assert found["devices"][0]["name"] == "cpu"
    assert set(found["distances"]) == set(DISTANCES)
    assert set(found["datasets"]) == set(DATASETS)
    assert found["datasets"]["digits"] == "ready"
    assert set(found["extras"]) == {extra.package for extra in EXTRAS.values()}


def test_json(monkeypatch, found):
    monkeypatch.setattr(doctor, "examine", lambda: found)
    result = run("doctor", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == found


def test_what_is_missing_comes_with_a_remedy(monkeypatch):
    real = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: None if name == "datasets" else real(name))
    result = run("doctor")
    assert result.exit_code == 0, result.output
    assert "not installed; for data sets from Hugging Face: pip install 'spurion[hf]'" in result.stdout
    assert result.stdout.endswith("Ready.\n")


def test_a_missing_package(monkeypatch):
    real = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: None if name == "jinja2" else real(name))
    result = run("doctor")
    assert result.exit_code == 2
    assert "  jinja2        missing" in result.stdout
    assert "Not ready" in result.stdout


def test_a_broken_package(monkeypatch):
    real = doctor.importlib.import_module

    def broken(name):
        if name == "diffusers":
            raise RuntimeError("operator torchvision::nms\ndoes not exist")
        return real(name)

    monkeypatch.setattr(doctor.importlib, "import_module", broken)
    result = run("doctor")
    assert result.exit_code == 2
    assert "  diffusers  RuntimeError: operator torchvision::nms does not exist" in result.stdout
    assert "Data sets" not in result.stdout
    assert "Devices" in result.stdout

"""What the package shows of itself: names, signatures, help; nothing heavy before it is used."""

import importlib
import importlib.resources
import inspect
import pkgutil
import pydoc
import subprocess
import sys

import pytest

import spurion

PACKAGES = (
    *("audits", "circle", "data", "diffusion", "geometry", "grid", "memory"),
    *("neighbors", "phases", "prompts", "report", "statistics", "studies"),
)
DOORS = ("PhaseMetric", "audit", "study")


def said(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_after_one_import_everything_is_there_and_nothing_heavy_is_loaded():
    code = """
import sys, spurion
dir(spurion)
heavy = {"torch", "numpy", "diffusers", "scipy", "sklearn", "matplotlib", "pydantic", "typer", "PIL"}
print(heavy & set(sys.modules), spurion.neighbors.nearest.__name__)
"""
    assert said(code) == "set() nearest\n"
    assert {*PACKAGES, *DOORS, "__version__"} <= set(dir(spurion))


def test_every_package_is_named():
    found = {path.parent.name for path in importlib.resources.files("spurion").glob("*/__init__.py")}
    assert found - set(PACKAGES) == {"cli", "core"}


@pytest.mark.parametrize("package", PACKAGES)
def test_what_a_package_offers_resolves_and_is_shown(package):
    module = getattr(spurion, package)
    assert inspect.ismodule(module)
    assert len(module.__all__) == len(set(module.__all__)) > 0
    assert set(module.__all__) <= set(dir(module))
    for name in module.__all__:
        value = getattr(module, name)
        assert not inspect.ismodule(value), f"{package}.{name} is a module, not what it holds"
        if inspect.isfunction(value) or inspect.isclass(value):
            assert inspect.getdoc(value), f"{package}.{name}"
            assert value.__module__.startswith("spurion.")


def test_no_module_is_shadowed_by_what_its_package_offers():
    for found in pkgutil.walk_packages(spurion.__path__, "spurion."):
        package, _, name = found.name.rpartition(".")
        if name != "__main__":
            importlib.import_module(found.name)
            assert inspect.ismodule(getattr(importlib.import_module(package), name)), found.name


def test_signatures_are_the_real_ones():
    assert list(inspect.signature(spurion.audit).parameters)[:3] == ["train", "samples", "holdout"]
    assert inspect.signature(spurion.study).parameters["out"].kind is inspect.Parameter.KEYWORD_ONLY
    assert "seed" in inspect.signature(spurion.PhaseMetric).parameters


@pytest.mark.parametrize(
    ("name", "meant"),
    [("studdy", "study"), ("Audit", "audit"), ("phasemetric", "PhaseMetric"), ("neighbours", "neighbors")],
)
def test_a_misspelt_name_says_what_was_meant(name, meant):
    with pytest.raises(
        AttributeError, match=f"^module 'spurion' has no attribute '{name}'. Did .* '{meant}'"
    ):
        getattr(spurion, name)


def test_an_unknown_name_is_just_unknown():
    with pytest.raises(AttributeError, match=r"^module 'spurion' has no attribute 'wings'\.$"):
        spurion.wings  # noqa: B018
    assert not hasattr(spurion, "__wrapped__")


def test_help_reads_well():
    text = pydoc.plain(pydoc.render_doc(spurion))
    for words in ("audit(train", "study(what", "class PhaseMetric", "spurion.neighbors", spurion.__version__):
        assert words in text

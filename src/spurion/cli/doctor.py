"""The verb `doctor`: what this installation has, and how to get what it lacks."""

__all__ = ["doctor", "examine"]

import importlib
import importlib.metadata
import platform
import re
from typing import Annotated, Any

import typer

from spurion.cli.errors import BAD_INPUT, EXTRAS
from spurion.cli.show import say, show_json

NEEDED = ("torch", "diffusers", "sklearn", "matplotlib", "safetensors")
"""Packages whose import is tried: the compiled ones, and those that a mismatch of versions breaks."""


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Show versions, devices, optional parts and data sets, and how to get what is missing.

    Exit code 2 if a needed package is missing or broken.

    Example: spurion doctor
    """
    found = examine()
    if as_json:
        show_json(found)
    else:
        _show(found)
    if not found["healthy"]:
        raise typer.Exit(BAD_INPUT)


def examine() -> dict[str, Any]:
    """What is installed, as plain values."""
    packages = _packages()
    broken = _broken()
    missing = [name for name, version in packages.items() if version is None]
    return {
        "spurion": importlib.metadata.version("spurion"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": packages,
        "broken": broken,
        "devices": [] if "torch" in broken else _devices(),
        "extras": _extras(),
        "distances": {} if broken else _distances(),
        "datasets": {} if broken else _datasets(),
        "healthy": not missing and not broken,
    }


def _packages() -> dict[str, str | None]:
    required = importlib.metadata.requires("spurion") or []
    names = [re.split(r"[^\w.-]", line)[0] for line in required if "extra ==" not in line]
    return {name: _version(name) for name in sorted(names)}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _broken() -> dict[str, str]:
    reasons = {}
    for name in NEEDED:
        try:
            importlib.import_module(name)
        except Exception as error:
            reasons[name] = " ".join(f"{type(error).__name__}: {error}".split())
    return reasons


def _devices() -> list[dict[str, Any]]:
    import torch

    from spurion.core.engine import available_cores

    devices: list[dict[str, Any]] = [{"name": "cpu", "detail": f"{available_cores()} cores"}]
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        detail = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
        devices.append({"name": f"cuda:{index}", "detail": detail})
    if torch.backends.mps.is_available():
        devices.append({"name": "mps", "detail": "Apple GPU"})
    return devices


def _extras() -> dict[str, dict[str, str | None]]:
    return {
        extra.package: {
            "version": _version(extra.package),
            "purpose": extra.purpose,
            "install": f"pip install 'spurion[{extra.name}]'",
        }
        for extra in EXTRAS.values()
    }


def _distances() -> dict[str, str]:
    from spurion.neighbors.distances import DISTANCES

    return {name: distance.state() for name, distance in DISTANCES.items()}


def _datasets() -> dict[str, str]:
    from spurion.data import DATASETS
    from spurion.data.hf import fetch
    from spurion.data.hub import HUB_SETS

    states = {}
    for name, known in DATASETS.items():
        try:
            if name in HUB_SETS:
                fetch(HUB_SETS[name].identifier)  # without decoding its images
            else:
                known.load(False)
            states[name] = "ready"
        except ValueError as error:
            states[name] = str(error)
    return states


def _show(found: dict[str, Any]) -> None:
    say(f"spurion {found['spurion']}, Python {found['python']}, {found['platform']}")
    _section("Packages", {name: version or "missing" for name, version in found["packages"].items()})
    _section("Broken packages", found["broken"])
    _section("Devices", {device["name"]: device["detail"] for device in found["devices"]})
    _section(
        "Optional packages",
        {
            package: extra["version"] or f"not installed; for {extra['purpose']}: {extra['install']}"
            for package, extra in found["extras"].items()
        },
    )
    _section("Distances", found["distances"])
    _section("Data sets", found["datasets"])
    say("\nReady." if found["healthy"] else "\nNot ready: mend the missing or broken packages first.")


def _section(title: str, lines: dict[str, str]) -> None:
    if not lines:
        return
    say(f"\n{title}")
    width = max(map(len, lines))
    for name, text in lines.items():
        say(f"  {name:<{width}}  {text}")

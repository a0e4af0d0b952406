"""Where a study runs: devices, processes, versions. What could explain a difference is recorded."""

__all__ = ["Crew", "environment"]

import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from spurion.core.engine import available_cores

PACKAGES = ("spurion", "torch", "diffusers", "safetensors", "numpy", "scipy", "scikit-learn")


@dataclass(frozen=True)
class Crew:
    """Who does the work: processes, torch threads of each, and the device."""

    workers: int
    threads: int
    device: str


def environment(crew: Crew) -> dict[str, Any]:
    """Versions and hardware, as stored in `study.json`."""
    return {
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cores": available_cores(),
        "threads": crew.threads,
        "device": crew.device,
        "accelerator": torch.cuda.get_device_name() if crew.device.startswith("cuda") else None,
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None

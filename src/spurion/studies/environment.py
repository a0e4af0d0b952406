"""Where a study runs: devices, processes, versions. What could explain a difference is recorded."""

__all__ = ["Crew", "crew_for", "environment"]

import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from spurion.core.engine import available_cores
from spurion.diffusion.device import choose_device
from spurion.studies.config import StudyConfig

PACKAGES = ("spurion", "torch", "diffusers", "safetensors", "numpy", "scipy", "scikit-learn")


@dataclass(frozen=True)
class Crew:
    """Who does the work: processes, torch threads of each, and the device."""

    workers: int
    threads: int
    device: str


def crew_for(config: StudyConfig, points: int, workers: int | None) -> Crew:
    """Decide on processes and threads.

    The number of threads follows from the machine and the study alone, never from `workers`, because it can
    change the last digits of a result.

    Raises:
        ValueError: If `workers` is below 1 or the device is not there.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"`workers` must be at least 1, got {workers}.")
    device = choose_device(config.training.device)
    cores = available_cores()
    parallel = min(cores, points) if device.type == "cpu" else 1
    return Crew(workers or parallel, max(1, cores // parallel), str(device))


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

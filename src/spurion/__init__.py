"""Find the attractors of a diffusion model: what it memorized, what is spurious, what it can generate."""

__all__ = ["PhaseMetric", "__version__", "audit", "study"]

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_MODULES = {
    "PhaseMetric": "spurion.studies.phase_metric",
    "audit": "spurion.studies",
    "study": "spurion.studies",
}


def __getattr__(name: str) -> Any:
    """Import what the package offers when it is first used, so that importing the package is quick."""
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'spurion' has no attribute {name!r}")

"""Find the attractors of a diffusion model: what it memorized, what is spurious, what it can generate."""

__all__ = ["__version__", "audit", "study"]

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_FUNCTIONS = {"audit": "spurion.studies", "study": "spurion.studies"}


def __getattr__(name: str) -> Any:
    """Import `audit` and `study` when they are first used, so that importing the package is quick."""
    if name in _FUNCTIONS:
        return getattr(import_module(_FUNCTIONS[name]), name)
    raise AttributeError(f"module 'spurion' has no attribute {name!r}")

"""The former names of `spurion.core.store` and `spurion.core.tensors`."""

__all__ = ["Damaged", "Seal", "load_arrays", "tell"]

from spurion.core.store import Store as Seal
from spurion.core.tensors import Damaged, load_arrays, tell

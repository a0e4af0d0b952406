"""Training states on disk: whole or absent, and never mistaken for another training's.

A state holds everything that a training carries from step to step: weights, moving average, the
optimizer's two moments, the log so far and the losses not yet in it. Random numbers and data order are
functions of the seed and the step, so the step is all they need. The file is a `KeyedFile` of the training's
`identity`.
"""

__all__ = ["TrainingState", "load_state", "owner", "save_state"]

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from spurion.core.store import KeyedFile


@dataclass
class TrainingState:
    """What a training carries from step to step; `step` steps are done."""

    step: int
    weights: Float[Tensor, " p"]
    average: Float[Tensor, " p"]
    first_moment: Float[Tensor, " p"]
    second_moment: Float[Tensor, " p"]
    losses: Float[Tensor, " interval"]
    log: Float[Tensor, "rows 3"]


def save_state(path: Path | str, state: TrainingState, identity: Mapping[str, Any]) -> None:
    """Write a state atomically.

    Arguments:
        path: The file.
        state: The state; its tensors may be on any device.
        identity: Plain values (as JSON knows them) that decide the numbers of the training.

    Raises:
        OSError: If the folder cannot be written or the disk is full; an older state is then untouched.
    """
    tensors = dict(vars(state))
    _file(path).save(tensors, identity, step=tensors.pop("step"))


def load_state(path: Path | str, identity: Mapping[str, Any]) -> TrainingState | None:
    """Read a state; None if there is none.

    Arguments:
        path: The file.
        identity: What the training at hand is; see `save_state`.

    Raises:
        Damaged: If the file is damaged.
        ValueError: If it belongs to another training.
    """
    return _file(path).load(identity, lambda tensors, facts: TrainingState(int(facts["step"]), **tensors))


def owner(path: Path | str) -> dict[str, Any] | None:
    """The identity of the training that a state belongs to; None if there is none or it is damaged."""
    return _file(path).owner()


def _file(path: Path | str) -> KeyedFile:
    remedy = "delete it to train anew, or choose another folder"
    return KeyedFile(Path(path), "training", "belongs to another training", remedy)

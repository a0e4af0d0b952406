"""Training states on disk: whole or absent, and never mistaken for another training's.

A state holds everything that a training carries from step to step: weights, moving average, the
optimizer's two moments, the log so far and the losses not yet in it. Random numbers and data order are
functions of the seed and the step, so the step is all they need. The file is safetensors under a checksum,
written beside its place and renamed over it; it names the training it belongs to by its `identity`.
"""

__all__ = ["TrainingState", "load_state", "save_state"]

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from spurion.core.sealed import Damaged, load_tensors, save_tensors


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


_TENSORS = tuple(field.name for field in fields(TrainingState) if field.name != "step")


def save_state(path: Path | str, state: TrainingState, identity: Mapping[str, Any]) -> None:
    """Write a state atomically.

    Arguments:
        path: The file.
        state: The state; its tensors may be on any device.
        identity: Plain values (as JSON knows them) that decide the numbers of the training.

    Raises:
        OSError: If the folder cannot be written or the disk is full; an older state is then untouched.
    """
    facts = {"training": json.dumps({"step": state.step, "identity": identity}, sort_keys=True)}
    save_tensors(path, {name: getattr(state, name) for name in _TENSORS}, facts)


def load_state(path: Path | str, identity: Mapping[str, Any]) -> TrainingState | None:
    """Read a state; None if there is none.

    Arguments:
        path: The file.
        identity: What the training at hand is; see `save_state`.

    Raises:
        Damaged: If the file is damaged.
        ValueError: If it belongs to another training.
    """
    if not Path(path).exists():
        return None
    tensors, facts = load_tensors(path)
    try:
        header = json.loads(facts["training"])
        step, found = int(header["step"]), dict(header["identity"])
        state = TrainingState(step=step, **{name: tensors[name] for name in _TENSORS})
    except (KeyError, TypeError, ValueError) as error:
        raise Damaged(f"{path} is damaged (it holds no training state: {error}).") from None
    difference = _difference(json.loads(json.dumps(identity)), found)
    if difference:
        raise ValueError(
            f"The training state {path} belongs to another training ({difference}); "
            f"delete it to train anew, or choose another folder."
        )
    return state


def _difference(wanted: Any, found: Any, name: str = "") -> str:
    """The first field in which two identities differ, in words; empty if they are equal."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key in sorted({*wanted, *found}):
            inner = f"{name}.{key}" if name else key
            if words := _difference(wanted.get(key), found.get(key), inner):
                return words
        return ""
    return "" if wanted == found else f"its {name} is {found!r:.80}, not {wanted!r:.80}"

"""The steps of a training, taken from where its folder says it is.

The state is written first and the model that follows from it afterwards, by the caller; see
`spurion.diffusion.training`. It holds the losses of an interval of the log that is not over, so that a longer
training can go on from the last state of one that stopped earlier as if it had not.
"""

__all__ = ["LOG", "BatchSource", "begun_execution", "key_of", "seal_of", "take_steps"]

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from spurion.core.files import remove_leftovers
from spurion.core.progress import Progress
from spurion.core.store import Store
from spurion.core.tensors import Damaged, tell
from spurion.diffusion.batches import Batch
from spurion.diffusion.checkpoint import TrainingState, load_state, owner, save_state
from spurion.diffusion.denoisers.network import NetworkDenoiser
from spurion.diffusion.learner import Learner
from spurion.diffusion.log import TrainingLog
from spurion.diffusion.training_config import TrainingConfig

LOG = "training.jsonl"
STATE = Path("state") / "state.safetensors"


def seal_of(folder: Path) -> Store:
    """The seal of a finished training."""
    return Store(folder, "train")


def begun_execution(folder: Path) -> dict[str, Any] | None:
    """The execution of the training that a folder holds, finished or not; None if it holds none."""
    key = seal_of(folder).key
    identity = owner(folder / STATE) if key is None else json.loads(key or "{}")
    return None if identity is None else identity.get("execution")


def key_of(identity: Mapping[str, Any], training: TrainingConfig) -> str:
    """The key of the seal of a finished training: what its weights depend on, and where it stopped.

    Arguments:
        identity: What the weights after any step depend on.
        training: How the training was done.
    """
    where = {} if training.steps == training.iterations else {"steps": training.steps}
    return json.dumps({**identity, **where}, sort_keys=True)


@runtime_checkable
class BatchSource(Protocol):
    """Batches as a function of the step."""

    def ahead(self, steps: range) -> Iterator[Batch]:
        """The batches of consecutive steps."""


def take_steps(
    learner: Learner,
    batches: BatchSource,
    training: TrainingConfig,
    folder: Path,
    identity: Mapping[str, Any],
    progress: Progress,
) -> NetworkDenoiser:
    """Take all steps that are not yet done, and save the last state; the seal is taken away before.

    Arguments:
        learner: The network that learns.
        batches: What it learns from.
        training: How.
        folder: The training's folder.
        identity: What the weights after any step depend on: a state of another identity is not gone on from.
        progress: Called after every step.

    Returns:
        The denoiser with the averaged weights.

    Raises:
        ValueError: If the folder holds another training's state or one that went on for longer, or the last
            steps spoilt the weights.
        TrainingDiverged: If the loss becomes NaN or infinite.
        OSError: If the folder cannot be written or the disk is full.
    """
    for file in (folder / STATE, folder / LOG):
        remove_leftovers(file)
    end = training.steps
    state = _last_state(folder, identity) or learner.state(0, torch.empty(0), torch.empty(0, 3))
    if state.step > end:
        raise ValueError(
            f"{folder / STATE} belongs to a training that went on to step {state.step:,} and not to "
            f"{end:,} only; choose another folder."
        )
    seal_of(folder).remove()
    log = TrainingLog(folder / LOG, training.log_every, learner.device)
    learner.restore(state)
    log.start(state.step, state.losses, state.log)
    steps = range(state.step, end)
    for step, batch in zip(steps, batches.ahead(steps), strict=True):
        log.add(learner.step(step, batch), training.learning_rate_at(step))
        done = step + 1
        if done == end or done % training.checkpoint_every == 0:
            save_state(folder / STATE, learner.state(done, log.pending(), log.rows()), identity)
        progress(done, end)
    log.end_interval(training.learning_rate_at(end - 1))
    return _trained(learner)


def _last_state(folder: Path, identity: Mapping[str, Any]) -> TrainingState | None:
    """The state to go on from; None if there is none or it is damaged."""
    try:
        return load_state(folder / STATE, identity)
    except Damaged as error:
        tell(error, "the training starts again")
        return None


def _trained(learner: Learner) -> NetworkDenoiser:
    """The averaged model, if its weights are numbers: the last steps may have spoilt them."""
    denoiser = learner.averaged()
    if not all(value.isfinite().all() for value in denoiser.network.state_dict().values()):
        raise ValueError(
            "The weights became NaN or infinite in the last steps; lower `learning_rate` or set `clip_norm`."
        )
    return denoiser

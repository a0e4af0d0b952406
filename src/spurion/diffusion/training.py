r"""Training of a denoiser: uniform times, and the moving average of the weights as result.

For an image x, a time t uniform over the schedule (see `spurion.diffusion.batches`) and noise
:math:`\epsilon` the loss is

.. math:: \lVert \hat\epsilon(\alpha_t x + \sigma_t \epsilon, t) - \epsilon \rVert^2 / D

(or the same for what the network predicts). This is the loss of DDPM and, as
:math:`\hat\epsilon = -\sigma_t s`, denoising score matching with the weight :math:`\sigma_t^2`.
The weights are averaged after every step s = 0, 1, ...,

.. math:: \bar\theta \leftarrow d_s \bar\theta + (1 - d_s) \theta, \qquad
    d_s = d \quad\text{or, with a ramp,}\quad d_s = \min\Big(d, \frac{1 + s}{10 + s}\Big),

starting as a copy of the initial weights. Images are never flipped or otherwise augmented.

A training owns a folder::

    training.jsonl           the log; see `spurion.diffusion.log`
    state/state.safetensors  what the next step needs; see `spurion.diffusion.checkpoint`
    model/                   the denoiser with the averaged weights, written when all steps are done
    .seals/train.json        the checksums of model and log, written last; see `spurion.core.store`

Every random number is a function of the seed and the step, and the state is written atomically, so that a
training killed at any moment and started again ends with the same bytes as one that was left alone: on
the same machine, with the same versions and number of threads. A training whose precision is ``auto`` goes
on in the one in which it was begun. What is damaged is made again: model and log from the last state, and
without that from the start.

References:
    | Denoising Diffusion Probabilistic Models (Ho et al., 2020), Eq. 14
    | Memorization to Generalization (Pham et al., 2025), Table 2, App. A and B
    | A connection between score matching and denoising autoencoders (Vincent, 2011)
"""

__all__ = ["TrainingConfig", "TrainingDiverged", "is_trained", "train"]

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from spurion.core.progress import Progress, silent
from spurion.core.random import generator
from spurion.diffusion.batches import Batches
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.denoisers import DenoiserConfig
from spurion.diffusion.denoisers.network import NetworkDenoiser
from spurion.diffusion.device import Execution, choose_execution
from spurion.diffusion.folder import load_denoiser, save_denoiser
from spurion.diffusion.learner import Learner
from spurion.diffusion.log import TrainingDiverged
from spurion.diffusion.schedule import DDPMSchedule, VESchedule
from spurion.diffusion.steps import LOG, begun_execution, key_of, seal_of, take_steps
from spurion.diffusion.training_config import TrainingConfig


def train(
    images: Float[Tensor, "K *shape"],
    denoiser: DenoiserConfig,
    training: TrainingConfig,
    *,
    schedule: DDPMSchedule | VESchedule,
    seed: int,
    folder: Path | str,
    progress: Progress = silent,
) -> Denoiser:
    """Make a denoiser of some images, in a folder: train a network, or build a closed form.

    Started again on the same folder it goes on where it was, or just loads the model if that is done. So it
    does from the state of one that was to stop earlier (`stop_after`), with the bytes of one that was not.

    Arguments:
        images: The training items, float32, finite, with shape (K, *shape).
        denoiser: What to train. Closed forms need no training: they are built and saved.
        training: How to train.
        schedule: The noise schedule.
        seed: The seed of the initial weights and of all batches.
        folder: The training's own folder, made if needed.
        progress: Called after every step.

    Returns:
        The denoiser in ``folder/model``, on the device it was trained on.

    Raises:
        ValueError: If the images are not as above, the device is not there, the folder holds another
            training's state, or the last steps spoilt the weights.
        TrainingDiverged: If the loss becomes NaN or infinite.
        OSError: If the folder cannot be written or the disk is full.
    """
    _check(images)
    folder = Path(folder)
    fresh = denoiser.build(images, schedule, generator=generator(seed, "weights"))
    if not isinstance(fresh, NetworkDenoiser):
        seal_of(folder).remove()
        save_denoiser(fresh, folder / "model")
        seal_of(folder).put(folder / "model")
        return fresh
    execution = _execution(training, fresh, folder)
    identity = _identity(images, denoiser, training, execution, schedule, seed)
    store, key = seal_of(folder), key_of(identity, training)
    if not store.is_whole(key):
        batches = Batches(
            images,
            schedule,
            batch_size=training.batch_size,
            replacement=training.replacement,
            prediction=fresh.prediction,
            seed=seed,
            device=execution.device,
        )
        with execution.reproducible():
            learner = Learner(fresh, training, execution, seed=seed)
            trained = take_steps(learner, batches, training, folder, identity, progress)
            save_denoiser(trained, folder / "model")
        store.put(folder / "model", folder / LOG, key=key)
    return load_denoiser(folder / "model", device=execution.device)


def _execution(training: TrainingConfig, fresh: NetworkDenoiser, folder: Path) -> Execution:
    """How to compute: as configured; where any precision will do, in that of the training begun here."""
    chosen = choose_execution(
        training.device,
        training.precision,
        training.channels_last,
        training.compile,
        fresh.shape,
        convolutions=any(isinstance(module, nn.Conv2d) for module in fresh.network.modules()),
    )
    free = {"bf16": training.precision, "channels_last": training.channels_last}
    automatic = [name for name, asked in free.items() if asked == "auto"]
    return chosen.as_begun(begun_execution(folder), automatic)


def _identity(
    images: Float[Tensor, "K *shape"],
    denoiser: DenoiserConfig,
    training: TrainingConfig,
    execution: Execution,
    schedule: DDPMSchedule | VESchedule,
    seed: int,
) -> dict[str, Any]:
    """What the weights after any step depend on: a state of another identity is not gone on from."""
    return {
        "images": {"shape": list(images.shape), "sha256": _digest(images)},
        "denoiser": denoiser.model_dump(mode="json"),
        "training": training.identity(),
        "execution": asdict(execution),
        "schedule": asdict(schedule),
        "seed": seed,
    }


def is_trained(folder: Path) -> bool:
    """Whether a folder holds a finished training as it was left; `train` tells damage and mends it."""
    return seal_of(folder).key is not None and not seal_of(folder).damage()


def _check(images: Tensor) -> None:
    if images.ndim < 2 or not images.numel():
        raise ValueError(
            f"`images` must hold at least one item, with shape (K, *shape), got {tuple(images.shape)}."
        )
    if images.dtype != torch.float32:
        raise ValueError(f"`images` must be float32, got {images.dtype}.")
    if not images.isfinite().all():
        raise ValueError("`images` must be finite, got NaN or infinity; remove the damaged images.")


def _digest(images: Tensor) -> str:
    return hashlib.sha256(images.detach().cpu().contiguous().numpy().tobytes()).hexdigest()

"""Training of the small text-conditional model whose memorized prompts are known.

A training owns a folder; everything in it follows from the configuration::

    prompts.csv  every.csv  images/  the truth; see `spurion.prompts.study.planting`
    training.jsonl  state/           log and state; see `spurion.diffusion.training`
    model/                           the pipeline; see `spurion.prompts.study.folder`
    .seals/                          the checksums of all these

It can be killed at any moment and goes on where it was, to the same bytes on the same machine.
"""

__all__ = ["Planted", "is_planted", "train_planted"]

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from jaxtyping import Float32, Int64
from torch import Tensor

from spurion.core.progress import Progress, silent
from spurion.core.random import generator
from spurion.core.store import Store
from spurion.diffusion.denoisers.network import NetworkDenoiser
from spurion.diffusion.device import Execution, choose_execution
from spurion.diffusion.learner import Learner
from spurion.diffusion.steps import LOG, key_of, seal_of, take_steps
from spurion.prompts.study.batches import CaptionedBatches
from spurion.prompts.study.config import PromptsStudyConfig
from spurion.prompts.study.folder import TOKENIZER, save_planted
from spurion.prompts.study.network import CaptionedNetwork
from spurion.prompts.study.planting import EVERY, IMAGES, TABLE, Planting, plant
from spurion.prompts.study.tokenizer import build_tokenizer

MODEL = "model"

MOST_TOKENS = 77
"""Those of the longest caption, start and end included, as in CLIP."""

LEAST_TOKENS = 16
"""Room for prompts other than the captions."""

MOST_MERGES = 4096
"""So many that every word of the captions is one token."""


@dataclass(frozen=True, eq=False)
class Planted:
    """A trained model and the truth about its prompts.

    Attributes:
        model: The folder of the pipeline.
        table: The file of the prompts.
        planting: The prompts with their images, and what was trained on.
    """

    model: Path
    table: Path
    planting: Planting


def train_planted(
    config: PromptsStudyConfig, out: Path | str, progress: Progress = silent, *, device: str | None = None
) -> Planted:
    """Train the model of a study in a folder, or go on with it; if that is done, nothing is computed.

    Arguments:
        config: The study.
        out: The folder, made if needed.
        progress: Called after every step.
        device: Where to train ("auto", "cpu", "cuda", "mps"); None: as the configuration says.

    Raises:
        ValueError: If the set is too small for the study, the device is not there, the folder holds another
            training's state, the last steps spoilt the weights, or `transformers` is not installed.
        TrainingDiverged: If the loss becomes NaN or infinite.
        OSError: If the folder cannot be written or the disk is full.
    """
    out = Path(out)
    planting = plant(config)
    _write_truth(planting, out)
    training = config.training.model_copy(update={"device": device or config.training.device})
    config = config.model_copy(update={"training": training})
    shape = tuple(planting.images.images.shape[1:])
    execution = choose_execution(
        training.device, training.precision, training.channels_last, training.compile, shape
    )
    identity = _identity(config, planting, execution)
    key = key_of(identity, training)
    if not seal_of(out).is_whole(key):
        _train(config, planting, execution, identity, out, progress)
        seal_of(out).put(out / MODEL, out / LOG, key=key)
    return Planted(out / MODEL, out / TABLE, planting)


def is_planted(out: Path) -> bool:
    """Whether a folder holds a finished training as it was left."""
    return seal_of(out).key is not None and not seal_of(out).damage()


def _train(
    config: PromptsStudyConfig,
    planting: Planting,
    execution: Execution,
    identity: dict[str, Any],
    out: Path,
    progress: Progress,
) -> None:
    images = planting.images.images
    tokenizer = _tokenizer(planting.captions, out / MODEL / TOKENIZER)
    network = CaptionedNetwork(
        config.network, tuple(images.shape[1:]), tokenizer, generator=generator(config.seed, "weights")
    )
    schedule = config.noise.build()
    fresh = NetworkDenoiser(network, schedule, tuple(images.shape[1:]), config.prediction)
    tokens = _tokens(tokenizer, planting.captions)
    batches = CaptionedBatches(
        images[planting.pairs[:, 1]],
        tokens[planting.pairs[:, 0]],
        empty=_tokens(tokenizer, [""])[0],
        schedule=schedule,
        batch_size=config.training.batch_size,
        prediction=config.prediction,
        unconditional=config.unconditional,
        seed=config.seed,
        device=execution.device,
    )
    with execution.reproducible():
        learner = Learner(fresh, config.training, execution, seed=config.seed)
        trained = take_steps(learner, batches, config.training, out, identity, progress)
    save_planted(cast(CaptionedNetwork, trained.network), schedule, config.prediction, out / MODEL)


def _write_truth(planting: Planting, out: Path) -> None:
    """Write tables and images, unless they are there as they were left."""
    content = {
        "images": _digest(planting.images.images),
        "captions": planting.captions,
        "parts": [asdict(part) for part in planting.parts],
        "examined": planting.examined,
    }
    store, key = Store(out, "planting"), hashlib.sha256(json.dumps(content).encode()).hexdigest()
    if not store.is_whole(key):
        store.remove()
        store.put(planting.write(out), out / EVERY, out / IMAGES, key=key)


def _identity(config: PromptsStudyConfig, planting: Planting, execution: Execution) -> dict[str, Any]:
    """What the weights after any step depend on: a state of another identity is not gone on from."""
    return {
        "images": _digest(planting.images.images[planting.pairs[:, 1]]),
        "captions": hashlib.sha256(json.dumps(planting.captions).encode()).hexdigest(),
        "network": config.network.model_dump(mode="json"),
        "noise": config.noise.model_dump(mode="json"),
        "prediction": config.prediction,
        "unconditional": config.unconditional,
        "training": {name: value for name, value in config.training.identity().items() if name != "device"},
        "execution": asdict(execution),
        "seed": config.seed,
    }


def _tokenizer(captions: Sequence[str], folder: Path) -> Any:
    """A tokenizer with room for the longest caption and a little more."""
    found = build_tokenizer(captions, folder, max_length=MOST_TOKENS, merges=MOST_MERGES)
    longest = max(len(tokens) for tokens in found(list(captions))["input_ids"])
    room = min(max(longest, LEAST_TOKENS), MOST_TOKENS)
    return build_tokenizer(captions, folder, max_length=room, merges=MOST_MERGES)


def _tokens(tokenizer: Any, captions: Sequence[str]) -> Int64[Tensor, "n l"]:
    """Captions as pipelines encode them: all of one length, padded or cut."""
    found: Tensor = tokenizer(
        list(captions),
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    ).input_ids
    return found


def _digest(images: Float32[Tensor, "k C H W"]) -> str:
    return hashlib.sha256(images.contiguous().numpy().tobytes()).hexdigest()

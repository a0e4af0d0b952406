"""Where the samples of one model flow, by class, and how many training images it recalls: as it is stored."""

__all__ = [
    "NOT_FOLLOWED",
    "NO_THRESHOLD",
    "FlowConfig",
    "FlowRow",
    "SampleFlow",
    "not_followed",
    "sample_flow",
]

from functools import partial

import torch
from jaxtyping import Float, Int64
from pydantic import Field, model_validator
from torch import Tensor

from spurion.core.config import Config
from spurion.core.progress import Progress, silent
from spurion.core.quantities import Count, Distance, Label, Number, Positive, Size
from spurion.core.random import generator
from spurion.diffusion.denoiser import Denoiser
from spurion.geometry.destinations import DESTINATIONS, Flows, Recall, flows, recall
from spurion.geometry.iterated import NOISE, STEPS
from spurion.neighbors import Distance as ImageDistance
from spurion.phases.classification import CLASSES
from spurion.statistics.intervals import ShareInterval, proportion

NOT_FOLLOWED = "Where samples flow was not measured: "
"""How the note of a model begins at which it could not be."""

NO_THRESHOLD = NOT_FOLLOWED + "without a threshold nothing says what counts as a training image."
"""The note of a model whose samples have no threshold of copies."""

UNCLASSIFIED = "unclassified"
"""The row of samples without classes."""


class FlowConfig(Config):
    """How samples and training images are followed under the iterated denoiser.

    `steps`: how often the posterior mean is taken. `noise`: the noise at which it is, in units of the clean
    data. `samples`, `images`: at most this many samples and training images are followed, drawn at random.
    """

    steps: int = Field(STEPS, ge=1, le=10**6)
    noise: float = Field(NOISE, gt=0, le=1e6)
    samples: int = Field(2000, ge=1)
    images: int = Field(1000, ge=1)


class FlowRow(Config):
    """Where the samples of one class end."""

    training_image: Count = Field(description="At a training image.")
    shared_state: Count = Field(description="In a state that is no training image, with other samples.")
    own_state: Count = Field(description="In a state of their own.")
    failed: Count = Field(description="Nowhere: an answer of the model was not finite.")

    @property
    def followed(self) -> int:
        """How many of them ended somewhere."""
        return self.training_image + self.shared_state + self.own_state


class SampleFlow(Config):
    """Where samples of one model end under its iterated denoiser, and which training images it recalls."""

    noise: Positive = Field(description="The noise sigma_t / alpha_t at which the model is iterated.")
    time: int | Number = Field(description="The time of that noise.")
    steps: Size = Field(description="How often; with more, states that are still on their way may meet.")
    tolerance: Distance = Field(
        description="Half of delta_m as a Euclidean distance of vectors, in the unit of the distance: end "
        "points so far apart are the same."
    )
    images: Count = Field(description="Training images that were followed and did not fail.")
    recalled: Count = Field(description="Those of them that end within the tolerance of themselves.")
    images_failed: Count = 0
    recall: ShareInterval | None = Field(description="Their share with its exact interval.")
    into_training: ShareInterval | None = Field(
        description="Share of samples that flow into a training image, with its exact interval."
    )
    classes: dict[Label, FlowRow] = Field(
        max_length=len(CLASSES), description="Where the samples of each class end."
    )
    basins: Count = Field(description="States that are no training image and that samples share.")
    chains: Count = Field(description="Strings of end points that are not one state, counted apart.")

    @model_validator(mode="after")
    def _of_what_was_followed(self) -> "SampleFlow":
        if self.recalled > self.images:
            raise ValueError(f"`recalled` must be among the {self.images} images, got {self.recalled}")
        if 2 * (self.basins + self.chains) > self.total.shared_state:
            states = f"{self.basins} and {self.chains}"
            raise ValueError(f"`basins` and `chains` must hold at least two samples each, got {states}")
        return self

    @property
    def total(self) -> FlowRow:
        """Where the samples of all classes end."""
        rows = list(self.classes.values())
        names = FlowRow.model_fields
        return FlowRow(**{name: sum(getattr(row, name) for row in rows) for name in names})


def sample_flow(
    denoiser: Denoiser,
    samples: Float[Tensor, "n *shape"],
    labels: Int64[Tensor, " n"] | None,
    train: Float[Tensor, "k *shape"],
    delta: float,
    config: FlowConfig,
    *,
    distance: ImageDistance,
    seed: int,
    progress: Progress = silent,
) -> tuple[SampleFlow, Int64[Tensor, " n"]]:
    """Follow some samples and training images.

    Arguments:
        denoiser: The model.
        samples: The samples, with shape (n, *shape).
        labels: Their classes, or None.
        train: All training images, with shape (k, *shape).
        delta: The distance up to which a sample is called memorized.
        config: How many are followed, and how.
        distance: The distance of that threshold.
        seed: The seed of the choice; nothing else is random.
        progress: Called with the stage and how far it is.

    Returns:
        The result, and where each sample ends: an index into `DESTINATIONS`, -1 for those not followed.

    Raises:
        ValueError: As `recall` and `flows`.
    """
    how = {"distance": distance, "noise": config.noise, "steps": config.steps}
    images = train[_some(len(train), config.images, seed, "images")]
    known = recall(denoiser, images, delta, progress=partial(progress, "recall"), **how)  # type: ignore[arg-type]
    index = _some(len(samples), config.samples, seed, "samples")
    found = flows(
        denoiser,
        samples[index],
        train,
        delta,
        progress=partial(progress, "flow"),
        **how,  # type: ignore[arg-type]
    )
    ends = torch.full((len(samples),), -1)
    ends[index] = found.destination
    return _result(known, found, None if labels is None else labels.cpu()[index]), ends


def _result(known: Recall, found: Flows, labels: Tensor | None) -> SampleFlow:
    images = int((~known.iterated.failed).sum())
    recalled = int(known.recalled.sum())
    groups = {UNCLASSIFIED: torch.ones_like(found.destination, dtype=torch.bool)}
    if labels is not None:
        groups = {name: labels == number for number, name in enumerate(CLASSES)}
    classes = {name: _row(found.destination[members]) for name, members in groups.items()}
    followed = int((~found.iterated.failed).sum())
    arrived = int(found.reach("training image").sum())
    return SampleFlow(
        noise=found.iterated.noise,
        time=found.iterated.time,
        steps=found.iterated.steps,
        tolerance=found.tolerance,
        images=images,
        recalled=recalled,
        images_failed=len(known.recalled) - images,
        recall=proportion(recalled, images) if images else None,
        into_training=proportion(arrived, followed) if followed else None,
        classes=classes,
        basins=found.basins,
        chains=found.chains,
    )


def _row(destination: Tensor) -> FlowRow:
    counts = torch.bincount(destination, minlength=len(DESTINATIONS)).tolist()
    return FlowRow(**{name.replace(" ", "_"): n for name, n in zip(DESTINATIONS, counts, strict=True)})


def not_followed(reason: str) -> str:
    """The note of a model whose samples were not followed."""
    return NOT_FOLLOWED + reason


def _some(available: int, count: int, seed: int, name: str) -> Tensor:
    order = torch.randperm(available, generator=generator(seed, "flow", name))
    return order[:count].sort().values

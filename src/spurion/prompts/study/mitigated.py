"""What mitigation does to the memorized prompts of a study: fewer copies, and what it costs in agreement.

A sample is a copy as elsewhere, within the threshold of its prompt's image. It agrees with its prompt if a
classifier takes it for what the prompt names: logistic regression on the pixels of the trained images, whose
accuracy on the held-out ones is stated with the result.
"""

__all__ = ["NameClassifier", "mitigated"]

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from spurion.core.progress import Progress, silent
from spurion.neighbors import Distance, nearest
from spurion.prompts.config import PromptsConfig
from spurion.prompts.mitigation import calm_source, fewer_words
from spurion.prompts.noises import initial_noises
from spurion.prompts.pipeline import TextPipeline
from spurion.prompts.results import Mitigated
from spurion.prompts.study.planting import Planting
from spurion.prompts.subject import Seeds
from spurion.prompts.walk import walk_down
from spurion.statistics.roc import share_of

HELD_OUT = "held-out"


class NameClassifier:
    """Says what an image shows.

    Arguments:
        planting: Whose trained images it learns from, and whose held-out ones it is tried on.

    Attributes:
        accuracy: The share of held-out images that it names rightly; None without any.
    """

    def __init__(self, planting: Planting) -> None:
        held_out = {*planting.prompts_of(HELD_OUT)}
        known, other = (
            [(i, planting.names[p]) for p, places in enumerate(planting.places) if (p in held_out) == out
             for i in places]
            for out in (False, True)
        )  # fmt: skip
        images = planting.images.images
        self._scaler = StandardScaler()
        self._model = LogisticRegression(max_iter=2000)
        x = self._scaler.fit_transform(_flat(images[[i for i, _ in known]]))
        self._model.fit(x, [name for _, name in known])
        self.accuracy: float | None = None
        if other:
            names = np.array([name for _, name in other])
            self.accuracy = float((self.names(images[[i for i, _ in other]]) == names).mean())

    def names(self, images: Float[Tensor, "n C H W"]) -> np.ndarray:
        """What each image shows."""
        found: np.ndarray = self._model.predict(self._scaler.transform(_flat(images)))
        return found


def mitigated(
    pipeline: TextPipeline,
    planting: Planting,
    prompts: Sequence[int],
    config: PromptsConfig,
    limit: float,
    distance: Distance,
    *,
    progress: Progress = silent,
) -> tuple[tuple[Mitigated, ...], float | None]:
    """Sample prompts as they are, without their heaviest words, and from calm noises.

    Arguments:
        pipeline: The model.
        planting: The truth about it.
        prompts: Which prompts, at least one.
        config: How samples are drawn.
        limit: The distance up to which a sample is a copy.
        distance: Whose distance that is.
        progress: Called after every prompt.

    Returns:
        What each way of sampling gives, and the accuracy of the classifier.
    """
    classifier = NameClassifier(planting)
    seeds = Seeds(
        pipeline.at("", 0.0, config.negative),
        initial_noises(pipeline.shape, config.seeds, config.seed),
        pipeline.walk(config.steps),
    )
    rows: dict[str, list[tuple[Bool[Tensor, " m"], Bool[Tensor, " m"], float]]] = {}
    for done, prompt in enumerate(prompts, start=1):
        own = planting.images.images[list(planting.places[prompt])]
        for name, latents, evaluations in _samples(pipeline, planting.captions[prompt], config, seeds):
            images = pipeline.decode(latents)
            copies = nearest(images, own, distance=distance).distances[:, 0] <= limit
            agree = torch.from_numpy(classifier.names(images) == planting.names[prompt])
            rows.setdefault(name, []).append((copies, agree, evaluations))
        progress(done, len(prompts))
    clusters = [str(prompt) for prompt in prompts for _ in range(config.seeds)]
    found = tuple(
        Mitigated(
            name=name,
            prompts=len(prompts),
            samples=len(clusters),
            own=share_of(torch.cat([copies for copies, _, _ in parts]).numpy(), clusters),
            agreement=share_of(torch.cat([agree for _, agree, _ in parts]).numpy(), clusters),
            evaluations=sum(cost for _, _, cost in parts) / len(clusters),
        )
        for name, parts in rows.items()
    )
    return found, classifier.accuracy


def _samples(
    pipeline: TextPipeline, prompt: str, config: PromptsConfig, seeds: Seeds
) -> Iterator[tuple[str, Tensor, float]]:
    """Each way of sampling: its name, the latents, and the network evaluations that it adds for all."""

    def drawn(text: str, noises: Tensor) -> Tensor:
        denoiser = pipeline.at(text, config.guidance, config.negative)
        return walk_down(denoiser, noises.to(seeds.noises), seeds.walk)

    yield "none", drawn(prompt, seeds.noises), 0.0
    fewer = fewer_words(pipeline, prompt, seeds, config)
    yield "tokens", drawn(fewer.prompt, seeds.noises), fewer.evaluations
    calm = calm_source(pipeline, prompt, config)(range(config.seeds))
    yield "noise", drawn(prompt, calm.noises), calm.evaluations


def _flat(images: Float[Tensor, "n C H W"]) -> np.ndarray:
    return images.flatten(1).double().numpy()

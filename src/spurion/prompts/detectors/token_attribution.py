r"""Which tokens of a prompt pull: the gradient of the first noise difference by their embeddings.

.. math::
    a_i = \big\lVert \nabla_{e_i} \lVert \hat\epsilon_c(x_T; e) - \hat\epsilon_0(x_T) \rVert_2 \big\rVert_2

for token i of the prompt with embedding :math:`e_i`. The value of a seed is the largest of them, for it is
single trigger tokens that memorized prompts hang on; the weight of a token is its mean over seeds. Tokens are
read where they stand in the embedding, behind the text encoder: a place there has seen the tokens before it.

References:
    | Detecting, Explaining, and Mitigating Memorization in Diffusion Models (Wen et al., 2024), Sec. 4
    | https://arxiv.org/abs/2407.21720
"""

__all__ = ["TokenAttribution"]

from typing import final

import torch
from jaxtyping import Float64
from torch import Tensor

from spurion.prompts.counted import CountedDenoiser
from spurion.prompts.detectors.kinds import Detector, Reading, lengths
from spurion.prompts.subject import Subject


@final
class TokenAttribution(Detector):
    """The gradient of the first noise difference by token: a pass and a backward pass a seed."""

    name = "token-attribution"
    unit = "length of noise per length of embedding"
    source = "Wen et al. (2024), Sec. 4"
    higher = True
    published = "shown by example"
    needs = frozenset({"text"})

    def read(self, subject: Subject) -> Reading:
        """Largest weights, and as detail "tokens", those of all tokens; NaN and none for an empty prompt."""
        before = subject.spent
        weights = torch.stack([_weights(subject, seed) for seed in range(len(subject.seeds))])
        evaluations = subject.spent - before
        if not weights.shape[1]:
            return Reading(weights.new_full((len(weights),), torch.nan), evaluations, {"tokens": []})
        return Reading(weights.amax(dim=1), evaluations, {"tokens": weights.mean(dim=0).tolist()})


def _weights(subject: Subject, seed: int) -> Float64[Tensor, " tokens"]:
    """The weights of all tokens for one seed; none asks no model."""
    text = subject.text
    places = torch.tensor(text.places, dtype=torch.long)
    if not len(places):
        return torch.empty(0, dtype=torch.float64)
    here, t = slice(seed, seed + 1), subject.seeds.walk.times[0]
    embedding = text.embedding.detach().clone().requires_grad_()
    with torch.enable_grad():
        counted = CountedDenoiser(text.at(embedding))
        change = counted.epsilon(subject.seeds.noises[here], t) - subject.seeds.first[here]
        subject.spend(counted.items / len(subject.seeds))
        if not bool(change.isfinite().all()):
            return torch.full(places.shape, torch.nan, dtype=torch.float64)
        (gradient,) = torch.autograd.grad(change.norm(), embedding)
        subject.spend(1 / len(subject.seeds))
    return lengths(gradient)[places]

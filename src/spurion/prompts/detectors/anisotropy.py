r"""Length and direction of the prompt's pull on pure noise.

Where the noise is strong the density is nearly the same in all directions, and the length of the pull tells;
where it is weak, its direction does. Both are read at the initial noises :math:`x_T`, the second as if they
were items of a late time :math:`t'`, so that nothing is sampled:

.. math::
    \lVert \Delta(x_T, T) \rVert_2
        + \gamma \cos\big(\hat\epsilon_0(x_T, t'), \Delta(x_T, t')\big), \qquad
    \Delta = \hat\epsilon_c - \hat\epsilon_0,

with :math:`\gamma = 2`, the authors' choice for Stable Diffusion 1.4, and the third time from the end of the
walk as :math:`t'` (the first, if there are fewer than three). The cosine is that of whole items and the same
for noises and scores; the authors' code averages cosines of the channels over all positions. Where a prompt
does not pull at all the cosine is 0. The two parts are given as detail, for :math:`\gamma` depends on the
model and is better fitted to it.

*anisotropy* costs two evaluations a seed, of which the first is that of the noise difference;
*anisotropy-first* reads both parts at the first time and costs that one only.

References:
    | Detecting and Mitigating Memorization in Diffusion Models through Anisotropy of the Log-Probability
      (Asthana & Belagiannis, 2026)
    | https://arxiv.org/abs/2601.20642
"""

__all__ = ["Anisotropy", "AnisotropyFirst"]

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from spurion.prompts.detectors.kinds import Detector, Reading, lengths
from spurion.prompts.subject import Subject

SOURCE = "Asthana & Belagiannis (2026), arXiv 2601.20642"


@final
@dataclass(frozen=True)
class Anisotropy(Detector):
    """The length at the first time and the direction at a late one.

    Arguments:
        weight: The weight gamma of the direction.
    """

    name = "anisotropy"
    unit = "length of noise"
    source = SOURCE
    higher = True
    published = "AUC 0.992-0.999, TPR at 1 % FPR 0.934-0.984 (SD 1.4 and 2.0)"
    weight: float = 2.0

    def read(self, subject: Subject) -> Reading:
        """Weighted sums, with both parts as detail."""
        times = subject.seeds.walk.times
        return _read(subject, times[max(len(times) - 3, 0)], self.weight)


@final
@dataclass(frozen=True)
class AnisotropyFirst(Detector):
    """Length and direction at the first time.

    Arguments:
        weight: The weight gamma of the direction.
    """

    name = "anisotropy-first"
    unit = "length of noise"
    source = f"{SOURCE}, at one time"
    higher = True
    weight: float = 2.0

    def read(self, subject: Subject) -> Reading:
        """Weighted sums, with both parts as detail."""
        return _read(subject, subject.seeds.walk.times[0], self.weight)


def _read(subject: Subject, late: int, weight: float) -> Reading:
    length = lengths(subject.first - subject.seeds.first)
    unconditional = subject.seeds.noise(late)
    direction = _cosine(unconditional, subject.noise(late) - unconditional)
    evaluations = len({late, subject.seeds.walk.times[0]})
    detail = {"length": length.tolist(), "cosine": direction.tolist()}
    return Reading(length + weight * direction, float(evaluations), detail)


def _cosine(a: Float[Tensor, "m *shape"], b: Float[Tensor, "m *shape"]) -> Float64[Tensor, " m"]:
    """The cosine between items, 0 where one of them is."""
    a, b = a.flatten(1).cpu().double(), b.flatten(1).cpu().double()
    size = a.norm(dim=1) * b.norm(dim=1)
    return torch.where(size == 0, 0.0, (a * b).sum(dim=1) / size)

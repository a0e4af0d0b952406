r"""How far one step of denoising goes from pure noise.

The white-box score of Webster: the mean squared difference between the initial noise in units of the clean
data and the posterior mean of one guided step from it,

.. math::
    \frac1D \Big\lVert \frac{x_T}{\alpha_T} - \hat x(x_T, T) \Big\rVert^2
        = \frac{\sigma_T^2}{\alpha_T^2} \frac1D \lVert \hat\epsilon(x_T, T) \rVert^2, \qquad
    \hat\epsilon = \hat\epsilon_0 + g (\hat\epsilon_c - \hat\epsilon_0) .

A prompt that is known by heart is answered with confidence in one step, far from the noise. It is neither the
error against a training image, which is not known here, nor against the finished sample.

References:
    | A Reproducible Extraction of Training Images from Diffusion Models (Webster, 2023)
    | https://arxiv.org/abs/2305.08694
"""

__all__ = ["OneStep"]

from typing import final

from spurion.prompts.detectors.kinds import Detector, Reading, lengths
from spurion.prompts.subject import Subject


@final
class OneStep(Detector):
    """The squared error of one step against the noise it started from: one evaluation a seed."""

    name = "one-step"
    unit = "squared value a coordinate"
    source = "Webster (2023), arXiv 2305.08694"
    higher = True
    published = "ranks captions for extraction (SD 1 and 2); no AUC"

    def read(self, subject: Subject) -> Reading:
        """Mean squared differences."""
        noise, bar = subject.guided(subject.first, subject.seeds.first), subject.seeds.bars[0]
        values = (1 - bar) / bar * lengths(noise).square() / noise[0].numel()
        return Reading(values, 1.0, {})

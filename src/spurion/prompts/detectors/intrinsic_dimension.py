r"""The dimension of what the model draws around its samples of a prompt: few ways to vary, memorized.

FLIPD of the density with the prompt, at a sample x, with :math:`x_t = \alpha_t x`:

.. math::
    m = D + \sigma_t^2 \big(\operatorname{tr} \nabla s_c(x_t, t) + \lVert s_c(x_t, t) \rVert^2\big),

at the time whose noise :math:`\sigma_t / \alpha_t` is nearest to a given one (`spurion.geometry.dimension`).
The trace is exact up to `FULL_DIM` coordinates and Hutchinson's, of 8 probes of signs, beyond.

References:
    | A Geometric Framework for Understanding Memorization in Generative Models (Ross et al., 2025)
    | https://arxiv.org/abs/2411.00113
    | A Geometric View of Data Complexity: FLIPD (Kamkari et al., 2024), Eq. 12
"""

__all__ = ["IntrinsicDimension"]

import math
from dataclasses import dataclass
from typing import final

import torch

from spurion.core.random import generator
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.jacobian import denoise_and_traces, random_signs
from spurion.geometry.dimension import flipd
from spurion.geometry.jacobian import coefficients
from spurion.geometry.spectrum import CUT
from spurion.geometry.stiffness import FULL_DIM
from spurion.prompts.detectors.kinds import Detector, Reading
from spurion.prompts.subject import Subject

PROBES = 8


@final
@dataclass(frozen=True)
class IntrinsicDimension(Detector):
    r"""The local intrinsic dimension at the samples of a prompt.

    Arguments:
        noise: The noise :math:`\sigma_t / \alpha_t` at which it is read, in units of the samples.
        exact: Up to so many coordinates the trace is exact.
    """

    name = "intrinsic-dimension"
    unit = "dimensions"
    source = "Ross et al. (2025), arXiv 2411.00113; Kamkari et al. (2024), Eq. 12"
    higher = False
    published = "lower for memorized images (Stable Diffusion, shown by distributions)"
    needs = frozenset({"path"})
    noise: float = 0.1
    exact: int = FULL_DIM

    def read(self, subject: Subject) -> Reading:
        """Dimensions; NaN where a sample or the model's answer at it is not finite."""
        denoiser = subject.conditional
        t = denoiser.schedule.nearest(self.noise)
        if math.prod(denoiser.shape) <= self.exact:
            found, cost = subject.stiffness(t, CUT)
            return Reading(found.dimension.values, subject.path_cost + cost, {})
        return self._probed(subject, denoiser, t)

    def _probed(self, subject: Subject, denoiser: Denoiser, t: float | int) -> Reading:
        """The trace by probes, which is cheaper than a density where there are many coordinates."""
        samples, before, dim = subject.path.samples, subject.spent, math.prod(denoiser.shape)
        alpha, sigma = coefficients(denoiser.schedule, t)
        finite = samples.flatten(1).isfinite().all(dim=1)
        x_t = alpha * torch.where(finite.view(-1, *[1] * len(denoiser.shape)), samples, 0.0)
        probes = random_signs(PROBES, x_t, generator=generator(0, "flipd"))
        x_hat, traces = denoise_and_traces(denoiser, x_t, t, probes)
        subject.spend(PROBES)
        noise = (x_t - alpha * x_hat).flatten(1).cpu().double()
        values = flipd(dim - alpha * traces.mean(dim=1).cpu(), noise, sigma)
        values = values.masked_fill(~finite.cpu(), torch.nan)
        return Reading(values, subject.path_cost + subject.spent - before, {})

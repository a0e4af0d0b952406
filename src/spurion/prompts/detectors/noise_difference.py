r"""How much a prompt changes the noise that the model sees.

.. math:: d_t = \lVert \hat\epsilon_c(x_t, t) - \hat\epsilon_0(x_t, t) \rVert_2

A memorized prompt draws every initial noise to one image, and the pull is there from the first step on.

References:
    | Detecting, Explaining, and Mitigating Memorization in Diffusion Models (Wen et al., 2024), Sec. 3.3
    | https://arxiv.org/abs/2407.21720
"""

__all__ = ["NoiseDifference", "NoiseDifferenceAll"]

from typing import final

import torch

from spurion.prompts.detectors.kinds import Detector, Reading, lengths
from spurion.prompts.subject import Subject

SOURCE = "Wen et al. (2024), Sec. 3.3"


@final
class NoiseDifference(Detector):
    """The difference at the first step: one evaluation a seed."""

    name = "noise-difference"
    unit = "length of noise"
    source = SOURCE
    higher = True
    published = "AUC 0.962, TPR at 1 % FPR 0.790 (SD 1.5, a replication with 500 + 500 prompts)"

    def read(self, subject: Subject) -> Reading:
        """Differences at the initial noises."""
        return Reading(lengths(subject.first - subject.seeds.first), 1.0, {})


@final
class NoiseDifferenceAll(Detector):
    """The mean difference over all steps of the guided path."""

    name = "noise-difference-all"
    unit = "length of noise"
    source = SOURCE
    higher = True
    published = "AUC up to 0.999, TPR at 1 % FPR near 0.99 (SD 1.4)"
    needs = frozenset({"path"})

    def read(self, subject: Subject) -> Reading:
        """Means over the steps; the differences of each step, averaged over seeds, as detail."""
        path = subject.path
        steps = torch.stack([lengths(change) for change in path.conditional - path.unconditional])
        return Reading(steps.mean(dim=0), float(subject.path_cost), {"step": steps.mean(dim=1).tolist()})

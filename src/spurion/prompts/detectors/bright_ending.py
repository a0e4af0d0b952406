r"""How much the image looks at the end of the prompt when it is almost done.

.. math:: \frac1P \sum_{p=1}^P A_{p, \text{end}}(x_{t_1}, t_1)

with the cross-attention A of the pass with the prompt, averaged over heads and layers, over all P positions,
at the last time :math:`t_1` of the guided path. The end token usually stays dark then; where an image is
repeated it is bright, at those positions that are. The brightest position of each seed is given as detail.

References:
    | Exploring Local Memorization in Diffusion Models via Bright Ending Attention (Chen et al., 2025)
    | https://arxiv.org/abs/2410.21665
"""

__all__ = ["BrightEnding"]

from typing import final

from spurion.prompts.detectors.kinds import Detector, Reading
from spurion.prompts.subject import Subject


@final
class BrightEnding(Detector):
    """The attention to the end token at the last step."""

    name = "bright-ending"
    unit = "share of attention"
    source = "Chen et al. (2025), arXiv 2410.21665"
    higher = True
    published = "as a mask for the noise difference; no figure for it alone"
    needs = frozenset({"path", "attention"})

    def read(self, subject: Subject) -> Reading:
        """Means over positions, from one more pass at the last state."""
        path = subject.path
        end = subject.end_attention(path.states[-1], path.times[-1]).cpu().double()
        return Reading(end.mean(dim=1), subject.path_cost + 1.0, {"brightest": end.amax(dim=1).tolist()})

r"""How much the samples of a prompt differ from seed to seed.

.. math:: \min_{j \ne i} \lVert x^{(i)} - x^{(j)} \rVert_2

of the samples at the end of the guided path. It is near 0 where seeds end in one place, known image or not:
what memorized and spurious prompts have in common, and it needs no training image. Distances are those of the
model's own space (latents of a latent model), by subtraction, so that equal samples have distance 0.
"""

__all__ = ["SeedDiversity"]

from typing import final

import torch

from spurion.prompts.detectors.kinds import Detector, Reading, lengths
from spurion.prompts.subject import Subject


@final
class SeedDiversity(Detector):
    """The distance of each sample to the nearest one of another seed."""

    name = "seed-diversity"
    unit = "length of samples"
    source = "distances between samples of one prompt"
    higher = False
    needs = frozenset({"path"})

    def read(self, subject: Subject) -> Reading:
        """Distances; NaN for a single seed and for a sample that is not finite, which is near to none."""
        samples = subject.path.samples
        distances = torch.stack([lengths(samples - sample) for sample in samples])
        others = distances.nan_to_num(torch.inf).fill_diagonal_(torch.inf).amin(dim=1)
        values = torch.where(others.isfinite(), others, torch.nan)
        return Reading(values, float(subject.path_cost), {})

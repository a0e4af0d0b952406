r"""How stiff the density with the prompt is around its samples.

At a sample x the stiffness :math:`\rho_i` of the directions is read at :math:`\alpha_t x`
(`spurion.geometry.jacobian`), at the time whose noise :math:`\sigma_t / \alpha_t` is nearest to a given one:
1 across the data, near 0 along them. The value is the number of soft directions,

.. math:: n_\text{soft} = \#\{i : \rho_i < 1/2\},

which a memorized prompt has few of; the mean stiffness is given as detail. Up to `FULL_DIM` coordinates
spectra are exact, and what the paper draws, the largest singular value of the score Jacobian, is given too;
beyond, soft directions are counted by stochastic Lanczos quadrature (`spurion.geometry.density`).

References:
    | Memorization to Generalization (Pham et al., 2025), Eq. 35-36, Sec. D.2
"""

__all__ = ["Curvature"]

from dataclasses import dataclass
from typing import final

from spurion.geometry.jacobian import coefficients
from spurion.geometry.spectrum import CUT
from spurion.prompts.detectors.kinds import Detector, Reading
from spurion.prompts.subject import Subject


@final
@dataclass(frozen=True)
class Curvature(Detector):
    r"""The number of soft directions at the samples of a prompt.

    Arguments:
        noise: The noise :math:`\sigma_t / \alpha_t` at which it is read, in units of the samples.
        cut: Directions with less than this stiffness are soft.
    """

    name = "curvature"
    unit = "directions"
    source = "Pham et al. (2025), Sec. D.2, with exact spectra"
    higher = False
    published = "memorized > spurious > generalized in sharpness (SD 1.4, shown by spectra)"
    needs = frozenset({"path"})
    noise: float = 0.1
    cut: float = CUT

    def read(self, subject: Subject) -> Reading:
        """Soft directions, with mean stiffness and largest singular value as detail."""
        t = subject.conditional.schedule.nearest(self.noise)
        found, cost = subject.stiffness(t, self.cut)
        detail = {"mean stiffness": found.mean.values.tolist()}
        if found.spectra is not None:
            sigma = coefficients(subject.conditional.schedule, t)[1]
            detail["largest singular value"] = (found.spectra.singular[:, 0] / sigma**2).tolist()
        return Reading(found.soft_directions.values, subject.path_cost + cost, detail)

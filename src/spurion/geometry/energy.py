r"""Relative energy: how much deeper one state lies than another.

The drift of the reverse process is minus the gradient of a potential,

.. math:: u_t(x) = -g_t^2 \log p_t(x) - \tfrac12 f_t \lVert x \rVert^2, \qquad
          \nabla u_t(x) = -g_t^2 s(x, t) - f_t x ,

with :math:`g_t^2 = \beta_t, f_t = \beta_t / 2` for a discrete variance-preserving schedule and
:math:`g_t^2 = \sigma^2, f_t = 0` for a variance-exploding one. A model knows the gradient alone, so the
difference between a target :math:`x_1` and a reference :math:`x_2` is an integral along a path between them,

.. math:: u(x_2) - u(x_1) = \int \nabla u(x(\alpha)) \cdot \dot x(\alpha) \, d\alpha ,

by default the circular one, :math:`x(\alpha) = \cos\alpha \, x_1 + \sin\alpha \, x_2` with :math:`\alpha`
from 0 to :math:`\pi / 2`. **Sign**: the relative energy is that of the target above the reference,

.. math:: \operatorname{rel}(x_1) = u(x_1) - u(x_2) ,

minus the integral: negative where the target lies deeper.

At step 0 the noise is 0.01, and along a path the score of stored patterns jumps wherever the nearest pattern
changes; any fixed grid may get even the sign wrong. The integral is therefore adaptive and states its error,
which includes what rounding of the posterior mean makes of the score, a few units of the last digit of
:math:`g_t^2 \lVert x \rVert \lVert \dot x \rVert / \sigma_t^2`. It is the error of the integral only: the
score of a network need not be a gradient (compare both paths), and between images it is asked about points
that it was hardly trained on.

References:
    | Memorization to Generalization (Pham et al., 2025), Eq. 37-47
    | Spontaneous symmetry breaking in generative diffusion models (Raya & Ambrogioni, 2023)
"""

__all__ = ["PATHS", "EnergyResult", "RelativeEnergy", "relative_energy"]

import math
from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from spurion.diffusion.denoiser import Denoiser
from spurion.geometry.kinds import Measure
from spurion.geometry.measured import STATUSES, Measured, check_points
from spurion.geometry.quadrature import integrate
from spurion.geometry.setting import Setting

_UNITS = 4  # of the last digit, in the posterior mean of a network

PATHS = ("circular", "straight")
"""How two points are joined."""


@dataclass(frozen=True)
class EnergyResult:
    """Energies of n points relative to r references.

    Attributes:
        value: u(point) - u(reference), NaN where it failed, with shape (n, r).
        error: The stated error of the integral, NaN where it failed, with shape (n, r).
        status: Index into `STATUSES`: "measured"; "undecided" where the error is larger than was asked when
            the evaluations ran out; "failed" where a point, or the model on the path, is not finite; shape
            (n, r).
        evaluations: How many points were denoised in all.
    """

    value: Float64[Tensor, "n r"]
    error: Float64[Tensor, "n r"]
    status: Int64[Tensor, "n r"]
    evaluations: int


@torch.no_grad()
def relative_energy(
    denoiser: Denoiser,
    x: Float[Tensor, "n *shape"],
    references: Float[Tensor, "r ..."],
    *,
    time: float | int | None = None,
    path: str = "circular",
    tolerance: float = 1e-5,
    limit: int = 10_000,
    batch_size: int = 512,
) -> EnergyResult:
    """Energies of points above references.

    Arguments:
        denoiser: The model.
        x: The targets, with shape (n, *shape).
        references: What they are compared with, with shape (r, *shape).
        time: The time of the potential; by default the least of the schedule.
        path: "circular" or "straight". Along an exact gradient both give the same.
        tolerance: The largest stated error, as a share of all the rise and fall of the energy on the path.
        limit: Evaluations for one pair after which it is left undecided.
        batch_size: Points denoised together.

    Raises:
        ValueError: If a shape, the path, `tolerance`, `limit` or `batch_size` is wrong.
    """
    if path not in PATHS:
        raise ValueError(f"`path` must be one of {', '.join(PATHS)}, got {path!r}.")
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1, got {batch_size}.")
    finite = check_points(denoiser, x).cpu().unsqueeze(1)
    finite = finite & check_points(denoiser, references, "references").cpu()
    time = denoiser.schedule.least_time if time is None else time
    slope = _Slope(denoiser, x.nan_to_num(0, 0, 0), references.nan_to_num(0, 0, 0), time, path, batch_size)
    end = math.pi / 2 if path == "circular" else 1.0
    found = integrate(
        slope, finite.numel(), 0.0, end, tolerance=tolerance, noise=slope.noise * end, limit=limit
    )
    status = torch.full(found.value.shape, STATUSES.index("measured"))
    status[~found.converged] = STATUSES.index("undecided")
    failed = ~(finite.flatten() & found.value.isfinite())
    status[failed] = STATUSES.index("failed")
    value, error = ((-found.value).masked_fill(failed, math.nan), found.error.masked_fill(failed, math.nan))
    value, error, status = (each.view(finite.shape) for each in (value, error, status))
    return EnergyResult(value, error, status, int(found.evaluations.sum()))


class _Slope:
    """The derivative of the potential along the path of each pair (target, reference)."""

    def __init__(
        self,
        denoiser: Denoiser,
        x: Tensor,
        references: Tensor,
        time: float | int,
        path: str,
        batch_size: int,
    ) -> None:
        self._denoiser, self._time, self._path, self._batch_size = denoiser, time, path, batch_size
        self._x = x.to(denoiser.device).double()
        self._references = references.to(denoiser.device).double()
        self._of_score, self._of_x = denoiser.schedule.drift(time)
        self.noise = self._rounding()

    def _rounding(self) -> Tensor:
        """A bound of what rounding of the posterior mean adds to the derivative, for each pair."""
        sigma = float(self._denoiser.schedule.sigma(torch.tensor(self._time)))
        factor = _UNITS * torch.finfo(self._denoiser.dtype).eps * self._of_score / sigma**2
        size = self._x.flatten(1).norm(dim=1).unsqueeze(1) + self._references.flatten(1).norm(dim=1)
        answer: Tensor = (
            factor * size.square().flatten().cpu()
        )  # neither the point nor the velocity is longer
        return answer

    def __call__(self, pair: Tensor, place: Tensor) -> Tensor:
        """Derivatives of given pairs at given places."""
        batches = zip(pair.split(self._batch_size), place.split(self._batch_size), strict=True)
        return torch.cat([self._batch(*batch) for batch in batches])

    def _batch(self, pair: Tensor, place: Tensor) -> Tensor:
        target, reference = pair // len(self._references), pair % len(self._references)
        first, last = self._x[target], self._references[reference]
        place = place.view(-1, *[1] * (first.ndim - 1)).to(first.device)
        if self._path == "circular":
            x, velocity = place.cos() * first + place.sin() * last, place.cos() * last - place.sin() * first
        else:
            x, velocity = first + place * (last - first), last - first
        score = self._denoiser.score(x.to(self._denoiser.dtype), self._time).double()
        gradient = -self._of_score * score - self._of_x * x
        return (gradient * velocity).flatten(1).sum(dim=1).cpu()


@final
@dataclass(frozen=True, eq=False)
class RelativeEnergy(Measure):
    """Energy of a point above the mean energy of references.

    Arguments:
        references: The references, with shape (r, *shape); by default the image of zeros, mid-gray.
        time: The time of the potential; by default the least of the schedule.
        path: "circular" or "straight".
    """

    name = "relative-energy"
    unit = "potential u, relative to the references"
    source = "Eq. 44-47"
    descending = False
    costly = True
    section = "energy"
    unsupported = (
        (
            "A depth from the relative energy alone",
            "It is an integral of the score along a path between two images. Between images the network is "
            "asked about points it was hardly trained on, and its score need not be a gradient; the "
            "log-density, which knows no path, is the check.",
        ),
    )

    references: Float[Tensor, "r *shape"] | None = None
    time: float | int | None = None
    path: str = "circular"

    def __call__(
        self, denoiser: Denoiser, x: Float[Tensor, "n *shape"], *, generator: torch.Generator
    ) -> Measured:
        """Measure every point; nothing here is random. A point fails with any of its references."""
        references = torch.zeros(1, *denoiser.shape) if self.references is None else self.references
        found = relative_energy(denoiser, x, references, time=self.time, path=self.path)
        status = found.status.max(dim=1).values  # of those that occur, later ones are worse
        values = found.value.mean(dim=1)
        return Measured(values.masked_fill(status != STATUSES.index("measured"), math.nan), status)

    def under(self, setting: Setting) -> "RelativeEnergy":
        """Relative to the references of a setting."""
        return replace(self, references=setting.references)

    def caution(self, found: Measured, dim: int) -> str:
        """What the values refer to, where no references were given."""
        if self.references is not None:
            return ""
        return "Relative energies refer to the mid-gray image, for no training images were given."

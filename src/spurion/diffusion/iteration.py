r"""Minima of the energy of any model at one noise level.

For a variance-exploding process with energy :math:`E = -2\sigma^2 t \log p_t`,

.. math:: \nabla E = 2 (x - \hat x), \qquad \nabla^2 E = 2 (I - J), \qquad J = \partial \hat x / \partial x,

so that :math:`x \leftarrow \hat x(x, t)` is descent with step 1/2, and the minima are the fixed points at
which no eigenvalue of the Hessian is negative. A learned :math:`\hat x` is not exactly a gradient; its
symmetric part stands for the Hessian, and nothing promises that the iteration ends. Therefore every start
goes through

1. fixed-point steps until it hardly moves;
2. Newton steps on :math:`\hat x - x = 0`, cut to a trust radius and kept where they bring the two closer;
3. where it then rests on a saddle, a push to both sides along the softest direction, and again from 1.

References:
    | Memorization to Generalization (Pham et al., 2025), Sec. 3
    | Mean shift, mode seeking, and clustering (Cheng, 1995)
"""

__all__ = ["FixedPoints", "fixed_points"]

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.jacobian import denoise_and_jacobian
from spurion.diffusion.schedule import VESchedule

REST = {torch.float32: 1e-5, torch.float64: 1e-10}  # of the noise: a shift that counts as 0
NEWTON_STEPS = 30
PUSHES = 3
PUSH = 0.05  # of the noise


@dataclass(frozen=True)
class FixedPoints:
    """The minima of a model's energy, those with the most starts first; m of them.

    Attributes:
        points: The minima, in the denoiser's dtype, with shape (m, *shape).
        score: The norm of the score there, with shape (m).
        eigenvalues: The spectra of the symmetric part of the Hessian of the energy, smallest first, with
            shape (m, D).
        hits: How many starts ended there, with shape (m).
        unconverged: How many starts did not come to rest at a minimum.
    """

    points: Float[Tensor, "m *shape"]
    score: Float[Tensor, " m"]
    eigenvalues: Float[Tensor, "m D"]
    hits: Int[Tensor, " m"]
    unconverged: int

    def __len__(self) -> int:
        return len(self.points)


def fixed_points(
    denoiser: Denoiser,
    t: float,
    starts: Float[Tensor, "n *shape"],
    *,
    steps: int = 500,
    merge: float = 1e-3,
) -> FixedPoints:
    """Descend from each start and gather the minima that are reached.

    Arguments:
        denoiser: The model, with a `VESchedule`.
        t: The time, in (0, 1].
        starts: The states to start from, finite, with shape (n, *shape).
        steps: The largest number of fixed-point steps of one descent.
        merge: The distance, in units of the noise, within which two states are the same minimum.

    Raises:
        ValueError: If an argument is out of range, or the schedule is no `VESchedule`.

    Example:
        >>> from spurion.diffusion.denoisers.exact import ExactDenoiser
        >>> two = ExactDenoiser(torch.tensor([[-1.0], [1.0]]).double(), VESchedule())
        >>> found = fixed_points(two, 0.5, torch.tensor([[-0.3], [0.1], [0.2]]).double())
        >>> found.points.abs(), found.hits  # x = tanh(2 x)
        (tensor([[0.9575],
                [0.9575]], dtype=torch.float64), tensor([2, 1]))
    """
    width = _check(denoiser, t, starts, steps, merge)
    x = starts.detach().to(denoiser.device, denoiser.dtype)
    search = _Descent(denoiser, t, width, steps)
    ends, origin = search.run(x)
    points = _distinct(ends, merge * width)
    hits = _hits(ends, origin, points)
    order = hits.argsort(descending=True, stable=True)
    points = points[order]
    x_hat, eigenvalues = search.spectrum(points)
    score = (x_hat - points).flatten(1).norm(dim=1) / width**2
    return FixedPoints(points, score, eigenvalues, hits[order], len(x) - int(hits.sum()))


class _Descent:
    """Descents of many states at one noise level."""

    def __init__(self, denoiser: Denoiser, t: float, width: float, steps: int) -> None:
        self._denoiser, self._t, self._width, self._steps = denoiser, t, width, steps
        self._rest = REST[denoiser.dtype] * width

    def run(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The minima that were reached, and the start of each."""
        origin = torch.arange(len(x))
        kept, sources = [x[:0]], [origin[:0]]
        for _ in range(PUSHES + 1):
            x, shift = self._newton(self._iterate(x))
            still = shift <= self._rest
            x, origin = x[still], origin[still.cpu()]
            if not len(x):
                break
            lowest, softest = self._softest(x)
            minimum = lowest > 0
            kept.append(x[minimum])
            sources.append(origin[minimum.cpu()])
            push = PUSH * self._width * softest[~minimum].view(-1, *x.shape[1:])
            x, origin = torch.cat([x[~minimum] + push, x[~minimum] - push]), origin[~minimum.cpu()].repeat(2)
            if not len(x):
                break
        return torch.cat(kept), torch.cat(sources)

    def spectrum(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior mean, and the eigenvalues of the symmetric part of the Hessian, smallest first."""
        if not len(x):
            return x, x.new_zeros(0, math.prod(self._denoiser.shape))
        x_hat, hessian = self._hessian(x)
        return x_hat, torch.linalg.eigvalsh(hessian)

    def _softest(self, x: Tensor) -> tuple[Tensor, Tensor]:
        values, vectors = torch.linalg.eigh(self._hessian(x)[1])
        return values[:, 0], vectors[:, :, 0]

    def _hessian(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x_hat, jacobian = denoise_and_jacobian(self._denoiser, x, self._t)
        identity = torch.eye(jacobian.shape[-1], dtype=x.dtype, device=x.device)
        return x_hat, 2 * identity - jacobian - jacobian.mT

    @torch.no_grad()
    def _iterate(self, x: Tensor) -> Tensor:
        """Fixed-point steps; returns of each state the one that would have moved least."""
        best, x = x.clone(), x.clone()
        least = torch.full((len(x),), math.inf, dtype=x.dtype, device=x.device)
        rows = torch.arange(len(x), device=x.device)
        for _ in range(self._steps):
            x_hat = self._denoiser(x[rows], self._t)
            moved = (x_hat - x[rows]).flatten(1).norm(dim=1)
            nearer = moved < least[rows]
            best[rows[nearer]], least[rows[nearer]] = x[rows[nearer]], moved[nearer]
            x[rows] = x_hat
            rows = rows[(moved > self._rest) & x_hat.flatten(1).isfinite().all(1)]
            if not len(rows):
                break
        return best

    def _newton(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Polish; returns the states and how far the fixed-point map still moves each."""
        x = x.clone()
        radius = torch.full((len(x),), 0.5 * self._width, dtype=x.dtype, device=x.device)
        for _ in range(NEWTON_STEPS):
            x_hat, jacobian = denoise_and_jacobian(self._denoiser, x, self._t)
            shift = (x_hat - x).flatten(1)
            identity = torch.eye(shift.shape[1], dtype=x.dtype, device=x.device)
            step = torch.linalg.lstsq(identity - jacobian, shift.unsqueeze(2)).solution.squeeze(2)
            step *= (radius / step.norm(dim=1)).clamp(max=1).nan_to_num(0).unsqueeze(1)
            tried = x + step.view_as(x)
            with torch.no_grad():
                left = (self._denoiser(tried, self._t) - tried).flatten(1).norm(dim=1)
            better = left < shift.norm(dim=1)
            if not better.any():
                break
            x[better] = tried[better]
            radius[~better] /= 4
        with torch.no_grad():
            return x, (self._denoiser(x, self._t) - x).flatten(1).norm(dim=1)


def _hits(ends: Tensor, origin: Tensor, points: Tensor) -> Tensor:
    """How many starts ended at each point; one that was pushed off a saddle to two counts for the first."""
    if not len(points):
        return torch.zeros(0, dtype=torch.long)
    pair = ends.flatten(1).double(), points.flatten(1).double()
    nearest = torch.cdist(*pair, compute_mode="donot_use_mm_for_euclid_dist").argmin(1)
    first: dict[int, int] = {}
    for start, minimum in zip(origin.tolist(), nearest.tolist(), strict=True):
        first.setdefault(start, minimum)
    return torch.bincount(torch.tensor(list(first.values())), minlength=len(points))


def _distinct(states: Tensor, radius: float) -> Tensor:
    """One of each group of states closer than `radius` to it."""
    kept = [states[:0]]
    while len(states):
        kept.append(states[:1])
        states = states[(states - states[0]).flatten(1).norm(dim=1) > radius]
    return torch.cat(kept)


def _check(denoiser: Denoiser, t: float, starts: Tensor, steps: int, merge: float) -> float:
    """Check the arguments; the standard deviation of the noise."""
    if not isinstance(denoiser.schedule, VESchedule):
        raise ValueError(
            "`denoiser` must have a VESchedule to have an energy of its noisy items, got "
            f"{type(denoiser.schedule).__name__}."
        )
    if not 0 < t <= 1:
        raise ValueError(f"`t` must lie in (0, 1], got {t}.")
    if not len(starts) or tuple(starts.shape[1:]) != tuple(denoiser.shape):
        wanted = ", ".join(map(str, denoiser.shape))
        raise ValueError(
            f"`starts` must have shape (n, {wanted}) with n at least 1, got {tuple(starts.shape)}."
        )
    if not bool(starts.isfinite().all()):
        raise ValueError("`starts` must be finite, got NaN or infinity.")
    if steps < 1:
        raise ValueError(f"`steps` must be at least 1, got {steps}.")
    if not merge > 0:
        raise ValueError(f"`merge` must be positive, got {merge}.")
    return denoiser.schedule.scale * math.sqrt(t)

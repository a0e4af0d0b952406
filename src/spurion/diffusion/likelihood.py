r"""Log-density of a noisy item under any model, by the probability-flow equation.

In the coordinates :math:`y = x_t / \alpha_t` with noise-to-signal ratio :math:`r = \sigma_t / \alpha_t` all
schedules are one process, whose density :math:`q_r` is carried along by

.. math::
    \frac{dy}{d \log r} = y - \hat x(\alpha_t y, t), \qquad
    \log q_{r}(y) = \log q_{R}(y(R)) + \int_{\log r}^{\log R}
    \Big( D - \operatorname{tr} \frac{\partial \hat x}{\partial y} \Big) d \log r,

so that :math:`\log p_t(x) = \log q_r(x / \alpha_t) - D \log \alpha_t`. The noisiest time has r = R; there the
density must be known, the `Prior`. For a variance-exploding process on :math:`t \in (0, 1]` it is **not** the
normal distribution of the noise, as in the authors' code: the data are still there at t = 1, so that the
right one is the density of the patterns with that noise (`mixture_prior`). On a DDPM schedule the standard
normal distribution is nearly right, and the stated error says how nearly (`spurion.diffusion.mismatch`).

- Variance exploding: time is continuous; scipy's DOP853 with step size control, to a `tolerance`.
- DDPM: networks know integer steps only. The equation is solved on some of them, evenly spaced in log r as
  far as there are as many, by Heun's method for :math:`dy / dr = (y - \hat x) / r`, the form in which noise
  and signal do not mix, and the trapezoidal rule for the trace. Both are of second order; the same on every
  other step gives the leading error, which is subtracted (Richardson).

The trace is exact (D backward passes, all items together) or Hutchinson's estimate
:math:`\frac1m \sum v^\top \frac{\partial \hat x}{\partial y} v` with random signs v, the same along the path.

References:
    | Memorization to Generalization (Pham et al., 2025), Eq. 24-33
    | Score-Based Generative Modeling through Stochastic Differential Equations (Song et al., 2021), App. D.2
    | A stochastic estimator of the trace of the influence matrix (Hutchinson, 1990)
"""

__all__ = ["LogDensity", "energy", "log_density", "mixture_prior", "normal_prior"]

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.integrate import solve_ivp
from torch import Tensor

from spurion.core.arguments import check_choice
from spurion.core.progress import Progress, silent
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.jacobian import denoise_and_traces, probe_error, random_signs
from spurion.diffusion.mismatch import Moments, moments, prior_mismatch
from spurion.diffusion.priors import NormalPrior, Prior, mixture_prior, normal_prior
from spurion.diffusion.schedule import Schedule

TOLERANCE = 1e-5
STEPS = 100


class LogDensity(NamedTuple):
    """Log-densities and what they cost.

    Attributes:
        value: The log-densities in nats, float64, with shape (n); NaN where the solution failed.
        error: For DDPM, how far the values may be off: the size of the correction that came from halving the
            number of steps, as a rule more than the error that is left, plus half of the 95 % interval of the
            mean over probes, where there are any (NaN for one), plus how far a `NormalPrior` may be from what
            is left of the data at the last step. NaN in continuous time. With shape (n).
        calls: The number of denoiser calls, each for all items of a batch; not those that judge the prior.
        traces: How many of them took the trace, each with D backward passes, or one for each probe.
    """

    value: Float[Tensor, " n"]
    error: Float[Tensor, " n"]
    calls: int
    traces: int


def log_density(
    denoiser: Denoiser,
    x: Float[Tensor, "n *shape"],
    t: float | int,
    *,
    prior: Prior,
    divergence: str = "exact",
    probes: int = 8,
    generator: torch.Generator | None = None,
    tolerance: float | None = None,
    steps: int | None = None,
    batch_size: int = 1024,
    progress: Progress = silent,
) -> LogDensity:
    """Log-density of noisy items at one time.

    Arguments:
        denoiser: The model, with a `DDPMSchedule` or a `VESchedule`.
        x: Items noisy as at time `t`, finite, with shape (n, *shape).
        t: Their time: in (0, 1], or a step in 0..T-1. Exact denoisers of few patterns are stiff below 1e-3.
        prior: The log-density at the noisiest time; see `spurion.diffusion.priors`.
        divergence: "exact", or "hutchinson" for the estimate by probes.
        probes: The number of probes of the estimate, at least 1.
        generator: Draws the probes; needed for the estimate.
        tolerance: The tolerance of one step of the solution in continuous time, relative and absolute, for
            every item; 1e-5 if not given.
        steps: The number of intervals on the DDPM schedule, at least 1; 100 if not given. It costs two calls
            for each, and half as many again for the error.
        batch_size: Items solved together.
        progress: Called with the number of items done after every batch.

    Raises:
        ValueError: If an argument is out of range or does not fit the schedule.
    """
    _check(denoiser, x, t, divergence, probes, generator, tolerance, steps, batch_size)
    x = x.detach().to(denoiser.device)
    vectors = None
    if divergence == "hutchinson" and generator is not None:
        vectors = random_signs(probes, x.to(denoiser.dtype), generator=generator)
    data = moments(denoiser) if denoiser.schedule.discrete and isinstance(prior, NormalPrior) else None
    results = []
    for start in range(0, len(x), batch_size):
        rows = slice(start, start + batch_size)
        model = _Model(denoiser, None if vectors is None else vectors[:, rows])
        if denoiser.schedule.discrete:
            results.append(_on_grid(model, x[rows], int(t), prior, data, steps or STEPS))
        else:
            results.append(_continuous(model, x[rows], float(t), prior, tolerance or TOLERANCE))
        progress(min(start + batch_size, len(x)), len(x))
    value, error, calls, traces = zip(*results, strict=True)
    return LogDensity(torch.cat(value), torch.cat(error), sum(calls), sum(traces))


def energy(log_density: Float[Tensor, " n"], schedule: Schedule, t: float | int) -> Float[Tensor, " n"]:
    r"""Energy :math:`-2 (\sigma_t / \alpha_t)^2 \log p_t`, in squared distance, up to a constant.

    For a variance-exploding process this is :math:`-2 \sigma^2 t \log p_t`.

    Arguments:
        log_density: The log-densities in nats, with shape (n).
        schedule: The noise schedule.
        t: The time.

    Example:
        >>> from spurion.diffusion.schedule import VESchedule
        >>> energy(torch.tensor([-1.0, -2.0]), VESchedule(), 0.25)
        tensor([0.5000, 1.0000])
    """
    time = torch.as_tensor(t)
    return -2 * float(schedule.sigma(time) / schedule.alpha(time)) ** 2 * log_density


class _Model:
    """The model in the coordinates y = x_t / alpha_t, float64, with its calls counted."""

    def __init__(self, denoiser: Denoiser, probes: Tensor | None) -> None:
        self._denoiser, self._probes = denoiser, probes
        self.calls = self.traces = 0

    def coefficients(self, t: float | int) -> tuple[float, float]:
        """Alpha and the noise-to-signal ratio r."""
        time = torch.as_tensor(t, dtype=torch.float64 if isinstance(t, float) else None)
        alpha = float(self._denoiser.schedule.alpha(time))
        return alpha, float(self._denoiser.schedule.sigma(time)) / alpha

    def x_hat(self, y: Tensor, t: float | int) -> Tensor:
        self.calls += 1
        x_t, lost = self._noisy(y, t)
        with torch.no_grad():
            return self._denoiser(x_t, t).to(y).masked_fill(lost, math.nan)

    def x_hat_and_trace(self, y: Tensor, t: float | int) -> tuple[Tensor, Tensor]:
        """Posterior mean, and the traces of its derivative by y, one for each probe, with shape (n, m)."""
        self.calls += 1
        self.traces += 1
        alpha, _ = self.coefficients(t)
        x_t, lost = self._noisy(y, t)
        x_hat, traces = denoise_and_traces(self._denoiser, x_t, t, self._probes)
        return x_hat.to(y).masked_fill(lost, math.nan), alpha * traces.to(y)

    def _noisy(self, y: Tensor, t: float | int) -> tuple[Tensor, Tensor]:
        """Items for the denoiser, those that are no longer finite replaced by zeros; and which these are."""
        alpha, _ = self.coefficients(t)
        lost = ~y.flatten(1).isfinite().all(1).view(-1, *[1] * (y.ndim - 1))
        return (alpha * y.masked_fill(lost, 0)).to(self._denoiser.dtype), lost

    def scatter(self, values: Tensor) -> Tensor:
        """The error of the mean over probes, 0 where the trace is exact, with shape (n,)."""
        return torch.zeros_like(values[:, 0]) if self._probes is None else probe_error(values)

    @property
    def schedule(self) -> Schedule:
        return self._denoiser.schedule


def _continuous(
    model: _Model, x: Tensor, t: float, prior: Prior, tolerance: float
) -> tuple[Tensor, Tensor, int, int]:
    """Solve from t to 1 with step size control; items that become infinite are frozen and end as NaN."""
    n, dim = len(x), x[0].numel()
    failed = torch.zeros(n, dtype=torch.bool, device=x.device)

    def slope(log_r: float, state: np.ndarray) -> np.ndarray:
        y = torch.from_numpy(state[: n * dim]).view(x.shape).to(x.device)
        time = min(1.0, math.exp(2 * (log_r - ends[1])))
        x_hat, traces = model.x_hat_and_trace(y.masked_fill(failed.view(-1, *[1] * (x.ndim - 1)), 0), time)
        both = torch.cat([(y - x_hat).flatten(1), dim - traces.mean(dim=1, keepdim=True)], dim=1)
        failed.logical_or_(~both.isfinite().all(1))
        both[failed] = 0
        return torch.cat([both[:, :dim].flatten(), both[:, dim]]).cpu().numpy()

    ends = [math.log(model.coefficients(time)[1]) for time in (t, 1.0)]
    start = torch.cat([x.double().flatten(), x.new_zeros(n, dtype=torch.float64)]).cpu().numpy()
    # scipy bounds the root mean square over all items; divided by sqrt(n) that bounds every one.
    bound = max(tolerance / math.sqrt(n), 1e-13)
    solved = solve_ivp(slope, ends, start, method="DOP853", rtol=bound, atol=bound)
    value = torch.full((n,), math.nan, dtype=torch.float64, device=x.device)
    if solved.success:
        state = torch.from_numpy(solved.y[:, -1]).to(x.device)
        y, gained = state[: n * dim].view(x.shape), state[n * dim :]
        value = torch.where(failed, math.nan, prior(y) + gained)
    return value, torch.full_like(value, math.nan), model.calls, model.traces


def _on_grid(
    model: _Model, x: Tensor, t: int, prior: Prior, data: Moments | None, steps: int
) -> tuple[Tensor, Tensor, int, int]:
    """Solve from step t to the last on a grid of steps, and on every other one for the error."""
    nodes = _nodes(model, t, steps)
    fine, end = _heun(model, x, nodes, prior)
    coarse, _ = _heun(model, x, [*nodes[:-1:2], nodes[-1]], prior)
    correction = (fine - coarse) / 3
    values = fine + correction
    error = correction.mean(dim=1).abs() + model.scatter(values)
    if data is not None:
        error += prior_mismatch(data, prior, end, model.schedule)
    return values.mean(dim=1), error, model.calls, model.traces


def _heun(model: _Model, x: Tensor, nodes: list[int], prior: Prior) -> tuple[Tensor, Tensor]:
    """One value for each item and probe, with shape (n, m); and the items at the last node."""
    alpha, r = model.coefficients(nodes[0])
    dim = x[0].numel()
    y = x.double() / alpha
    x_hat, trace = model.x_hat_and_trace(y, nodes[0])
    value = torch.full_like(trace, -dim * math.log(alpha))
    for t in nodes[1:]:
        alpha, ratio = model.coefficients(t)
        slope = (y - x_hat) / r
        guess = y + (ratio - r) * slope
        slope = (slope + (guess - model.x_hat(guess, t)) / ratio) / 2
        y = y + (ratio - r) * slope
        x_hat, further = model.x_hat_and_trace(y, t)
        value += math.log(ratio / r) * (dim - (trace + further) / 2)
        r, trace = ratio, further
    lost = ~y.flatten(1).isfinite().all(1)
    end = alpha * y.masked_fill(lost.view(-1, *[1] * (x.ndim - 1)), 0)
    value += (prior(end) + dim * math.log(alpha)).unsqueeze(1)
    return torch.where(value.isfinite() & ~lost.unsqueeze(1), value, math.nan), end


def _nodes(model: _Model, t: int, steps: int) -> list[int]:
    """Increasing integer steps from `t` to the last, as evenly spaced in log r as they can be."""
    times = torch.arange(t, int(model.schedule.last_time) + 1)
    log_r = (model.schedule.sigma(times) / model.schedule.alpha(times)).log()
    wanted = torch.linspace(float(log_r[0]), float(log_r[-1]), steps + 1, dtype=torch.float64)
    nearest = (log_r[:, None] - wanted).abs().argmin(0)
    return times[nearest.unique()].tolist()


def _check(
    denoiser: Denoiser,
    x: Tensor,
    t: float | int,
    divergence: str,
    probes: int,
    generator: torch.Generator | None,
    tolerance: float | None,
    steps: int | None,
    batch_size: int,
) -> None:
    discrete, last = denoiser.schedule.discrete, denoiser.schedule.last_time
    if tuple(x.shape[1:]) != tuple(denoiser.shape) or not len(x):
        wanted = ", ".join(map(str, denoiser.shape))
        raise ValueError(f"`x` must have shape (n, {wanted}) with n at least 1, got {tuple(x.shape)}.")
    if not bool(x.isfinite().all()):
        raise ValueError("`x` must be finite, got NaN or infinity.")
    if discrete and not (isinstance(t, int) and 0 <= t <= last):
        raise ValueError(f"`t` must be a step in 0..{last}, got {t}.")
    if not discrete and not 0 < t <= 1:
        raise ValueError(f"`t` must lie in (0, 1], got {t}.")
    check_choice("divergence", divergence, ("exact", "hutchinson"))
    if divergence == "hutchinson" and generator is None:
        raise ValueError("`generator` is needed for the probes of hutchinson, got None.")
    for name, value in (("probes", probes), ("batch_size", batch_size), ("steps", steps)):
        if value is not None and value < 1:
            raise ValueError(f"`{name}` must be at least 1, got {value}.")
    if tolerance is not None and not tolerance > 0:
        raise ValueError(f"`tolerance` must be positive, got {tolerance}.")
    unused, kind = ("tolerance", tolerance) if discrete else ("steps", steps)
    if kind is not None:
        raise ValueError(f"`{unused}` has no meaning for a {type(denoiser.schedule).__name__}; leave it out.")

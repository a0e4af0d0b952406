r"""Critical noise: how much noise a state survives.

A point :math:`x` is noised to time t with M draws of noise, :math:`x_t = \alpha_t x + \sigma_t \epsilon_i`,
and the probability flow is followed back from each. A draw *recovers* the point if it ends within a tolerance
of it. The critical time :math:`t_c` is the last level of a ladder before the first one where the share of
recovering draws is below :math:`p_\text{min}`; the critical noise is :math:`\sigma_{t_c}`. The radius of the
basin is that of the perturbation that was recovered,

.. math::
    R = \frac1M \sum_i \lVert x - x_{t_i} \rVert_2, \qquad t_i = \min(t_c, \text{critical time of draw } i),

with the very noise that was recovered from (0 for a draw that is never recovered). All levels see the same
noise, so that recovery is monotone up to the error of the flow, and `bisect` finds what a scan finds; see
:mod:`spurion.geometry.search`. The noise of a point is a function of the seed and the point's own values: no
answer depends on the other points, nor on their order.

For two patterns at distance d, x one of them, and the exact posterior mean, the share of recovering draws is
:math:`\Phi(d / 2s)` at the noise :math:`s = \sigma_t / \alpha_t`; at :math:`p_\text{min} = 0.9` it gives
:math:`s_c = d / 2.563`.

References:
    | Memorization to Generalization (Pham et al., 2025), Algorithm 1 and Eq. 12
"""

__all__ = ["BasinMeasure", "CriticalNoise", "basins"]

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor

from spurion.diffusion.denoiser import Denoiser
from spurion.geometry.basin import BasinConfig, BasinResult
from spurion.geometry.kinds import Measure
from spurion.geometry.levels import check_levels
from spurion.geometry.measured import STATUSES, Measured, check_points
from spurion.geometry.search import Found, bisect, scan
from spurion.geometry.setting import Setting
from spurion.geometry.trials import Trials
from spurion.neighbors import Distance
from spurion.neighbors.distances.distance import subtracted
from spurion.neighbors.distances.l2 import L2

_NUMBERS_AT_ONCE = 1 << 24


@torch.no_grad()
def basins(
    denoiser: Denoiser,
    x: Float[Tensor, "n *shape"],
    tolerance: float,
    config: BasinConfig | None = None,
    *,
    seed: int,
    distance: Distance | None = None,
    times: Num[Tensor, " L"] | None = None,
) -> BasinResult:
    """Find the critical noise of each point.

    Arguments:
        denoiser: The model.
        x: Clean points, with shape (n, *shape).
        tolerance: The distance up to which a point counts as recovered; the threshold of duplicates, if
            recovered is to mean the same as duplicate. Not negative, in the unit of the distance.
        config: How to search.
        seed: The seed of all noise.
        distance: The distance, by default Euclidean.
        times: The ladder, increasing; by default the `ladder` of the model's schedule.

    Raises:
        ValueError: If `x` does not have the model's shape, `tolerance` is not a distance, `times` no ladder,
            or most points lie where clipped posterior means cannot come back to them.
    """
    config, distance = config or BasinConfig(), distance or L2()
    finite = check_points(denoiser, x)
    if not (tolerance >= 0 and math.isfinite(tolerance)):
        raise ValueError(f"`tolerance` must be a distance of at least 0, got {tolerance}.")
    beyond = _beyond(x, finite, tolerance, config, distance)
    times = denoiser.schedule.ladder(config.levels) if times is None else times.cpu()
    check_levels(denoiser.schedule, times)
    parts, evaluations = [], 0
    for rows in torch.arange(len(x)).split(max(1, _NUMBERS_AT_ONCE // (config.draws * x[0].numel()))):
        trials = Trials(denoiser, x[rows], tolerance, config, distance, times, finite[rows].cpu(), seed)
        parts.append(_search(trials, config, len(times)))
        evaluations += trials.evaluations
    critical, own, status, monotone, radius = (torch.cat(values) for values in zip(*parts, strict=True))
    status[beyond & (status != STATUSES.index("failed"))] = STATUSES.index("undecided")
    return BasinResult(
        times=times,
        sigmas=denoiser.schedule.sigma(times),
        critical=critical,
        draws=own,
        status=status,
        monotone=monotone,
        radius=radius,
        dim=x[0].numel(),
        complete=config.every_draw,
        evaluations=evaluations,
    )


def _beyond(
    x: Tensor, finite: Tensor, tolerance: float, config: BasinConfig, distance: Distance
) -> Bool[Tensor, " n"]:
    """Points farther from the range of clipped posterior means than the tolerance: no flow ends near them."""
    outside = finite & (x.flatten(1).abs().amax(dim=1) > 1) & config.clip
    beyond = outside.cpu().clone()
    if not bool(beyond.any()):
        return beyond
    points = x[outside]
    apart = subtracted(distance.embed(points.clamp(-1, 1)), distance.embed(points))
    beyond[outside.cpu()] = (distance.value(apart) > tolerance).cpu()
    if 2 * int(beyond.sum()) > int(finite.sum()):
        raise ValueError(
            f"`x` must lie in [-1, 1], to which posterior means are clipped, but {int(beyond.sum())} of "
            f"{int(finite.sum())} points lie beyond it by more than the tolerance, up to "
            f"{float(points.abs().max()):.4g}; for data of another range use `BasinConfig(clip=False)`."
        )
    return beyond


def _search(
    trials: Trials, config: BasinConfig, levels: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Critical levels, own levels, statuses, monotony and radii of some points."""
    points = torch.arange(len(trials.failed))
    if config.search == "scan":
        found = scan(trials, points, config.draws, levels, config.needed, config.every_draw)
    else:
        found = bisect(trials, points, config.draws, trials.checks, levels, config.needed, config.every_draw)
    failed = trials.failed
    critical = found.critical.masked_fill(failed, -1)
    own = found.own.masked_fill(failed.unsqueeze(1), -1)
    radius = trials.moved(own.minimum(critical.unsqueeze(1))).mean(dim=1).masked_fill(failed, math.nan)
    return critical, own, _status(found, failed, levels), found.monotone, radius


def _status(found: Found, failed: Tensor, levels: int) -> Tensor:
    status = torch.full_like(found.critical, STATUSES.index("measured"))
    status[found.critical < 0] = STATUSES.index("never")
    status[found.critical == levels - 1] = STATUSES.index("always")
    status[found.undecided] = STATUSES.index("undecided")
    status[failed] = STATUSES.index("failed")
    return status


@dataclass(frozen=True)
class BasinMeasure(Measure):
    """A measure read off the basins; `of` reads it off basins already found.

    Attributes:
        every_draw: Whether it needs the own level of every draw.

    Arguments:
        tolerance: The distance up to which a point counts as recovered; by default 0.1 sqrt(D), a
            root-mean-square difference of 0.1 in each coordinate.
        config: How to search.
        distance: The distance, by default Euclidean.
    """

    shared = "basins"
    by_group = False  # the noise of a point is a function of the point
    section = "basins"
    every_draw: ClassVar[bool] = False
    tolerance: float | None = None
    config: BasinConfig = field(default_factory=BasinConfig)
    distance: Distance = field(default_factory=L2)

    def __call__(
        self, denoiser: Denoiser, x: Float[Tensor, "n *shape"], *, generator: torch.Generator
    ) -> Measured:
        """Find the basins, with a seed drawn from the generator, and read the measure off them."""
        tolerance = 0.1 * math.sqrt(math.prod(denoiser.shape)) if self.tolerance is None else self.tolerance
        seed = int(torch.randint(2**62, (), generator=generator))
        config = _for_all([self], self.config)
        return self.of(basins(denoiser, x, tolerance, config, seed=seed, distance=self.distance))

    def find(
        self,
        measures: Sequence[Any],
        denoiser: Denoiser,
        x: Float[Tensor, "n *shape"],
        setting: Setting,
        *,
        seed: int,
    ) -> BasinResult:
        """Find the basins, with the own level of every draw where a measure needs it.

        Raises:
            ValueError: As `basins`, and if the setting has no tolerance.
        """
        if setting.tolerance is None:
            raise ValueError("`tolerance` is needed for basins, got none.")
        config = _for_all(measures, setting.basins)
        return basins(denoiser, x, setting.tolerance, config, seed=seed, distance=setting.distance)

    @abstractmethod
    def of(self, result: BasinResult) -> Measured:
        """Read the measure off basins already found.

        Raises:
            ValueError: If the measure needs the own level of every draw and they were not asked for.
        """


def _for_all(measures: Sequence[BasinMeasure], config: BasinConfig) -> BasinConfig:
    every_draw = config.every_draw or any(one.every_draw for one in measures)
    return config.model_copy(update={"every_draw": every_draw})


@final
class CriticalNoise(BasinMeasure):
    """Critical noise of a point."""

    name = "critical-noise"
    unit = "noise sigma_t"
    source = "Algorithm 1"
    descending = True
    logarithmic = True

    def of(self, result: BasinResult) -> Measured:
        """Critical noise of basins already found."""
        return result.measured(result.sigma)

r"""The highest level up to which trials succeed, found with as few trials as possible.

There are n points with M draws each, and levels 0, ..., L-1. A trial of (point, draw, level) succeeds or
fails. The *own level* of a draw is the last one before its first failure, the *critical level* :math:`c` of a
point the last one before the first where fewer than m of its M draws succeed; each is -1 where there is none.
`scan` and `bisect` find the critical level, and the own levels below it.

Scanning tries all draws of a point at level 0, 1, ..., c + 1 (Algorithm 1 of the paper). If success is
monotone (a draw that fails at a level fails at every higher one, which common random numbers make nearly
true), then c is the m-th largest own level, and the same answer needs far fewer trials: the M - m + 1 weakest
draws decide. The first draw is bisected, after a trial at level 0; the other weak ones begin at its own
level, walk from there by a quarter of the level, and are bisected once they have both succeeded and failed.
Every other draw is then tried once, at the level that the weak ones leave possible, and only a draw that
fails there becomes one of the weakest, to be bisected itself.

Whether success is monotone is checked: some draws are tried once more, at random below their own level. A
point where such a trial fails is scanned. Two answers are then known, and if they differ, the point is
undecided.
"""

__all__ = ["Found", "Trial", "bisect", "scan"]

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

Trial = Callable[[Int64[Tensor, " q"], Int64[Tensor, " q"], Int64[Tensor, " q"]], Bool[Tensor, " q"]]
"""Whether the trials of (point, draw, level) succeed."""


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        own: The own level of every draw, with shape (n, M); of draws that are not weak only known to be at
            least the point's critical level, to which it is then set, unless every draw was asked for.
        critical: The critical level of every point by first failure, with shape (n,).
        monotone: Whether no trial succeeded above one that failed, so far as was seen, with shape (n,).
        undecided: Whether first failure and bisection disagree, with shape (n,).
    """

    own: Int64[Tensor, "n M"]
    critical: Int64[Tensor, " n"]
    monotone: Bool[Tensor, " n"]
    undecided: Bool[Tensor, " n"]


def scan(
    trial: Trial, points: Int64[Tensor, " n"], draws: int, levels: int, needed: int, every: bool
) -> Found:
    """Climb from level 0 to the first level where fewer than `needed` draws of a point succeed.

    Arguments:
        trial: Tells which trials succeed.
        points: The points to search, as `trial` knows them, with shape (n,).
        draws: The number M of draws.
        levels: The number L of levels.
        needed: The number m of draws that must succeed, 1 to M.
        every: Whether to climb on until every draw has failed, so that all own levels are known.
    """
    own = torch.full((len(points), draws), -1)
    stopped = torch.zeros(len(points), draws, dtype=torch.bool)
    critical = torch.full((len(points),), -1)
    monotone, standing = ~stopped.any(1), ~stopped.any(1)
    climbing = standing.clone()
    for level in range(levels):
        row = climbing.nonzero().squeeze(1)
        if not len(row):
            break
        who = points[row].repeat_interleave(draws)
        draw = torch.arange(draws).repeat(len(row))
        success = trial(who, draw, torch.full_like(who, level)).view(-1, draws)
        monotone[row] &= ~(success & stopped[row]).any(1)
        stopped[row] |= ~success
        standing[row] &= success.sum(1) >= needed
        critical[row[standing[row]]] = level
        climbing[row] = standing[row] | (~stopped[row].all(1) & every)
        own[climbing.unsqueeze(1) & ~stopped] = level
    return Found(own, critical, monotone, torch.zeros_like(monotone))


def bisect(
    trial: Trial,
    points: Int64[Tensor, " n"],
    draws: int,
    checks: Float[Tensor, "n c"],
    levels: int,
    needed: int,
    every: bool,
) -> Found:
    """Bisect, check, and scan the points that turn out not to be monotone.

    Arguments:
        trial: Tells which trials succeed.
        points: The points to search, as `trial` knows them, with shape (n,).
        draws: The number M of draws.
        checks: Where the last c draws are checked, uniform random numbers in [0, 1), with shape (n, c).
        levels: The number L of levels.
        needed: The number m of draws that must succeed, 1 to M.
        every: Whether to find the own level of every draw.
    """
    weak = draws if every else draws - needed + 1
    low, high = torch.full((len(points), draws), -1), torch.full((len(points), draws), levels)
    while True:
        row, draw, level = _next(low, high, levels, weak)
        if not len(row):
            break
        success = trial(points[row], draw, level)
        low[row, draw] = torch.where(success, level, low[row, draw])
        high[row, draw] = torch.where(success, high[row, draw], level)
    critical = low.sort(dim=1, descending=True).values[:, needed - 1]
    own = low if every else low.minimum(critical.unsqueeze(1))
    found = Found(
        own, critical, _monotone(trial, points, checks, low), torch.zeros(len(points), dtype=torch.bool)
    )
    return _rescanned(found, trial, points, levels, needed, every)


def _next(low: Tensor, high: Tensor, levels: int, weak: int) -> tuple[Tensor, Tensor, Tensor]:
    """The next trials as (row, draw, level); none if all is known."""
    order = high.argsort(dim=1, stable=True)
    is_weak = torch.zeros_like(high, dtype=torch.bool).scatter_(1, order[:, :weak], True)
    bound = high.gather(1, order[:, weak - 1 : weak])  # the lowest level known not to be critical
    open_ = low + 1 < high.minimum(bound)
    first, others = open_ & is_weak, open_ & is_weak
    first[:, 1:] = False
    wanted = open_
    for urgent in (others, first):
        wanted = torch.where(urgent.any(dim=1, keepdim=True), urgent, wanted)
    level = torch.where(is_weak, _between(low, high, levels), bound - 1)
    row, draw = wanted.nonzero(as_tuple=True)
    return row, draw, level[row, draw]


def _between(low: Tensor, high: Tensor, levels: int) -> Tensor:
    """Where to try draws that are known to succeed at `low` and to fail at `high`."""
    begin, end = low < 0, high == levels
    up = (low + ((low + 1) // 4).clamp(min=1)).clamp(max=levels - 1)
    down = (high - (high // 4).clamp(min=1)).maximum(low + 1)
    middle = (low + high) // 2
    level = torch.where(end, up, torch.where(begin, down, middle))
    level = torch.where(begin & end, low[:, :1].clamp(min=0), level)
    level[:, 0] = middle[:, 0].masked_fill(begin[:, 0], 0)
    return level


def _monotone(trial: Trial, points: Tensor, checks: Tensor, low: Tensor) -> Tensor:
    """Whether the last draws also succeed at a random level below the highest they are known to."""
    others = low.shape[1] - checks.shape[1]
    low = low[:, others:]
    row, draw = (low > 0).nonzero(as_tuple=True)
    level = (checks * low.clamp(min=0)).long()[row, draw]
    monotone = torch.ones(len(points), dtype=torch.bool)
    monotone[row[~trial(points[row], others + draw, level)]] = False
    return monotone


def _rescanned(found: Found, trial: Trial, points: Tensor, levels: int, needed: int, every: bool) -> Found:
    """The answer by first failure for the points that are not monotone."""
    row = (~found.monotone).nonzero().squeeze(1)
    if not len(row):
        return found
    again = scan(trial, points[row], found.own.shape[1], levels, needed, every)
    own, critical, undecided = found.own.clone(), found.critical.clone(), found.undecided.clone()
    own[row], critical[row], undecided[row] = again.own, again.critical, again.critical != found.critical[row]
    return Found(own, critical, found.monotone, undecided)

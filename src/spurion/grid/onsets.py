r"""When a share sets in: the first training step read at which it has reached a level.

:math:`\tau_\text{mem}(K)` is the first step at which a share of the samples is memorized. Bonnaire et al.
(2025) find that it grows in proportion to K, while the time at which samples become good does not depend on
it, so that between the two a model generalizes, for the longer the more images it has. Their measure of good
samples is the FID; here it is the share of samples no farther from the training images than held-out images
are (`spurion.grid.reading.near_share`), which noise fails, and blurred images do not.

References:
    | Why Diffusion Models Don't Memorize (Bonnaire et al., 2025)
    | https://arxiv.org/abs/2505.17638
"""

__all__ = ["LEVELS", "onsets"]

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from spurion.grid.config import STEPS, GridConfig
from spurion.grid.results import CellPoint, CellResult, Onset

LEVELS: tuple[tuple[Literal["memorized", "near"], float], ...] = (
    ("memorized", 0.1),
    ("memorized", 0.5),
    ("near", 0.9),
)
"""What sets in, and the share of samples at which it has."""


def onsets(config: GridConfig, cells: Sequence[CellResult]) -> tuple[Onset, ...]:
    """The onsets at every training size, of every seed and of the mean over seeds; none unless steps vary.

    Arguments:
        config: The grid.
        cells: What its cells found.
    """
    if STEPS not in config.over:
        return ()
    sizes = sorted({point.train_size for cell in cells for point in cell.points})
    rest: list[dict[str, Any]] = []
    for values in config.combinations:
        others = {field: value for field, value in values.items() if field != STEPS}
        rest += [] if others in rest else [others]
    seeds = (None, *(config.seeds if len(config.seeds) > 1 else ()))
    return tuple(
        _onset(config, cells, others, size, what, level, seed)
        for others in rest
        for what, level in LEVELS
        for size in sizes
        for seed in seeds
    )


def _onset(
    config: GridConfig,
    cells: Sequence[CellResult],
    others: Mapping[str, Any],
    size: int,
    what: Literal["memorized", "near"],
    level: float,
    seed: int | None,
) -> Onset:
    before = None
    found = {"values": dict(others), "train_size": size, "what": what, "level": level, "seed": seed}
    for step in config.over[STEPS]:
        at = [cell for cell in cells if cell.values == {**others, STEPS: step} and seed in (None, cell.seed)]
        shares = [share for cell in at if (share := _share(cell.point(size), what)) is not None]
        if len(shares) == len(at) and sum(shares) / len(shares) >= level:
            return Onset(**found, step=step, before=before)
        before = step
    return Onset(**found, step=None, before=before)


def _share(point: CellPoint | None, what: str) -> float | None:
    if point is None:
        return None
    if what == "near":
        return None if point.near is None else point.near.value
    return None if point.fractions is None else point.fractions.memorized.value

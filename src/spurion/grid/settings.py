"""Means over seeds: of the shares at every training size, and of the capacities."""

__all__ = ["settings"]

from collections.abc import Sequence

from spurion.grid.config import GridConfig
from spurion.grid.results import CAPACITIES, CellPoint, CellResult, MeanPoint, Setting, Spread
from spurion.phases.classification import CLASSES
from spurion.statistics.intervals import Interval
from spurion.statistics.spread import mean_interval, mean_of_logs


def settings(config: GridConfig, cells: Sequence[CellResult]) -> tuple[Setting, ...]:
    """Every combination of values over its seeds; none with a single seed.

    Arguments:
        config: The grid.
        cells: What its cells found.
    """
    if len(config.seeds) < 2:
        return ()
    found = []
    for values in config.combinations:
        alike = [cell for cell in cells if cell.values == values]
        sizes = sorted({point.train_size for cell in alike for point in cell.points})
        points = (_mean_point(size, [cell.point(size) for cell in alike]) for size in sizes)
        found.append(
            Setting(
                values=values,
                points=tuple(point for point in points if point is not None),
                capacities={name: _spread(name, alike) for name in CAPACITIES},
            )
        )
    return tuple(found)


def _mean_point(size: int, points: Sequence[CellPoint | None]) -> MeanPoint | None:
    """Mean shares; None unless every seed has them."""
    fractions = [point.fractions for point in points if point is not None and point.fractions is not None]
    if len(fractions) < len(points):
        return None
    shares = {name: _mean([getattr(one, name) for one in fractions]) for name in CLASSES}
    near = [point.near for point in points if point is not None and point.near is not None]
    return MeanPoint(train_size=size, **shares, near=_mean(near) if len(near) == len(points) else None)


def _mean(shares: Sequence[Interval]) -> Interval:
    return mean_interval([share.value for share in shares], 0.0, 1.0)


def _spread(name: str, cells: Sequence[CellResult]) -> Spread:
    known = [getattr(cell.capacities, name).value for cell in cells if cell.capacities is not None]
    values = [value for value in known if value]
    if len(values) < len(cells):
        return Spread(value=None, found=len(values))
    mean = mean_of_logs(values)
    return Spread(value=mean.value, low=mean.low, high=mean.high, found=len(values))

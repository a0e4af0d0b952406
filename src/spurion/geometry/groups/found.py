"""What the geometry of one model came to, as it is stored."""

__all__ = ["geometry_result"]

import math

from spurion.diffusion.denoiser import Denoiser
from spurion.geometry.basin import BasinConfig
from spurion.geometry.groups.choice import Group
from spurion.geometry.groups.measuring import Geometry
from spurion.geometry.groups.results import GeometryResult, MeasureResult
from spurion.geometry.groups.summary import left_out, middle, orders, rank_medians, reading
from spurion.geometry.jacobian import coefficients
from spurion.geometry.measures import MEASURES


def geometry_result(
    denoiser: Denoiser,
    groups: list[Group],
    found: Geometry,
    *,
    time: int | float,
    tolerance: float | None,
    basins: BasinConfig,
) -> GeometryResult:
    """What the geometry of one model came to.

    Arguments:
        denoiser: The model.
        groups: The points.
        found: What was measured at them.
        time: The time at which the curvature was read.
        tolerance: The distance up to which a point counts as recovered; None where there was none.
        basins: How basins were looked for.
    """
    alpha, sigma = coefficients(denoiser.schedule, time)
    notes = []
    if tolerance is None:
        notes.append("Basins were not looked for: without a threshold nothing says what counts as recovered.")
    notes += found.losses.sentences()
    measures = tuple(_measure_result(name, found) for name in found.values)
    if missing := left_out(measures):
        notes.append(missing)
    spectra = {name: rank_medians(ranks) for name, ranks in found.ranks.items()}
    return GeometryResult(
        groups={group.name: group.size for group in groups},
        dim=math.prod(denoiser.shape),
        tolerance=tolerance,
        time=time,
        noise=sigma / alpha,
        measures=measures,
        spectra={name: medians for name, (medians, _, _) in spectra.items()},
        spectra_low={name: low for name, (_, low, _) in spectra.items()},
        spectra_high={name: high for name, (_, _, high) in spectra.items()},
        asymmetry={name: middle(values) for name, values in found.asymmetry.items()},
        notes=tuple(notes),
        failed=found.losses.sentences(),
        clip=None if tolerance is None else basins.clip,
        steps=None if tolerance is None else basins.steps,
    )


def _measure_result(name: str, found: Geometry) -> MeasureResult:
    measure, groups = MEASURES[name], found.values[name]
    return MeasureResult(
        name=name,
        unit=measure.unit,
        source=measure.source,
        groups={group: reading(values) for group, values in groups.items()},
        orders=orders(groups, measure.descending),
    )

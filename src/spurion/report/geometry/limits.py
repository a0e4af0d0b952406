"""What cannot be concluded from the geometry of a study: each a claim and the reason against it."""

__all__ = ["geometry_limits"]

from collections.abc import Iterator

from spurion.phases.classification import CLASSES
from spurion.report.geometry.order import comparison_count, threshold
from spurion.report.geometry.view import curve, measured, trivial_noise
from spurion.report.run import Run
from spurion.statistics.numbers import decimals, listed, size, value

Limit = tuple[str, str]


def geometry_limits(run: Run) -> list[Limit]:
    """Claims that the geometry does not support, each with the reason; none where nothing was measured."""
    if not measured(run):
        return []
    return [*_basins(run), *_never(run), *_curvature(run), *_energies(run), *_tests(run)]


def _basins(run: Run) -> Iterator[Limit]:
    if curve(run, "log-volume") is None:
        return
    yield (
        "The shape or the true volume of a basin",
        "Noise is equally strong in all directions, and the volume is that of a ball of the mean recovered "
        "radius: it neither bounds the basin nor sees in which directions it is long.",
    )
    levels = [trivial_noise(geometry) for _, geometry in measured(run)]
    known = [level for level in levels if level is not None]
    if known and all(point.audit.distance.name == "l2" for point in run.done):
        yield (
            "That a state attracts because its critical noise is small but not zero",
            f"Up to a noise of about {value(max(known), 2)} a point lies within the tolerance as it is, "
            "though nothing be denoised: below that line, recovery only says that the model does not drive "
            "the point away.",
        )


def _never(run: Run) -> Iterator[Limit]:
    found = curve(run, "critical-noise")
    lost = [k for k, reading in found.group("held-out") if reading.value == "never"] if found else []
    if lost:
        yield (
            "How wide the basin of an unseen image is",
            f"At K = {listed([size(k) for k in lost])} the median held-out image is never recovered: at the "
            "least noise tried, the model already drives it away. That is no small number but none.",
        )


def _curvature(run: Run) -> Iterator[Limit]:
    found = curve(run, "soft-directions")
    if found is None:
        return
    noise = measured(run)[0][1].noise
    yield (
        "The number of directions, as a property of the data",
        f"Spectra are read at one noise, {value(noise)}; at another noise other directions are soft, as the "
        "scan shows. The noise was chosen at the largest training size, not at each.",
    )
    dimension = curve(run, "intrinsic-dimension")
    dims = {k: geometry.dim for k, geometry in measured(run)}
    beyond = [
        k
        for k, reading in (dimension.group("held-out") if dimension else [])
        if isinstance(reading.value, int | float) and reading.value > dims[k]
    ]
    if beyond:
        yield (
            "A dimension from images off what the model learned",
            f"At K = {listed([size(k) for k in beyond])} held-out images get a dimension above the number of "
            "their coordinates: the estimate adds the squared length of the score, and there the point is no "
            "place where the model expects anything.",
        )


def _energies(run: Run) -> Iterator[Limit]:
    if curve(run, "relative-energy") is not None:
        yield (
            "A depth from the relative energy alone",
            "It is an integral of the score along a path between two images. Between images the network is "
            "asked about points it was hardly trained on, and its score need not be a gradient; the "
            "log-density, which knows no path, is the check.",
        )


def _tests(run: Run) -> Iterator[Limit]:
    number = comparison_count(run)
    if number:
        yield (
            f"That each of {size(number)} comparisons of {listed(CLASSES)} states is a finding of its own",
            f"A comparison is said to hold only up to p = {decimals(5)(threshold(run))}, which is 5% divided "
            "by their number. The measures are not independent of one another: volume follows critical "
            "noise, and all curvatures are read off one spectrum. All points of one K come from one model.",
        )

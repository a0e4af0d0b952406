"""What the geometry of a study says: whether the classes are in order, and what does not follow from it."""

__all__ = ["geometry_limits", "widths"]

from collections.abc import Iterator

from spurion.audits.claims import Claim
from spurion.audits.results import AuditResult
from spurion.phases.classification import CLASSES
from spurion.statistics.numbers import decimals, listed, size, value
from spurion.studies.geometry.curves import curve, measured, trivial_noise
from spurion.studies.geometry.order import comparison_count, summary, threshold
from spurion.studies.results import StudyResult

Audits = tuple[AuditResult, ...]
Limit = tuple[str, str]


def widths(study: StudyResult) -> Iterator[Claim]:
    """Whether memorized states survive more noise than others."""
    if sentence := summary(tuple(study.audits.values())):
        yield Claim(kind="widths", severity="answer", sentence=sentence)


def geometry_limits(study: StudyResult) -> Iterator[Claim]:
    """What the geometry does not support, each with the reason; none where nothing was measured."""
    audits = tuple(study.audits.values())
    if measured(audits):
        for said in (_basins, _never, _curvature, _energies, _tests):
            for title, sentence in said(audits):
                yield Claim(kind="geometry", severity="limit", title=title, sentence=sentence)


def _basins(audits: Audits) -> Iterator[Limit]:
    if curve(audits, "log-volume") is None:
        return
    yield (
        "The shape or the true volume of a basin",
        "Noise is equally strong in all directions, and the volume is that of a ball of the mean recovered "
        "radius: it neither bounds the basin nor sees in which directions it is long.",
    )
    levels = [trivial_noise(geometry) for _, geometry in measured(audits)]
    known = [level for level in levels if level is not None]
    if known and all(audit.distance.name == "l2" for audit in audits):
        yield (
            "That a state attracts because its critical noise is small but not zero",
            f"Up to a noise of about {value(max(known), 2)} a point lies within the tolerance as it is, "
            "though nothing be denoised: below that line, recovery only says that the model does not drive "
            "the point away.",
        )


def _never(audits: Audits) -> Iterator[Limit]:
    found = curve(audits, "critical-noise")
    lost = [k for k, reading in found.group("held-out") if reading.value == "never"] if found else []
    if lost:
        yield (
            "How wide the basin of an unseen image is",
            f"At K = {listed([size(k) for k in lost])} the median held-out image is never recovered: at the "
            "least noise tried, the model already drives it away. That is no small number but none.",
        )


def _curvature(audits: Audits) -> Iterator[Limit]:
    found = curve(audits, "soft-directions")
    if found is None:
        return
    noise = measured(audits)[0][1].noise
    yield (
        "The number of directions, as a property of the data",
        f"Spectra are read at one noise, {value(noise)}; at another noise other directions are soft, as the "
        "scan shows. The noise was chosen at the largest training size, not at each.",
    )
    dimension = curve(audits, "intrinsic-dimension")
    dims = {k: geometry.dim for k, geometry in measured(audits)}
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


def _energies(audits: Audits) -> Iterator[Limit]:
    if curve(audits, "relative-energy") is not None:
        yield (
            "A depth from the relative energy alone",
            "It is an integral of the score along a path between two images. Between images the network is "
            "asked about points it was hardly trained on, and its score need not be a gradient; the "
            "log-density, which knows no path, is the check.",
        )


def _tests(audits: Audits) -> Iterator[Limit]:
    number = comparison_count(audits)
    if number:
        level = decimals(5)(threshold(audits))
        yield (
            f"That each of {size(number)} comparisons of {listed(CLASSES)} states is a finding of its own",
            f"A comparison is said to hold only up to p = {level}, which is 5% divided "
            "by their number. The measures are not independent of one another: volume follows critical "
            "noise, and all curvatures are read off one spectrum. All points of one K come from one model.",
        )

"""What the geometry of a study shows, and what cannot be concluded from it, each with the reason."""

__all__ = ["landscape"]

from collections.abc import Iterator

from spurion.audits.claims import Claim
from spurion.geometry.measures import MEASURES
from spurion.phases.classification import CLASSES
from spurion.statistics.numbers import decimals, listed, size, value
from spurion.studies.geometry.curves import Geometries, curve, shown, trivial_noise
from spurion.studies.geometry.order import comparison_count, summary, threshold
from spurion.studies.results import StudyResult

Limit = tuple[str, str]


def landscape(study: StudyResult) -> Iterator[Claim]:
    """What the geometry shows in a sentence, and what it does not support; nothing without any."""
    found = study.geometries
    if not found:
        return
    if told := summary(found):
        yield Claim(kind="landscape", severity="answer", sentence=told)
    in_l2 = all(audit.distance.name == "l2" for audit in study.audits.values())
    sections = ("curvature", "energy", "others")
    limits = (
        *_unsupported(found, "basins"),
        *(_trivial(found) if in_l2 else ()),
        *_never(found),
        *_curvature(found),
        *(limit for section in sections for limit in _unsupported(found, section)),
        *_tests(found),
    )
    for title, sentence in limits:
        yield Claim(kind="landscape_limit", severity="limit", title=title, sentence=sentence)


def _unsupported(geometries: Geometries, section: str) -> Iterator[Limit]:
    """What the measures of a section say themselves."""
    for name in shown(geometries, section):
        yield from MEASURES[name].unsupported if name in MEASURES else ()


def _trivial(geometries: Geometries) -> Iterator[Limit]:
    if not shown(geometries, "basins"):
        return
    levels = [trivial_noise(geometry) for geometry in geometries.values()]
    known = [level for level in levels if level is not None]
    if known:
        yield (
            "That a state attracts because its critical noise is small but not zero",
            f"Up to a noise of about {value(max(known), 2)} a point lies within the tolerance as it is, "
            "though nothing be denoised: below that line, recovery only says that the model does not drive "
            "the point away.",
        )


def _never(geometries: Geometries) -> Iterator[Limit]:
    found = curve(geometries, "critical-noise")
    lost = [k for k, reading in found.group("held-out") if reading.value == "never"] if found else []
    if lost:
        yield (
            "How wide the basin of an unseen image is",
            f"At K = {listed([size(k) for k in lost])} the median held-out image is never recovered: at the "
            "least noise tried, the model already drives it away. That is no small number but none.",
        )


def _curvature(geometries: Geometries) -> Iterator[Limit]:
    found = curve(geometries, "soft-directions")
    if found is None:
        return
    noise = next(iter(geometries.values())).noise
    yield (
        "The number of directions, as a property of the data",
        f"Spectra are read at one noise, {value(noise)}; at another noise other directions are soft, as the "
        "scan shows. The noise was chosen at the largest training size, not at each.",
    )
    dimension = curve(geometries, "intrinsic-dimension")
    dims = {k: geometry.dim for k, geometry in geometries.items()}
    beyond = [
        k
        for k, reading in (dimension.group("held-out") if dimension else [])
        if isinstance(reading.value, int | float) and reading.value > dims[k]
    ]
    if beyond:
        yield (
            "A dimension from images off what the model learned",
            f"At K = {listed([size(k) for k in beyond])} held-out images get a dimension above the number "
            "of their coordinates: the estimate adds the squared length of the score, and there the point "
            "is no place where the model expects anything.",
        )


def _tests(geometries: Geometries) -> Iterator[Limit]:
    number = comparison_count(geometries)
    if number:
        yield (
            f"That each of {size(number)} comparisons of {listed(CLASSES)} states is a finding of its own",
            f"A comparison is said to hold only up to p = {decimals(5)(threshold(geometries))}, which is 5% "
            "divided by their number. The measures are not independent of one another: volume follows "
            "critical noise, and all curvatures are read off one spectrum. All points of one K come from "
            "one model.",
        )

"""From memorization to generalization: the curve, its faces, and the table of all points."""

__all__ = ["examples", "points", "transition"]

from spurion.audits.results import NO_CLOSER, AuditResult
from spurion.phases.classification import CLASSES
from spurion.report.blocks import (
    Cell,
    Drawing,
    Row,
    Section,
    Table,
    class_cell,
    class_titles,
    excess_cell,
    interval_cell,
    leaks_told,
    number_cell,
)
from spurion.report.run import Run
from spurion.report.words import counted_among
from spurion.statistics.numbers import decimals, percent, size
from spurion.studies.results import Point

HEADER = ("K", "samples", "mix")
MORE = (
    "excess risk",
    "listed",
    "closer to training set",
    "C_T",
    "AuthPct",
    "attractors",
    "noisy copies found",
    "held-out accused",
)


def transition(run: Run) -> Section | None:
    """The class fractions against K, with the capacities."""
    if run.study is None or not any(audit.fractions for audit in run.audits):
        return None
    paragraphs = [
        "Every K is a model of its own, trained on the first K images of one fixed order, so that each "
        "training set contains the smaller ones. With few images the model is an archive; with many it has "
        "learned what the images have in common; in between it falls into states of its own that are no "
        "image of the set."
    ]
    caption = (
        "Share of samples in each class against the training-set size K (log scale). Bands are 95% "
        "intervals: samples drawn anew, and where real images set the thresholds these images and the "
        "training images too."
    )
    met = counted_among(run.audits)
    if met:
        caption += f" A sample is spurious if it is met again {met}."
    if any(audit.still_leaking for audit in run.audits):
        caption += (
            f" Open squares: still leaking; samples of no other class are {NO_CLOSER} there, and not called "
            "generalized."
        )
    if run.capacities:
        level = percent(1 - run.capacities.epsilon)
        paragraphs.append(
            "Three capacities sum the curve up. The memorization capacity is the largest K at which at "
            f"least {level} of the samples are memorized, the spurious capacity is the K with the largest "
            "share of spurious samples (the top of a parabola in log K through the highest studied size and "
            "its neighbors, so mostly between studied sizes), and the generalization capacity is the "
            f"smallest K from which at least {level} are generalized."
        )
        caption += (
            " Above, each capacity: the dot is the estimate, interpolated between studied sizes; the thick "
            "bar its 95% interval, with an arrow where it is open; the thin bar the studied sizes that "
            "bracket it."
        )
    if run.failed:
        caption += " Crosses on the axis are points that failed."
    alternative = "Three curves over K: memorized falls, spurious rises and falls, generalized rises."
    return Section(
        "transition", "The transition", tuple(paragraphs), (Drawing("transition", caption, alternative),)
    )


def examples(run: Run) -> Section | None:
    """One sample of each class at each K, over the images that decide its class."""
    if run.study is None or not any(point.gallery and (point.gallery.label >= 0).any() for point in run.done):
        return None
    caption = (
        "A sample of each class at each K (framed), below it the nearest training image, below that the "
        "nearest other sample. Shown is the stored sample with the median distance to the training set, not "
        "the prettiest. A memorized sample equals the image below it. A spurious one does not, but equals "
        "the image at the bottom. A generalized one equals neither."
    )
    drawing = Drawing("examples", caption, "Rows of small images: samples, training images, other samples.")
    return Section("faces", "What it looks like", (), (drawing,))


def points(run: Run) -> Section | None:
    """All numbers of all points."""
    if run.study is None or not run.study.points:
        return None
    rows = tuple(_row(point) for point in sorted(run.study.points, key=lambda point: point.train_size))
    text = (
        f"{_spurious(run)}The excess risk is the share of copies beyond what honest images show; listed are "
        "the samples on a list of copies of which 5% are none, on average (Benjamini and Hochberg). "
        "“Closer to training set” is the held-out null: the share of samples that lie closer to the "
        "training set than to equally many held-out images; 0.5 if nothing leaks. C_T says whether samples "
        "lie nearer to the training set than held-out images do, in standard deviations, negative for "
        "copying. AuthPct is the percentage of samples that are authentic: farther from their nearest "
        "training image than that image is from the next one. Attractors are states that several samples "
        "fell into: memorized + spurious. The last two columns are controls: training images with a whisper "
        "of noise that were found to be memorized, which must be 1, and held-out images that were wrongly "
        f"called so, which must be near 0. Small numbers are 95% intervals.{leaks_told(run.audits)}"
    )
    caption = "All training sizes. A dash stands where a number could not be computed."
    header = (
        *HEADER,
        *class_titles(run.audits).values(),
        *MORE,
    )
    return Section(
        "points",
        "Every point in numbers",
        (text,),
        (),
        (Table(caption, header, rows),),
    )


def _spurious(run: Run) -> str:
    met = counted_among(run.audits)
    return f"Spurious samples are met again {met}. " if met else ""


def _row(point: Point) -> Row:
    head = (number_cell(point.train_size, size), number_cell(point.sample_size, size))
    audit = point.audit
    if audit is None:
        return head[0], Cell(
            f"failed: {point.message or 'no reason given'}",
            columns=len(HEADER) + len(CLASSES) + len(MORE) - 1,
        )
    null, census, checks = audit.null, audit.census, audit.controls
    return (
        *head,
        Cell("", mix=_mix(audit)),
        *(class_cell(audit, audit.fractions, name) for name in CLASSES),
        excess_cell(audit.excess),
        number_cell(None if audit.listed is None else len(audit.listed), size),
        interval_cell(null.share_closer_to_train if null else None),
        number_cell(null.ct if null else None, decimals(2)),
        number_cell(null.authpct if null else None, decimals(1)),
        Cell(
            size(census.attractors if census else None),
            f"{size(census.memorized)} + {size(census.spurious)}" if census else "",
            census.attractors if census else None,
        ),
        interval_cell(checks.noisy_copies if checks else None),
        interval_cell(checks.held_out if checks else None),
    )


def _mix(audit: AuditResult) -> tuple[tuple[str, float, float], ...]:
    """The class fractions as bars of a 100-wide strip: class, left end, width."""
    bars, left = [], 0.0
    for name in CLASSES if audit.fractions else ():
        width = round(100 * float(getattr(audit.fractions, name).value), 2)
        bars.append((name, round(left, 2), width))
        left += width
    return tuple(bars)

"""What cannot be concluded from a study, and why: read from its notes, its numbers, and its limits."""

__all__ = ["Caution", "cautions"]

from collections.abc import Iterator
from dataclasses import dataclass

from spurion.report.geometry.limits import geometry_limits
from spurion.report.numbers import at_most, listed, size, value
from spurion.report.readings import accused_held_out, failures, in_sizes, missed_copies, share
from spurion.report.run import Run
from spurion.studies.results import PointResult


@dataclass(frozen=True)
class Caution:
    """Something not to conclude, in a few words, and the reason."""

    claim: str
    reason: str


def cautions(run: Run) -> list[Caution]:
    """Everything a careful reader should hold against the study, the particular before the general."""
    points = [point.result for point in run.done]
    return [
        *(Caution("Anything about a training size that failed", sentence) for sentence in failures(run)),
        *_controls(points),
        *_thresholds(points),
        *_nothing_found(points),
        *_capacities(run),
        *_duplicates(points),
        *(Caution(*limit) for limit in geometry_limits(run)),
        *_limits(points),
        *_notes(run),
    ]


def _controls(points: list[PointResult]) -> Iterator[Caution]:
    missed = missed_copies(points)
    if missed:
        yield Caution(
            "That every copy is found",
            f"At {in_sizes(missed)}, some training images with a whisper of noise are not called "
            "memorized: the threshold is too strict to see every copy.",
        )
    accused = accused_held_out(points)
    if accused:
        yield Caution(
            "That memorized means copied",
            f"At {in_sizes(accused)}, more than 5% of held-out images, which the model never saw, are "
            "called memorized: the training set is so dense there that near is not the same as copied.",
        )
    if points and all(p.null is None for p in points):
        yield Caution(
            "That generalized samples carry no trace of the training set",
            "There is no held-out set, so the finer test, whether samples lie closer to the training set "
            "than to unseen images, could not be made.",
        )


def _thresholds(points: list[PointResult]) -> Iterator[Caution]:
    known = [(point, point.thresholds) for point in points if point.thresholds]
    blind = [point for point, info in known if info.memorized is None]
    if blind:
        yield Caution(
            "Anything about the classes",
            f"At {in_sizes(blind)}, the distances to the training set have no gap that would fix δm, so no "
            f"sample is classified.",
        )
    loose = [p for p, info in known if info.memorized is not None and not info.identifiable.spurious]
    if loose:
        same = all(p.thresholds and p.thresholds.spurious == p.thresholds.memorized for p in loose)
        instead = "δs is set equal to δm instead" if same else "the δs used is a choice"
        where = "At every K" if len(loose) == len(points) > 1 else f"At {in_sizes(loose)}"
        yield Caution(
            "Where spurious ends, as a fact of the data",
            f"{where}, the distances between samples that are not memorized have no gap that would fix δs, "
            f"so {instead}; the sensitivity curves show how much hangs on it.",
        )


def _nothing_found(points: list[PointResult]) -> Iterator[Caution]:
    clean = [p for p in points if p.fractions and p.fractions.memorized.value == 0]
    if clean:
        bound = at_most(max(share(point, "memorized").high for point in clean))
        yield Caution(
            "That nothing is ever copied",
            f"At {in_sizes(clean)} no memorized sample was seen, but a finite number of samples only bounds "
            f"the share: it is at most {bound} (95% confidence).",
        )


def _capacities(run: Run) -> Iterator[Caution]:
    if run.study.capacities is None:
        return
    for name in ("memorization", "spurious", "generalization"):
        capacity = getattr(run.study.capacities, name)
        if capacity.note:
            yield Caution(f"The {name} capacity beyond what the grid shows", _sentence(capacity.note))


def _duplicates(points: list[PointResult]) -> Iterator[Caution]:
    repeated = [p for p in points if p.train_duplicates]
    if repeated:
        counts = [f"{size(p.train_duplicates)} at K = {size(p.train_size)}" for p in repeated]
        yield Caution(
            "Anything from the ratio rule about repeated images",
            f"The training set holds exact duplicates ({listed(counts)}): they make the nearest and the "
            "second nearest training image equal, and repeated images are copied more often.",
        )


def _notes(run: Run) -> Iterator[Caution]:
    for note in run.study.notes:
        yield Caution("Noted for the whole study", _sentence(note))
    where: dict[str, list[PointResult]] = {}
    for point in (point.result for point in run.points):
        for note in dict.fromkeys(_point_notes(point)):
            where.setdefault(note, []).append(point)
    for note, points in where.items():
        everywhere = len(points) == len(run.done) > 1
        yield Caution("Noted at every K" if everywhere else f"Noted at {in_sizes(points)}", _sentence(note))


def _point_notes(point: PointResult) -> tuple[str, ...]:
    parts = (point.thresholds, point.holdout_thresholds, point.null, point.geometry)
    return point.notes + tuple(note for part in parts if part for note in part.notes)


def _limits(points: list[PointResult]) -> Iterator[Caution]:
    if not points:
        return
    yield Caution(
        "How much the shares vary from one training run to the next",
        "There is one model for each K. The intervals cover the chance of sampling from that "
        "model, not the chance of training it.",
    )
    rates = [p.collision_rate for p in points if p.collision_rate is not None]
    tail = f" ({value(min(rates), 2)} to {value(max(rates), 2)} here)" if rates else ""
    yield Caution(
        "That the spurious share is a property of the model",
        f"It grows with the number of samples, because every further sample is another chance to meet again. "
        f"The rarefaction curves show by how much; the pair collision rate{tail} does not depend on it.",
    )
    yield Caution(
        "That another sampler would give the same shares",
        "Fewer or other sampling steps from the same model change the memorized share considerably.",
    )
    distance = points[0].distance
    yield Caution(
        f"That no copy is missed in a sense other than the {distance.name} distance",
        "A shifted, cropped, or recolored training image is far away by a pixel distance and counts as new."
        if distance.weights is None
        else "A copy that the network behind it does not see as alike counts as new.",
    )
    yield Caution(
        "That generalized samples are good images",
        "The three classes ask whether a sample is a repetition, not whether it looks like the data.",
    )


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")

"""From measurements to what is said of them: the evidence for and against an answer, and every doubt, once.

Terminal, page and gate say what is stored here, so that they say the same.
"""

__all__ = ["gather", "judge"]

from collections.abc import Sequence
from typing import Any

from spurion.audits.findings import Findings
from spurion.audits.limitations import unseen_transforms
from spurion.audits.measurement import Found, equal_images
from spurion.audits.overlap import Overlap
from spurion.audits.request import ASKED, Request
from spurion.audits.sources import Images
from spurion.audits.verdict import Case, doubts, false_alarms, only_near, verdict
from spurion.core.random import derive_seed
from spurion.data.storage import taken
from spurion.neighbors import Distance, Searcher
from spurion.phases.detection import Power
from spurion.phases.exposed import second_outside
from spurion.phases.gate import Condition
from spurion.phases.separation import Separation, by_held_out, by_others
from spurion.phases.signs import Approach, among_themselves, signs


def gather(
    request: Request,
    images: Images,
    found: Found,
    findings: Findings,
    power: Power,
    warnings: Sequence[Overlap],
    *,
    exact_copies: int,
) -> Case:
    """Put together all that an answer is judged by.

    Arguments:
        request: What was asked: the distance, the search and the seed.
        images: The sets.
        found: Their distances.
        findings: What the samples are.
        power: What their number could have missed.
        warnings: What is wrong with the sets.
        exact_copies: How many samples are byte for byte training images.
    """
    distance, seed = request.distance, request.seed
    ours, theirs = _approaches(images, found, distance, request.search, seed=seed)
    threshold = findings.thresholds.memorized if findings.thresholds else None
    return Case(
        findings=findings,
        power=power,
        warnings=warnings,
        exact_copies=exact_copies,
        held_out=0 if images.holdout is None else len(images.holdout),
        signs=() if theirs is None else signs(ours, theirs, findings.null),
        transforms=request.transforms,
        separation=_separation(images, found, theirs, threshold, distance, seed=seed),
    )


def judge(case: Case, condition: Condition | None) -> dict[str, Any]:
    """What is said of the evidence: fields of an `AuditResult`.

    Arguments:
        case: The evidence.
        condition: What the gate decides; None if nothing was asked.
    """
    return {
        "signs": tuple(case.signs),
        "separation": case.separation,
        "doubts": {name: doubts(name, case) for name in ASKED},
        "only_near": only_near(case),
        "false_alarms": false_alarms(case),
        "unseen_transforms": unseen_transforms(case.findings, case.transforms),
        "verdict": None if condition is None else verdict(condition, case),
    }


def _approaches(
    images: Images, found: Found, distance: Distance, search: Searcher, *, seed: int
) -> tuple[Approach, Approach | None]:
    """How near samples come to the training set, and others that are no copies; see `spurion.phases.signs`.

    Returns:
        The approach of samples, and that of held-out images, or without them of training images among
        themselves; None where there are too few.
    """
    train, measured = images.train.images, found.measurement
    nearest, other = distance.radius(found.to_train.distances), distance.radius(measured.distance_train_2)
    if images.holdout is not None and found.known is not None:
        near = found.known.holdout_to_train
        new = ~equal_images(images.holdout.images, train, near.distances[:, 0])
        second = second_outside(
            near, found.groups, images.holdout.images, train, distance=distance, search=search
        )
        theirs = Approach(distance.radius(near.distances[new]), distance.radius(second[new]))
        return Approach(nearest, other), theirs if new.any() else None
    among = among_themselves(
        train,
        measured.first_equal,
        measured.nearest_train,
        distance=distance,
        seed=derive_seed(seed, "signs"),
        search=search,
    )
    if among is None:
        return Approach(nearest, other, None), None
    return Approach(nearest, other, among[1]), among[0]


def _separation(
    images: Images,
    found: Found,
    others: Approach | None,
    threshold: float | None,
    distance: Distance,
    *,
    seed: int,
) -> Separation | None:
    """Whether the threshold of memorization separates copies; None if there is no threshold."""
    if threshold is None:
        return None
    train, samples = images.train.images, images.samples.images
    seed = derive_seed(seed, "separation")
    if found.known is not None and images.holdout is not None:
        sizes = (len(train), len(images.holdout))
        near = found.known.to_train, found.known.to_holdout
        return by_held_out(*near, found.measurement.holdout_train, threshold, sizes, seed=seed)
    firsts = found.measurement.first_equal.unique()
    return by_others(
        found.measurement.distance_train,
        None if others is None else distance.value(others.near[:, 0]),
        train if len(firsts) == len(train) else taken(train, firsts),
        samples,
        threshold,
        distance=distance,
        seed=seed,
    )

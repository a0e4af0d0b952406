"""How well detectors tell the prompts of a table, where its user knows which are memorized.

Everything here reads oriented values: those of a detector that reads lower at memorized prompts change sign.
Prompts of one group are not independent (`spurion.statistics.roc`). Thresholds and weights are fitted on half
of the groups and judged on the other half, so that no prompt is judged by what was fitted on it.
"""

__all__ = ["Judged", "comparisons", "halves", "oriented", "rank_means", "rises"]

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression

from spurion.core.random import derive_seed
from spurion.prompts.detectors import DETECTORS
from spurion.prompts.results import Comparison, Half, Rise
from spurion.prompts.table import Entry, Label
from spurion.statistics.intervals import Interval
from spurion.statistics.roc import Scores, auc, call_above, even, sensitivity, share_of, trend

PAIRS: tuple[tuple[Label, Label], ...] = (
    ("memorized", "generalized"),
    ("memorized", "spurious"),
    ("spurious", "generalized"),
    ("memorized", "other"),
    ("generalized", "other"),
)
"""The labels that are compared: the first should lie higher; of the last pair neither should."""

RATE = 0.01
"""The false positive rate that is asked for."""

LEAST = 10
"""Groups of either kind that each half needs."""

TOGETHER = "together"
"""The name of all detectors weighted."""

Values = dict[str, Float64[np.ndarray, " n"]]


class Judged(NamedTuple):
    """What halves of a table say of each other.

    Attributes:
        halves: By detector and for all together, of either half.
        fitted: Log-odds of memorized of every prompt, by the weights of the other half; NaN without them.
    """

    halves: tuple[Half, ...]
    fitted: Float64[np.ndarray, " n"]


def oriented(name: str, values: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Values of a detector, higher for what it takes for memorized."""
    return values if DETECTORS[name].higher else -values


def rank_means(values: Values) -> Float64[np.ndarray, " n"]:
    """The mean rank of every prompt over the detectors, 1 for what speaks most of memorization.

    A detector without a value for a prompt puts it in the middle.

    Arguments:
        values: Oriented values by detector, NaN for none.
    """
    ranks = []
    for one in values.values():
        known = ~np.isnan(one)
        found = np.full(len(one), (len(one) + 1) / 2)
        if known.any():
            found[known] = 1 + (rankdata(-one[known]) - 1) * (len(one) - 1) / max(int(known.sum()) - 1, 1)
        ranks.append(found)
    means: Float64[np.ndarray, " n"] = np.mean(ranks, axis=0)
    return means


def comparisons(entries: Sequence[Entry], values: Values, *, seed: int) -> tuple[Comparison, ...]:
    """Compare the labels pairwise by every detector.

    Arguments:
        entries: The prompts.
        values: Oriented values by detector, NaN for none.
        seed: Seed of the intervals.
    """
    found = []
    for name, one in values.items():
        for higher, lower in PAIRS:
            above, below = (_scores(entries, one, label) for label in (higher, lower))
            if above is None or below is None:
                continue
            ours = (higher, lower) == ("memorized", "generalized")
            found.append(
                Comparison(
                    detector=name,
                    higher=higher,
                    lower=lower,
                    n=(len(above.values), len(below.values)),
                    groups=(len(set(above.clusters)), len(set(below.clusters))),
                    auc=auc(above, below),
                    p_value=even(above, below),
                    sensitivity=sensitivity(above, below, RATE, seed=derive_seed(seed, "sensitivity", name))
                    if ours
                    else None,
                )
            )
    return tuple(found)


def rises(entries: Sequence[Entry], values: Values) -> tuple[Rise, ...]:
    """Whether detectors rise with the number of copies, over prompts that the training set holds.

    Arguments:
        entries: The prompts.
        values: Oriented values by detector, NaN for none.
    """
    held = np.array([bool(entry.copies) for entry in entries])
    levels = np.array([float(entry.copies or 0) for entry in entries])
    found = []
    for name, one in values.items():
        chosen = held & ~np.isnan(one)
        if len(set(levels[chosen].tolist())) < 2:
            continue
        medians = {
            int(level): float(np.median(one[chosen & (levels == level)]))
            for level in np.unique(levels[chosen])
        }
        scores = Scores(one[chosen], _clusters(entries, chosen))
        found.append(Rise(detector=name, trend=trend(scores, levels[chosen]), medians=medians))
    return tuple(found)


def halves(entries: Sequence[Entry], values: Values, *, seed: int) -> Judged:
    """Fit on one half of the groups, judge on the other, both ways.

    Arguments:
        entries: The prompts; those with a label other than memorized and generalized are left out, but for
            their log-odds.
        values: Oriented values by detector, NaN for none.
        seed: Seed of the halves.

    Returns:
        Nothing where either half has fewer than `LEAST` groups of either label.
    """
    first = _first_half(entries, seed)
    labels = np.array([entry.label or "" for entry in entries])
    fitted = np.full(len(entries), np.nan)
    sides = [(first, ~first), (~first, first)]
    if any(len(set(_clusters(entries, side & (labels == label)))) < LEAST for side, _ in sides
           for label in ("memorized", "generalized")):  # fmt: skip
        return Judged((), fitted)
    found: list[Half] = []
    for fit, judge in sides:
        odds, weights = _together(values, labels, fit)
        fitted[judge] = odds[judge]
        for name, one in {**values, TOGETHER: odds}.items():
            half = _judge(entries, name, one, labels, fit, judge)
            if half is not None:
                found.append(half.model_copy(update={"weights": weights if name == TOGETHER else {}}))
    return Judged(tuple(found), fitted)


def _judge(
    entries: Sequence[Entry],
    name: str,
    one: Float64[np.ndarray, " n"],
    labels: np.ndarray,
    fit: Bool[np.ndarray, " n"],
    judge: Bool[np.ndarray, " n"],
) -> Half | None:
    known = ~np.isnan(one)
    negatives = fit & known & (labels == "generalized")
    above, below = (
        _scores(entries, np.where(judge, one, np.nan), label) for label in ("memorized", "generalized")
    )
    if not negatives.any() or above is None or below is None:
        return None
    threshold = call_above(one[negatives], RATE)
    if not np.isfinite(threshold):
        return None
    return Half(
        detector=name,
        threshold=threshold,
        n=(len(above.values), len(below.values)),
        found=_called(above, threshold),
        false=_called(below, threshold),
        auc=auc(above, below),
    )


def _called(scores: Scores, threshold: float) -> Interval:
    return share_of(scores.values > threshold, scores.clusters)


def _together(
    values: Values, labels: np.ndarray, fit: Bool[np.ndarray, " n"]
) -> tuple[Float64[np.ndarray, " n"], dict[str, float]]:
    """Log-odds of memorized by a logistic regression on one half, and its weights."""
    columns = np.stack([_filled(one, fit) for one in values.values()], axis=1)
    mean, spread = columns[fit].mean(axis=0), columns[fit].std(axis=0)
    standard = (columns - mean) / np.where(spread > 0, spread, 1.0)
    known = fit & np.isin(labels, ("memorized", "generalized"))
    model = LogisticRegression(class_weight="balanced", max_iter=10_000)
    model.fit(standard[known], labels[known] == "memorized")
    odds: Float64[np.ndarray, " n"] = model.decision_function(standard)
    return odds, dict(zip(values, map(float, model.coef_[0]), strict=True))


def _filled(one: Float64[np.ndarray, " n"], fit: Bool[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Values with the median of one half where there is none, infinities at the ends of the numbers."""
    numbers = one[np.isfinite(one)]
    if not len(numbers):
        return np.zeros(len(one))
    here = one[fit & np.isfinite(one)]
    middle = float(np.median(here if len(here) else numbers))
    filled: Float64[np.ndarray, " n"] = np.nan_to_num(
        one, nan=middle, posinf=float(numbers.max()), neginf=float(numbers.min())
    )
    return filled


def _first_half(entries: Sequence[Entry], seed: int) -> Bool[np.ndarray, " n"]:
    """Which prompts are in the first half: half of the groups of each label, at random."""
    rng = np.random.default_rng(derive_seed(seed, "halves"))
    chosen: dict[str, bool] = {}
    for label in sorted({entry.label or "" for entry in entries}):
        groups = sorted({e.cluster for e in entries if (e.label or "") == label and e.cluster not in chosen})
        order = rng.permutation(len(groups))
        chosen |= {groups[i]: place < len(groups) / 2 for place, i in enumerate(order)}
    return np.array([chosen[entry.cluster] for entry in entries])


def _scores(entries: Sequence[Entry], one: Float64[np.ndarray, " n"], label: str) -> Scores | None:
    chosen = np.array([entry.label == label for entry in entries]) & ~np.isnan(one)
    return Scores(one[chosen], _clusters(entries, chosen)) if chosen.any() else None


def _clusters(entries: Sequence[Entry], chosen: Bool[np.ndarray, " n"]) -> list[str]:
    return [entry.cluster for entry, kept in zip(entries, chosen, strict=True) if kept]

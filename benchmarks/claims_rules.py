"""The claims of Pham et al. (2025), each as one number of a study that lies above a bar if it holds.

A claim is a line of `CLAIMS` (one setting) or of `VARIED` (the same study with one field varied): what is
claimed, what would show it, and a function from a study to its effect. A function gives None where a study
did not measure it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from spurion.statistics.intervals import ALPHA, proportion

RULE = (
    "A claim is **shown** if the whole 95 % interval of its effect lies above the bar, **not shown** if the "
    "whole interval lies below it; else this **cannot be told**, nor where a study has no number for it. Of "
    "one seed, the interval is that of the study: where two numbers are compared, from the ends that lie "
    "nearest to those that lie farthest apart, which is wider than 95 %. Of several seeds, it is Student's "
    "interval of the mean over seeds, which holds the chance of training again."
)

SHOWN, NOT_SHOWN, OPEN, MISSING = "shown", "not shown", "cannot tell", "not measured"


@dataclass(frozen=True)
class Effect:
    """A number with the ends of its 95 % interval; open ends are infinite, and no number is None."""

    value: float | None
    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True)
class Claim:
    """One claim: `effect` of a study lies above `bar`; `ratio` if the effect is the logarithm of one."""

    text: str
    shown_by: str
    source: str
    effect: Callable
    bar: float = 0.0
    ratio: bool = False


def verdict(effect, bar):
    """Whether a claim is shown; see `RULE`."""
    if effect is None:
        return MISSING
    if effect.value is None:
        return OPEN
    if effect.low > bar:
        return SHOWN
    return NOT_SHOWN if effect.high < bar else OPEN


def over_seeds(effects):
    """The effect over seeds; of one seed its own. See `RULE`."""
    if len(effects) < 2:
        return effects[0] if effects else None
    values = [effect.value for effect in effects]
    if None in values:
        return Effect(None)
    half = student.ppf(1 - ALPHA / 2, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values))
    mean = float(np.mean(values))
    return Effect(mean, mean - float(half), mean + float(half))


def minus(a, b):
    """How far one interval lies above another, with the nearest and the farthest ends."""
    return Effect(a.value - b.value, a.low - b.high, a.high - b.low)


def least(*effects):
    """The least of several effects; it lies above a bar if all do."""
    if any(effect.value is None for effect in effects):
        return Effect(None)
    return Effect(*(min(getattr(effect, end) for effect in effects) for end in ("value", "low", "high")))


def _share(kind, place):
    def effect(found):
        if not found.shares:
            return None
        share = found.shares[place(found.shares)][kind]
        return Effect(share.value, share.low, share.high)

    return effect


def _change(kind, first, last):
    def effect(found):
        if len(found.shares) < 2:
            return None
        return minus(found.shares[first(found.shares)][kind], found.shares[last(found.shares)][kind])

    return effect


def peak(found):
    """How far the highest spurious share inside the grid lies above that at both ends."""
    sizes = sorted(found.shares)
    if len(sizes) < 3:
        return None
    spurious = {size: found.shares[size]["spurious"] for size in sizes}
    top = max(sizes[1:-1], key=lambda size: spurious[size].value)
    return least(*(minus(spurious[top], spurious[end]) for end in (sizes[0], sizes[-1])))


def _logs(capacity):
    """Logarithms of a capacity and of its ends; a capacity beyond the grid is no number."""
    if capacity.value is None:
        return Effect(None)
    low, high = capacity.low, capacity.high
    return Effect(
        math.log(capacity.value),
        -math.inf if not low else math.log(low),
        math.inf if high is None else math.log(high),
    )


def times(a, b):
    """The logarithm of how many times one capacity is another."""
    first, second = _logs(a), _logs(b)
    return Effect(None) if None in (first.value, second.value) else minus(first, second)


def order(found):
    """The smaller of SC / MC and GC / SC, as a logarithm."""
    known = found.capacities
    if len(known) < 3:
        return None
    return least(times(known["SC"], known["MC"]), times(known["GC"], known["SC"]))


def above(measure, higher, lower):
    """The probability that a point of one class reads higher than one of another, over all training sizes.

    The mean of the AUC at every training size, weighted by m n / (m + n) of the m and n points. The points of
    one size are those of one model: the interval is the wider one of that of points drawn anew and of
    Student's over the training sizes, if there are several.
    """

    def effect(found):
        found_at = [
            (one.auc, one.higher == higher, one.n[0] * one.n[1] / sum(one.n))
            for orders in found.orders.get(measure, {}).values()
            for one in orders
            if {one.higher, one.lower} == {higher, lower}
        ]
        if not found_at:
            return None
        weights = np.array([weight for *_, weight in found_at])
        weights = weights / weights.sum()
        values = np.array([auc.value if as_asked else 1 - auc.value for auc, as_asked, _ in found_at])
        halves = np.array([(auc.high - auc.low) / 2 for auc, *_ in found_at])
        mean, half = float(weights @ values), float(np.sqrt(weights**2 @ halves**2))
        if (n := len(values)) > 1:
            spread = math.sqrt(n / (n - 1) * float(weights**2 @ (values - mean) ** 2))
            half = max(half, float(student.ppf(1 - ALPHA / 2, n - 1)) * spread)
        return Effect(mean, max(0.0, mean - half), min(1.0, mean + half))

    return effect


def at_training(measure, sign):
    """How far a reading at training images is lower at the largest training size than at the smallest.

    With the sign -1, how far it is higher; of sizes where the median and its ends are numbers.
    """

    def effect(found):
        known = {
            size: reading
            for size, reading in found.training.get(measure, {}).items()
            if all(isinstance(end, int | float) for end in (reading.value, reading.low, reading.high))
        }
        if measure not in found.training:
            return None
        if len(known) < 2:
            return Effect(None)
        first, last = known[min(known)], known[max(known)]
        return minus(first, last) if sign > 0 else minus(last, first)

    return effect


def duplicated(found):
    """At the smallest training size: the share of memorized samples with a duplicate among the samples."""
    if not found.duplicated:
        return None
    share = proportion(*found.duplicated[min(found.duplicated)])
    return Effect(share.value, share.low, share.high)


CLAIMS = (
    Claim("with few training images a model memorizes", "memorized share at the smallest K above 0.9",
          "Fig. 4A", _share("memorized", min), 0.9),
    Claim("with many it generalizes", "generalized share at the largest K above 0.9",
          "Fig. 4A", _share("generalized", max), 0.9),
    Claim("memorization falls as K grows", "memorized share at the smallest K, less that at the largest",
          "Fig. 4A", _change("memorized", min, max)),
    Claim("generalization rises as K grows", "generalized share at the largest K, less that at the smallest",
          "Fig. 4A", _change("generalized", max, min)),
    Claim("spurious samples peak between",
          "highest spurious share inside the grid, less that at the higher end, above 0.02 (the highest of "
          "some is high by chance too)",
          "Fig. 4A", peak, 0.02),
    Claim("the capacities are ordered: MC < SC < GC", "the smaller of SC / MC and GC / SC above 1",
          "workshop Def. 2.1-2.3", order, ratio=True),
    Claim("memorized samples come again among the samples", "their share at the smallest K above 0.9",
          "workshop Fig. 3", duplicated, 0.9),
    *(
        Claim(f"{a} states survive more noise than {b} ones", "AUC of the critical noise above 0.5",
              "App. C.4", above("critical-noise", a, b), 0.5)
        for a, b in (("memorized", "spurious"), ("spurious", "generalized"))
    ),
    *(
        Claim(f"basins of {a} states are larger than those of {b} ones", "AUC of the log-volume above 0.5",
              "Fig. 4B", above("log-volume", a, b), 0.5)
        for a, b in (("memorized", "spurious"), ("spurious", "generalized"))
    ),
    Claim("basins of training images shrink as K grows",
          "median critical noise at the smallest K, less that at the largest",
          "Fig. 4B", at_training("critical-noise", 1)),
    *(
        Claim(f"{a} states have fewer soft directions than {b} ones", "AUC of their number above 0.5",
              "Fig. 5A", above("soft-directions", b, a), 0.5)
        for a, b in (("memorized", "generalized"), ("spurious", "generalized"))
    ),
    *(
        Claim(f"the dimension around {a} states is lower than around {b} ones",
              "AUC of the intrinsic dimension above 0.5",
              "Fig. 5A", above("intrinsic-dimension", b, a), 0.5)
        for a, b in (("memorized", "generalized"), ("spurious", "generalized"))
    ),
    Claim("curvature at training images falls as K grows",
          "median of the mean curvature at the smallest K, less that at the largest",
          "Fig. 5A", at_training("mean-curvature", 1)),
    Claim("soft directions at training images grow with K",
          "median at the largest K, less that at the smallest",
          "Fig. 5A", at_training("soft-directions", -1)),
    *(
        Claim(f"spurious states lie lower in energy than {b} ones", "AUC of the relative energy above 0.5",
              "Eqs. 37-48", above("relative-energy", b, "spurious"), 0.5)
        for b in ("memorized", "generalized")
    ),
)  # fmt: skip
"""What one setting can show."""


def moved(kind):
    """How a capacity moves with a field: that of the largest value over that of the smallest.

    A capacity below all training sizes is at most the smallest of them, and the effect at least what that
    gives.
    """

    def effect(large, small):
        if kind not in large.capacities or kind not in small.capacities:
            return None
        first, second = large.capacities[kind], small.capacities[kind]
        least_size, *above = second.bracket[::-1]
        if second.value is None and least_size is not None and above == [None]:
            known = _logs(first)
            edge = math.log(least_size)
            return known if known.value is None else Effect(known.value - edge, known.low - edge, math.inf)
        return times(first, second)

    return effect


def raised(large, small):
    """How the highest spurious share differs."""
    shares = [max((one["spurious"] for one in found.shares.values()), key=lambda share: share.value)
              for found in (large, small) if found.shares]  # fmt: skip
    return minus(*shares) if len(shares) == 2 else None


WIDTHS = ("denoiser.width", "denoiser.channels")

VARIED = (
    *(
        (fields, Claim(text, f"{kind} at the {most}, over that at the {fewest} (or the smallest K, where "
                       "that lies below), above 1", source, moved(kind),
                       ratio=True))
        for fields, text, most, fewest, source in (
            (WIDTHS, "a wider network memorizes more images", "widest", "narrowest", "App. B.5"),
            (WIDTHS, "a wider network generalizes later", "widest", "narrowest", "App. B.5"),
            (("training.iterations",), "longer training memorizes more images", "most steps", "fewest",
             "Bonnaire et al. (2025)"),
        )
        for kind in (["GC"] if "later" in text else ["MC"])
    ),
    (("sample_size",), Claim("more samples raise the spurious share",
                             "highest spurious share with most samples, less that with fewest",
                             "App. B.5", raised)),
)  # fmt: skip
"""What the same study shows with one of some fields varied, all else equal."""

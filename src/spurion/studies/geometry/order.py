"""Where the order memorized > spurious > generalized holds, where it does not, and where nobody knows.

Every comparison of two classes is a one-sided rank test. A study makes many, so one *holds* only if its
p-value survives division of 5 % by their number (Bonferroni); it is *reversed* if the whole interval of the
AUC lies below 1/2; all else is *open*.
"""

__all__ = [
    "Comparison",
    "Tally",
    "comparison_count",
    "comparisons",
    "in_words",
    "summary",
    "tallies",
    "threshold",
]

from collections.abc import Sequence
from dataclasses import dataclass

from spurion.audits.results import AuditResult
from spurion.geometry.groups.results import OrderResult
from spurion.phases.classification import CLASSES
from spurion.statistics.intervals import ALPHA
from spurion.statistics.numbers import decimals, listed, size
from spurion.studies.geometry.curves import left_out, measured, title

VERDICTS = ("holds", "open", "reversed")

Pair = tuple[str, str]


@dataclass(frozen=True)
class Comparison:
    """Two classes compared by one measure at one training size.

    Attributes:
        measure: The measure.
        train_size: The training size K.
        order: What was found.
        verdict: "holds", "open", or "reversed".
        left_out: How many points of the two classes have no place in the order.
    """

    measure: str
    train_size: int
    order: OrderResult
    verdict: str
    left_out: int = 0

    @property
    def pair(self) -> Pair:
        """The two classes in the order memorized, spurious, generalized."""
        first, last = sorted((self.order.higher, self.order.lower), key=CLASSES.index)
        return first, last


@dataclass(frozen=True)
class Tally:
    """All comparisons of two classes by one measure.

    Attributes:
        measure: The measure.
        pair: The two classes, the expectedly higher one first.
        found: One comparison for each training size.
    """

    measure: str
    pair: Pair
    found: tuple[Comparison, ...]

    def sizes(self, verdict: str) -> list[int]:
        """Training sizes with this verdict."""
        return [one.train_size for one in self.found if one.verdict == verdict]


def comparison_count(audits: Sequence[AuditResult]) -> int:
    """How many comparisons the study makes in all."""
    return sum(len(result.orders) for _, geometry in measured(audits) for result in geometry.measures)


def threshold(audits: Sequence[AuditResult]) -> float:
    """The p-value up to which a comparison holds."""
    return ALPHA / max(1, comparison_count(audits))


def comparisons(audits: Sequence[AuditResult]) -> list[Comparison]:
    """All comparisons, by training size, measure, and pair."""
    level = threshold(audits)
    return [
        Comparison(
            result.name, k, order, _verdict(order, level), left_out(result, (order.higher, order.lower))
        )
        for k, geometry in measured(audits)
        for result in geometry.measures
        for order in result.orders
    ]


def tallies(audits: Sequence[AuditResult], measures: Sequence[str]) -> list[Tally]:
    """The comparisons of some measures: one tally for each measure and pair that was compared."""
    everything, found = comparisons(audits), []
    for measure in measures:
        for first, last in ((0, 1), (1, 2), (0, 2)):
            pair = CLASSES[first], CLASSES[last]
            some = tuple(one for one in everything if one.measure == measure and one.pair == pair)
            if some:
                order = some[0].order
                found.append(Tally(measure, (order.higher, order.lower), some))
    return found


def in_words(audits: Sequence[AuditResult], measure: str) -> str:
    """One sentence on where the classes are ordered by a measure as the paper expects them."""
    parts = [_pair_in_words(tally) for tally in tallies(audits, [measure])]
    if not parts:
        return ""
    return f"By {title(measure)}, {'; '.join(parts)}."


def summary(audits: Sequence[AuditResult], measure: str = "critical-noise") -> str:
    """One sentence for the top of the page; empty if no two neighboring classes could be compared."""
    near = [tally for tally in tallies(audits, [measure]) if _neighbors(tally.pair)]
    if not near:
        return ""
    parts = [
        f"{tally.pair[0]} samples survive more than {tally.pair[1]} ones at {_share(tally)}" for tally in near
    ]
    reversed_at = [f"{tally.pair[0]} and {tally.pair[1]}" for tally in near if tally.sizes("reversed")]
    tail = f"; somewhere the order of {listed(reversed_at)} is reversed" if reversed_at else ""
    return f"Noised and denoised again, {', and '.join(parts)}{tail}."


def _verdict(order: OrderResult, level: float) -> str:
    if order.p_value <= level:
        return "holds"
    return "reversed" if order.auc.high < 0.5 else "open"


def _neighbors(pair: Pair) -> bool:
    return abs(CLASSES.index(pair[0]) - CLASSES.index(pair[1])) == 1


def _share(tally: Tally) -> str:
    count, holding = len(tally.found), len(tally.sizes("holds"))
    if count == 1:
        where = f"the one K where both could be measured (K = {size(tally.found[0].train_size)})"
        return where if holding else f"none, as far as this study can tell, not even {where}"
    number = "all" if holding == count else "none" if not holding else size(holding)
    return f"{number} of the {count} K where both could be measured"


def _pair_in_words(tally: Tally) -> str:
    parts = [
        f"{verdict} at K = {listed([size(k) for k in tally.sizes(verdict)])}"
        for verdict in VERDICTS
        if tally.sizes(verdict)
    ]
    if len(parts) == 1 and len(tally.found) > 1:
        verdict = tally.found[0].verdict
        state = "is open" if verdict == "open" else verdict if verdict == "holds" else "is reversed"
        parts = [f"{state} at all {len(tally.found)} K compared"]
    else:
        parts = [
            part.replace("open at", "is open at").replace("reversed at", "is reversed at") for part in parts
        ]
    return f"{tally.pair[0]} > {tally.pair[1]} {' and '.join(parts)} ({_aucs(tally)})"


def _aucs(tally: Tally) -> str:
    values = [one.order.auc.value for one in tally.found]
    ends = dict.fromkeys(decimals(2)(end) for end in (min(values), max(values)))
    return f"AUC {' to '.join(ends)}"

"""What a study says of its own ruler: how capacities hang on alpha, and where the leak ends."""

__all__ = ["by_alpha", "leak"]

from collections.abc import Iterator, Sequence

from spurion.audits.claims import Claim
from spurion.phases.passage import Capacity
from spurion.statistics.numbers import listed, size
from spurion.studies.results import CapacitiesAt, StudyResult

NAMES = ("memorization", "spurious", "generalization")


def by_alpha(study: StudyResult) -> Iterator[Claim]:
    """How capacities move with the share of honest samples that may be called copies."""
    known = study.capacities_by_alpha
    if len(known) < 2:
        return
    alphas = listed([f"{100 * one.alpha:g}%" for one in known])
    told = [f"the {name} capacity is {_all_told(known, name)}" for name in NAMES]
    yield Claim(
        kind="by_alpha",
        severity="limit",
        title="A capacity as one number, whatever the rule",
        sentence=f"If {alphas} of honest samples may be called copies, {listed(told)}, in this order.",
        numbers={
            f"{name} at {one.alpha:g}": value
            for one in known
            for name in NAMES
            if (value := getattr(one.capacities, name).value) is not None
        },
    )


def _all_told(known: Sequence[CapacitiesAt], name: str) -> str:
    """A capacity at every alpha, such as K = 81, 66, and not found."""
    every = [_told(getattr(one.capacities, name)) for one in known]
    return "not found" if set(every) == {"not found"} else f"K = {listed(every)}"


def _told(capacity: Capacity) -> str:
    if capacity.value is not None:
        return size(capacity.value)
    low, high = capacity.bracket
    if low is None and high is None:
        return "not found"
    return f"below {size(high)}" if low is None and high is not None else f"above {size(low)}"


def leak(study: StudyResult) -> Iterator[Claim]:
    """Up to which training size samples lie closer to the training set than to a held-out one."""
    found = study.leak_capacities
    if found is None:
        return
    ends = (("90%", found.most), ("half", found.half), ("nothing", found.none))
    told = [f"to {level} {_where(capacity)}" for level, capacity in ends]
    yield Claim(
        kind="leak",
        severity="answer",
        sentence="The leak excess, by how much more samples lie closer to the training set than to as many "
        f"held-out images, falls {listed(told)}.",
        numbers={
            level: capacity.value
            for level, capacity in zip(("most", "half", "none"), (one for _, one in ends), strict=True)
            if capacity.value is not None
        },
    )


def _where(capacity: Capacity) -> str:
    if capacity.value is not None:
        return f"at K = {size(capacity.value)}"
    low, high = capacity.bracket
    return f"before K = {size(high)}" if low is None else f"only beyond K = {size(low)}"

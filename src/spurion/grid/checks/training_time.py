"""When memorization sets in during a training, and when samples become like real images."""

__all__ = ["memorization_sets_in", "quality_sets_in"]

from collections.abc import Iterator, Sequence
from itertools import pairwise

from spurion.audits.claims import Claim
from spurion.grid.config import STEPS, label
from spurion.grid.results import GridResult, Onset
from spurion.statistics.numbers import listed, percent, size


def memorization_sets_in(grid: GridResult) -> Iterator[Claim]:
    """From which step on half of the samples are memorized, at every training size."""
    for found in _by_others(grid, "memorized", 0.5):
        reached = [onset for onset in found if onset.step is not None]
        last = grid.config.over[STEPS][-1]
        if not reached:
            sentence = f"At no training size {_share(found)} memorized by step {size(last)}."
        else:
            never = [onset.train_size for onset in found if onset.step is None]
            rest = f"; by step {size(last)} not at K = {listed([size(k) for k in never])}" if never else ""
            sentence = (
                f"{_share(found).capitalize()} memorized first at step {_steps(reached)}{rest}. "
                f"{_order(reached, bool(never) and min(never) > max(o.train_size for o in reached))}"
            )
        yield _claim("memorization_onset", sentence + _where(found), found)


def quality_sets_in(grid: GridResult) -> Iterator[Claim]:
    """From which step on samples lie as near to the training images as real images do."""
    for found in _by_others(grid, "near", 0.9):
        reached = [onset for onset in found if onset.step is not None]
        level = percent(found[0].level)
        what = f"{level} of the samples lie as near to the training images as 95% of the held-out images do"
        if not reached:
            if any(point.near for cell in grid.cells for point in cell.points):
                yield _claim("quality_onset", f"At no training size {what}, at any step read.", found)
            continue
        never = [size(onset.train_size) for onset in found if onset.step is None]
        rest = f"; not at K = {listed(never)}" if never else ""
        sentence = f"{what} first at step {_steps(reached)}{rest}."
        yield _claim("quality_onset", sentence + _where(found), found)


def _by_others(grid: GridResult, what: str, level: float) -> Iterator[list[Onset]]:
    """The onsets of the mean over seeds, by training size, for every combination of other values."""
    for others in grid.others(STEPS) if grid.onsets else ():
        yield [
            onset
            for onset in grid.onsets
            if (onset.what, onset.level, onset.seed, onset.values) == (what, level, None, others)
        ]


def _claim(kind: str, sentence: str, found: Sequence[Onset]) -> Claim:
    numbers = {f"K = {onset.train_size}": onset.step for onset in found if onset.step is not None}
    return Claim(kind=kind, severity="answer", sentence=sentence, numbers=numbers)


def _share(found: Sequence[Onset]) -> str:
    return "half of the samples are" if found[0].level == 0.5 else f"{percent(found[0].level)} are"


def _steps(reached: Sequence[Onset]) -> str:
    """Steps with their training sizes, such as 1,000 (K = 2 and 8) and 4,000 (K = 64)."""
    steps = sorted({onset.step for onset in reached if onset.step is not None})
    return listed(
        [
            f"{size(step)} (K = {listed([size(one.train_size) for one in reached if one.step == step])})"
            for step in steps
        ]
    )


def _order(reached: Sequence[Onset], later: bool) -> str:
    """Whether it sets in later the more training images there are."""
    steps = [onset.step for onset in sorted(reached, key=lambda one: one.train_size) if onset.step]
    if any(right < left for left, right in pairwise(steps)):
        return "It does not set in later the more training images there are."
    if steps[-1] > steps[0] or later:
        return "It sets in later the more training images there are."
    return "The steps read do not tell whether it sets in later with more training images."


def _where(found: Sequence[Onset]) -> str:
    values = [f"{field} {label(value)}" for field, value in found[0].values.items()]
    return f" This is with {listed(values)}." if values else ""

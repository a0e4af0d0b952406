"""Everything that is said of a grid, by name; see `spurion.audits.claims`.

A new check is one file with a function, and one line here.
"""

__all__ = ["GRID_CHECKS", "GridCheck", "checked"]

from collections.abc import Callable, Iterable

from spurion.audits.claims import Claim, in_order
from spurion.grid.checks.moved import capacities
from spurion.grid.checks.not_shown import failures, generalized_early, held, one_training, seeds
from spurion.grid.checks.rights import credit
from spurion.grid.checks.training_time import memorization_sets_in, quality_sets_in
from spurion.grid.results import GridResult

GridCheck = Callable[[GridResult], Iterable[Claim]]
"""What looks at a grid, and yields what is to be said of it."""

GRID_CHECKS: dict[str, GridCheck] = {
    "failures": failures,
    "memorization sets in": memorization_sets_in,
    "quality sets in": quality_sets_in,
    "capacities": capacities,
    "seeds": seeds,
    "others held": held,
    "one training": one_training,
    "generalized early": generalized_early,
    "credit": credit,
}
"""The checks, in the order of what they say."""


def checked(grid: GridResult) -> GridResult:
    """A grid with all claims; those that it has are made anew."""
    claims = [claim for check in GRID_CHECKS.values() for claim in check(grid)]
    return grid.model_copy(update={"claims": in_order(claims)})

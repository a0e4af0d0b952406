"""Whose images a grid stands on."""

__all__ = ["credit"]

from collections.abc import Iterator

from spurion.audits.checks.rights import credits
from spurion.audits.claims import Claim
from spurion.grid.results import GridResult


def credit(grid: GridResult) -> Iterator[Claim]:
    """Who made the images of a grid, and their license."""
    yield from credits((grid.train, grid.holdout))

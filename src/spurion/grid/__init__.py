"""Studies of studies: one study for every value of some fields and every seed, shown together."""

__all__ = ["GridConfig", "GridResult", "grid_schema", "grid_study"]

from spurion.grid.config import GridConfig
from spurion.grid.results import GridResult, grid_schema
from spurion.grid.study import grid_study

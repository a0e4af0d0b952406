"""The top of the page: what varied, and the answer."""

__all__ = ["grid_overview"]

from spurion.grid.config import label
from spurion.grid.results import GridResult
from spurion.report.blocks import Fact, Overview
from spurion.report.words import DEFINITIONS, sampler_in_words
from spurion.statistics.numbers import listed, size


def grid_overview(grid: GridResult) -> Overview:
    """Sum a grid up."""
    return Overview(
        facts=_facts(grid),
        answer=tuple(grid.said("answer")) or ("Nothing varied but the seed; the capacities are below.",),
        warnings=tuple(grid.said("warning")),
        tiles=(),
        definitions=tuple(DEFINITIONS.items()),
    )


def _facts(grid: GridResult) -> tuple[Fact, ...]:
    study = grid.config.study
    sampler = sampler_in_words(study.sampler.model_dump(mode="json"))
    steps = size(study.training.iterations if grid.config.longest is None else grid.config.longest)
    return (
        *(Fact(field, listed([label(v) for v in values])) for field, values in grid.config.over.items()),
        Fact("Seeds", listed([str(seed) for seed in grid.config.seeds])),
        Fact("Training images", f"{grid.train.name}: {size(grid.train.count)} images"),
        Fact("Training-set sizes K", listed([size(k) for k in grid.sizes]), "a model for each"),
        Fact("Training", f"{steps} steps", "" if grid.config.longest is None else "of one training"),
        Fact("Samples for each K", str(study.sample_size)) if "sample_size" not in grid.config.over else
        Fact("Samples for each K", "as above"),
        Fact("Sampler", sampler),
        Fact("Distance", study.distance, f"Rule of thresholds: {study.thresholds}."),
    )  # fmt: skip

"""The top of the page: what varied, and the answer."""

__all__ = ["grid_overview"]

from spurion.grid.config import label
from spurion.grid.results import GridResult
from spurion.report.blocks import Fact, Overview
from spurion.report.facts import credit_facts
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
    study, over = grid.config.study, grid.config.over
    steps = size(study.training.iterations if grid.config.longest is None else grid.config.longest)
    shared = {
        "sample_size": Fact("Samples for each K", str(study.sample_size)),
        "sampler": Fact("Sampler", sampler_in_words(study.sampler.model_dump(mode="json"))),
        "distance": Fact("Distance", study.distance),
        "thresholds": Fact("Rule of thresholds", study.thresholds),
    }
    return (
        *(Fact(field, listed([label(v) for v in values])) for field, values in grid.config.over.items()),
        Fact("Seeds", listed([str(seed) for seed in grid.config.seeds])),
        Fact("Training images", f"{grid.train.name}: {size(grid.train.count)} images"),
        Fact("Training-set sizes K", listed([size(k) for k in grid.sizes]), "a model for each"),
        Fact("Training", f"{steps} steps", "" if grid.config.longest is None else "of one training"),
        *(fact for field, fact in shared.items() if field not in {name.partition(".")[0] for name in over}),
        *credit_facts(grid.claims),
    )  # fmt: skip

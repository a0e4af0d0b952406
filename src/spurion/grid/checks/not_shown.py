"""What failed in a grid, and what does not follow from it."""

__all__ = ["failures", "generalized_early", "held", "one_training", "seeds"]

from collections.abc import Iterator

from spurion.audits.claims import Claim
from spurion.grid.config import STEPS
from spurion.grid.results import GridResult
from spurion.statistics.numbers import listed, size


def failures(grid: GridResult) -> Iterator[Claim]:
    """The training sizes that failed, by cell."""
    for cell in grid.cells:
        for point in cell.points:
            if point.message:
                sentence = f"{cell.folder}, K = {size(point.train_size)} failed: {point.message}"
                yield Claim(kind="failed", severity="warning", sentence=f"{sentence.rstrip('.')}.")


def seeds(grid: GridResult) -> Iterator[Claim]:
    """What the intervals hold, with one seed and with several."""
    count = len(grid.config.seeds)
    if count == 1:
        sentence = (
            "One seed was run, so the intervals are those of the samples and images drawn: another training "
            "may lie outside them. Several seeds (`--seeds`) show how far trainings differ."
        )
    else:
        sentence = (
            f"Intervals between seeds are Student’s, of the mean over {count} trainings that also differ in "
            f"their training images{'; of two values they are very wide' if count == 2 else ''}. Those of "
            "single studies are of the samples and images drawn."
        )
    yield Claim(
        kind="seeds", severity="limit", title="That a difference holds for every training", sentence=sentence
    )


def held(grid: GridResult) -> Iterator[Claim]:
    """That everything else is as it is in this study."""
    if not grid.config.over:
        return
    yield Claim(
        kind="held",
        severity="limit",
        title="That a field moves capacities by itself",
        sentence=f"Only {listed(list(grid.config.over))} varied; everything else is as in the configuration, "
        "and was not tuned anew for each value. A larger network, say, has learned more after as many "
        "steps.",
    )


def one_training(grid: GridResult) -> Iterator[Claim]:
    """That models at fewer steps are those of a longer training."""
    longest = grid.config.longest
    if longest is None:
        return
    decay = grid.config.study.training.decay
    course = (
        "whose learning rate falls to 0 only at the last step"
        if decay == "cosine"
        else f"whose learning rate is {decay}"
    )
    yield Claim(
        kind="one_training",
        severity="limit",
        title="What trainings of fewer steps would give",
        sentence=f"All steps are read off one training to step {size(longest)}, {course}: a model at an "
        "earlier step is the average of the weights there, not what a training of that length would give.",
    )


def generalized_early(grid: GridResult) -> Iterator[Claim]:
    """That the third class is not a sign of quality."""
    if STEPS not in grid.config.over:
        return
    yield Claim(
        kind="generalized_early",
        severity="limit",
        title="That samples called generalized are good",
        sentence="They are neither copies nor repeated, which is true of noise as well. Before the step at "
        "which "
        "samples lie as near to the training images as held-out images do, generalized means that nothing is "
        "learned yet; after it blurred images still pass.",
    )

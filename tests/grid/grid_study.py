"""A grid of studies that last a second, and a grid whose numbers are planted."""

from spurion.audits.findings import SourceInfo
from spurion.grid.checks import checked
from spurion.grid.config import STEPS, grid_config
from spurion.grid.onsets import onsets
from spurion.grid.results import CellPoint, CellResult, GridResult
from spurion.grid.settings import settings
from spurion.phases.transitions import capacities
from spurion.statistics.intervals import ClassFractions, proportion

SMALL = (
    "train_sizes=[2, 6]",
    "training.iterations=12",
    "training.warmup=2",
    "training.batch_size=4",
    "training.checkpoint_every=5",
    "training.log_every=5",
    "denoiser.width=8",
    "denoiser.blocks=1",
    "sampler.steps=3",
    "sampler.batch_size=8",
    "sample_size=20",
    "thresholds=fixed:1.5,1.5",
    "gallery=4",
)
"""Overrides of the recipe `digits`."""

SOURCE = {"name": "digits", "count": 1437, "shape": [1, 8, 8], "sha256": "ab" * 32}
SAMPLES = 1000


def planted(over, seeds, shares, near=None, sizes=(2, 16, 64, 256), message=None):
    """A grid without any model.

    Arguments:
        over: The fields with their values.
        seeds: The seeds.
        shares: The memorized and spurious shares as a function of values, seed and K; None for a failure.
        near: The share of near samples, as a function of the same.
        sizes: The training sizes.
        message: Why those failed.
    """
    config = grid_config("digits", (f"train_sizes={list(sizes)}",), None, over, seeds)
    cells = [
        _cell(config, values, seed, shares, near, sizes, message)
        for seed in config.seeds
        for values in config.combinations
    ]
    source = SourceInfo.model_validate(SOURCE)
    return checked(
        GridResult(
            name=config.name,
            config=config,
            environment={"cores": 2},
            train=source,
            holdout=source,
            cells=tuple(cells),
            settings=settings(config, cells),
            onsets=onsets(config, cells),
        )
    )


def _cell(config, values, seed, shares, near, sizes, message):
    points, counts = [], []
    for k in sizes:
        found = shares(values, seed, k)
        if found is None:
            points.append(CellPoint(train_size=k, sample_size=SAMPLES, message=message))
            counts.append([0, 0, 0])
            continue
        number = [round(share * SAMPLES) for share in found]
        number.append(SAMPLES - sum(number))
        names = ("memorized", "spurious", "generalized")
        fractions = {name: proportion(n, SAMPLES) for name, n in zip(names, number, strict=True)}
        close = None if near is None else proportion(round(near(values, seed, k) * SAMPLES), SAMPLES)
        points.append(
            CellPoint(train_size=k, sample_size=SAMPLES, fractions=ClassFractions(**fractions), near=close)
        )
        counts.append(number)
    whole = any(map(sum, counts))
    return CellResult(
        folder=f"cells/seed={seed}",
        values=values,
        seed=seed,
        steps=values.get(STEPS, 16000),
        points=tuple(points),
        capacities=capacities(list(sizes), counts, seed=0, resamples=100) if whole else None,
    )


def widening(values, seed, k):
    """Memorized up to K = width / 2, in seed 1 a little farther; nothing is spurious but in between."""
    width = values["denoiser.width"] * (1 + 0.1 * seed)
    return (1.0, 0.0) if k <= width / 2 else (0.0, 0.4) if k <= 2 * width else (0.0, 0.0)


def lasting(values, seed, k):
    """Memorized from step 100 K on."""
    return (0.8, 0.1) if values[STEPS] >= 100 * k else (0.2, 0.0) if values[STEPS] >= 50 * k else (0.0, 0.0)

"""A study of the circle that lasts seconds."""

SMALL = (
    "landscapes={counts: [2, 9], betas: [0.5, 10], points: 9}",
    "table={counts: [2, 9], times: [0.15]}",
    "branches={counts: [2], lowest: 0.4, highest: 2, steps: 3}",
    "sweep={counts: [3], betas: [5], sets: 2, draws: 4}",
    "phases={counts: [2, 40], betas: [5], sets: 2, draws: 6}",
    "laws={betas: [10], sets: 3, draws: 4}",
    "trained.counts=[2]",
    "trained.networks.code=null",
    "trained.networks.paper.denoiser.width=8",
    "trained.networks.paper.training.iterations=6",
    "trained.networks.paper.training.warmup=2",
    "trained.networks.paper.training.batch_size=8",
    "trained.networks.paper.training.log_every=2",
    "trained.samples=30",
    "trained.sampler.steps=5",
    "trained.points=5",
)
"""Overrides of the recipe `circle`."""

"""The compiled training step on the device: how fast, in which layout, made of what, and whether it repeats.

Compiling the paper's network takes one to two minutes of a slow processor, so this is a section of its own,
the last one.
"""

from functools import partial

import torch
from gpu_bench import Bench, built, kernels, unets
from gpu_rates import can_compile, rate, trainer

from spurion.core.random import generator
from spurion.diffusion.batches import Batches
from spurion.diffusion.device import Execution
from spurion.diffusion.learner import Learner
from spurion.diffusion.schedule import DDPMSchedule
from spurion.diffusion.training_config import TrainingConfig

TO_COMPILE = 130
"""Seconds without which nothing is compiled any more."""
REPEATED = 20
"""Steps that are taken twice from one state."""


def compiled(bench: Bench, rows: list) -> None:
    """The step of the paper's network for CIFAR10: both layouts as they come, then compiled."""
    network = unets(bench)[1]
    for layout in (True, False):
        name = f"spurion, channels {'last' if layout else 'first'}"
        rate(bench, rows, network, name, partial(trainer, bench, channels_last=layout))
    told(bench, rows, trainer(bench, network, channels_last=False), "channels first")
    if not can_compile(bench) or bench.left() < TO_COMPILE:
        rows.append({"compiled": "left out: no compiler, too little time, or a quick run"})
        return
    step = trainer(bench, network, compiled=True)
    rate(bench, rows, network, "spurion, compiled", lambda _: step)
    told(bench, rows, step, "compiled")
    rows.append({"compiled step, twice from one state": repeats(bench, network)})


def told(bench, rows, step, loop):
    """Which kernels three steps are made of."""
    if bench.device != "cuda":
        return
    for row in kernels(lambda: [step() for _ in range(3)], 12):
        rows.append({"loop": loop, **row, "ms": row["ms"] / 3, "count": row["count"] // 3})


def repeats(bench, network):
    """Whether compiled steps give the same bits again, which those that are not compiled do."""
    _, config, shape, batch = network
    settings = TrainingConfig(batch_size=batch, optimizer="adam", weight_decay=0.0, device=bench.device)
    images = torch.randn(512, *shape, generator=generator(bench.seed, "images")).clamp(-1, 1)
    batches = Batches(images, DDPMSchedule(), batch_size=batch, replacement=True, seed=0, device=bench.device)
    execution, ends = Execution(bench.device, True, True, True), []
    with execution.reproducible():
        for _ in range(2):
            learner = Learner(built(config, shape), settings, execution, seed=0)
            for step in range(REPEATED):
                learner.step(step, batches(step))
            ends.append(learner.state(REPEATED, torch.empty(0), torch.empty(0, 3)).weights)
    if torch.equal(*ends):
        return "the same bits"
    return f"the same to {float((ends[0] - ends[1]).abs().max()):.1e} of weights"

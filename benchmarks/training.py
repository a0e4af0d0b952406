"""Steps per second of a training step against a plain torch loop, and what the parts of a step cost.

Both train the digits network of the recipe on one core, in turns; the best round of each counts, in seconds
of the core (not of the clock, which a busy machine slows). Run::

    python benchmarks/training.py [--rounds 10] [--steps 200] [--out results.json]
"""

import argparse
import json
import platform
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.functional import mse_loss

from spurion.core.random import generator
from spurion.data import load_split
from spurion.diffusion.batches import Batch, Batches
from spurion.diffusion.denoisers.network import NetworkDenoiser
from spurion.diffusion.denoisers.network_config import MLPConfig
from spurion.diffusion.device import choose_execution
from spurion.diffusion.learner import Learner
from spurion.diffusion.schedule import DDPMSchedule
from spurion.diffusion.training import TrainingConfig

SCHEDULE = DDPMSchedule()
TRAINING = TrainingConfig(device="cpu")
EXECUTION = choose_execution("cpu", "float32", False, False, (1, 8, 8))


def ours(images: torch.Tensor) -> Callable[[int], object]:
    """A step as `spurion.diffusion.training` takes it."""
    batches = Batches(images, SCHEDULE, batch_size=TRAINING.batch_size, replacement=True, seed=0)
    learner = Learner(fresh(images), TRAINING, EXECUTION, seed=0)
    return lambda step: learner.step(step, batches(step))


def plain(images: torch.Tensor) -> Callable[[int], object]:
    """The same step in the plainest words."""
    network = fresh(images).network.train()
    average = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(TRAINING.ema_decay)
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=TRAINING.learning_rate)
    draw = generator(0, "plain")

    def step(number: int) -> None:
        x = images[torch.randint(len(images), (TRAINING.batch_size,), generator=draw)]
        t = torch.randint(SCHEDULE.steps, (len(x),), generator=draw)
        noise = torch.randn(x.shape, generator=draw)
        alpha, sigma = (value.float().view(-1, 1, 1, 1) for value in (SCHEDULE.alpha(t), SCHEDULE.sigma(t)))
        optimizer.zero_grad()
        mse_loss(network(alpha * x + sigma * noise, t), noise).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.param_groups[0]["lr"] = TRAINING.learning_rate_at(number)
        optimizer.step()
        average.update_parameters(network)

    return step


def network_alone(images: torch.Tensor) -> Callable[[int], object]:
    """Forward and backward pass of one batch and nothing else: the floor of any step."""
    network = fresh(images).network.train()
    batch: Batch = Batches(images, SCHEDULE, batch_size=TRAINING.batch_size, replacement=True, seed=0)(0)
    return lambda step: mse_loss(network(batch.x_t, batch.t), batch.target).backward()


def fresh(images: torch.Tensor) -> NetworkDenoiser:
    """The recipe's network."""
    return MLPConfig().build(images, SCHEDULE, generator=generator(0, "weights"))


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=200, help="steps in a round")
    parser.add_argument("--out", help="JSON file to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    images = load_split("digits").train.images[:128]
    loops = {kind.__name__: kind(images) for kind in (ours, plain, network_alone)}
    best = dict.fromkeys(loops, float("inf"))
    for number in range(arguments.rounds):
        for name, step in loops.items():
            begun = time.process_time()
            for index in range(arguments.steps):
                step(number * arguments.steps + index)
            best[name] = min(best[name], (time.process_time() - begun) / arguments.steps)
    result = {
        "milliseconds_per_step": {name: round(1e3 * seconds, 3) for name, seconds in best.items()},
        "steps_per_second": {name: round(1 / seconds, 1) for name, seconds in best.items()},
        "speedup_over_plain": round(best["plain"] / best["ours"], 3),
        "overhead_over_network": round(best["ours"] / best["network_alone"], 3),
        "parameters": sum(p.numel() for p in fresh(images).network.parameters()),
        "batch_size": TRAINING.batch_size,
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    for name, seconds in best.items():
        print(f"{name:16} {1e3 * seconds:7.3f} ms/step {1 / seconds:8.1f} steps/s")
    print(f"ours / plain: {result['speedup_over_plain']} times as fast")
    if arguments.out:
        with open(arguments.out, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=2)


if __name__ == "__main__":
    main()

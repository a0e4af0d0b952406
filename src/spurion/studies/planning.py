"""What a study would do, and an estimate of what it would take, before it does anything."""

__all__ = ["Plan", "Work", "plan", "planned"]

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from spurion.audits.findings import SourceInfo
from spurion.core.environment import Crew
from spurion.core.random import generator
from spurion.data import DATASETS
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.denoisers.network import NetworkDenoiser
from spurion.studies.config import StudyConfig, sample_size_for
from spurion.studies.crew import crew_for
from spurion.studies.geometry.cost import model_calls
from spurion.studies.point import point_data
from spurion.studies.recipes import named_config

TRIAL_BATCH = 8
"""Batch of the timed steps of large networks; time grows about linearly beyond it."""

QUICK = 100_000_000
"""Numbers in a batch times parameters up to which a step is timed at its full batch size."""


@dataclass(frozen=True)
class Plan:
    """What a study would do.

    `points`: (training size, number of samples) of each point. `seconds`, `bytes`: rough estimates of wall
    time and disk, from a few timed steps of the real network on this machine.
    """

    config: StudyConfig
    points: tuple[tuple[int, int], ...]
    seconds: float
    bytes: int
    notes: tuple[str, ...]


def plan(
    what: str | Path | StudyConfig,
    *,
    overrides: Sequence[str] = (),
    device: str | None = None,
    workers: int | None = None,
    allow_download: bool = False,
) -> Plan:
    """Resolve a study and estimate its time and disk; nothing is written. Arguments as for `study`.

    Raises:
        ValueError: If the configuration is wrong.
    """
    config = named_config(what, overrides, device)
    return planned(config, workers=workers, allow_download=allow_download)


@dataclass(frozen=True)
class Work:
    """What a study has to do itself.

    Attributes:
        steps: Training steps that are left of every model.
        drawn: How many samples a training size has already.
    """

    steps: int
    drawn: Callable[[int], int] = lambda train_size: 0


def planned(
    config: StudyConfig,
    *,
    workers: int | None = None,
    allow_download: bool = False,
    work: Work | None = None,
    rates: dict[str, float] | None = None,
) -> Plan:
    """Estimate what a study takes; nothing is written.

    Arguments:
        config: The study.
        workers: Number of processes.
        allow_download: Whether a missing data set may be downloaded.
        work: What it has to do itself; everything if None.
        rates: Seconds of a step, by what is computed, as far as they were measured before; gets the others.

    Raises:
        ValueError: If the configuration is wrong.
    """
    count, shape, notes = _data(config, allow_download)
    try:
        config.load_distance(allow_download)
    except ValueError as error:
        notes += (f"The distance is not ready yet: {error}",)
    points = tuple((size, sample_size_for(config.sample_size, size)) for size in config.sizes(count))
    crew = crew_for(config, len(points), workers)
    denoiser = config.denoiser.build(
        torch.zeros(2, *shape), config.schedule.build(), generator=generator(config.seed, "plan")
    )
    work = Work(config.training.steps) if work is None else work
    seconds = _seconds(config, denoiser, points, crew, work, {} if rates is None else rates)
    return Plan(config, points, seconds, _bytes(config, denoiser, points, math.prod(shape)), notes)


def _data(config: StudyConfig, allow_download: bool) -> tuple[int, tuple[int, ...], tuple[str, ...]]:
    try:
        pool, _ = point_data(config, allow_download)
        return len(pool), pool.shape, SourceInfo.of(pool).told("Training images")
    except ValueError as error:
        known = DATASETS.get(config.data.source)
        if known is None or known.size is None:
            raise
        count, _, (channels, *sides) = known.size
        side = config.data.resize
        shape = (channels, *(sides if side is None else (side, side)))
        return count, shape, (f"The data are not here yet: {error}",)


def _seconds(
    config: StudyConfig,
    denoiser: Denoiser,
    points: Sequence[tuple[int, int]],
    crew: Crew,
    work: Work,
    rates: dict[str, float],
) -> float:
    if not isinstance(denoiser, NetworkDenoiser):
        return sum(count * config.sampler.steps for _, count in points) * 1e-4
    threads = torch.get_num_threads()
    torch.set_num_threads(crew.threads)
    try:
        train_step, sample_step = _rates(config, denoiser, crew, rates)
    finally:
        torch.set_num_threads(threads)
    size = config.sampler.batch_size
    left = [count - min(count, work.drawn(k)) // size * size for k, count in points]
    batches = sum(math.ceil(count / size) for count in left)
    training = len(points) * work.steps * train_step
    calls = batches * config.sampler.steps + _geometry_batches(config, points, math.prod(denoiser.shape))
    calls += _flow_batches(config, points)
    return (training + calls * sample_step) / min(crew.workers, len(points))


def _rates(
    config: StudyConfig, denoiser: NetworkDenoiser, crew: Crew, rates: dict[str, float]
) -> tuple[float, float]:
    """Seconds of a step of training and of sampling."""
    found = []
    for training, batch in ((True, config.training.batch_size), (False, config.sampler.batch_size)):
        name = f"{config.denoiser!r} {crew.device} {batch} {training}"
        if name not in rates:
            rates[name] = _step_seconds(denoiser, crew.device, batch, training=training)
        found.append(rates[name])
    return found[0], found[1]


def _geometry_batches(config: StudyConfig, points: Sequence[tuple[int, int]], dim: int) -> float:
    """Model calls of the geometry, in batches of the sampler."""
    if config.geometry is None:
        return 0.0
    geometry = config.geometry
    items = sum(model_calls(geometry, train_size=size, sample_size=count, dim=dim) for size, count in points)
    return items / config.sampler.batch_size


def _flow_batches(config: StudyConfig, points: Sequence[tuple[int, int]]) -> float:
    """Model calls of the iterated denoiser, in batches of the sampler."""
    flow = config.flow
    if flow is None:
        return 0.0
    items = sum(min(flow.images, size) + min(flow.samples, count) for size, count in points)
    return flow.steps * items / config.sampler.batch_size


def _step_seconds(denoiser: NetworkDenoiser, device: str, batch_size: int, *, training: bool) -> float:
    network = denoiser.network.to(device)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    batch = batch_size if batch_size * parameters <= QUICK else min(batch_size, TRIAL_BATCH)
    x_t = torch.randn(batch, *denoiser.shape, generator=generator(0, "plan", "x")).to(device)
    times = torch.zeros(batch, dtype=torch.int64, device=device)
    step = _training_step(network, x_t, times) if training else _forward(denoiser, x_t, times)
    step()
    start, runs = time.perf_counter(), 0
    while runs < 20 and time.perf_counter() - start < 2:
        step()
        runs += 1
    return (time.perf_counter() - start) / max(runs, 1) * batch_size / batch


def _training_step(network: torch.nn.Module, x_t: Tensor, times: Tensor) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)

    def step() -> None:
        output = network(x_t, times)
        output = output if isinstance(output, Tensor) else output.sample
        output.square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        float(output.detach().flatten()[0])  # waits for the device

    return step


def _forward(denoiser: Denoiser, x_t: Tensor, times: Tensor) -> Callable[[], None]:
    @torch.no_grad()
    def step() -> None:
        float(denoiser(x_t, times).flatten()[0])

    return step


def _bytes(config: StudyConfig, denoiser: Denoiser, points: Sequence[tuple[int, int]], dim: int) -> int:
    """Model, training state (four vectors of all weights), samples, distances and gallery of every point."""
    parameters = 0
    if isinstance(denoiser, NetworkDenoiser):
        parameters = sum(parameter.numel() for parameter in denoiser.network.parameters())
    samples = sum(count * (4 * dim + 200) for _, count in points)
    gallery = len(points) * 9 * config.gallery * dim
    return 4 * 5 * parameters * len(points) + samples + gallery

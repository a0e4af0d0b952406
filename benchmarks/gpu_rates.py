"""How fast the machine is, how fast Spurion trains and samples on it, and how fast plain loops do."""

import importlib.util
import subprocess
from contextlib import nullcontext
from functools import partial

import torch
from gpu_bench import SCHEDULE, built, unets
from torch import nn
from torch.nn.functional import mse_loss
from torch.utils.flop_counter import FlopCounterMode

from spurion.core.random import generator
from spurion.diffusion.batches import Batches
from spurion.diffusion.denoisers.mlp import MLPConfig
from spurion.diffusion.device import choose_execution
from spurion.diffusion.learner import Learner
from spurion.diffusion.samplers import SamplerConfig, sample, stream_noises
from spurion.diffusion.training_config import TrainingConfig

SAMPLED_STEPS = 10
WARM = 3
TO_COMPILE = 40
"""Seconds without which nothing is compiled any more."""


def machine(bench, rows):
    """The card, and its measured peaks: products of large matrices, and a copy in its memory."""
    if bench.device == "cuda":
        card = torch.cuda.get_device_properties(0)
        rows.append(
            {
                "card": card.name,
                "memory GiB": card.total_memory / 2**30,
                "multiprocessors": card.multi_processor_count,
                "capability": f"{card.major}.{card.minor}",
                "driver": driver(),
                "cuDNN": torch.backends.cudnn.version(),
            }
        )
    n = bench.size(8192, 256)
    for name, dtype, precision in (
        ("bf16 product", torch.bfloat16, "highest"),
        ("tf32 product", torch.float32, "high"),
        ("float32 product", torch.float32, "highest"),
        ("float64 product", torch.float64, "highest"),
    ):
        size = n // 2 if dtype == torch.float64 else n
        a = bench.normal(size, size).to(dtype)
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision(precision)
        seconds = bench.median(lambda a=a: a @ a, 7)
        torch.set_float32_matmul_precision(before)
        bench.found[name] = 2 * size**3 / seconds
        rows.append({"peak": name, "size": f"{size}^3", "value": bench.found[name] / 1e12, "unit": "TFLOP/s"})
    source = torch.zeros(bench.size(2**30, 2**22), dtype=torch.uint8, device=bench.device)
    target = torch.empty_like(source)
    seconds = bench.median(lambda: target.copy_(source), 7)
    bandwidth = 2 * source.numel() / seconds / 1e9
    rows.append({"peak": "copy", "size": f"{source.numel() >> 20} MiB", "value": bandwidth, "unit": "GB/s"})


def driver():
    try:
        asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        return subprocess.run(asked, capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return None


def training(bench, rows):
    """Steps of the trainer, as a study takes them, next to plain loops; then all of it compiled."""
    networks = [*unets(bench), ("mlp", MLPConfig(), (1, 8, 8), 128)]
    for network in networks:
        rate(bench, rows, network, "spurion, not compiled", lambda net: trainer(bench, net, compiled=False))
        rate(
            bench, rows, network, "the same, batches drawn before", lambda net: trainer(bench, net, False, 1)
        )
        for name, options in PLAIN.items():
            rate(bench, rows, network, name, lambda net, options=options: plain(bench, net, **options))
    if not can_compile(bench):
        rows.append({"compiled": "left out: no compiler, no Python.h or no Triton here, or a quick run"})
        return
    for network in networks:
        if bench.left() < TO_COMPILE:
            rows.append(
                {"compiled": f"{network[0]} left out: {bench.left():.0f} s are too few to compile it"}
            )
            continue
        rate(bench, rows, network, "spurion", lambda net: trainer(bench, net, compiled=True))
        rate(
            bench,
            rows,
            network,
            COMPILED,
            lambda net: plain(bench, net, **FAST, compiled={"fullgraph": True}),
        )
    if bench.left() > TO_COMPILE:
        options = {"fullgraph": True, "mode": "max-autotune-no-cudagraphs"}
        rate(bench, rows, networks[0], AUTOTUNED, lambda net: plain(bench, net, **FAST, compiled=options))


FAST = {"bf16": True, "channels_last": True}
PLAIN = {
    "plain, float32": {},
    "plain, bf16": {"bf16": True},
    "plain, bf16, channels last": FAST,
}
COMPILED, AUTOTUNED = "plain, bf16, channels last, compiled", "the same plain loop, max-autotune"


def can_compile(bench):
    if bench.quick or bench.device != "cuda" or not importlib.util.find_spec("triton"):
        return False
    return choose_execution(bench.device, "auto", "auto", "auto", (1, 8, 8)).compile


def rate(bench, rows, network, name, make):
    """One row: images a second, and the share of the measured peak in bf16."""
    kind, _, _, batch = network
    bench.forget()
    with nullcontext() if "plain" in name else execution_of(bench, network, name == "spurion").reproducible():
        step = make(network)
        first, _ = bench.timed(step)
        for _ in range(WARM):
            step()
        seconds = bench.each(step, 1.0)
    flops = operations(bench, network)
    peak = bench.found.get("bf16 product")
    rows.append(
        {
            "network": kind,
            "loop": name,
            "ms/step": 1e3 * seconds,
            "images/s": batch / seconds,
            "TFLOP/s": flops * batch / seconds / 1e12,
            "of bf16 peak": flops * batch / seconds / peak if peak else None,
            "first step s": first,
            "peak MiB": bench.peak(),
        }
    )


def execution_of(bench, network, compiled):
    return choose_execution(bench.device, "auto", "auto", compiled, network[2])


def operations(bench, network):
    """Multiplications and additions for an image, forward and backward, counted once by torch."""
    kind, config, shape, _ = network
    if ("operations", kind) not in bench.found:
        denoiser = built(config, shape, bench.device)
        x, t = (
            torch.zeros(2, *shape, device=bench.device),
            torch.zeros(2, dtype=torch.long, device=bench.device),
        )
        with FlopCounterMode(display=False) as counter:
            output = denoiser.network(x, t)
            (output if isinstance(output, torch.Tensor) else output.sample).sum().backward()
        bench.found["operations", kind] = counter.get_total_flops() / 2
    return bench.found["operations", kind]


def trainer(bench, network, compiled, repeated=0):
    """A step as `spurion.diffusion.training` takes it."""
    _, config, shape, batch = network
    settings = TrainingConfig(batch_size=batch, optimizer="adam", weight_decay=0.0, device=bench.device)
    images = torch.randn(512, *shape, generator=generator(bench.seed, "images")).clamp(-1, 1)
    batches = Batches(
        images, SCHEDULE, batch_size=batch, replacement=True, seed=bench.seed, device=bench.device
    )
    learner = Learner(built(config, shape), settings, execution_of(bench, network, compiled), seed=bench.seed)
    fixed = batches(0) if repeated else None
    count = iter(range(10**9))

    def step():
        number = next(count)
        return learner.step(number, fixed or batches(number))

    return step


def plain(bench, network, *, bf16=False, channels_last=False, compiled=None):
    """The same step in the plainest words, with batches drawn on the device."""
    _, config, shape, batch = network
    layout = torch.channels_last if channels_last and len(shape) == 3 else torch.contiguous_format
    model = built(config, shape, bench.device).network.train().to(memory_format=layout)
    forward = torch.compile(model, **compiled) if compiled else model
    average = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.999)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-4)
    images = torch.randn(512, *shape, device=bench.device).clamp(-1, 1)
    every = torch.arange(SCHEDULE.steps)
    alphas, sigmas = (
        f(every).float().view(-1, 1, 1, 1).to(bench.device) for f in (SCHEDULE.alpha, SCHEDULE.sigma)
    )

    def step():
        x = images[torch.randint(len(images), (batch,), device=bench.device)]
        t = torch.randint(SCHEDULE.steps, (batch,), device=bench.device)
        noise = torch.randn_like(x)
        x_t = (alphas[t] * x + sigmas[t] * noise).contiguous(memory_format=layout)
        with torch.autocast(bench.device, torch.bfloat16) if bf16 else nullcontext():
            output = forward(x_t, t)
        predicted = output if isinstance(output, torch.Tensor) else output.sample
        optimizer.zero_grad()
        mse_loss(predicted.float(), noise).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        average.update_parameters(model)

    return step


def sampling(bench, rows):
    """Samples a second: ten steps are timed, and the time is multiplied up to the sampler's 1,000."""
    for kind, config, shape, _ in unets(bench):
        bench.forget()
        rows.append({"network": kind, **sampling_row(bench, config, shape, bench.size(512, 4))})


def sampling_row(bench, config, shape, count):
    denoiser = built(config, shape, bench.device)
    settings = SamplerConfig(steps=SAMPLED_STEPS, batch_size=count)
    sample(denoiser, count, settings.model_copy(update={"steps": 2}), seed=bench.seed)
    seconds, _ = bench.timed(lambda: sample(denoiser, count, settings, seed=bench.seed))
    x, t = torch.zeros(count, *shape), torch.zeros(count, dtype=torch.long)
    with torch.no_grad():
        network = bench.median(partial(denoiser.network, x.to(bench.device), t.to(bench.device)), 3)
    noises = stream_noises(denoiser, bench.seed, range(count))
    drawing = bench.timed(lambda: [next(noises) for _ in range(SAMPLED_STEPS)])[0] / SAMPLED_STEPS
    return {
        "batch": count,
        "ms/step": 1e3 * seconds / SAMPLED_STEPS,
        "images/s at 1,000 steps (scaled)": count * SAMPLED_STEPS / seconds / SamplerConfig().steps,
        "ms of the network": 1e3 * network,
        "ms of the noise": 1e3 * drawing,
        "peak MiB": bench.peak(),
    }

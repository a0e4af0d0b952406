"""How fast the machine is, how fast Spurion trains and samples on it, and how fast plain loops do."""

import importlib.util
import subprocess
from contextlib import nullcontext
from functools import partial
from unittest import mock

import torch
from gpu_bench import SCHEDULE, built, unets
from torch import nn
from torch.nn.functional import mse_loss
from torch.utils.flop_counter import FlopCounterMode

from spurion.core.random import generator
from spurion.diffusion import samplers
from spurion.diffusion.batches import Batches
from spurion.diffusion.captured import beside, record
from spurion.diffusion.denoisers.network_config import MLPConfig
from spurion.diffusion.device import choose_execution
from spurion.diffusion.learner import Learner
from spurion.diffusion.samplers import SamplerConfig, sample, stream_noises
from spurion.diffusion.training_config import TrainingConfig

SAMPLED_STEPS = 10
WARM = 3


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
    """Steps of the trainer, recorded as a study takes them and eager, next to plain ones."""
    networks = [*unets(bench), ("mlp", MLPConfig(), (1, 8, 8), 128)]
    for network in networks:
        rate(bench, rows, network, "spurion, eager step", partial(trainer, bench, captured=False))
        rate(bench, rows, network, "spurion", partial(trainer, bench))
        rate(bench, rows, network, "plain, bf16, channels last", partial(plain, bench))
        if bench.device == "cuda":
            rate(bench, rows, network, "the same plain loop, CUDA graph", partial(recorded, bench))


def can_compile(bench):
    if bench.quick or bench.device != "cuda" or not importlib.util.find_spec("triton"):
        return False
    return choose_execution(bench.device, "auto", "auto", "auto", (1, 8, 8)).compile


def rate(bench, rows, network, name, make):
    """One row: images a second, and the share of the measured peak in bf16; a failure is a row as well."""
    kind, _, _, batch = network
    bench.forget()
    try:
        with execution_of(bench, network, False).reproducible() if "spurion" in name else nullcontext():
            first, seconds, graph = measured(bench, make(network))
    except TimeoutError:
        raise
    except Exception as error:
        rows.append(
            {"network": kind, "loop": name, "failed": f"{type(error).__name__}: {error}"[:300], "ok": False}
        )
        return
    flops = operations(bench, network)
    peak = bench.found.get("bf16 product")
    rows.append(
        {
            "network": kind,
            "loop": name,
            "graph": graph,
            "ms/step": 1e3 * seconds,
            "images/s": batch / seconds,
            "TFLOP/s": flops * batch / seconds / 1e12,
            "of bf16 peak": flops * batch / seconds / peak if peak else None,
            "first step s": first,
            "peak MiB": bench.peak(),
        }
    )


def measured(bench, step):
    """Seconds of the first step and of those after a few, and whether they are replayed."""
    first, _ = bench.timed(step)
    for _ in range(WARM):
        step()
    seconds = bench.each(step, 1.0)
    return first, seconds, "yes" if getattr(step, "graph", lambda: False)() else "no"


def execution_of(bench, network, compiled, channels_last="auto"):
    return choose_execution(bench.device, "auto", channels_last, compiled, network[2])


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


def trainer(bench, network, compiled=False, captured=True, channels_last="auto"):
    """A step as `spurion.diffusion.training` takes it."""
    _, config, shape, batch = network
    settings = TrainingConfig(batch_size=batch, optimizer="adam", weight_decay=0.0, device=bench.device)
    images = torch.randn(512, *shape, generator=generator(bench.seed, "images")).clamp(-1, 1)
    batches = Batches(
        images, SCHEDULE, batch_size=batch, replacement=True, seed=bench.seed, device=bench.device
    )
    execution = execution_of(bench, network, compiled, channels_last)
    learner = Learner(built(config, shape), settings, execution, seed=bench.seed, captured=captured)
    count = range(10**9)
    steps = zip(count, batches.ahead(count) if captured else map(batches, count), strict=True)

    def step():
        return learner.step(*next(steps))

    step.graph = lambda: learner._captured is not None
    return step


def plain(bench, network):
    """The same step in the plainest words, in bf16 with channels last, with batches drawn on the device."""
    _, config, shape, batch = network
    layout = torch.channels_last if len(shape) == 3 else torch.contiguous_format
    model = built(config, shape, bench.device).network.train().to(memory_format=layout)
    weights = [parameter.detach() for parameter in model.parameters()]
    average = [values.clone() for values in weights]
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-4, capturable=bench.device == "cuda")
    optimizer._warned_capturable_if_run_uncaptured = True
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
        with torch.autocast(bench.device, torch.bfloat16):
            output = model(x_t, t)
        predicted = output if isinstance(output, torch.Tensor) else output.sample
        optimizer.zero_grad()
        mse_loss(predicted.float(), noise).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        torch._foreach_lerp_(average, weights, 0.001)

    return step


def recorded(bench, network):
    """The plain step as a CUDA graph."""
    step, stream, graph = plain(bench, network), torch.cuda.Stream(), torch.cuda.CUDAGraph()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    with torch.cuda.graph(graph):
        step()

    def replayed():
        graph.replay()

    replayed.graph, replayed.keeps = lambda: True, step
    return replayed


def sampling(bench, rows):
    """Samples a second: ten steps are timed, and the time is multiplied up to the sampler's 1,000."""
    for kind, config, shape, _ in unets(bench):
        bench.forget()
        rows.append({"network": kind, **sampling_row(bench, config, shape, bench.size(512, 4))})


def sampling_row(bench, config, shape, count):
    denoiser = built(config, shape, bench.device)
    settings = SamplerConfig(steps=SAMPLED_STEPS, batch_size=count)
    work = partial(sample, denoiser, count, settings, seed=bench.seed)
    sample(denoiser, count, settings.model_copy(update={"steps": 2}), seed=bench.seed)
    seconds, _ = bench.timed(work)
    with mock.patch.object(samplers, "drawn_ahead", lambda noises: noises):
        waiting, _ = bench.timed(work)
    x = torch.zeros(count, *shape, device=bench.device)
    t = torch.zeros(count, dtype=torch.long, device=bench.device)
    noises = stream_noises(denoiser, bench.seed, range(count))
    drawing = bench.timed(lambda: [next(noises) for _ in range(SAMPLED_STEPS)])[0] / SAMPLED_STEPS
    return {
        "batch": count,
        "ms/step": 1e3 * seconds / SAMPLED_STEPS,
        "ms/step, noise drawn in the step": 1e3 * waiting / SAMPLED_STEPS,
        "images/s at 1,000 steps (scaled)": count * SAMPLED_STEPS / seconds / SamplerConfig().steps,
        **{f"ms of {name}": told for name, told in answers(bench, denoiser.network, x, t).items()},
        "ms of the noise": 1e3 * drawing,
        "peak MiB": bench.peak(),
    }


def answers(bench, network, x, t):
    """Milliseconds of a batch: as samplers call the network, as a CUDA graph, in bf16 with channels last."""
    found, cuda = {}, bench.device == "cuda"

    def half():
        with torch.autocast(bench.device, torch.bfloat16):
            return network(x_last, t)

    with torch.no_grad():
        found["the network"] = 1e3 * bench.median(partial(network, x, t), 3)
        if not cuda:
            return found
        try:
            with beside():
                network(x, t)
            found["it as a CUDA graph"] = 1e3 * bench.median(record(lambda: network(x, t).sample), 3)
            network.to(memory_format=torch.channels_last)
            x_last = x.contiguous(memory_format=torch.channels_last)
            found["it in bf16, channels last"] = 1e3 * bench.median(half, 3)
        except TimeoutError:
            raise
        except Exception as error:
            found["a failure"] = f"{type(error).__name__}: {error}"[:120]
    return found

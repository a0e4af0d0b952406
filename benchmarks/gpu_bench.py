"""What the sections of `gpu.py` share: the device, a clock, and networks."""

import math
import statistics
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from spurion.core.random import generator
from spurion.diffusion.denoisers.unet import PAPER_UNETS, UNetConfig
from spurion.diffusion.schedule import DDPMSchedule

SCHEDULE = DDPMSchedule()


@dataclass
class Bench:
    """Where and how large a run is, and what one section tells the next."""

    device: str
    quick: bool
    seed: int
    folder: Path
    found: dict = field(default_factory=dict)
    deadline: float = math.inf

    def size(self, full, quick):
        return quick if self.quick else full

    def normal(self, *shape, name="normal", dtype=torch.float32):
        """Numbers that are the same on every device."""
        return torch.randn(shape, generator=generator(self.seed, name), dtype=dtype).to(self.device)

    def wait(self):
        if self.device == "cuda":
            torch.cuda.synchronize()

    def timed(self, work):
        """Seconds and result of one call."""
        self.wait()
        start = time.perf_counter()
        result = work()
        self.wait()
        return time.perf_counter() - start, result

    def median(self, work, repeats=5):
        """Median seconds of a call, after one to warm up."""
        work()
        return statistics.median(self.timed(work)[0] for _ in range(repeats))

    def each(self, work, budget=1.5):
        """Seconds of a call, from as many calls in a row as fit into a budget."""
        once = self.timed(work)[0]
        count = max(1, min(2 if self.quick else 500, int(budget / max(once, 1e-6))))
        return self.timed(lambda: [work() for _ in range(count)])[0] / count

    def left(self):
        """Seconds left to the section."""
        return self.deadline - time.perf_counter()

    def forget(self):
        """Give memory back before the next measurement."""
        if self.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def peak(self):
        return round(torch.cuda.max_memory_allocated() / 2**20) if self.device == "cuda" else None


def kernels(work, most):
    """The kernels that take longest in some work on CUDA, after one row for all; or why that is not known."""
    try:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
            work()
            torch.cuda.synchronize()
        found = sorted(profile.key_averages(), key=lambda each: -each.self_device_time_total)
    except TimeoutError:
        raise
    except Exception as error:
        return [{"kernel": f"left out: {type(error).__name__}: {error}"[:200], "count": 0, "ms": 0.0}]
    busy = [(each.key[:70], each.count, each.self_device_time_total / 1e3) for each in found]
    every = ("all", sum(count for _, count, _ in busy), sum(ms for *_, ms in busy))
    return [dict(zip(("kernel", "count", "ms"), row, strict=True)) for row in (every, *busy[:most]) if row[2]]


def unets(bench):
    """Name, configuration, shape and batch size of the three U-Nets; small ones in a quick run."""
    if bench.quick:
        tiny = UNetConfig(channels=32, multipliers=(1, 1), blocks=1, attention=())
        return [("small", tiny, (1, 8, 8), 4), ("cifar10", tiny, (3, 8, 8), 4), ("lsun", tiny, (3, 8, 8), 2)]
    small = UNetConfig(channels=32, multipliers=(1, 2, 2))
    return [
        ("small", small, (1, 28, 28), 128),
        ("cifar10", PAPER_UNETS["cifar10-128"], (3, 32, 32), 128),
        ("lsun", PAPER_UNETS["lsun-church-96"], (3, 64, 64), 64),
    ]


def built(config, shape, device="cpu", seed=0):
    """A denoiser with fresh weights."""
    denoiser = config.build(torch.zeros(1, *shape), SCHEDULE, generator=generator(seed, "weights"))
    denoiser.network.to(device)
    denoiser.device = torch.device(device)
    return denoiser


@contextmanager
def exact_convolutions():
    """Convolutions in float32 throughout, without the 10-bit factors that cuDNN takes by default."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False, fp32_precision="ieee"):
        yield

"""What the checks are made on: digits, models of every kind, and how far two answers are apart."""

import torch
from gpu_bench import SCHEDULE

from spurion.core.random import generator
from spurion.data import load_split
from spurion.diffusion import (
    ExactDenoiser,
    FourierMLPConfig,
    FourierResidualConfig,
    GaussianConfig,
    GaussianDenoiser,
    MLPConfig,
    UNetConfig,
    VESchedule,
)
from spurion.diffusion.denoisers.gaussian import Spectrum
from spurion.diffusion.denoisers.network import NetworkDenoiser

DOUBLE, SINGLE, TF32 = 1e-10, 1e-4, 3e-2
TIMES = (0, 30, 300, 900)
UNET = UNetConfig(channels=32, multipliers=(1, 2), blocks=1, attention=(4,), dropout=0.0)
NETWORKS = {
    "mlp": (MLPConfig(), SCHEDULE),
    "unet": (UNET, SCHEDULE),
    "fourier-residual": (FourierResidualConfig(width=64), VESchedule()),
    "fourier-residual, DDPM": (FourierResidualConfig(width=64), SCHEDULE),
    "fourier-mlp": (FourierMLPConfig(width=64), VESchedule()),
}


def apart(found, expected):
    """The largest difference as a share of the largest number; infinite where only one of both is finite."""
    found, expected = found.detach().cpu().double(), expected.detach().cpu().double()
    if found.shape != expected.shape or not torch.equal(found.isfinite(), expected.isfinite()):
        return float("inf")
    known = expected.isfinite()
    if not known.any():
        return 0.0
    size = expected[known].abs().max().clamp(min=1e-30)
    return float((found[known] - expected[known]).abs().max() / size)


def digits(count=64, dtype=torch.float32):
    return load_split("digits").train.images[:count].to(dtype)


def exact(device, dtype=torch.float64, schedule=SCHEDULE):
    return ExactDenoiser(digits(dtype=dtype).to(device), schedule)


def gaussian(device, dtype=torch.float64):
    fitted = GaussianConfig().build(digits(dtype=torch.float64), SCHEDULE, generator=generator(0, "none"))
    variances, directions = fitted.spectrum
    spectrum = Spectrum(variances.to(device), None if directions is None else directions.to(device))
    return GaussianDenoiser(fitted.mean.to(device, dtype), spectrum, SCHEDULE, (1, 8, 8))


def network(name, device, dtype=torch.float32):
    config, schedule = NETWORKS[name]
    made = config.build(digits(2), schedule, generator=generator(0, "weights"))
    moved = made.network.to(device)
    moved = moved.double() if dtype == torch.float64 else moved
    return NetworkDenoiser(moved, schedule, made.shape, made.prediction)


def noisy(dtype=torch.float64, count=16):
    return torch.randn(count, 1, 8, 8, generator=generator(0, "noisy"), dtype=torch.float64).to(dtype)


def both(bench, work):
    """The answers of the device and of the CPU."""
    return work(bench.device), work("cpu")


def circle(device, count=9):
    angles = torch.arange(count, dtype=torch.float64) * 2.4
    return torch.stack([angles.cos(), angles.sin()], 1).to(device)

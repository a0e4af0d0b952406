"""Denoisers whose curvature is known, or that are difficult in one known way."""

import torch
from torch import nn
from torch.autograd import Function

from spurion.core.random import generator
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.denoisers.gaussian import GaussianDenoiser
from spurion.diffusion.denoisers.network import NetworkDenoiser
from spurion.diffusion.denoisers.network_config import MLPConfig
from spurion.diffusion.schedule import DDPMSchedule

SCHEDULE = DDPMSchedule()


class Turned(Denoiser):
    """Gaussian data with variances known, whose axes are those of a Householder reflection."""

    def __init__(self, variances, shape, schedule=SCHEDULE):
        self.inner = GaussianDenoiser(
            torch.zeros_like(variances), variances, schedule, tuple(variances.shape)
        )
        self.schedule, self.shape, self.dtype = schedule, shape, variances.dtype
        normal = torch.randn(len(variances), dtype=variances.dtype, generator=generator(0, "turned"))
        self.normal = normal / normal.norm()

    def turned(self, x):
        return x - 2 * (x @ self.normal)[:, None] * self.normal

    def denoise(self, x_t, t):
        return self.turned(self.inner.denoise(self.turned(x_t.flatten(1)), t)).view_as(x_t)

    def rho(self, sigma, alpha=1.0):
        """The stiffness sigma^2 / (alpha^2 variance + sigma^2), increasing."""
        return (sigma**2 / (alpha**2 * self.inner.spectrum.variances + sigma**2)).sort().values


class Faulty(Denoiser):
    """Another denoiser, except that items with a first coordinate above 5 give NaN."""

    def __init__(self, inner):
        self.inner = inner
        self.schedule, self.shape, self.dtype = inner.schedule, inner.shape, inner.dtype

    def denoise(self, x_t, t):
        bad = x_t.flatten(1)[:, :1] > 5
        out = self.inner.denoise(torch.where(bad, 0, x_t.flatten(1)).view_as(x_t), t)
        return torch.where(bad, torch.nan, out.flatten(1)).view_as(x_t)


class Recording(Denoiser):
    """Another denoiser that keeps what it was given."""

    def __init__(self, inner):
        self.inner, self.seen = inner, []
        self.schedule, self.shape, self.dtype = inner.schedule, inner.shape, inner.dtype

    def denoise(self, x_t, t):
        self.seen.append(x_t)
        return self.inner.denoise(x_t, t)


def network(shape, seed=0):
    """An MLP with random weights in every layer, in float64."""
    random = generator(seed, "network")
    denoiser = MLPConfig(width=24, blocks=1).build(torch.zeros(1, *shape), SCHEDULE, generator=random)
    for parameter in denoiser.network.parameters():
        parameter.data.add_(0.2 * torch.randn(parameter.shape, generator=random))
    return NetworkDenoiser(denoiser.network.double(), SCHEDULE, shape)


class _WithoutVmap(Function):
    """x -> x^2, with both modes, but nothing for vmap."""

    @staticmethod
    def forward(x):
        return x.square()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, gradient):
        return 2 * ctx.saved_tensors[0] * gradient

    @staticmethod
    def jvp(ctx, tangent):
        return 2 * ctx.saved_tensors[0] * tangent


class _ReverseOnly(Function):
    """x -> x^2, in the old style, with reverse mode only."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.square()

    @staticmethod
    def backward(ctx, gradient):
        return 2 * ctx.saved_tensors[0] * gradient


class _Plain:
    @staticmethod
    def apply(x):
        return x.square()


SQUARES = {"plain": _Plain, "without vmap": _WithoutVmap, "reverse only": _ReverseOnly}


class Mixed(nn.Module):
    """A dense network whose one nonlinearity x -> x^2 supports less and less."""

    def __init__(self, dim, kind):
        super().__init__()
        random = generator(0, "mixed")
        self.matrix = nn.Parameter(0.3 * torch.randn(2, dim, dim, dtype=torch.float64, generator=random))
        self.square = SQUARES[kind]

    def forward(self, x_t, t):
        x = x_t.flatten(1)
        return (x @ self.matrix[0] + self.square.apply(x) @ self.matrix[1]).view_as(x_t)

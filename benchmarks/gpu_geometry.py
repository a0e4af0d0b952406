"""Every numerical piece on the device next to the CPU: geometry and memories; see `gpu_checks`."""

import torch
from gpu_bench import exact_convolutions
from gpu_models import DOUBLE, apart, both, circle, digits, gaussian, network, noisy

from spurion.core.random import generator
from spurion.diffusion import (
    ExactDenoiser,
    VESchedule,
    fixed_points,
    log_density,
    mixture_prior,
    normal_prior,
)
from spurion.diffusion.jacobian import denoise_and_jacobian, denoise_and_traces
from spurion.geometry import MEASURES, BasinConfig, ScoreJacobian, basins, curvature, relative_energy
from spurion.geometry.density import spectral_density
from spurion.geometry.lanczos import extremal
from spurion.geometry.randomized import top_singular_values
from spurion.memory import (
    BinaryDenseAM,
    DenseAM,
    DotProductAM,
    HopfieldNetwork,
    Polynomial,
    capacity_curve,
    find_minima,
    recall,
    retrieve,
)
from spurion.memory import basins as memory_basins


def minima_of_models(bench):
    def work(device):
        found = fixed_points(ExactDenoiser(circle(device), VESchedule()), 0.15, circle(device) * 0.9)
        return torch.cat([found.points.cpu().sort(0).values.flatten(), found.hits.cpu().double()])

    return apart(*both(bench, work)), 1e-7, "points and hits"


def densities(bench):
    def work(device):
        flow = ExactDenoiser(circle(device), VESchedule())
        points = circle("cpu")[:4] * 0.9
        first = log_density(flow, points, 0.1, prior=mixture_prior(circle("cpu"), VESchedule()))
        second = log_density(
            gaussian(device), digits(4).double(), 100, prior=normal_prior(), divergence="hutchinson",
            probes=4, generator=generator(0, "probes"), steps=20,
        )  # fmt: skip
        return torch.cat([first.value.cpu(), second.value.cpu()])

    return apart(*both(bench, work)), 1e-6, "continuous and discrete time, patterns and points from the CPU"


def relative(bench):
    errors = []
    for here in (True, False):  # points on the device, and points that the caller left on the CPU

        def work(device, here=here):
            x = digits(4, torch.float64).to(device if here else "cpu")
            return relative_energy(gaussian(device), x, digits(2, torch.float64)).value

        errors.append(apart(*both(bench, work)))
    return max(errors), 1e-8, "points on the device and on the CPU"


def jacobian_check(name, tolerance):
    def check(bench):
        def work(device):
            model = network(name, device, torch.float64 if device == "cpu" else torch.float32)
            x_t = noisy(model.dtype, 3).to(device)
            return torch.cat([part.flatten().cpu().double() for part in jacobian_parts(model, x_t)])

        with exact_convolutions():
            return (
                apart(work(bench.device), work("cpu")),
                tolerance,
                "float32 to float64; whole, traces, products",
            )

    return check


def jacobian_parts(model, x_t):
    probes = noisy(x_t.dtype, 6).view(2, 3, 1, 8, 8).to(x_t)
    operator = ScoreJacobian(model, x_t.cpu(), 100)
    vectors = noisy(torch.float64, 6).view(3, 2, 64)
    yield from denoise_and_jacobian(model, x_t, 100)
    yield denoise_and_traces(model, x_t, 100, probes)[1]
    yield operator.push(vectors)
    yield operator.pull(vectors)
    yield operator.full()


def spectra(bench):
    def work(device):
        model, x = gaussian(device), digits(3, torch.float64).to(device)
        found, operator = curvature(model, x, 100), ScoreJacobian(model, x, 100)
        share = spectral_density(operator, generator=generator(0, "density"), probes=4, steps=20)
        top = top_singular_values(operator, 3, generator=generator(0, "range"))
        parts = found.rho, found.singular, share.mean().value, top
        return torch.cat([part.flatten() for part in parts])

    return apart(*both(bench, work)), 1e-6, "curvature, density, range finder; float64"


def ends_of_spectra(bench):
    def work(device):
        operator = ScoreJacobian(gaussian(device), digits(3, torch.float64), 100)
        found = extremal(operator, generator=generator(0, "ends"), top=2, bottom=3)
        return torch.cat([found.bottom.flatten(), found.top.flatten()])

    return apart(*both(bench, work)), 1e-3, "Lanczos, which stops at a residual of 3e-4"


def measure_check(name):
    def check(bench):
        def work(device, here):
            x = digits(6, torch.float64).to(device if here else "cpu")
            return MEASURES[name](gaussian(device), x, generator=generator(0, name))

        expected, errors = work("cpu", True), []
        for here in (True, False):
            found = work(bench.device, here)
            same = torch.equal(found.status.cpu(), expected.status)
            errors.append(apart(found.values, expected.values) if same else float("inf"))
        return max(errors), 1e-6, "points on the device and on the CPU; float64"

    return check


def critical_noise(bench):
    def work(device):
        config = BasinConfig(levels=bench.size(100, 8), every_draw=True)
        return basins(network("unet", device), digits(bench.size(8, 2)), 1.0, config, seed=0).draws.double()

    with exact_convolutions():
        found, expected = both(bench, work)
    return float((found - expected).abs().mean()), 0.5, "mean difference in levels, U-Net in float32"


def memories(bench):
    def work(device):
        stored = digits(64, torch.float64).flatten(1).to(device)
        x = stored[:8] + 0.3 * noisy(count=8).flatten(1).to(device)
        parts = []
        for beta in (0.05, 0.5, 50.0):
            memory = DenseAM(stored, beta)
            dot = DotProductAM.from_dense(memory)
            parts += [
                memory.energy(x),
                memory.gradient(x),
                memory.hessian(x),
                memory.weights(x),
                dot.update(x),
            ]
            parts += [memory.effective_number(x), memory.sample(4, generator=generator(0, "draws"))]
            parts += [retrieve(memory, x).attractors]
        return torch.cat([part.flatten().cpu() for part in parts])

    return apart(*both(bench, work)), 1e-7, "energy, gradient, Hessian, weights, draws, retrieval; float64"


def minima_of_memories(bench):
    def work(device):
        memory = DenseAM(circle(device), 1 / 0.3)
        found = find_minima(memory, generator=generator(0, "minima"))
        shares = memory_basins(memory, found, draws=200, generator=generator(0, "basins")).shares
        order = found.energy.argsort()
        curve = capacity_curve(circle(device), [3, 9], [2.0], sets=2, draws=50)
        numbers = torch.tensor([point.minima for point in curve], dtype=torch.float64)
        barrier = found.barrier[order].nan_to_num(0, 0, 0)
        return torch.cat([found.energy[order].cpu(), barrier.cpu(), shares[order.cpu()], numbers])

    return apart(*both(bench, work)), 1e-6, "energies, barriers, basins, capacity curve"


def binary(bench):
    def work(device):
        draws = torch.randint(0, 2, (6, 40), generator=generator(0, "binary")).double() * 2 - 1
        stored, parts = draws.to(device), []
        for memory in (HopfieldNetwork(stored), BinaryDenseAM(stored, Polynomial(3))):
            flipped = stored.clone()
            flipped[:, :8] *= -1
            for synchronous in (False, True):
                found = memory.retrieve(flipped, generator=generator(0, "order"), synchronous=synchronous)
                parts += [found.states, memory.energy(found.states), found.sweeps.double()]
            parts.append(recall(memory, count=6, generator=generator(0, "recall")))
        return torch.cat([part.flatten().cpu() for part in parts])

    return apart(*both(bench, work)), DOUBLE, "both networks, both updates"


GEOMETRY = {
    "minima of a model": minima_of_models,
    "log-density": densities,
    "relative energy": relative,
    "Jacobian of mlp": jacobian_check("mlp", 1e-3),
    "Jacobian of unet": jacobian_check("unet", 1e-3),
    "spectra": spectra,
    "ends of spectra": ends_of_spectra,
    **{f"measure {name}": measure_check(name) for name in MEASURES},
    "critical noise of a U-Net": critical_noise,
    "dense memories": memories,
    "minima of memories": minima_of_memories,
    "binary memories": binary,
}
"""The checks of this module, by name."""

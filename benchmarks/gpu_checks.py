"""Every numerical piece on the device next to the CPU: the first part, models and what is asked of them.

A check returns an error, the tolerance it must keep and a remark. Tolerances follow from what can differ: the
order of sums, a few hundred units in the last place (1e-10 in float64, 1e-4 in float32, as shares of the
largest number); 10-bit factors in the convolutions of cuDNN (3e-2); what follows from a seed is equal (0).
"""

import time
import traceback

import torch
from gpu_bench import SCHEDULE, built, exact_convolutions
from gpu_runs import RUNS

from spurion.core.random import generator
from spurion.data import load_split
from spurion.diffusion import (
    DDPMSchedule,
    EulerMaruyamaConfig,
    ExactDenoiser,
    FourierMLPConfig,
    FourierResidualConfig,
    GaussianConfig,
    GaussianDenoiser,
    MLPConfig,
    SamplerConfig,
    UNetConfig,
    VESchedule,
    fixed_points,
    log_density,
    mixture_prior,
    normal_prior,
    sample,
    sample_sde,
)
from spurion.diffusion.denoisers.gaussian import Spectrum
from spurion.diffusion.denoisers.network import NetworkDenoiser
from spurion.diffusion.jacobian import denoise_and_jacobian, denoise_and_traces
from spurion.diffusion.samplers import reverse, stream_noises
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


def checks(bench, rows):
    """Run all checks, each on its own."""
    for name, check in {**CHECKS, **RUNS}.items():
        begun = time.perf_counter()
        try:
            error, tolerance, note = check(bench)
            row = {
                "error": float(error),
                "tolerance": tolerance,
                "ok": bool(error <= tolerance),
                "note": note,
            }
        except TimeoutError:
            raise
        except Exception as failure:
            told = f"{type(failure).__name__}: {failure}"[:200]
            row = {"error": None, "tolerance": None, "ok": False, "note": told}
            row["traceback"] = traceback.format_exc()
        rows.append({"check": name, **row, "seconds": time.perf_counter() - begun})


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


def answers(make, device, dtype):
    """Posterior means and scores at a few times."""
    model = make(device, dtype)
    times = TIMES if isinstance(model.schedule, DDPMSchedule) else (1e-4, 0.03, 1.0)
    x_t = noisy(dtype).to(device)
    with torch.no_grad():
        return torch.cat([f(x_t, t).flatten().cpu().double() / s for t in times for f, s in scaled(model, t)])


def scaled(model, t):
    return (model, 1.0), (model.score, float(model.schedule.sigma(torch.tensor(t)).square().reciprocal()))


def same_answers(make, tolerances):
    def check(bench):
        expected, errors = answers(make, "cpu", torch.float64), []
        for dtype, tolerance in tolerances.items():
            errors.append(apart(answers(make, bench.device, dtype), expected) / tolerance)
        return (
            max(errors),
            1.0,
            "in units of the tolerance: "
            + ", ".join(f"{str(dtype)[6:]} {tolerance:g}" for dtype, tolerance in tolerances.items()),
        )

    return check


BOTH = {torch.float64: DOUBLE, torch.float32: 1e-3}


def network_check(name):
    def check(bench):
        make = lambda device, dtype: network(name, device, dtype)  # noqa: E731
        with exact_convolutions():
            return same_answers(make, {torch.float64: DOUBLE, torch.float32: SINGLE})(bench)

    return check


def default_convolutions(bench):
    """The U-Net as torch runs it by itself."""
    make = lambda device, dtype: network("unet", device, dtype)  # noqa: E731
    error = apart(answers(make, bench.device, torch.float32), answers(make, "cpu", torch.float64))
    return error, TF32, "cuDNN may use TF32 here, as torch does by default"


def noise_streams(bench):
    ours, theirs = (next(stream_noises(exact(device), 0, range(8))) for device in (bench.device, "cpu"))
    return apart(ours, theirs), 0.0, "noise is drawn on the CPU: the same on every device"


def both(bench, work):
    """The answers of the device and of the CPU."""
    return work(bench.device), work("cpu")


def sampler_check(tolerance, make, **settings):
    def check(bench):
        config = SamplerConfig(steps=25, batch_size=16, **settings)
        found = both(bench, lambda device: sample(make(device), 16, config, seed=1))
        return apart(*found), tolerance, "from one seed"

    return check


def unet_samples(bench):
    config = SamplerConfig(steps=25, batch_size=16)
    with exact_convolutions():
        ours, theirs = both(bench, lambda device: sample(network("unet", device), 16, config, seed=1))
    default = sample(network("unet", bench.device), 16, config, seed=1)
    return (
        apart(ours, theirs),
        1e-2,
        f"from one seed, float32; with the convolutions of torch {apart(default, theirs):.1e}",
    )


def flows(bench):
    x_t = noisy()
    found = both(bench, lambda device: reverse(gaussian(device), x_t.to(device), 500, 20, clip=False))
    return apart(*found), DOUBLE, ""


def sde(bench):
    make = lambda device: exact(device, schedule=VESchedule())  # noqa: E731
    config = EulerMaruyamaConfig(steps=50, until=0.01)
    found = both(
        bench, lambda d: sample_sde(make(d), 16, config, patterns=digits(dtype=torch.float64), seed=1)
    )
    return apart(*found), 1e-8, "from one seed, float64"


def circle(device, count=9):
    angles = torch.arange(count, dtype=torch.float64) * 2.4
    return torch.stack([angles.cos(), angles.sin()], 1).to(device)


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
        config = BasinConfig(levels=100, every_draw=True)
        return basins(network("unet", device), digits(8), 1.0, config, seed=0).draws.double()

    with exact_convolutions():
        found, expected = both(bench, work)
    return float((found - expected).abs().mean()), 0.5, "mean difference in levels of 100, U-Net in float32"


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


CHECKS = {
    "noise of samples": noise_streams,
    "exact denoiser": same_answers(exact, BOTH),
    "exact denoiser, VE": same_answers(lambda d, dtype: exact(d, dtype, VESchedule()), BOTH),
    "Gaussian denoiser": same_answers(gaussian, BOTH),
    **{f"network {name}": network_check(name) for name in NETWORKS},
    "network unet, convolutions as torch sets them": default_convolutions,
    "ddpm sampler": sampler_check(1e-8, gaussian),
    "ddim sampler": sampler_check(1e-8, gaussian, kind="ddim"),
    "ddim sampler, eta 0.5": sampler_check(1e-8, gaussian, kind="ddim", eta=0.5),
    "ddpm sampler, exact denoiser": sampler_check(1e-6, exact),
    "ddpm sampler, U-Net": unet_samples,
    "deterministic flow": flows,
    "Euler-Maruyama": sde,
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

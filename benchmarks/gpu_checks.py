"""Every numerical piece on the device next to the CPU: the first part, models and what is asked of them.

A check returns an error, the tolerance it must keep and a remark. Tolerances follow from what can differ: the
order of sums, a few hundred units in the last place (1e-10 in float64, 1e-4 in float32, as shares of the
largest number); 10-bit factors in the convolutions of cuDNN (3e-2); what follows from a seed is equal (0).
diffusers takes the sines of its time embedding in float32 even where a U-Net is in float64: their arguments
reach 1,000 radians, of which a unit in the last place is 6e-5, and so much of the embedding is uncertain, far
less of an answer (1e-5).
"""

import time
import traceback

import torch
from gpu_bench import exact_convolutions
from gpu_geometry import GEOMETRY
from gpu_models import (
    DOUBLE,
    NETWORKS,
    SINGLE,
    TF32,
    TIMES,
    apart,
    both,
    digits,
    exact,
    gaussian,
    network,
    noisy,
)
from gpu_runs import RUNS

from spurion.diffusion import (
    DDPMSchedule,
    EulerMaruyamaConfig,
    SamplerConfig,
    VESchedule,
    sample,
    sample_sde,
)
from spurion.diffusion.samplers import reverse, stream_noises


def checks(bench, rows):
    """Run all checks, each on its own; a quick run leaves out the study, which other tests run."""
    every = {**CHECKS, **GEOMETRY, **RUNS}
    if bench.quick:
        every.pop("study by the command line")
    for name, check in every.items():
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


SINES = 1e-5


def network_check(name, double=DOUBLE):
    def check(bench):
        make = lambda device, dtype: network(name, device, dtype)  # noqa: E731
        with exact_convolutions():
            return same_answers(make, {torch.float64: double, torch.float32: SINGLE})(bench)

    return check


def default_convolutions(bench):
    """The U-Net as torch runs it by itself."""
    make = lambda device, dtype: network("unet", device, dtype)  # noqa: E731
    error = apart(answers(make, bench.device, torch.float32), answers(make, "cpu", torch.float64))
    return error, TF32, "cuDNN may use TF32 here, as torch does by default"


def noise_streams(bench):
    ours, theirs = (next(stream_noises(exact(device), 0, range(8))) for device in (bench.device, "cpu"))
    return apart(ours, theirs), 0.0, "noise is drawn on the CPU: the same on every device"


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


CHECKS = {
    "noise of samples": noise_streams,
    "exact denoiser": same_answers(exact, BOTH),
    "exact denoiser, VE": same_answers(lambda d, dtype: exact(d, dtype, VESchedule()), BOTH),
    "Gaussian denoiser": same_answers(gaussian, BOTH),
    **{f"network {name}": network_check(name, SINES if name == "unet" else DOUBLE) for name in NETWORKS},
    "network unet, convolutions as torch sets them": default_convolutions,
    "ddpm sampler": sampler_check(1e-8, gaussian),
    "ddim sampler": sampler_check(1e-8, gaussian, kind="ddim"),
    "ddim sampler, eta 0.5": sampler_check(1e-8, gaussian, kind="ddim", eta=0.5),
    "ddpm sampler, exact denoiser": sampler_check(1e-6, exact),
    "ddpm sampler, U-Net": unet_samples,
    "deterministic flow": flows,
    "Euler-Maruyama": sde,
}
"""The checks of this module, by name."""

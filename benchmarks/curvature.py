"""Time and memory of every way to the curvature of the energy, from small images to 64x64 color.

    python benchmarks/curvature.py --out curvature.json

Each case runs in a process of its own, so that its peak of resident memory is its own; the memory that is
shown is above that of the loaded model. `full` is the whole spectrum of n points (digits and the residual
network), `ends` the ten stiffest and ten softest directions by Lanczos, `softest` the ten softest only,
`density` the stochastic Lanczos quadrature, all with one point of a model with the covariance of natural
images.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch

from spurion.core.random import generator
from spurion.diffusion.denoisers.gaussian import GaussianDenoiser
from spurion.diffusion.denoisers.network_config import MLPConfig
from spurion.diffusion.schedule import DDPMSchedule
from spurion.geometry.density import spectral_density
from spurion.geometry.groups.config import GeometryConfig
from spurion.geometry.groups.scan import scan
from spurion.geometry.hessian import curvature
from spurion.geometry.jacobian import ScoreJacobian
from spurion.geometry.lanczos import extremal

SCHEDULE = DDPMSchedule()
T = 26  # noise 0.1


def digits(count):
    shape = (count, 1, 8, 8)
    denoiser = MLPConfig().build(torch.zeros(shape), SCHEDULE, generator=generator(0, "weights"))
    return denoiser, torch.rand(shape, generator=generator(0, "points")) * 2 - 1


def natural(side):
    dim = 3 * side**2
    variances = 10 * torch.arange(1, dim + 1) ** -2.0
    denoiser = GaussianDenoiser(torch.zeros(dim), variances, SCHEDULE, (3, side, side))
    return ScoreJacobian(denoiser, torch.zeros(1, 3, side, side), T)


CASES = {
    "full, 500 points, D = 64": (lambda: digits(500), lambda case: curvature(*case, T)),
    "scan of 12 times, 64 points, D = 64": (
        lambda: digits(64),
        lambda case: scan(*case, GeometryConfig(), train_size=64, seed=0),
    ),
    "softest, D = 3072": (lambda: natural(32), lambda case: extremal(case, top=0, generator=generator(0))),
    "ends, D = 3072": (lambda: natural(32), lambda case: extremal(case, generator=generator(0))),
    "density, D = 3072": (lambda: natural(32), lambda case: spectral_density(case, generator=generator(0))),
    "softest, D = 12288": (lambda: natural(64), lambda case: extremal(case, top=0, generator=generator(0))),
    "ends, D = 12288": (lambda: natural(64), lambda case: extremal(case, generator=generator(0))),
    "density, D = 12288": (lambda: natural(64), lambda case: spectral_density(case, generator=generator(0))),
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, help="where to write the JSON")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.case:
        print(json.dumps(measured(options.case)))
        return
    rows = []
    print(f"{'case':<38}{'s':>8}{'MiB':>8}")
    for case in CASES:
        command = [sys.executable, __file__, "--case", case, "--threads", str(options.threads)]
        row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        rows.append({"case": case} | row)
        print(f"{case:<38}{row['seconds']:>8.2f}{row['mib']:>8.0f}", flush=True)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps({"threads": options.threads, "cases": rows}, indent=2) + "\n")


def measured(name):
    make, work = CASES[name]
    case = make()
    before, start = peak(), time.perf_counter()
    work(case)
    return {"seconds": time.perf_counter() - start, "mib": peak() - before}


def peak():
    """The peak of resident memory of this process in MiB (ru_maxrss is in KiB on Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()

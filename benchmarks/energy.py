"""Energy and score of many queries against many patterns, next to the plain matrix products they need.

    python benchmarks/energy.py --out energy.json
    python benchmarks/energy.py --device cuda

For each inverse temperature, blocks of queries go in turn through the two products of a naive softmax
(queries x patterns, weights x patterns; nothing else) and through `DenseAM`, so that both meet the same
load of the machine; on a CPU the time is that of the processor. The share is time of the products / time of
the energy and score. The memory table
comes from fresh processes: peak resident memory of one call above what was there before it.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

from spurion.memory import DenseAM

BETAS = {"hot": 1e-4, "warm": 1e-2, "transition": 0.1, "cold": 50.0, "very cold": 5000.0}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--patterns", type=int, default=50_000)
    parser.add_argument("--dim", type=int, default=784)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, help="where to write the JSON")
    parser.add_argument("--probe", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.probe is not None:
        print(peak_memory(options.probe, options.dim))
        return
    result = {
        "queries": options.queries,
        "patterns": options.patterns,
        "dim": options.dim,
        "device": options.device,
        "threads": options.threads,
        "torch": torch.__version__,
        "speed": speed(options),
        "memory": memory(options) if options.device == "cpu" else [],
    }
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(result, indent=2) + "\n")


def data(patterns, queries, dim, device="cpu"):
    """Patterns with the spread of images in [-1, 1]; queries near them, as in a noisy batch."""
    generator = torch.Generator().manual_seed(0)
    stored = 0.5 * torch.randn(patterns, dim, generator=generator) - 0.5
    index = torch.randint(patterns, (queries,), generator=generator)
    noisy = stored[index] + 0.1 * torch.randn(queries, dim, generator=generator)
    return stored.to(device), noisy.to(device)


def products(queries, patterns, weights):
    """The two matrix products, in blocks of patterns."""
    total = torch.zeros_like(queries)
    for start in range(0, len(patterns), 2048):
        block = patterns[start : start + 2048]
        torch.mm(queries, block.T, out=weights[:, : len(block)])
        total.addmm_(weights[:, : len(block)], block)
    return total


def speed(options):
    patterns, queries = data(options.patterns, options.queries, options.dim, options.device)
    parts = queries.split(2048)
    flops = 4 * options.queries * options.patterns * options.dim
    weights = torch.empty(len(parts[0]), 2048, device=options.device)
    print(f"{options.queries} queries, {options.patterns} patterns, D = {options.dim}, {options.device}")
    print(f"{'':<12}{'beta':>10}{'products s':>12}{'spurion s':>11}{'GFLOP/s':>9}{'share':>8}{'median':>8}")
    rows = []
    for name, beta in BETAS.items():
        memory = DenseAM(patterns, beta)
        memory.posterior(parts[0][:64])
        plain, ours = [], []
        for part in parts:
            plain.append(timed(options.device, products, part, patterns, weights[: len(part)]))
            ours.append(timed(options.device, both, memory, part))
        share = sum(plain) / sum(ours)
        median = statistics.median(a / b for a, b in zip(plain, ours, strict=True))
        row = {"name": name, "beta": beta, "products": sum(plain), "spurion": sum(ours)}
        row |= {"gflops": flops / sum(ours) / 1e9, "share": share, "median_share": median}
        rows.append(row)
        print(
            f"{name:<12}{beta:>10g}{sum(plain):>12.2f}{sum(ours):>11.2f}{row['gflops']:>9.1f}"
            f"{share:>8.0%}{median:>8.0%}"
        )
    return rows


def both(memory, queries):
    result = memory.posterior(queries)
    return -result.log_partition / memory.beta, 2 * memory.beta * result.shift


def timed(device, work, *arguments):
    """Seconds of the processor, which a busy machine does not stretch; of the clock on an accelerator."""
    cuda = device.startswith("cuda")
    clock = time.perf_counter if cuda else time.process_time
    synchronize = torch.cuda.synchronize if cuda else int
    synchronize()
    start = clock()
    work(*arguments)
    synchronize()
    return clock() - start


def memory(options):
    print(f"\n{'patterns':>10}{'held MiB':>10}{'peak of a call MiB':>20}")
    rows = []
    for count in (3_125, 12_500, 50_000):
        command = [sys.executable, __file__, "--probe", str(count), "--dim", str(options.dim)]
        command += ["--threads", str(options.threads)]
        peak = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        held = 2 * count * options.dim * 4 / 2**20
        rows.append({"patterns": count, "held_mib": held, "peak_mib": peak})
        print(f"{count:>10}{held:>10.0f}{peak:>20.0f}")
    return rows


def peak_memory(count, dim):
    """Peak resident memory of calls at three temperatures above that of the data held, in MiB."""
    patterns, queries = data(count, 4096, dim)
    memory = DenseAM(patterns, 1.0)
    DenseAM(patterns[:64], 1.0).posterior(queries[:64])  # thread pools and kernels
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far (Linux)
    before = resident("VmRSS")
    for beta in (1e-4, 0.1, 5000.0):
        both(memory.at(beta), queries)
    return resident("VmHWM") - before


def resident(what):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


if __name__ == "__main__":
    main()

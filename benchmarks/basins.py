"""Denoiser evaluations of the search for critical noise: scans against bisection, at the same resolution.

    python benchmarks/basins.py --out basins.json

The model is the exact denoiser of real digits, so that points of all kinds are there: digits that stand
alone, digits with a near copy in the training set, means of two digits, digits of a dense patch, and digits
that the model does not know. Three searches with the same draws (M = 10, 20 DDIM steps) and 40 levels, from
step 1 to 976:

- published: a batch of points climbs together until not one is recovered often enough, as the paper's
  program does;
- scan: each point climbs alone (Algorithm 1 as it is written);
- bisection: `spurion.geometry.critical.basins` as it comes.

The published scheme makes the trials of the scan, and more whose results no point needs: they are counted,
not made. Critical steps are compared where recovery is monotone, of which every trial of every level is
asked.
"""

import argparse
import json
import time
from pathlib import Path

import torch

from spurion.core.random import generator
from spurion.data import load_split
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.schedule import DDPMSchedule
from spurion.geometry.basin import BasinConfig
from spurion.geometry.critical import basins
from spurion.geometry.trials import Trials
from spurion.neighbors.distances import L2

SCHEDULE = DDPMSchedule()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patterns", type=int, default=128)
    parser.add_argument("--points", type=int, default=64, help="of each kind; also the batch as published")
    parser.add_argument("--tolerance", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="where to write the JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    denoiser, kinds = data(options)
    rows = {kind: compare(denoiser, x, options) for kind, x in kinds.items()}
    # A batch as published holds some of every kind.
    rows["all"] = compare(denoiser, torch.stack(list(kinds.values()), dim=1).flatten(0, 1), options)
    result = {"settings": {**vars(options), "out": None}, "torch": torch.__version__, "kinds": rows}
    show(rows)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(result, indent=2) + "\n")


def data(options):
    """The model and the points of each kind."""
    split = load_split("digits")
    random, n = generator(options.seed, "benchmark"), options.points
    digits, others = split.train.images[: options.patterns], split.train.images[options.patterns :]
    copied = digits[:n] + 0.1 * torch.randn(digits[:n].shape, generator=random)
    patch = others[:1] + 0.1 * torch.randn(500, *digits.shape[1:], generator=random)
    patterns = torch.cat([digits, copied.clamp(-1, 1), patch.clamp(-1, 1)])
    kinds = {
        "alone": digits[n : 2 * n],
        "with a copy": digits[:n],
        "mean of two": (digits[:n] + copied.clamp(-1, 1)) / 2,
        "dense patch": patch[:n].clamp(-1, 1),
        "unknown": others[1 : n + 1],
    }
    return ExactDenoiser(patterns, SCHEDULE), kinds


def compare(denoiser, x, options):
    """Evaluations and agreement of the three searches."""
    results, seconds = {}, {}
    for search in ("scan", "bisection"):
        begun = time.process_time()
        results[search] = basins(
            denoiser, x, options.tolerance, BasinConfig(search=search), seed=options.seed
        )
        seconds[search] = time.process_time() - begun
    scanned, bisected = results["scan"], results["bisection"]
    monotone = is_monotone(denoiser, x, options, scanned.times)
    published = as_published(scanned, options.points)
    return {
        "points": len(x),
        "evaluations": {
            "published": published,
            "scan": scanned.evaluations,
            "bisection": bisected.evaluations,
        },
        "share of published": bisected.evaluations / published,
        "share of scan": bisected.evaluations / scanned.evaluations,
        "seconds": seconds,
        "monotone": int(monotone.sum()),
        "same": int((scanned.critical == bisected.critical)[monotone].sum()),
        "median step": float(median_step(scanned)),
    }


def is_monotone(denoiser, x, options, times):
    """The points no draw of which recovers at a level above one at which it does not."""
    config, finite = BasinConfig(), torch.ones(len(x), dtype=torch.bool)
    trials = Trials(denoiser, x, options.tolerance, config, L2(), times, finite, options.seed)
    all_trials = torch.cartesian_prod(*map(torch.arange, (len(x), config.draws, len(times))))
    table = trials(*all_trials.unbind(1)).view(len(x), config.draws, len(times))
    return (table.int().diff(dim=2) <= 0).flatten(1).all(dim=1)


def as_published(scanned, batch):
    """Evaluations where every point of a batch climbs until none of it is recovered."""
    calls = SCHEDULE.calls(scanned.times, BasinConfig().steps).cumsum(0)
    draws = scanned.draws.shape[1]
    total = 0
    for critical in scanned.critical.split(batch):
        last = min(int(critical.max()) + 1, len(calls) - 1)  # the level at which all have failed
        total += len(critical) * draws * int(calls[last])
    return total


def median_step(result):
    level = result.critical.median()
    return result.times[level] if level >= 0 else 0


def show(rows):
    print(f"{'points':12} {'median step':>11} {'published':>10} {'scan':>9} {'bisection':>9} "
          f"{'/ published':>11} {'/ scan':>7} {'same / monotone / all':>22}")  # fmt: skip
    for kind, row in rows.items():
        counts = row["evaluations"]
        agreement = f"{row['same']} / {row['monotone']} / {row['points']}"
        print(
            f"{kind:12} {row['median step']:11.0f} {counts['published']:10,} {counts['scan']:9,} "
            f"{counts['bisection']:9,} {row['share of published']:11.3f} {row['share of scan']:7.3f} "
            f"{agreement:>22}"
        )


if __name__ == "__main__":
    main()

"""Time to find all minima of few patterns in the plane, random ones and regular polygons at their transition.

    python benchmarks/minima.py --out minima.json

Each search runs once unmeasured and then several times; the time is that of the processor, on one thread. The
center of a regular polygon on the unit circle turns unstable at beta = 1: just above it all minima lie in a
flat ring, where Newton steps are hardest. `looks` counts how often the energy is computed, for any number of
states at once.
"""

import argparse
import json
import math
import statistics
import time
from pathlib import Path

import torch

from spurion.memory.dense import DenseAM
from spurion.memory.minima import find_minima
from spurion.memory.place import Place

BETAS = (0.3, 0.99, 1 - 1e-6, 1 + 1e-6, 1 + 1e-4, 1.01, 1.1, 1.5, 4.0, 30.0)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(range(3, 13)))
    parser.add_argument("--out", type=Path, help="where to write the JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [
        {"set": name, "K": n, "beta": beta, **measured(make(n), beta, options.repeats)}
        for name, make in (("random", scattered), ("polygon", polygon))
        for n in options.sizes
        for beta in BETAS
    ]
    show(rows)
    if options.out:
        settings = {"repeats": options.repeats, "sizes": options.sizes}
        result = {"settings": settings, "torch": torch.__version__, "rows": rows}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(result, indent=2) + "\n")


def scattered(n):
    return torch.randn(n, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(n))


def polygon(n):
    turn = torch.arange(n, dtype=torch.float64) * 2 * math.pi / n
    return torch.stack([turn.cos(), turn.sin()], dim=1)


def measured(patterns, beta, repeats):
    """Minima, looks at the energy, and the median time of a search."""
    found, looks = counted(patterns, beta)
    seconds = []
    for _ in range(repeats):
        begun = time.process_time()
        search(patterns, beta)
        seconds.append(time.process_time() - begun)
    return {
        "minima": len(found),
        "unconverged": found.unconverged,
        "looks": looks,
        "seconds": statistics.median(seconds),
    }


def counted(patterns, beta):
    """One search, and how often it looked at the energy."""
    looks, real = 0, Place.at

    def look(memory, x):
        nonlocal looks
        looks += 1
        return real(memory, x)

    Place.at = look
    try:
        return search(patterns, beta), looks
    finally:
        Place.at = real


def search(patterns, beta):
    return find_minima(DenseAM(patterns, beta), generator=torch.Generator().manual_seed(0))


def show(rows):
    print(f"{'set':8} {'K':>3} {'beta':>10} {'minima':>6} {'unconverged':>11} {'looks':>6} {'ms':>7}")
    for row in rows:
        print(
            f"{row['set']:8} {row['K']:3} {row['beta']:10.7g} {row['minima']:6} {row['unconverged']:11} "
            f"{row['looks']:6} {1e3 * row['seconds']:7.1f}"
        )
    slowest = max(rows, key=lambda row: row["seconds"])
    print(f"slowest: {slowest['set']} of {slowest['K']} at beta {slowest['beta']:.7g}")


if __name__ == "__main__":
    main()

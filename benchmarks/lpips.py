"""Nearest neighbors under LPIPS: embedded once and searched, next to the pairwise ways.

    python benchmarks/lpips.py --out lpips.json
    python benchmarks/lpips.py --size 64 --device cuda

Three ways to the nearest reference image of every query, on the same random images and weights (no weight
changes the cost):

- spurion: every image through the network once, then `nearest`; all of it is timed;
- pairs: queries and reference images broadcast against each other, both images of every pair through the
  network, as the code that comes with LPIPS is used;
- kept features: every image through the network once, the differences of every pair broadcast.

The pairs of the last two are timed on a part of the queries against all of the reference, and their time is
multiplied by queries / part: they do the same for every query. Ways take turns, the median counts. The
doubling series show how the time grows with the number of queries, the reference being embedded already, and
the other way round; the exponent is the slope of log time over the last half of the series.
"""

import argparse
import json
import math
import statistics
import time
from pathlib import Path

import torch

from spurion.neighbors import DISTANCES, nearest

ROUNDS = 3
DOUBLINGS = 4


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--queries", type=int, default=1024)
    parser.add_argument("--reference", type=int, default=1024)
    parser.add_argument("--part", type=int, default=4, help="queries that the pairwise ways are timed on")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--distance", default="lpips-alex")
    parser.add_argument("--weights", default="random:0")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, help="where to write the JSON")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    names = ("queries", "reference", "part", "size", "distance", "weights", "device", "threads")
    result = {
        **{name: getattr(options, name) for name in names},
        "torch": torch.__version__,
        "ways": ways(options),
        "growth": growth(options),
    }
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(result, indent=2) + "\n")


def images(count, options, seed):
    generator = torch.Generator().manual_seed(seed)
    values = 2 * torch.rand(count, 3, options.size, options.size, generator=generator) - 1
    return values.to(options.device)


def fresh(options):
    """A distance that remembers nothing yet."""
    return DISTANCES[options.distance].load(options.weights)


def ways(options):
    queries, reference = (
        images(count, options, i) for i, count in enumerate((options.queries, options.reference))
    )
    part = queries[: options.part]
    network = fresh(options)
    network.embed(queries[:64])
    embedding = next(iter(network._placed.values()))
    found, seconds = {}, {"spurion": [], "pairs": [], "kept features": []}
    keeping, kept = timed(options.device, lambda: kept_features(embedding, reference))
    for _ in range(ROUNDS):
        for name, work, scale in (
            ("spurion", lambda: nearest(queries, reference, distance=fresh(options)).distances[:, 0], 1),
            ("pairs", lambda: by_pairs(embedding, part, reference), options.queries / len(part)),
            ("kept features", lambda: by_features(embedding, part, kept), options.queries / len(part)),
        ):
            took, found[name] = timed(options.device, work)
            seconds[name].append(took * scale)
        seconds["kept features"][-1] += keeping
    pairs = options.queries * options.reference
    print(
        f"{options.queries} x {options.reference} images of {options.size} x {options.size}, "
        f"{options.distance}, {options.device}, {options.threads} threads"
    )
    print(f"{'':<16}{'seconds':>10}{'pairs/s':>12}{'times':>8}{'relative difference':>21}")
    rows = []
    for name, times in seconds.items():
        median = statistics.median(times)
        ratio = statistics.median(a / b for a, b in zip(times, seconds["spurion"], strict=True))
        ours = found["spurion"][: len(found[name])]
        difference = float(((found[name] - ours).abs() / ours).max())
        rows.append({"way": name, "seconds": median, "rounds": times, "pairs_per_second": pairs / median})
        rows[-1] |= {"times_spurion": ratio, "difference": difference}
        print(f"{name:<16}{median:>10.2f}{pairs / median:>12.3g}{ratio:>8.1f}{difference:>21.1e}")
    return rows


@torch.no_grad()
def by_pairs(embedding, queries, reference, chunk=64):
    """LPIPS of all pairs, every pair through the network; the distance to the nearest."""
    nearest_so_far = []
    for query in queries:
        values = []
        for part in reference.split(chunk):
            x = activations(embedding, query.expand_as(part))
            y = activations(embedding, part)
            values.append(lpips(embedding, x, y))
        nearest_so_far.append(torch.cat(values).min())
    return torch.stack(nearest_so_far)


@torch.no_grad()
def kept_features(embedding, reference, chunk=64):
    return [activations(embedding, part) for part in reference.split(chunk)]


@torch.no_grad()
def by_features(embedding, queries, parts):
    """LPIPS of all pairs from features that are kept; the distance to the nearest."""
    found = []
    for query in queries:
        x = activations(embedding, query[None])
        found.append(torch.cat([lpips(embedding, x, y) for y in parts]).min())
    return torch.stack(found)


def activations(embedding, images):
    """Normalized outputs of the taps."""
    x = (images - embedding.get_buffer("shift")) / embedding.get_buffer("scale")
    taps = []
    for number, layer in enumerate(embedding.features):
        x = layer(x)
        if number in embedding.taps:
            taps.append(x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10))
    return taps


def lpips(embedding, x, y):
    total = 0
    for index, (f, g) in enumerate(zip(x, y, strict=True)):
        weight = embedding.get_buffer(f"root_{index}").square()[:, None, None]
        total = total + ((f - g).square() * weight).sum(dim=1).mean(dim=(1, 2))
    return total


def growth(options):
    sizes = {"queries": options.queries, "reference": options.reference}
    rows = []
    for varied in sizes:
        counts = [sizes[varied] * 2**step // 2 for step in range(DOUBLINGS + 1)]
        times = []
        for count in counts:
            took = [grown(options, varied, count, sizes) for _ in range(ROUNDS)]
            times.append(statistics.median(took))
        half = len(counts) // 2
        exponent = math.log(times[-1] / times[half]) / math.log(counts[-1] / counts[half])
        rows.append({"varied": varied, "counts": counts, "seconds": times, "exponent": exponent})
        print(f"\n{varied:<12}{'seconds':>10}")
        for count, took in zip(counts, times, strict=True):
            print(f"{count:<12}{took:>10.3f}")
        print(f"exponent {exponent:.2f}")
    return rows


def grown(options, varied, count, sizes):
    """Seconds to embed `count` images and to search, the other set being embedded already."""
    other = next(name for name in sizes if name != varied)
    fixed, changed = images(sizes[other], options, 2), images(count, options, 3)
    distance = fresh(options)
    distance.embed(fixed)
    queries, reference = (changed, fixed) if varied == "queries" else (fixed, changed)
    return timed(options.device, lambda: nearest(queries, reference, distance=distance))[0]


def timed(device, work):
    """Seconds and the result: processor time, which a busy machine does not stretch; wall time on a GPU."""
    cuda = device.startswith("cuda")
    clock = time.perf_counter if cuda else time.process_time
    synchronize = torch.cuda.synchronize if cuda else int
    synchronize()
    start = clock()
    result = work()
    synchronize()
    return clock() - start, result


if __name__ == "__main__":
    main()

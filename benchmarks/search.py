"""Exact nearest neighbors next to scikit-learn, faiss, a plain block search in torch and the naive broadcast.

    python benchmarks/search.py --out search.json
    python benchmarks/search.py --quick
    python benchmarks/search.py --queries 10000 --references 50000 --dims 3072 --threads 2
    python benchmarks/search.py --mapped 200000 --dims 3072 --memory-limit 1073741824
    python benchmarks/search.py --dims --lpips 32 64
    python benchmarks/search.py --dims --lpips 32 --lpips-distance st-lpips-alex --no-growth

Images have a spectrum like that of photographs and a little noise, so that they are on no grid, or, in the
row that says so, 256 gray levels. Contestants search the same images, in turn, repeatedly; times are
medians. With one thread on a CPU they are those of the processor, which a busy machine does not stretch.
The share is that of the machine's own matrix product in the precision of the screen, measured in the same
run. Peak memory is that of a fresh process above the data it holds. The naive broadcast and the pairwise
ways of LPIPS (`search_lpips.py`) are timed on few queries against all of the reference, and their time is
multiplied: they do the same for every query. Growth is that of time over doublings, as an exponent.
faiss takes part if it is installed (``pip install faiss-cpu``).
"""

import argparse
import importlib.util
import json
import math
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import torch
from search_contestants import faiss_flat, images, naive, noisy, scikit_learn, torch_blocks
from search_lpips import (
    by_features,
    by_pairs,
    color_images,
    embed_and_search,
    fresh,
    keep_features,
    operations,
)

from spurion.neighbors import nearest
from spurion.neighbors.bounds import multiplied

LOAD = 2**14
"""Rows of a file that are written at once."""


def main():
    options = arguments()
    torch.set_num_threads(options.threads)
    if options.probe:
        print(peak_memory(options))
        return
    names = ("queries", "references", "dims", "lpips", "lpips_distance", "lpips_images", "threads", "device")
    names = (*names, "repeats")
    result = {name: getattr(options, name) for name in names} | {"torch": torch.__version__}
    if options.mapped:
        result["mapped"] = mapped(options)
    else:
        result["speed"] = [row for dim in options.dims for row in speed(options, dim)]
        result["lpips_speed"] = [row for size in options.lpips for row in lpips_speed(options, size)]
    if not options.mapped and not options.no_growth:
        result["growth"] = [row for dim in options.dims[-1:] for row in growth(options, dim)]
        result["growth"] += [row for size in options.lpips[:1] for row in lpips_growth(options, size)]
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(result, indent=2) + "\n")


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--references", type=int, default=50_000)
    parser.add_argument("--dims", type=int, nargs="*", default=[64, 784, 3072])
    parser.add_argument("--lpips", type=int, nargs="*", default=[32, 64], help="sizes of images, for LPIPS")
    parser.add_argument("--lpips-distance", default="lpips-alex", help="or another of the lpips distances")
    parser.add_argument("--lpips-images", type=int, default=1024, help="queries, and references, for LPIPS")
    parser.add_argument("--no-growth", action="store_true", help="leave out times against sizes")
    parser.add_argument("--part", type=int, default=4, help="queries that pairwise LPIPS is timed on")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--memory-limit", type=int, default=2**31)
    parser.add_argument("--mapped", type=int, help="only: search a file of this many references")
    parser.add_argument("--only", nargs="+", help="leave out all other contestants")
    parser.add_argument("--quick", action="store_true", help="2,000 queries, 10,000 references, 3 repeats")
    parser.add_argument("--out", type=Path, help="where to write the JSON")
    parser.add_argument("--probe", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.queries, options.references, options.repeats = 2_000, 10_000, 3
        options.lpips_images = 256
    return options


def contestants(options):
    """Name, precision of the product, whether the images are bytes, and the search."""
    found = {
        "spurion": ("bfloat16", False, lambda x, y: nearest(x, y, memory_limit=options.memory_limit)),
        "spurion, 8-bit": ("int8", True, lambda x, y: nearest(x, y, memory_limit=options.memory_limit)),
        "spurion, float32": ("float32", False, lambda x, y: nearest(x, y, engine="float32")),
        "torch blocks": ("float32", False, torch_blocks),
    }
    if options.device == "cpu":
        if importlib.util.find_spec("faiss"):
            found["faiss"] = ("float32", False, faiss_flat)
        found["scikit-learn"] = ("float32", False, scikit_learn)
    return {name: row for name, row in found.items() if not options.only or name in options.only}


def product_speed(options, dim):
    """Multiplications and additions a second of this machine's own products: the best of two shapes."""
    y = torch.randn(8192, dim, device=options.device)
    makers = {
        "float32": (lambda a, b: multiplied(a, b.T), lambda rows: rows),
        "bfloat16": (torch.mm, torch.Tensor.bfloat16),
        "int8": (torch._int_mm, lambda rows: (16 * rows).to(torch.int8)),
    }
    rates = {}
    for name, (product, cast) in makers.items():
        b = cast(y)
        for count in (256, 1024):
            a = b[:count].clone()
            product(a, b.T)
            seconds = min(timed(options, product, a, b.T)[0] for _ in range(3))
            rates[name] = max(rates.get(name, 0), 2 * count * len(y) * dim / seconds)
    return rates


def speed(options, dim):
    """One row for every contestant."""
    limit_threads(options.threads)
    grid = images(options.queries, dim, 1, options.device), images(options.references, dim, 2, options.device)
    real = noisy(grid[0]), noisy(grid[1])
    everyone = contestants(options)
    for _, is_grid, search in everyone.values():
        search(*(rows[:600] for rows in (grid if is_grid else real)))
    times, answers, rates = {name: [] for name in everyone}, {}, []
    for _ in range(options.repeats):
        rates.append(product_speed(options, dim))
        for name, (_, is_grid, search) in everyone.items():
            seconds, answers[name] = timed(options, search, *(grid if is_grid else real))
            times[name].append(seconds)
    few = max(1, min(8, 2**33 // real[1].numel()))
    times["naive broadcast"] = [timed(options, naive, real[0][:few], real[1])[0] * len(real[0]) / few]
    rows = [row_of(options, dim, name, times, rates, answers) for name in times]
    show(f"l2, {options.queries} x {options.references}, D = {dim}", rows, "faiss")
    return rows


def row_of(options, dim, name, times, rates, answers):
    seconds = statistics.median(times[name])
    pairs = options.queries * options.references
    row = {
        "dim": dim,
        "name": name,
        "seconds": seconds,
        "times": times[name],
        "pairs_per_second": pairs / seconds,
    }
    if "faiss" in times:
        row["times_as_fast_as_faiss"] = statistics.median(times["faiss"]) / seconds
    if name in answers:
        precision = contestants(options)[name][0]
        rate = statistics.median(each[precision] for each in rates)
        row["product_gflops"] = rate / 1e9
        row["share_of_product"] = 2 * dim * pairs / seconds / rate
        row["peak_mib"] = probe(options, dim, name)
    if hasattr(answers.get(name), "work"):
        row |= {"engine": answers[name].work.engine, "recomputed": answers[name].work.recomputed}
    return row


def lpips_speed(options, size):
    """One row for every way to the nearest image under LPIPS, on images of a size."""
    limit_threads(options.threads)
    queries, reference = lpips_sets(options, size)
    distance = options.lpips_distance
    few, scale = queries[: options.part], len(queries) / options.part
    keeping, kept = timed(options, keep_features, reference, distance)
    times, found, rates = {"spurion": [], "pairs": [], "kept features": []}, {}, []
    for _ in range(options.repeats):
        rates.append(product_speed(options, 3072)["float32"])
        for name, work, factor, before in (
            ("spurion", lambda: embed_and_search(queries, reference, distance), 1, 0),
            ("pairs", lambda: by_pairs(few, reference, distance), scale, 0),
            ("kept features", lambda: by_features(few, kept, distance), scale, keeping),
        ):
            seconds, found[name] = timed(options, work)
            times[name].append(before + factor * seconds)
    pairs, rows = len(queries) * len(reference), []
    ours, work = found["spurion"], operations(queries, reference, distance)
    for name, each in times.items():
        seconds = statistics.median(each)
        row = {"size": size, "name": name, "seconds": seconds, "times": each}
        row |= {"pairs_per_second": pairs / seconds, "peak_mib": probe(options, size, name, lpips=True)}
        row["times_as_fast_as_pairs"] = statistics.median(times["pairs"]) / seconds
        if name == "spurion":
            row["share_of_product"] = work / seconds / statistics.median(rates)
            row |= {"engine": ours.work.engine, "recomputed": ours.work.recomputed}
        else:
            expected = ours.distances[: len(few), 0]
            row["largest_relative_difference"] = float(((found[name] - expected).abs() / expected).max())
        rows.append(row)
    show(f"{distance}, {len(queries)} x {len(reference)}, {size} x {size} pixels", rows, "pairs")
    return rows


def lpips_sets(options, size):
    return [color_images(options.lpips_images, size, seed, options.device) for seed in (1, 2)]


def show(title, rows, baseline):
    print(f"\n{title}")
    columns = ("seconds", "pairs/s", f"x {baseline}", "of product", "peak MiB", "recomputed")
    print(f"{'':<18}" + "".join(f"{column:>12}" for column in columns) + "  engine")
    for row in rows:
        names = (f"times_as_fast_as_{baseline}", "share_of_product", "peak_mib", "recomputed")
        ratio, share, peak, again = (row.get(name, math.nan) for name in names)
        print(
            f"{row['name']:<18}{row['seconds']:>12.3f}{row['pairs_per_second']:>12.2g}{ratio:>12.2f}"
            f"{share:>12.0%}{peak:>12.0f}{again:>12.1e}  {row.get('engine', '')}",
            flush=True,
        )


def timed(options, work, *arguments):
    """Seconds and result."""
    cuda = options.device.startswith("cuda")
    clock = time.process_time if options.threads == 1 and not cuda else time.perf_counter
    synchronize = torch.cuda.synchronize if cuda else int
    synchronize()
    start = clock()
    result = work(*arguments)
    synchronize()
    return clock() - start, result


def growth(options, dim):
    """Time against the number of queries and of references, doubled three times: the exponent of growth."""
    print(f"\ngrowth of l2 at D = {dim}")
    rows = []
    for what in ("queries", "references"):

        def search(size, what=what):
            counts = {"queries": options.queries // 4, "references": options.references // 4} | {what: size}
            x, y = noisy(images(counts["queries"], dim, 1)), noisy(images(counts["references"], dim, 2))
            return timed(options, nearest, x, y)[0]

        rows.append({"distance": "l2", "of": what} | grown(options, getattr(options, what) // 8, search))
    return rows


def lpips_growth(options, size):
    """Time to embed and search against the size of one set, the other being embedded already."""
    print(f"\ngrowth of {options.lpips_distance} at {size} x {size} pixels")
    rows = []
    for what in ("queries", "references"):

        def search(count, what=what):
            distance, fixed = (
                fresh(options.lpips_distance).kept(),
                color_images(options.lpips_images, size, 2, options.device),
            )
            nearest(fixed, fixed[:1], distance=distance)
            varied = color_images(count, size, 3, options.device)
            pair = (varied, fixed) if what == "queries" else (fixed, varied)
            return timed(options, lambda: nearest(*pair, distance=distance))[0]

        first = max(1, options.lpips_images // 2)
        rows.append({"distance": options.lpips_distance, "of": what} | grown(options, first, search))
        rows[-1] |= {"size": size}
    return rows


def grown(options, first, search):
    """Median seconds of a search whose size is doubled three times, and the exponent."""
    sizes = [first * 2**i for i in range(4)]
    seconds = [statistics.median(search(size) for _ in range(options.repeats)) for size in sizes]
    exponent = float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])
    print(f"{sizes}  {[round(s, 3) for s in seconds]}  exponent {exponent:.2f}", flush=True)
    return {"sizes": sizes, "seconds": seconds, "exponent": exponent}


def probe(options, dim, name, *, lpips=False):
    """Peak memory of one search in a fresh process, in MiB, where the system tells it."""
    if options.device != "cpu" or not Path("/proc/self/clear_refs").exists():
        return math.nan
    command = [sys.executable, __file__, "--probe", name, "--lpips" if lpips else "--dims", str(dim)]
    command += ["--lpips-images", str(options.lpips_images), "--part", str(options.part)]
    command += ["--lpips-distance", options.lpips_distance]
    command += ["--queries", str(options.queries), "--references", str(options.references)]
    command += ["--threads", str(options.threads), "--memory-limit", str(options.memory_limit)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def peak_memory(options):
    """What a search takes beyond its data, in MiB."""
    search, x, y = probed_lpips(options) if options.lpips else probed(options)
    search(x[:600], y[:600])
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far (Linux)
    before = status("VmRSS")
    search(x, y)
    return status("VmHWM") - before


def probed(options):
    dim = options.dims[0]
    _, is_grid, search = contestants(options)[options.probe]
    x, y = images(options.queries, dim, 1), images(options.references, dim, 2)
    return (search, x, y) if is_grid else (search, noisy(x), noisy(y))


def probed_lpips(options):
    (queries, reference), name = lpips_sets(options, options.lpips[0]), options.lpips_distance
    if options.probe == "spurion":
        return lambda x, y: embed_and_search(x, y, name), queries, reference
    if options.probe == "pairs":
        return lambda x, y: by_pairs(x, y, name), queries[: options.part], reference
    return lambda x, y: by_features(x, keep_features(y, name), name), queries[: options.part], reference


def mapped(options):
    """A search in a file under a memory limit: its time and the peak of memory that is not the file's."""
    dim = options.dims[-1]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reference.npy"
        values = np.lib.format.open_memmap(path, "w+", np.float32, (options.mapped, dim))
        for start in range(0, options.mapped, LOAD):
            values[start : start + LOAD] = noisy(
                images(min(LOAD, options.mapped - start), dim, start + 2)
            ).numpy()
        values.flush()
        size = path.stat().st_size
        del values
        x = noisy(images(options.queries, dim, 1))
        before, peaks, done = status("RssAnon"), [], threading.Event()

        def watch():
            while not done.wait(0.01):
                peaks.append(status("RssAnon"))

        thread = threading.Thread(target=watch)
        thread.start()
        seconds, found = timed(options, lambda: nearest(x, path, memory_limit=options.memory_limit))
        done.set()
        thread.join()
    result = {
        "references": options.mapped,
        "dim": dim,
        "queries": options.queries,
        "engine": found.work.engine,
        "seconds": seconds,
        "file_mib": size / 2**20,
        "limit_mib": options.memory_limit / 2**20,
        "peak_anonymous_mib": max(peaks) - before,
    }
    print(json.dumps(result, indent=2))
    return result


def limit_threads(threads):
    """The same number of threads for every library."""
    from threadpoolctl import threadpool_limits

    try:
        import faiss

        faiss.omp_set_num_threads(threads)
    except ImportError:
        pass
    threadpool_limits(threads)


def status(what):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


if __name__ == "__main__":
    main()

"""Exact nearest neighbors next to scikit-learn, faiss, a plain block search in torch and the naive broadcast.

    python benchmarks/search.py --out search.json
    python benchmarks/search.py --quick
    python benchmarks/search.py --queries 10000 --references 50000 --dims 3072 --threads 2
    python benchmarks/search.py --mapped 200000 --dims 3072 --memory-limit 1073741824

Images have a spectrum like that of photographs and a little noise, so that they are on no grid, or, in the
row that says so, 256 gray levels. Contestants search the same images, in turn, repeatedly; times are
medians. With one thread on a CPU they are those of the processor, which a busy machine does not stretch.
The share is that of the machine's own matrix product in the precision of the screen, measured in the same
run. Peak memory is that of a fresh process above the data it holds. The naive broadcast is timed on few
queries.
"""

import argparse
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

from spurion.neighbors import nearest

LOAD = 2**14
"""Rows of a file that are written at once."""


def main():
    options = arguments()
    torch.set_num_threads(options.threads)
    if options.probe:
        print(peak_memory(options))
        return
    result = {name: getattr(options, name) for name in ("queries", "references", "dims", "threads", "device")}
    result |= {"torch": torch.__version__, "repeats": options.repeats}
    if options.mapped:
        result["mapped"] = mapped(options)
    else:
        result["speed"] = [row for dim in options.dims for row in speed(options, dim)]
        result["growth"] = growth(options)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(result, indent=2) + "\n")


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--references", type=int, default=50_000)
    parser.add_argument("--dims", type=int, nargs="+", default=[64, 784, 3072])
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
        found["faiss"] = ("float32", False, faiss_flat)
        found["scikit-learn"] = ("float32", False, scikit_learn)
    return {name: row for name, row in found.items() if not options.only or name in options.only}


def product_speed(options, dim):
    """Multiplications and additions a second of this machine's own products: the best of two shapes."""
    y = torch.randn(8192, dim, device=options.device)
    makers = {
        "float32": (torch.mm, lambda rows: rows),
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
    show(rows, dim)
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


def show(rows, dim):
    print(f"\nD = {dim}")
    columns = ("seconds", "pairs/s", "x faiss", "of product", "peak MiB", "recomputed")
    print(f"{'':<18}" + "".join(f"{column:>12}" for column in columns) + "  engine")
    for row in rows:
        names = ("times_as_fast_as_faiss", "share_of_product", "peak_mib", "recomputed")
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


def growth(options):
    """Time against the number of queries and of references, doubled three times: the exponent of growth."""
    dim = options.dims[-1]
    print(f"\ngrowth at D = {dim}")
    rows = []
    for what in ("queries", "references"):
        sizes = [getattr(options, what) // 8 * 2**i for i in range(4)]
        seconds = []
        for size in sizes:
            counts = {"queries": options.queries // 4, "references": options.references // 4} | {what: size}
            x, y = noisy(images(counts["queries"], dim, 1)), noisy(images(counts["references"], dim, 2))
            each = [timed(options, nearest, x, y)[0] for _ in range(options.repeats)]
            seconds.append(statistics.median(each))
        exponent = float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])
        rows.append({"of": what, "dim": dim, "sizes": sizes, "seconds": seconds, "exponent": exponent})
        print(f"{what:<12}{sizes}  {[round(s, 3) for s in seconds]}  exponent {exponent:.2f}", flush=True)
    return rows


def probe(options, dim, name):
    """Peak memory of one search in a fresh process, in MiB, where the system tells it."""
    if options.device != "cpu" or not Path("/proc/self/clear_refs").exists():
        return math.nan
    command = [sys.executable, __file__, "--probe", name, "--dims", str(dim)]
    command += ["--queries", str(options.queries), "--references", str(options.references)]
    command += ["--threads", str(options.threads), "--memory-limit", str(options.memory_limit)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def peak_memory(options):
    """What a search takes beyond its data, in MiB."""
    dim = options.dims[0]
    _, is_grid, search = contestants(options)[options.probe]
    x, y = images(options.queries, dim, 1), images(options.references, dim, 2)
    if not is_grid:
        x, y = noisy(x), noisy(y)
    search(x[:600], y[:600])
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far (Linux)
    before = status("VmRSS")
    search(x, y)
    return status("VmHWM") - before


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

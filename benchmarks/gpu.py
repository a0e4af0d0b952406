"""Everything that wants an accelerator, in one run: correct there? how fast? a short real study.

    python benchmarks/gpu.py --device cuda --out results/
    python benchmarks/gpu.py --device cpu --quick --out results/
    python benchmarks/gpu.py --device cuda --only checks search --out results/

Writes `gpu.json` and `gpu.md` into the folder, after every section. A section that fails, or that outlasts
its budget, is recorded with what it found until then, and the next one begins. The exit code is 1 if a check
or a section failed.
"""

import argparse
import json
import platform
import shlex
import signal
import sys
import tempfile
import time
import traceback
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from gpu_bench import Bench
from gpu_checks import checks
from gpu_compiled import compiled
from gpu_rates import machine, sampling, training
from gpu_search import energies, search, study

SECTIONS = {
    "machine": ("The machine", machine, 8),
    "checks": ("The same numbers as on the CPU", checks, 100),
    "training": ("Training", training, 60),
    "search": ("Nearest neighbors", search, 32),
    "study": ("A short study", study, 85),
    "sampling": ("Sampling", sampling, 15),
    "energies": ("Energies and Jacobians", energies, 18),
    "compiled": ("The compiled training step", compiled, 160),
}
"""Title, function and budget in seconds of every section, the most telling first."""

HIDDEN = ("traceback", "times")
PACKAGES = ("torch", "diffusers", "numpy", "scipy", "scikit-learn", "pydantic", "faiss-cpu", "triton")


def main():
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.quick:
        torch.set_num_threads(1)  # small work, perhaps beside other work
    result = about(options)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options.device, options.quick, options.seed, Path(folder))
        for name in options.only:
            title, function, budget = SECTIONS[name]
            print(f"\n{title}", flush=True)
            result["sections"][name] = run(title, function, budget * options.budget, bench)
            write(result, options.out)
    bad = [name for name, section in result["sections"].items() if section["status"] == "failed"]
    print(f"\nfailed: {', '.join(bad) or 'nothing'}", flush=True)
    return 1 if bad else 0


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write into")
    parser.add_argument("--quick", action="store_true", help="small sizes: whether it runs, not how fast")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--budget", type=float, default=1.0, help="multiplies the seconds of every section")
    return parser.parse_args()


def about(options):
    cuda = options.device == "cuda"
    return {
        "command": shlex.join(["python", *sys.argv]),
        "device": options.device,
        "card": torch.cuda.get_device_name() if cuda else platform.processor() or platform.machine(),
        "cuda": torch.version.cuda,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "seed": options.seed,
        "quick": options.quick,
        "versions": {name: version_of(name) for name in PACKAGES},
        "sections": {},
    }


def version_of(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return None


class Rows(list):
    """What a section found so far; every row is shown as it comes."""

    def append(self, row):
        super().append(row)
        shown = (f"{key} {cell(value)}" for key, value in row.items() if key not in HIDDEN)
        print("  " + ", ".join(shown), flush=True)


def run(title, function, budget, bench):
    """Run one section; whatever happens, say what it found."""
    rows, begun, error = Rows(), time.perf_counter(), None
    try:
        bench.deadline = begun + budget
        with limited(budget):
            function(bench, rows)
    except Exception:
        error = traceback.format_exc()
        print(error, flush=True)
    wrong = error is not None or any(row.get("ok") is False for row in rows)
    bench.forget()
    return {
        "title": title,
        "status": "failed" if wrong else "done",
        "seconds": round(time.perf_counter() - begun, 2),
        "budget": budget,
        "error": error,
        "rows": list(rows),
    }


@contextmanager
def limited(seconds):
    """Raise `TimeoutError` once the time is over."""

    def stop(*_):
        raise TimeoutError(f"the section took more than its {seconds:g} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def write(result, out):
    (out / "gpu.json").write_text(json.dumps(result, indent=2, default=str) + "\n")
    (out / "gpu.md").write_text(page(result))


def page(result):
    """Markdown: how it was run, then one table a section."""
    versions = ", ".join(f"{name} {found}" for name, found in result["versions"].items() if found)
    lines = [
        "# Spurion on an accelerator",
        "",
        f"`{result['command']}`",
        "",
        f"{result['card']}; CUDA {result['cuda']}; Python {result['python']}; {versions}; "
        f"seed {result['seed']}{'; quick' if result['quick'] else ''}.",
    ]
    for section in result["sections"].values():
        took = f"{section['status']}, {section['seconds']:.0f} of {section['budget']:.0f} s"
        lines += ["", f"## {section['title']}", "", f"{took}."]
        if section["error"]:
            lines += ["", f"Failed: {section['error'].strip().splitlines()[-1]}"]
        lines += ["", *tables(section["rows"])]
    return "\n".join(lines) + "\n"


def tables(rows):
    """Rows with the same columns that follow one another are one table."""
    lines, last = [], None
    for row in rows:
        columns = tuple(key for key in row if key not in HIDDEN)
        if columns != last:
            lines += [*([""] if last else []), line(columns), line("---" for _ in columns)]
            last = columns
        lines.append(line(cell(row[column]) for column in columns))
    return lines


def line(cells):
    return "| " + " | ".join(cells) + " |"


def cell(value):
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    text = "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", "/").replace("\n", " ")


if __name__ == "__main__":
    sys.exit(main())
